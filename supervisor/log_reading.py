"""Reads log files: the last lines of one or of all, and new lines as they arrive, also across a rotation.

It reads the files alone, so that it works while nothing runs. It writes nothing.
"""

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

_BLOCK_BYTES = 65_536
_POLL_S = 0.2


class _Stamped(msgspec.Struct):
    at: str = ""


def read_last_lines(path: Path, count: int) -> list[str]:
    """Return the newest lines of a log, oldest first; the newest rotated file is read if the current one has too few."""
    lines: list[str] = []
    for part in (path, path.with_name(path.name + ".1")):
        lines = _read_tail(part, count - len(lines)) + lines
        if len(lines) >= count:
            break
    return lines


def merge_logs(logs: Sequence[tuple[str, Sequence[str]]], count: int) -> list[tuple[str, str]]:
    """Merge several logs by the ``at`` of their JSON lines; a line without it stays after the line before it.

    Parameters
    ----------
    logs : sequence of (name, lines)
        Each in its own order.
    count : int
        Number of newest lines to return.

    Examples
    --------
    >>> merge_logs([("a", ['{"at":"2"}', "trace"]), ("b", ['{"at":"1"}', '{"at":"3"}'])], 3)
    [('a', '{"at":"2"}'), ('a', 'trace'), ('b', '{"at":"3"}')]
    """
    keyed: list[tuple[str, str, str]] = []
    for name, lines in logs:
        stamp = ""
        for line in lines:
            stamp = _read_stamp(line) or stamp
            keyed.append((stamp, name, line))
    keyed.sort(key=lambda item: item[0])  # stable: equal stamps keep their order
    return [(name, line) for _, name, line in keyed[-count:]] if count else []


@dataclass
class Follower:
    """Reads what is appended to one file, also after it was rotated, removed or truncated."""

    path: Path
    descriptor: int = -1
    unfinished_line: bytes = b""

    def __post_init__(self) -> None:
        if self._open():
            os.lseek(self.descriptor, 0, os.SEEK_END)

    def read_new_lines(self) -> list[str]:
        """Return the lines since the last call."""
        data = self._read()
        if self._was_replaced():
            data += self._read()  # written between the read and the rotation
            older = self._read_newer_parts()
            self.close()
            data += b"".join(older)
            if self._open():
                data += self._read()
        lines = (self.unfinished_line + data).split(b"\n")
        self.unfinished_line = lines.pop()
        return [line.decode("utf-8", "replace") for line in lines]

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _read_newer_parts(self) -> list[bytes]:
        """Return the content of the rotated files between the open file and the current one, oldest first."""
        if self.descriptor < 0:
            return []
        held = os.fstat(self.descriptor)
        parts: list[bytes] = []
        for number in itertools.count(1):
            try:
                with self.path.with_name(f"{self.path.name}.{number}").open("rb") as file:
                    there = os.fstat(file.fileno())
                    if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
                        return parts[::-1]
                    parts.append(file.read())
            except OSError:
                return []  # the open file was removed: continue with the current one
        return []

    def _open(self) -> bool:
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        return True

    def _read(self) -> bytes:
        parts = []
        while self.descriptor >= 0 and (part := os.read(self.descriptor, _BLOCK_BYTES)):
            parts.append(part)
        return b"".join(parts)

    def _was_replaced(self) -> bool:
        if self.descriptor < 0:
            return self.path.exists()
        try:
            there = self.path.stat()
        except OSError:
            return False
        held = os.fstat(self.descriptor)
        truncated = there.st_size < os.lseek(self.descriptor, 0, os.SEEK_CUR)
        return (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino) or truncated


def follow_logs(paths: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """Yield (name, line) without end, for lines that arrive after this call."""
    followers = [(name, Follower(path)) for name, path in paths]

    def lines() -> Iterator[tuple[str, str]]:
        while True:
            for name, follower in followers:
                for line in follower.read_new_lines():
                    yield name, line
            time.sleep(_POLL_S)

    return lines()


def _read_tail(path: Path, count: int) -> list[str]:
    if count <= 0:
        return []
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            data = b""
            while end > 0 and data.count(b"\n") <= count:
                start = max(0, end - _BLOCK_BYTES)
                file.seek(start)
                data = file.read(end - start) + data
                end = start
    except OSError:
        return []
    return [line.decode("utf-8", "replace") for line in data.splitlines()[-count:]]


def _read_stamp(line: str) -> str:
    if not line.startswith("{"):
        return ""
    try:
        return msgspec.json.decode(line.encode("utf-8", "replace"), type=_Stamped).at
    except (msgspec.DecodeError, RecursionError):
        return ""
