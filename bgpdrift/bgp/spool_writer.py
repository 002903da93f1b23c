"""The collector's side of the spool: a thread that turns frames into finished segments and loses none it can keep.

Decides when a segment is finished (age, size), when one is started over (any error: a repeated fsync may lie) and which
go when the spool is full (the oldest, counted, recorded). The caller never waits for the disk. A segment reaches its name
by one rename, after fsync; until then it is a ``.part`` whose whole lines the next start salvages.
"""

import contextlib
import errno
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bgpdrift import logs
from bgpdrift.bgp import spool
from bgpdrift.bgp.spool_buffer import Batch, FrameBuffer, as_text
from bgpdrift.bgp.spool_recovery import event_span, next_sequence, salvage, store_next_sequence
from bgpdrift.bgp.spool_segment import OpenSegment, SegmentFile, open_new
from bgpdrift.clock import Clock
from bgpdrift.errors import AlreadyRunningError
from bgpdrift.process.durable import sync_directory
from bgpdrift.process.locks import FileLock
from bgpdrift.settings import SpoolSettings

RETRY_S: Final = 1.0
"""Between two attempts at a disk that refuses."""

# Frames are gathered this long before they are compressed and handed to the kernel: what kill -9 can cost.
_GATHER_S: Final = 0.05
_GATHER_BYTES: Final = 262_144

log = logs.get_logger()


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """What the writer did so far.

    Attributes
    ----------
    frames : int
        In finished segments of this run.
    segments : int
        Finished in this run, salvaged ones included.
    waiting_bytes : int
        In memory, not yet taken by the writing thread.
    dropped_frames : int
        Did not fit into memory while the disk was slow or refused.
    lost_segments : int
        Removed unread because the spool reached its cap.
    problem : str
        Why the disk refuses at the moment; empty when it does not.
    """

    frames: int = 0
    segments: int = 0
    waiting_bytes: int = 0
    dropped_frames: int = 0
    lost_segments: int = 0
    problem: str = ""


