"""Where an MRT record begins and ends (RFC 6396, section 2), also in a damaged file.

Decides which headers are believable, and where reading goes on after one that is not: at the next header that is
followed by another, or by the end of the file. What a record says is left to the other ``mrt_`` modules.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

HEADER = struct.Struct(">IHHI")
TABLE_DUMP, TABLE_DUMP_V2, BGP4MP, BGP4MP_ET = 12, 13, 16, 17

MAX_MESSAGE_BYTES = 66_000
"""A BGP message (RFC 8654: 65,535 bytes) and what BGP4MP puts before it."""

MAX_RECORD_BYTES = 16_000_000
"""A RIB record holds a prefix for all peers: some hundreds of KB where there are a thousand."""

# Types 0-49 are all that were ever assigned (OSPF, BGP, RIP, TABLE_DUMP, BGP4MP, IS-IS, OSPFv3); the last has subtypes
# up to 12. A header is looked for by these high zero bytes, at the speed of `re`.
_CANDIDATE = re.compile(rb"(?s)(?=.{4}\x00[\x0b-\x0d\x10\x11\x20\x21\x30\x31]\x00[\x00-\x0c][\x00])")
_KNOWN = frozenset((11, TABLE_DUMP, TABLE_DUMP_V2, BGP4MP, BGP4MP_ET, 32, 33, 48, 49))
_MAX_SUBTYPE = 12
_CHUNK_BYTES = 262_144
_KEPT_PROBLEMS = 1_000


class Problem(NamedTuple):
    """What was wrong, and at which byte of the uncompressed data."""

    offset: int
    reason: str


@dataclass(slots=True)
class Problems:
    """What was wrong in a file: all of it counted, the first thousand kept.

    Attributes
    ----------
    total : int
        Records or stretches that could not be read.
    by_reason : Counter
        The same by kind.
    first : list of Problem
        The first of them.
    skipped : Counter
        Records and routes that are in order but not ours to read (OSPF, VPN routes, …), by kind.
    """

    total: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[Problem] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, offset: int, reason: str) -> None:
        """Count one; ``reason`` is one of few texts, without numbers."""
        self.total += 1
        self.by_reason[reason] += 1
        if len(self.first) < _KEPT_PROBLEMS:
            self.first.append(Problem(offset, reason))


class Readable(Protocol):
    """A stream of bytes that knows why it ended."""

    @property
    def problem(self) -> str | None:
        """Why it ended before its end; None while nothing is known to be wrong."""
        ...

    def read(self, size: int) -> bytes:
        """Give 1 to ``size`` bytes; none at the end."""
        ...


class Record(NamedTuple):
    """One record: its place, header and content."""

    offset: int
    timestamp: int
    type: int
    subtype: int
    body: bytes


def looks_like_mrt(head: bytes) -> bool:
    """Whether the first bytes of a file hold a record header, at their start or after damage."""
    for match in _CANDIDATE.finditer(head):
        if match.start() + 12 <= len(head) and believable(*HEADER.unpack_from(head, match.start())[1:]):
            return True
    return False


def believable(kind: int, subtype: int, length: int) -> bool:
    """Whether a header may be one; a random one passes in 1 of some 10 million cases.

    Examples
    --------
    >>> believable(BGP4MP, 4, 120), believable(BGP4MP, 4, 3_000_000_000)
    (True, False)
    """
    if kind not in _KNOWN or subtype > _MAX_SUBTYPE:
        return False
    return length <= (MAX_MESSAGE_BYTES if kind in (BGP4MP, BGP4MP_ET) else MAX_RECORD_BYTES)


class RecordReader:
    """Reads the records of a stream one after the other, with at most one record and one chunk in memory.

    Iterate; after a record that turned out not to be one, call `reject` before the next.
    """

    def __init__(self, stream: Readable, problems: Problems) -> None:
        self._stream, self._problems = stream, problems
        self._data = b""
        self._base = 0  # offset of _data[0] in the stream
        self._ended = False
        self._rejected = False
        self._doubt = ""

    def reject(self) -> None:
        """Say that the last record made no sense: if the next header makes none either, its length was wrong too."""
        self._rejected = True

    def doubt(self, reason: str) -> None:
        """Say that the last record was readable but longer than what it held; ``reason`` is counted if that was damage."""
        self._rejected, self._doubt = True, reason

    def __iter__(self) -> Iterator[Record]:
        at = 0
        unpack = HEADER.unpack_from
        while True:
            data = self._data
            end = at + 12
            if end > len(data):
                at = self._fill(at, 12)
                data, end = self._data, at + 12
                if end > len(data):
                    if at < len(data):
                        self._problems.add(self._base + at, "header cut short")
                    break
            timestamp, kind, subtype, length = unpack(data, at)
            if not believable(kind, subtype, length):
                self._problems.add(self._base + at, "not a record header")
                at = self._resynchronise(at + 1)
                continue
            if end + length > len(data):
                at = self._fill(at, 12 + length)
                data, end = self._data, at + 12
                if end + length > len(data):
                    self._problems.add(self._base + at, "record cut short")
                    at = self._resynchronise(at + 1)  # or its length was wrong, and there is more
                    continue
            self._rejected, self._doubt = False, ""
            yield Record(self._base + at, timestamp, kind, subtype, data[end : end + length])
            following = end + length
            wrong_length = self._rejected and not self._header_at(following)
            if wrong_length and self._doubt:
                self._problems.add(self._base + at, self._doubt)
            at = self._resynchronise(at + 1) if wrong_length else following
        if self._stream.problem:
            self._problems.add(self._base + len(self._data), self._stream.problem)

    def _fill(self, at: int, need: int) -> int:
        """Make ``need`` bytes available at ``at``, if there are so many; give the new place of ``at``."""
        parts, have = [self._data[at:]], len(self._data) - at
        while have < need and not self._ended:
            more = self._stream.read(_CHUNK_BYTES)
            if not more:
                self._ended = True
            parts.append(more)
            have += len(more)
        self._base += at
        self._data = b"".join(parts)
        return 0

    def _header_at(self, at: int) -> bool:
        """Whether a believable header, or the end of the file, is at ``at`` (which is in memory or just behind it)."""
        if at == len(self._data) and self._ended:
            return True
        if at + 12 > len(self._data):
            return not self._ended  # not in memory yet: judged when it is read
        return believable(*HEADER.unpack_from(self._data, at)[1:])

    def _resynchronise(self, at: int) -> int:
        """Find the next header that another one, or the end, follows; the place of the end if there is none."""
        while True:
            for match in _CANDIDATE.finditer(self._data, at):
                found = match.start()
                if found + 12 > len(self._data):
                    break
                _, kind, subtype, length = HEADER.unpack_from(self._data, found)
                if believable(kind, subtype, length) and length and self._header_at_or_later(found + 12 + length):
                    return found
            # The last bytes may be the start of a header.
            at = max(at, len(self._data) - 11)
            if self._ended:
                return len(self._data)
            at = self._fill(at, len(self._data) - at + 1)

    def _header_at_or_later(self, at: int) -> bool:
        """`_header_at`, where a place beyond memory counts only while the file may reach it."""
        return not self._ended if at > len(self._data) else self._header_at(at)
