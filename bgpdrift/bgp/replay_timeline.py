"""Decides when the next frame of a replay is due, and keeps the frames sent last.

The timeline maps event time to monotonic time at a given speed. It keeps recent frames, within a limit of seconds and bytes,
for a client that reconnects. `replay_server` owns the sockets and the position of each client.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Final

from bgpdrift.bgp.replay_frame import Frame

RING_BYTES: Final = 32_000_000
"""Limit of the kept frames; at full speed about one second, more than a killed client can have received unwritten."""


class Timeline:
    """A sequence of frames with a head that only advances, and the frames sent last.

    Positions count frames from 0; `head` is the position of the next frame to be sent for the first time.

    Parameters
    ----------
    frames : iterator of Frame
        In order of their timestamps; a frame older than an earlier one is due at once.
    speed : float or None
        Seconds of event time per second; None means as fast as the clients read.
    rewind_s : float
        A client that reconnects continues so many seconds (monotonic) earlier.
    ring_bytes : int
        Limit of the text of the kept frames.
    hold_at : float
        Event time from which frames wait; see `hold`.

    Examples
    --------
    >>> timeline = Timeline(iter([Frame(100.0, b"a"), Frame(160.0, b"b")]), speed=60.0, rewind_s=5.0)
    >>> timeline.resume(now=0.0)
    >>> [frame.text for frame in timeline.advance(0.0, 10, 1000)], timeline.due_in(0.25)
    ([b'a'], 0.75)
    >>> timeline.find_resume_position(now=0.5)
    0
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        speed: float | None,
        rewind_s: float,
        ring_bytes: int = RING_BYTES,
        hold_at: float = math.inf,
    ) -> None:
        self._frames, self._speed, self._rewind_s, self._ring_bytes = frames, speed, rewind_s, ring_bytes
        self._ring: deque[tuple[Frame, float]] = deque()
        self._kept_bytes = 0
        self._anchor: tuple[float, float] | None = None  # event time, monotonic time
        self._pending: Frame | None = None
        self._exhausted = False
        self._hold_at = hold_at
        self.head = 0

    @property
    def oldest(self) -> int:
        """Position of the oldest kept frame; the head if none is kept."""
        return self.head - len(self._ring)

    @property
    def has_ended(self) -> bool:
        """Whether the source has no more frames."""
        return self._peek() is None

    def resume(self, now: float) -> None:
        """Continue after a pause: the next frame is due as long after the last one as without the pause."""
        self._anchor = (self._ring[-1][0].timestamp, now) if self._ring else None

    def hold(self, moment: float, now: float) -> None:
        """Let frames of the event time `moment` and later wait until the next call."""
        frame = self._peek()
        if frame is not None and frame.timestamp >= self._hold_at:
            self.resume(now)
        self._hold_at = moment

    def due_in(self, now: float) -> float | None:
        """Seconds (monotonic) until the next frame is due, at most 0 if it is due; None at the end and if it is held."""
        frame = self._peek()
        if frame is None or frame.timestamp >= self._hold_at:
            return None
        if self._speed is None:
            return 0.0
        if self._anchor is None:
            self._anchor = (frame.timestamp, now)
        since, at = self._anchor
        return at + (frame.timestamp - since) / self._speed - now

    def advance(self, now: float, max_frames: int, max_bytes: int) -> list[Frame]:
        """Return the frames that are due, up to a limit, and drop kept frames that are too old."""
        taken: list[Frame] = []
        size = 0
        while len(taken) < max_frames and size < max_bytes:
            frame = self._pending or self._peek()
            if frame is None or frame.timestamp >= self._hold_at:
                break
            if self._speed is not None and (self.due_in(now) or 0.0) > 0.0:
                break
            self._pending = None
            taken.append(frame)
            size += len(frame.text)
        self.head += len(taken)
        self._kept_bytes += size
        self._ring.extend([(frame, now) for frame in taken])
        self._drop_old(now)
        return taken

    def read_kept(self, position: int, max_frames: int) -> list[Frame]:
        """Return kept frames from a position on."""
        start = max(position, self.oldest) - self.oldest
        return [self._ring[index][0] for index in range(start, min(start + max_frames, len(self._ring)))]

    def find_resume_position(self, now: float) -> int:
        """Return the position from which a client that was lost at ``now`` continues."""
        position = self.head
        for _, sent_at in reversed(self._ring):
            if sent_at < now - self._rewind_s:
                break
            position -= 1
        return position

    def _peek(self) -> Frame | None:
        if self._pending is None and not self._exhausted:
            self._pending = next(self._frames, None)
            self._exhausted = self._pending is None
        return self._pending

    def _drop_old(self, now: float) -> None:
        while self._ring and (self._kept_bytes > self._ring_bytes or self._ring[0][1] < now - self._rewind_s):
            frame, _ = self._ring.popleft()
            self._kept_bytes -= len(frame.text)
