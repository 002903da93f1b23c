"""A bounded queue of frames between the socket and the disk.

When the queue is full, it drops the newest frames, because the older ones are about to be written. It counts them, and queues
a ``dropped`` record with their event time before the next frames that fit. Not thread-safe; `spool_writer` holds the lock.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller

from bgpdrift.bgp.spool import RECORD_START, control_line, separate_frame

_starts_like_record = methodcaller("startswith", RECORD_START)


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines on their way to a segment.

    Attributes
    ----------
    text : bytes
        Complete lines, each with its newline.
    frames : int
        Number of lines from the feed; the others are records of the spool.
    earliest, latest : float or None
        Event time (epoch s) of the frames, if known.
    """

    text: bytes
    frames: int
    earliest: float | None = None
    latest: float | None = None


def join_lines(frames: Sequence[bytes]) -> bytes:
    r"""Join frames to lines, none of which is a record; a newline inside a frame becomes a space, equivalent in JSON.

    Examples
    --------
    >>> join_lines([b'{"a":1}', b'{"a":\n2}'])
    b'{"a":1}\n{"a": 2}\n'
    """
    if any(map(_starts_like_record, frames)):
        frames = [separate_frame(frame) for frame in frames]
    text = b"\n".join(frames) + b"\n"
    if text.count(b"\n") != len(frames):
        text = b"\n".join(frame.replace(b"\n", b" ") for frame in frames) + b"\n"
    return text


def cover_spans(*spans: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """Return the smallest span of event time that covers several spans.

    Examples
    --------
    >>> cover_spans((3.0, 5.0), (None, None), (4.0, 9.0))
    (3.0, 9.0)
    """
    starts = [start for start, _ in spans if start is not None]
    ends = [end for _, end in spans if end is not None]
    return min(starts, default=None), max(ends, default=None)


class FrameBuffer:
    """A queue of batches with a limit of bytes.

    Examples
    --------
    >>> buffer = FrameBuffer(limit_bytes=10)
    >>> buffer.add(Batch(b"123456789", 1)), buffer.add(Batch(b"abc", 1, 7.0, 8.0)), buffer.dropped_frames
    (True, False, 1)
    >>> [batch.text[:50] for batch in buffer.take(100)]
    [b'123456789', b'{"type":"bgpdrift_feed","data":{"event":"dropped",']
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._batches: deque[Batch] = deque()
        self._lost: Batch | None = None
        self.bytes = 0
        self.dropped_frames = 0

    def __bool__(self) -> bool:
        """Whether anything is queued, a ``dropped`` record included."""
        return bool(self._batches) or self._lost is not None

    def add(self, batch: Batch, *, always: bool = False) -> bool:
        """Queue a batch; False if it did not fit and was counted as dropped.

        ``always`` queues a record of the spool beyond the limit: records must not be lost when frames are.
        """
        if not always and self.bytes + len(batch.text) > self._limit_bytes:
            lost = self._lost or Batch(b"", 0)
            span = cover_spans((lost.earliest, lost.latest), (batch.earliest, batch.latest))
            self._lost = Batch(b"", lost.frames + batch.frames, *span)
            self.dropped_frames += batch.frames
            return False
        self._queue_drop_record()
        self._append(batch)
        return True

    def take(self, limit_bytes: int) -> list[Batch]:
        """Remove batches from the front until ``limit_bytes`` are reached; at least one if any is queued."""
        taken: list[Batch] = []
        size = 0
        while self._batches and (not taken or size + len(self._batches[0].text) <= limit_bytes):
            taken.append(self._batches.popleft())
            size += len(taken[-1].text)
        self.bytes -= size
        if not self._batches and self._lost is not None:
            self._queue_drop_record()
            taken += self._batches
            self._batches.clear()
            self.bytes = 0
        return taken

    def _append(self, batch: Batch) -> None:
        self._batches.append(batch)
        self.bytes += len(batch.text)

    def _queue_drop_record(self) -> None:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            line = control_line("dropped", lost.earliest, lost.latest, lost.frames, "the spool could not keep up")
            self._append(Batch(line + b"\n", 0, lost.earliest, lost.latest))
