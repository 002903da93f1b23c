"""A log file of bounded size: ``name.log``, older parts ``name.log.1`` (newest) to ``name.log.N``.

Cuts between lines only. A file that somebody removed or moved is opened anew; a disk that is full or gone costs the
lines written meanwhile, which the caller counts, and nothing else.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

_LOOK_EVERY_S = 1.0


class RotatingFile:
    """Appends to one path; used by one thread."""

    def __init__(self, path: Path, max_bytes: int, keep: int, opened: Callable[[int], None] = lambda _: None) -> None:
        """Open nothing yet; ``opened`` is told each new descriptor."""
        self._path, self._max_bytes, self._keep, self._opened = path, max_bytes, keep, opened
        self._descriptor = -1
        self._size = 0
        self._look_at = 0.0

    def write(self, lines: bytes) -> int:
        """Append whole lines.

        Returns
        -------
        int
            Bytes that could not be written.
        """
        try:
            self._ensure_open()
            while lines:
                room = self._max_bytes - self._size
                cut = len(lines) if len(lines) <= room else lines.rfind(b"\n", 0, max(room, 0)) + 1
                if cut == 0 and self._size == 0:
                    cut = (lines.find(b"\n") + 1) or len(lines)  # one line longer than a whole file
                if cut:
                    self._append(lines[:cut])
                    lines = lines[cut:]
                if lines:
                    self._rotate()
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
            self._size = os.fstat(self._descriptor).st_size
            self._look_at = now + _LOOK_EVERY_S
            self._opened(self._descriptor)

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        self.close()
        self._ensure_open()


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
