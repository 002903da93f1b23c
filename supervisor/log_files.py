"""All log files of a data directory: which file a line goes to, what they may hold together, who gives way on a full disk.

Used by the log writer's thread alone, so that a disk which hangs stalls nothing else; what it is told by the loop are
single values. One file is `rotating_file`; what may be removed is decided by `surplus` (pure).
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.journal import EVENTS_FILE, OWN_LOG
from supervisor.rotating_file import LogLimits, RotatingFile


@dataclass(frozen=True)
class LogPart:
    """A rotated file: ``name.log.N``."""

    path: Path
    size: int
    modified: float
    """Epoch seconds."""


def surplus(parts: Sequence[LogPart], present_bytes: int, cap_bytes: int) -> list[Path]:
    """Name the rotated files that must go for all to fit, the oldest first.

    Parameters
    ----------
    parts : sequence of LogPart
        Rotated files of all services.
    present_bytes : int
        What the files being written hold; they stay.
    cap_bytes : int
        Of all together.

    Examples
    --------
    >>> parts = [LogPart(Path("new"), 40, 9.0), LogPart(Path("old"), 40, 1.0)]
    >>> surplus(parts, present_bytes=30, cap_bytes=100), surplus(parts, 30, 110)
    ([PosixPath('old')], [])
    """
    total = present_bytes + sum(part.size for part in parts)
    gone = []
    for part in sorted(parts, key=lambda part: part.modified):
        if total <= cap_bytes:
            break
        gone.append(part.path)
        total -= part.size
    return gone


class LogFiles:
    """The sink of a `supervisor.log_capture.LineWriter`.

    Parameters
    ----------
    directory : Path
        Where they lie.
    limits : LogLimits
        May be replaced at any time.
    total_bytes : int
        Cap of all together; may be replaced at any time.
    own_opened : callable
        Told each new descriptor of the supervisor's own log.
    """

    def __init__(
        self, directory: Path, limits: LogLimits, total_bytes: int, own_opened: Callable[[int], None] = lambda _: None
    ) -> None:
        self._directory, self._own_opened = directory, own_opened
        self.limits, self.total_bytes = limits, total_bytes
        self.gives_way = False
        """Whether the disk's last room is kept for the database: only what the supervisor itself says is written."""
        self._files: dict[str, RotatingFile] = {}

    def write(self, name: str, lines: bytes) -> int:
        """Append whole lines to one file; gives the bytes that could not be written."""
        if self.gives_way and name not in {OWN_LOG, EVENTS_FILE}:
            return len(lines)
        if name not in self._files:
            opened = self._own_opened if name == OWN_LOG else (lambda _: None)
            path = self._directory / name
            self._files[name] = RotatingFile(path, lambda: self.limits, opened, rotated=self.enforce_cap)
        return self._files[name].write(lines)

    def enforce_cap(self) -> None:
        """Remove the oldest rotated files beyond the cap."""
        self._remove(self.total_bytes)

    def make_room(self) -> None:
        """Remove all rotated files: the disk is nearly full. What has not reached the store yet stays."""
        self._remove(0)

    def _remove(self, cap_bytes: int) -> None:
        parts, present = [], 0
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                found = path.stat()
                if path.suffix[1:].isdigit():
                    parts.append(LogPart(path, found.st_size, found.st_mtime))
                else:
                    present += found.st_size
            for path in surplus(parts, present, cap_bytes):
                path.unlink(missing_ok=True)
