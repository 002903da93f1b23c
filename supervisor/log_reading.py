"""Reading log files for people: the last lines of one or of all, and following them across rotation.

Works on the files alone, so that it answers also when nothing runs. Writes nothing.
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


def last_lines(path: Path, count: int) -> list[str]:
    """Give the newest lines of a log, oldest first, looking into the rotated part where the file holds too few."""
    lines: list[str] = []
    for part in (path, path.with_name(path.name + ".1")):
        lines = _tail(part, count - len(lines)) + lines
        if len(lines) >= count:
            break
    return lines


def interleave(logs: Sequence[tuple[str, Sequence[str]]], count: int) -> list[tuple[str, str]]:
    """Merge several logs by the ``at`` of their JSON lines; a line without one stays with the line before it.

    Parameters
    ----------
    logs : sequence of (name, lines)
        Each in its own order.
    count : int
        Newest lines to give.

    Examples
    --------
    >>> interleave([("a", ['{"at":"2"}', "trace"]), ("b", ['{"at":"1"}', '{"at":"3"}'])], 3)
    [('a', '{"at":"2"}'), ('a', 'trace'), ('b', '{"at":"3"}')]
    """
    keyed: list[tuple[str, str, str]] = []
    for name, lines in logs:
        stamp = ""
        for line in lines:
            stamp = _stamp(line) or stamp
            keyed.append((stamp, name, line))
    keyed.sort(key=lambda item: item[0])  # stable: equal stamps keep their order
    return [(name, line) for _, name, line in keyed[-count:]] if count else []


@dataclass
class Follower:
    """Gives what is appended to one file, also after it was rotated, removed or cut."""

    path: Path
    descriptor: int = -1
    rest: bytes = b""

    def __post_init__(self) -> None:
        if self._open():
            os.lseek(self.descriptor, 0, os.SEEK_END)

    def new_lines(self) -> list[str]:
        """Give the lines since the last call."""
        data = self._read()
        if self._moved():
            data += self._read()  # written between our read and the rotation
            older = self._newer_parts()
            self.close()
            data += b"".join(older)
            if self._open():
                data += self._read()
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        return [line.decode("utf-8", "replace") for line in lines]

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _newer_parts(self) -> list[bytes]:
        """Give the rotated files that came between the one we hold and the present one, oldest first."""
        if self.descriptor < 0:
            return []
        ours = os.fstat(self.descriptor)
        parts: list[bytes] = []
        for number in itertools.count(1):
            try:
                with self.path.with_name(f"{self.path.name}.{number}").open("rb") as file:
                    there = os.fstat(file.fileno())
                    if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                        return parts[::-1]
                    parts.append(file.read())
            except OSError:
                return []  # ours is no longer kept, or was removed: go on with the present file
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

    def _moved(self) -> bool:
        if self.descriptor < 0:
            return self.path.exists()
        try:
            there = self.path.stat()
        except OSError:
            return False
        ours = os.fstat(self.descriptor)
        cut = there.st_size < os.lseek(self.descriptor, 0, os.SEEK_CUR)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or cut


def follow(paths: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """Give (name, line) for ever, as lines arrive after this call."""
    followers = [(name, Follower(path)) for name, path in paths]

    def lines() -> Iterator[tuple[str, str]]:
        while True:
            for name, follower in followers:
                for line in follower.new_lines():
                    yield name, line
            time.sleep(_POLL_S)

    return lines()


def _tail(path: Path, count: int) -> list[str]:
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


def _stamp(line: str) -> str:
    if not line.startswith("{"):
        return ""
    try:
        return msgspec.json.decode(line.encode("utf-8", "replace"), type=_Stamped).at
    except msgspec.DecodeError:
        return ""
