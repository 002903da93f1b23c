"""A log file of bounded size and age: ``name.log``, older parts ``name.log.1`` (newest) to ``name.log.N``.

Cuts between lines only, when the file would grow too large or its last line is of an earlier day (or whatever span is
set). A file that somebody removed or moved is opened anew; a disk that is full or gone costs the lines written
meanwhile, which the caller counts, and nothing else.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class LogLimits:
    """When a file is cut.

    Attributes
    ----------
    max_bytes : int
        Largest size.
    keep : int
        Older parts kept.
    rotate_s : float
        Spans of wall time, counted from 1970; a file holds lines of one. 86,400 is a day, UTC.
    """

    max_bytes: int
    keep: int
    rotate_s: float = 86_400.0

    def is_of_another_span(self, earlier: float, now: float) -> bool:
        """Whether two moments (epoch seconds) belong into two files.

        Examples
        --------
        >>> LogLimits(1, 1).is_of_another_span(86_399.0, 86_400.0), LogLimits(1, 1).is_of_another_span(0.0, 86_399.0)
        (True, False)
        """
        return earlier // self.rotate_s != now // self.rotate_s


class RotatingFile:
    """Appends to one path; used by one thread."""

    def __init__(
        self,
        path: Path,
        limits: Callable[[], LogLimits],
        opened: Callable[[int], None] = lambda _: None,
        rotated: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open nothing yet.

        Parameters
        ----------
        path : Path
            The file.
        limits : callable
            Asked at each write.
        opened : callable
            Told each new descriptor.
        rotated : callable
            Called after a rotation.
        now : callable
            Wall time, epoch seconds.
        """
        self._path, self._limits, self._opened, self._rotated, self._now = path, limits, opened, rotated, now
        self._descriptor = -1
        self._size = 0
        self._last_line_at = 0.0
        self._look_at = 0.0

    def write(self, lines: bytes) -> int:
        """Append whole lines.

        Returns
        -------
        int
            Bytes that could not be written.
        """
        limits, now = self._limits(), self._now()
        try:
            self._ensure_open()
            if self._size and limits.is_of_another_span(self._last_line_at, now):
                self._rotate(limits.keep)
            self._last_line_at = now
            while lines:
                room = limits.max_bytes - self._size
                cut = len(lines) if len(lines) <= room else lines.rfind(b"\n", 0, max(room, 0)) + 1
                if cut == 0 and self._size == 0:
                    cut = (lines.find(b"\n") + 1) or len(lines)  # one line longer than a whole file
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
        """Close; the next write opens anew."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]

    def _ensure_open(self) -> None:
        now = time.monotonic()
        if self._descriptor >= 0 and now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            if not _same_file(self._descriptor, self._path):
                self.close()
        if self._descriptor < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o640)
            found = os.fstat(self._descriptor)
            self._size = found.st_size
            self._last_line_at = found.st_mtime if found.st_size else self._now()
            self._look_at = now + _LOOK_EVERY_S
            self._opened(self._descriptor)

    def _rotate(self, keep: int) -> None:
        for number in range(keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        self.close()
        self._ensure_open()
        self._rotated()


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