class SpoolWriter:
    """Writes one spool directory; the only one to do so.

    Parameters
    ----------
    settings : SpoolSettings
        Age and size of a segment, cap of the spool, compression.
    path : Path
        The directory; made if absent.
    clock : Clock
        Wall time for the records, monotonic time for the age of a segment.
    buffer_bytes : int
        Frames held in memory while the disk is slow, beside the open segment's own (``segment_bytes``).
    opener : callable
        Creates a segment's file.
    retry_s : float
        Between two attempts at a disk that refuses.
    reserve_bytes : int
        Free disk space left to others: with less, writing waits as it does for a disk that refuses.
    free_bytes : callable
        Free space of a directory's disk.

    Raises
    ------
    AlreadyRunningError
        Another writer holds the directory.
    OSError
        The directory cannot be made or written at all.
    """

    def __init__(
        self,
        settings: SpoolSettings,
        path: Path,
        clock: Clock,
        *,
        buffer_bytes: int = 64_000_000,
        opener: Callable[[Path], SegmentFile] = open_new,
        retry_s: float = RETRY_S,
        reserve_bytes: int = 0,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._settings, self._path, self._clock = settings, path, clock
        self._reserve_bytes, self._free_bytes = reserve_bytes, free_bytes
        self._opener, self._retry_s = opener, retry_s
        path.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock_spool(path)
        self._run_id = uuid.uuid4().hex[:12]
        self._segment: OpenSegment | None = None
        self._carried: list[Batch] = []  # records of lost segments, for the head of the next one
        self._spans: dict[int, tuple[float | None, float | None]] = {}
        self._frames = self._lost_segments = 0
        self._problem = ""
        self._segments = salvage(path, clock.now())
        self._next = next_sequence(path)
        self._buffer = FrameBuffer(buffer_bytes)
        self._changed = threading.Condition()
        self._closing = self._finish_asked = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="spool-writer", daemon=True)
        self._thread.start()

    def put(self, frames: Sequence[bytes], earliest: float | None = None, latest: float | None = None) -> bool:
        """Queue frames as received; never waits.

        Parameters
        ----------
        frames : sequence of bytes
            In the order received.
        earliest, latest : float, optional
            Event time (epoch s) they cover, as far as the caller knows.

        Returns
        -------
        bool
            False if the buffer is full: they are dropped, counted, and a record will say so.
        """
        return self._put(Batch(as_text(frames), len(frames), earliest, latest)) if frames else True

    def put_control(self, event: str, earliest: float | None, latest: float | None, reason: str = "") -> None:
        """Queue a record of what happened to the feed, between the frames before and after it."""
        line = spool.control_line(event, earliest, latest, 0, reason)
        self._put(Batch(line + b"\n", 0, earliest, latest), always=True)

    def figures(self) -> SpoolFigures:
        """Say what was written, dropped and lost so far."""
        with self._changed:
            waiting, dropped = self._buffer.bytes, self._buffer.dropped_frames
        return SpoolFigures(self._frames, self._segments, waiting, dropped, self._lost_segments, self._problem)

    def finish_segment(self, timeout_s: float) -> bool:
        """Finish what was put so far without waiting for its age; False if the disk did not let it within the time."""
        with self._changed:
            self._finish_asked = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._finish_asked or self._failure is not None, timeout_s)

    def close(self, timeout_s: float = 30.0) -> None:
        """Finish the last segment and release the directory; a disk that refuses gets one more attempt."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._lock_file.close()

    def _put(self, batch: Batch, *, always: bool = False) -> bool:
        with self._changed:
            if self._failure is not None:
                raise RuntimeError("the spool's thread has ended") from self._failure
            idle = not self._buffer
            fits = self._buffer.add(batch, always=always)
            # Waking the thread for every read of the socket would cost more than the reads.
            if idle or self._buffer.bytes >= _GATHER_BYTES:
                self._changed.notify_all()
        return fits

    # The thread.

    def _work(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:
            log.error("spool.thread_failed", error=repr(error))
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _round(self) -> bool:
        """Take what is there, write it, finish the segment if it is due; False when closed."""
        if not self._problem:  # otherwise `_pause` has waited
            self._wait()
        with self._changed:
            asked, closing = self._finish_asked, self._closing
            batches = self._buffer.take(self._room()) if self._room() > 0 else []
            rest = bool(self._buffer)
        try:
            if batches:
                self._open_segment().add(batches)
            self._write(finish=(asked or closing) and not rest)
        except OSError as error:
            self._start_over(error)
            return self._pause(closing)
        if self._problem:
            log.info("spool.recovered", after=self._problem)
            self._problem = ""
        if asked and not rest:
            with self._changed:
                self._finish_asked = False
                self._changed.notify_all()
        return not closing or rest

    def _wait(self) -> None:
        """Wait for frames, then a little for more of them; not at all for what is due."""
        with self._changed:
            if self._segment is None:
                self._changed.wait_for(self._has_work)
            elif self._room() > 0:
                self._changed.wait_for(self._has_work, self._age_left())
            if self._room() > 0:
                self._changed.wait_for(self._has_much, min(_GATHER_S, self._age_left()))

    def _has_work(self) -> bool:
        return bool(self._buffer) or self._closing or self._finish_asked

    def _has_much(self) -> bool:
        return self._buffer.bytes >= _GATHER_BYTES or self._closing or self._finish_asked

    def _age_left(self) -> float:
        """Seconds until the open segment is due, at least 0; a whole age if none is open."""
        if self._segment is None:
            return self._settings.segment_s
        return max(0.0, self._segment.opened + self._settings.segment_s - self._clock.monotonic())

    def _room(self) -> int:
        return self._settings.segment_bytes - (self._segment.raw_bytes if self._segment else 0)

    def _open_segment(self) -> OpenSegment:
        if self._segment is None:
            opened_at, opened = self._clock.now(), self._clock.monotonic()
            self._segment = OpenSegment(self._next, self._path, opened_at, opened, self._run_id)
            self._segment.add(self._carried)
            self._carried = []
        return self._segment

    def _write(self, *, finish: bool) -> None:
        segment = self._segment
        if segment is None:
            return
        self._leave_reserve()
        segment.write(self._opener, self._settings.compression_level)
        if not (finish or self._room() <= 0 or self._age_left() <= 0):
            return
        segment.finish(self._clock.now())
        # Before the rename: once the reader can see the number it may delete it, and no start may then give it again.
        store_next_sequence(self._path, segment.sequence + 1)
        segment.part.rename(segment.final)
        # From here on it is the reader's; an error below must not write it a second time.
        self._segment, self._next = None, segment.sequence + 1
        self._frames += segment.frames
        self._segments += 1
        self._spans[segment.sequence] = segment.span
        with contextlib.suppress(OSError):
            sync_directory(self._path)
        self._enforce_cap()

    def _leave_reserve(self) -> None:
        """Refuse to write into the room kept for the database; what is open at the end is written all the same."""
        if self._reserve_bytes and not self._closing and self._free_bytes(self._path) < self._reserve_bytes:
            kept = f"less than {self._reserve_bytes / 1e6:,.0f} MB free, which are kept for the database"
            raise OSError(errno.ENOSPC, kept)

    def _enforce_cap(self) -> None:
        segments = spool.list_segments(self._path)
        total = sum(segment.bytes for segment in segments)
        for segment in segments[:-1]:
            if total <= self._settings.max_bytes:
                break
            earliest, latest = self._spans.get(segment.sequence) or event_span(segment.path)
            with contextlib.suppress(OSError):
                segment.path.unlink()
                self._lost_segments += 1
                reason = f"segment {segment.sequence} removed unread: the spool is at its cap"
                line = spool.control_line("segment_lost", earliest, latest, 0, reason)
                # Not a segment of its own: while nothing is read, each would push out another.
                self._carried.append(Batch(line + b"\n", 0, earliest, latest))
                log.error("spool.segment_lost", sequence=segment.sequence, max_bytes=self._settings.max_bytes)
            total -= segment.bytes
        oldest = segments[0].sequence if segments else self._next
        self._spans = {number: span for number, span in self._spans.items() if number >= oldest}

    def _start_over(self, error: OSError) -> None:
        if self._segment is not None:
            self._segment.start_over()
        problem = f"{error.strerror or error} ({self._path})"
        if problem != self._problem:
            log.error("spool.disk_refuses", error=problem, retry_in_s=self._retry_s)
        self._problem = problem

    def _pause(self, closing: bool) -> bool:
        if closing:
            lost = self._segment.frames if self._segment else 0
            log.error("spool.closed_with_loss", frames=lost, error=self._problem)
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._closing, self._retry_s)
        return True


def _lock_spool(path: Path) -> FileLock:
    lock = FileLock(path / spool.LOCK_FILE)
    if not lock.try_acquire():
        holder = lock.read_holder().decode("ascii", "replace").strip()
        lock.close()
        pid = int(holder) if holder.isdigit() else 0
        raise AlreadyRunningError(f"{path}: the spool is being written by process {holder or '?'}", pid)
    lock.write_holder(str(os.getpid()).encode())
    return lock
