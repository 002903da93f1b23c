"""A log file of bounded size and age: ``name.log``, older parts ``name.log.1`` (newest) to ``name.log.N``.

A file is rotated between lines, when it would grow too large or its last line is of an earlier day (or of another span that
is set). A file that was removed or moved is created again. If the disk is full or fails, the lines written meanwhile are
lost, and the caller counts them.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CHECK_EVERY_S = 1.0


@dataclass(frozen=True)
class LogLimits:
    """When a file is rotated.

    Attributes
    ----------
    max_bytes : int
        Largest size.
    keep : int
        Number of older parts.
    rotate_s : float
        Length of the spans of wall time, counted from 1970, in seconds; a file holds lines of one span. 86,400 is a day, UTC.
    """

    max_bytes: int
    keep: int
    rotate_s: float = 86_400.0

    def is_new_span(self, earlier: float, now: float) -> bool:
        """Whether two times (epoch seconds) belong to two files.

        Examples
        --------
        >>> LogLimits(1, 1).is_new_span(86_399.0, 86_400.0), LogLimits(1, 1).is_new_span(0.0, 86_399.0)
        (True, False)
        """
        return earlier // self.rotate_s != now // self.rotate_s


class RotatingFile:
    """Appends to one path; used by one thread. The file is opened by the first write.

    Parameters
    ----------
    path : Path
        The file.
    limits : callable
        Returns the limits; called at each write.
    on_open : callable
        Called with each new descriptor.
    on_rotate : callable
        Called after a rotation.
    now : callable
        Returns wall time, epoch seconds.
    """

    def __init__(
        self,
        path: Path,
        limits: Callable[[], LogLimits],
        on_open: Callable[[int], None] = lambda _: None,
        on_rotate: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._limits, self._on_open, self._on_rotate, self._now = path, limits, on_open, on_rotate, now
        self._descriptor = -1
        self._size = 0
        self._last_line_at = 0.0
        self._check_at = 0.0

    def write(self, lines: bytes) -> int:
        """Append whole lines.

        Returns
        -------
        int
            Number of bytes that could not be written.
        """
        limits, now = self._limits(), self._now()
        try:
            self._ensure_open()
            if self._size and limits.is_new_span(self._last_line_at, now):
                self._rotate(limits.keep)
            self._last_line_at = now
            while lines:
                room = limits.max_bytes - self._size
                cut = len(lines) if len(lines) <= room else lines.rfind(b"\n", 0, max(room, 0)) + 1
                if cut == 0 and self._size == 0:
                    cut = (lines.find(b"\n") + 1) or len(lines)  # one line is longer than a whole file
                if cut:
                    self._append(lines[:cut])
                    lines = lines[cut:]
                if lines:
                    self._rotate(limits.keep)
        except OSError:
            self.close()
            return len(lines)
        return 0

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        """Append lines; if the disk takes only a part, the last line that is there is whole."""
        view, begin = memoryview(data), self._size
        try:
            while view:
                written = os.write(self._descriptor, view)
                self._size += written
                view = view[written:]
        except OSError:
            # The next line would continue a line that was written in part, and both could not be read.
            self._size = begin + data.rfind(b"\n", 0, self._size - begin) + 1
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise

    def _ensure_open(self) -> None:
        now = time.monotonic()
        if self._descriptor >= 0 and now >= self._check_at:
            self._check_at = now + _CHECK_EVERY_S
            if not _is_same_file(self._descriptor, self._path):
                self.close()
        if self._descriptor < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o640)
            stat = os.fstat(self._descriptor)
            self._size = stat.st_size
            self._last_line_at = stat.st_mtime if stat.st_size else self._now()
            self._check_at = now + _CHECK_EVERY_S
            self._on_open(self._descriptor)

    def _rotate(self, keep: int) -> None:
        for number in range(keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        self.close()
        self._ensure_open()
        self._on_rotate()


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    held = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
