"""When the next frame is due, and what was sent lately: the replay's tape.

Pure of sockets: takes frames from an iterator one ahead, maps event time to monotonic time at a speed, and keeps a ring
of what was sent, bounded in seconds and bytes, from which a client that comes back is served again. Who reads, and how
far each one is, `replay_server` knows.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from bgpdrift.bgp.replay_frame import Frame

RING_BYTES: Final = 32_000_000
"""Most that is kept to be sent again; at full speed about a second's worth, more than a killed reader can hold unwritten."""


class Timeline:
    """A tape of frames with a head that only moves on, and a short memory.

    Positions count frames from 0; `head` is that of the next frame never sent.

    Parameters
    ----------
    frames : iterator of Frame
        In order of their timestamps; a frame older than one before it is due at once.
    speed : float or None
        Seconds of event time a second; None for as fast as it is read.
    rewind_s : float
        How far back (monotonic s) a client that was away is set.
    ring_bytes : int
        Most bytes of text kept for that.

    Examples
    --------
    >>> tape = Timeline(iter([Frame(100.0, b"a"), Frame(160.0, b"b")]), speed=60.0, rewind_s=5.0)
    >>> tape.resume(now=0.0)
    >>> [frame.text for frame in tape.advance(0.0, 10, 1000)], tape.due_in(0.25)
    ([b'a'], 0.75)
    >>> tape.rewound(now=0.5)
    0
    """

    def __init__(
        self, frames: Iterator[Frame], speed: float | None, rewind_s: float, ring_bytes: int = RING_BYTES
    ) -> None:
        self._frames, self._speed, self._rewind_s, self._ring_bytes = frames, speed, rewind_s, ring_bytes
        self._ring: deque[tuple[Frame, float]] = deque()
        self._kept_bytes = 0
        self._anchor: tuple[float, float] | None = None  # event time, monotonic time
        self._pending: Frame | None = None
        self._exhausted = False
        self.head = 0

    @property
    def oldest(self) -> int:
        """Position of the oldest frame still kept; the head if none is."""
        return self.head - len(self._ring)

    @property
    def ended(self) -> bool:
        """Whether the source has no further frame."""
        return self._peek() is None

    def resume(self, now: float) -> None:
        """Let time run on from where it stood: the next frame is due as long after the last one as it was meant to be."""
        self._anchor = (self._ring[-1][0].timestamp, now) if self._ring else None

    def due_in(self, now: float) -> float | None:
        """Seconds (monotonic) until the next frame is due, 0 or less if it is; None at the end."""
        frame = self._peek()
        if frame is None:
            return None
        if self._speed is None:
            return 0.0
        if self._anchor is None:
            self._anchor = (frame.timestamp, now)
        since, at = self._anchor
        return at + (frame.timestamp - since) / self._speed - now

    def advance(self, now: float, most_frames: int, most_bytes: int) -> list[Frame]:
        """Take the frames that are due, up to a limit, and forget what is too old to be sent again."""
        taken: list[Frame] = []
        size = 0
        while len(taken) < most_frames and size < most_bytes:
            frame = self._pending or self._peek()
            if frame is None or (self._speed is not None and (self.due_in(now) or 0.0) > 0.0):
                break
            self._pending = None
            taken.append(frame)
            size += len(frame.text)
        self.head += len(taken)
        self._kept_bytes += size
        self._ring.extend([(frame, now) for frame in taken])
        self._forget(now)
        return taken

    def kept(self, position: int, most_frames: int) -> list[Frame]:
        """Give frames sent before, from a position on."""
        start = max(position, self.oldest) - self.oldest
        return [self._ring[index][0] for index in range(start, min(start + most_frames, len(self._ring)))]

    def rewound(self, now: float) -> int:
        """Name the position from which a client that was lost at ``now`` is to be served again."""
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

    def _forget(self, now: float) -> None:
        while self._ring and (self._kept_bytes > self._ring_bytes or self._ring[0][1] < now - self._rewind_s):
            frame, _ = self._ring.popleft()
            self._kept_bytes -= len(frame.text)
