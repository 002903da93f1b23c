"""Writes frames to the segments of the spool in a thread of its own.

This module decides when a segment is finished (age, size), when it is written again (after any error, because a repeated
fsync may succeed wrongly), which segments are removed from a full spool (the oldest, counted and recorded), and that a
removed directory is created again (the gap in the numbers shows the reader what is lost). The caller never waits for the
disk. A segment gets its name by one rename, after fsync; before that, it is a ``.part`` file whose complete lines the next
start recovers.
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
from bgpdrift.bgp.spool_buffer import Batch, FrameBuffer, join_lines
from bgpdrift.bgp.spool_recovery import event_span, next_sequence, recover_parts, store_next_sequence
from bgpdrift.bgp.spool_segment import OpenSegment, SegmentFile, open_new
from bgpdrift.clock import Clock
from bgpdrift.errors import AlreadyRunningError
from bgpdrift.process.durable import sync_directory
from bgpdrift.process.locks import FileLock
from bgpdrift.settings import SpoolSettings

RETRY_S: Final = 1.0
"""Wait between two attempts to write to a failing disk."""

# Frames are collected for so long before they are compressed and written; kill -9 can lose this much.
_GATHER_S: Final = 0.05
_GATHER_BYTES: Final = 262_144

log = logs.get_logger()


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """Counts of the writer.

    Attributes
    ----------
    frames : int
        Frames in finished segments of this run.
    segments : int
        Segments finished in this run, recovered ones included.
    waiting_bytes : int
        Bytes in memory that the thread has not taken yet.
    dropped_frames : int
        Frames that did not fit into memory while the disk was slow or failed.
    lost_segments : int
        Segments removed unread because the spool reached its limit.
    removed_directories : int
        How often the directory was removed or replaced while this writer ran; unread segments are lost.
    problem : str
        Why the disk fails at present; empty if it does not.
    """

    frames: int = 0
    segments: int = 0
    waiting_bytes: int = 0
    dropped_frames: int = 0
    lost_segments: int = 0
    removed_directories: int = 0
    problem: str = ""


class SpoolWriter:
    """Writes one spool directory; only one writer per directory is allowed.

    Parameters
    ----------
    settings : SpoolSettings
        Age and size of a segment, limit of the spool, compression.
    path : Path
        The directory; created if absent.
    clock : Clock
        Wall time for the records, monotonic time for the age of a segment.
    buffer_bytes : int
        Limit of the frames in memory while the disk is slow, without those of the open segment (``segment_bytes``).
    opener : callable
        Creates the file of a segment.
    retry_s : float
        Wait between two attempts to write to a failing disk.
    reserve_bytes : int
        Disk space kept free for others; with less, writing waits as for a failing disk.
    free_bytes : callable
        Returns the free space of a directory's disk.

    Raises
    ------
    AlreadyRunningError
        Another writer holds the directory.
    OSError
        The directory cannot be created or written.
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
        self._carried: list[Batch] = []  # records of lost segments, for the start of the next one
        self._spans: dict[int, tuple[float | None, float | None]] = {}
        self._frames = self._lost_segments = self._removed_directories = 0
        self._problem = ""
        self._segments = recover_parts(path, clock.now())
        self._next = next_sequence(path, clock.now())
        self._buffer = FrameBuffer(buffer_bytes)
        self._changed = threading.Condition()
        self._closing = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="spool-writer", daemon=True)
        self._thread.start()

    def put(self, frames: Sequence[bytes], earliest: float | None = None, latest: float | None = None) -> bool:
        """Queue frames as received; never waits.

        Parameters
        ----------
        frames : sequence of bytes
            Frames in the order received.
        earliest, latest : float, optional
            Event time (epoch s) of the frames, if known.

        Returns
        -------
        bool
            False if the buffer is full: the frames are dropped and counted, and a record is queued.
        """
        return self._put(Batch(join_lines(frames), len(frames), earliest, latest)) if frames else True

    def put_control(self, event: str, earliest: float | None, latest: float | None, reason: str = "") -> None:
        """Queue a record of an event of the feed, between the frames before and after it."""
        line = spool.control_line(event, earliest, latest, 0, reason)
        self._put(Batch(line + b"\n", 0, earliest, latest), always=True)

    def figures(self) -> SpoolFigures:
        """Return the counts."""
        with self._changed:
            waiting, dropped = self._buffer.bytes, self._buffer.dropped_frames
        return SpoolFigures(
            frames=self._frames,
            segments=self._segments,
            waiting_bytes=waiting,
            dropped_frames=dropped,
            lost_segments=self._lost_segments,
            removed_directories=self._removed_directories,
            problem=self._problem,
        )

    def close(self, timeout_s: float = 30.0) -> None:
        """Finish the last segment and release the directory; a failing disk gets one more attempt."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._lock_file.close()

    def _put(self, batch: Batch, *, always: bool = False) -> bool:
        with self._changed:
            if self._failure is not None:
                raise RuntimeError("the thread of the spool has ended") from self._failure
            idle = not self._buffer
            fits = self._buffer.add(batch, always=always)
            # Waking the thread for every read of the socket would cost more than the reads themselves.
            if idle or self._buffer.bytes >= _GATHER_BYTES:
                self._changed.notify_all()
        return fits

    # The thread of the writer.

    def _work(self) -> None:
        try:
            while self._write_next():
                pass
        except BaseException as error:
            log.error("spool.thread_failed", error=repr(error))
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _write_next(self) -> bool:
        """Write the queued frames and finish the segment if it is due; False when closed."""
        if not self._problem:  # with a problem, `_pause` has waited
            self._wait()
        with self._changed:
            closing = self._closing
            batches = self._buffer.take(self._room()) if self._room() > 0 else []
            rest = bool(self._buffer)
        if batches:
            self._open_segment().add(batches)
        try:
            self._ensure_directory()
            self._write(finish=closing and not rest)
        except OSError as error:
            self._discard_file(error)
            return self._pause(closing)
        if self._problem:
            log.info("spool.recovered", after=self._problem)
            self._problem = ""
        return not closing or rest

    def _wait(self) -> None:
        """Wait for frames, and then shortly for more of them; a due segment ends the wait."""
        with self._changed:
            if self._segment is None:
                self._changed.wait_for(self._has_work)
            elif self._room() > 0:
                self._changed.wait_for(self._has_work, self._age_left())
            if self._room() > 0:
                self._changed.wait_for(self._has_much, min(_GATHER_S, self._age_left()))

    def _has_work(self) -> bool:
        return bool(self._buffer) or self._closing

    def _has_much(self) -> bool:
        return self._buffer.bytes >= _GATHER_BYTES or self._closing

    def _age_left(self) -> float:
        """Seconds until the open segment is due, at least 0; the full age if none is open."""
        if self._segment is None:
            return self._settings.segment_s
        return max(0.0, self._segment.opened_monotonic + self._settings.segment_s - self._clock.monotonic())

    def _room(self) -> int:
        return self._settings.segment_bytes - (self._segment.raw_bytes if self._segment else 0)

    def _open_segment(self) -> OpenSegment:
        if self._segment is None:
            self._segment = OpenSegment(
                self._next,
                self._path,
                opened_at=self._clock.now(),
                opened_monotonic=self._clock.monotonic(),
                run=self._run_id,
            )
            self._segment.add(self._carried)
            self._carried = []
        return self._segment

    def _ensure_directory(self) -> None:
        """Create the directory and its lock again if someone removed it; the lines of the open segment are in memory."""
        if self._lock_file.is_in_place():
            return
        self._path.mkdir(parents=True, exist_ok=True)
        lock = _lock_spool(self._path)
        self._lock_file.close()
        self._lock_file = lock
        if self._segment is not None:
            self._segment.discard_file()
        self._removed_directories += 1
        log.error("spool.directory_removed", path=str(self._path), last_segment=self._next - 1)
        store_next_sequence(self._path, self._next)

    def _write(self, *, finish: bool) -> None:
        segment = self._segment
        if segment is None:
            return
        self._check_reserve()
        segment.write(self._opener, self._settings.compression_level)
        if not (finish or self._room() <= 0 or self._age_left() <= 0):
            return
        segment.finish(self._clock.now())
        # Before the rename: the reader may delete a visible segment, and a later start must not use its number again.
        store_next_sequence(self._path, segment.sequence + 1)
        segment.part.rename(segment.final)
        # The segment belongs to the reader now; an error below must not write it a second time.
        self._segment, self._next = None, segment.sequence + 1
        self._frames += segment.frames
        self._segments += 1
        self._spans[segment.sequence] = segment.span
        with contextlib.suppress(OSError):
            sync_directory(self._path)
        self._enforce_limit()

    def _check_reserve(self) -> None:
        """Raise an error if the disk has only the space kept for the database; the last segment at the end is exempt."""
        if self._reserve_bytes and not self._closing and self._free_bytes(self._path) < self._reserve_bytes:
            reserve = f"{self._reserve_bytes / 1e6:,.0f} MB"
            raise OSError(errno.ENOSPC, f"expected {reserve} free, which are kept for the database, found less")

    def _enforce_limit(self) -> None:
        segments = spool.list_segments(self._path)
        total = sum(segment.bytes for segment in segments)
        for segment in segments[:-1]:
            if total <= self._settings.max_bytes:
                break
            earliest, latest = self._spans.get(segment.sequence) or event_span(segment.path)
            with contextlib.suppress(OSError):
                segment.path.unlink()
                self._lost_segments += 1
                reason = f"segment {segment.sequence} removed unread: the spool has reached its limit"
                line = spool.control_line("segment_lost", earliest, latest, 0, reason)
                # Not a segment of its own: while nothing is read, each new one would remove another.
                self._carried.append(Batch(line + b"\n", 0, earliest, latest))
                log.error("spool.segment_lost", sequence=segment.sequence, max_bytes=self._settings.max_bytes)
            total -= segment.bytes
        oldest = segments[0].sequence if segments else self._next
        self._spans = {number: span for number, span in self._spans.items() if number >= oldest}

    def _discard_file(self, error: OSError) -> None:
        if self._segment is not None:
            self._segment.discard_file()
        problem = f"{error.strerror or error} ({self._path})"
        if problem != self._problem:
            log.error("spool.disk_failed", error=problem, retry_in_s=self._retry_s)
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
        raise AlreadyRunningError(f"{path}: expected no other writer of the spool, found process {holder or '?'}", pid)
    lock.write_holder(str(os.getpid()).encode())
    return lock
