"""All log files of a data directory: their total size, and what is removed when the disk is nearly full.

Used by the thread of the log writer alone, so that a disk that hangs stalls nothing else; the event loop only sets single
attributes. `rotating_file` writes one file. `choose_surplus` decides which files are removed.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.journal import EVENTS_FILE, OWN_LOG
from supervisor.rotating_file import LogLimits, RotatingFile


@dataclass(frozen=True)
class LogPart:
    """A rotated file, ``name.log.N``."""

    path: Path
    size: int
    modified: float
    """Epoch seconds."""


def choose_surplus(parts: Sequence[LogPart], current_bytes: int, cap_bytes: int) -> list[Path]:
    """Return the rotated files to remove so that the total stays within the cap, the oldest first.

    Parameters
    ----------
    parts : sequence of LogPart
        Rotated files of all services.
    current_bytes : int
        Size of the files being written, which stay.
    cap_bytes : int
        Largest total.

    Examples
    --------
    >>> parts = [LogPart(Path("new"), 40, 9.0), LogPart(Path("old"), 40, 1.0)]
    >>> choose_surplus(parts, current_bytes=30, cap_bytes=100), choose_surplus(parts, 30, 110)
    ([PosixPath('old')], [])
    """
    total = current_bytes + sum(part.size for part in parts)
    surplus = []
    for part in sorted(parts, key=lambda part: part.modified):
        if total <= cap_bytes:
            break
        surplus.append(part.path)
        total -= part.size
    return surplus


class LogFiles:
    """The sink of a `supervisor.log_capture.LineWriter`.

    Parameters
    ----------
    directory : Path
        The log directory.
    limits : LogLimits
        Limits of one file; may be replaced at any time.
    total_bytes : int
        Largest total; may be replaced at any time.
    on_own_open : callable
        Called with each new descriptor of the supervisor's own log.
    """

    def __init__(
        self, directory: Path, limits: LogLimits, total_bytes: int, on_own_open: Callable[[int], None] = lambda _: None
    ) -> None:
        self._directory, self._on_own_open = directory, on_own_open
        self.limits, self.total_bytes = limits, total_bytes
        self.drop_services = False
        """Whether only the supervisor's lines are written, because the rest of the disk is reserved for the database."""
        self._files: dict[str, RotatingFile] = {}

    def write(self, name: str, lines: bytes) -> int:
        """Append whole lines to one file; returns the number of bytes that could not be written."""
        if self.drop_services and name not in {OWN_LOG, EVENTS_FILE}:
            return len(lines)
        if name not in self._files:
            on_open = self._on_own_open if name == OWN_LOG else (lambda _: None)
            path = self._directory / name
            self._files[name] = RotatingFile(path, lambda: self.limits, on_open, on_rotate=self.enforce_cap)
        return self._files[name].write(lines)

    def enforce_cap(self) -> None:
        """Remove the oldest rotated files beyond the largest total."""
        self._remove(self.total_bytes)

    def remove_rotated(self) -> None:
        """Remove all rotated files because the disk is nearly full; events that are not in the store yet stay."""
        self._remove(0)

    def _remove(self, cap_bytes: int) -> None:
        parts, current_bytes = [], 0
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                stat = path.stat()
                if path.suffix[1:].isdigit():
                    parts.append(LogPart(path, stat.st_size, stat.st_mtime))
                else:
                    current_bytes += stat.st_size
            for path in choose_surplus(parts, current_bytes, cap_bytes):
                path.unlink(missing_ok=True)
