"""Finds the records of an MRT file (RFC 6396, section 2), also in a damaged file.

This module decides which headers are plausible. After an implausible one, reading continues at the next header that is
followed by another header or by the end of the file. The other ``mrt_`` modules interpret the records.
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
"""A BGP message (RFC 8654: 65,535 bytes) and the BGP4MP fields before it."""

MAX_RECORD_BYTES = 16_000_000
"""A RIB record contains a prefix for all peers; with a thousand peers it has some hundreds of KB."""

# All types ever assigned are in 0-49 (OSPF, BGP, RIP, TABLE_DUMP, BGP4MP, IS-IS, OSPFv3); the last has subtypes up to 12.
# The search for a header uses the high zero bytes, at the speed of `re`.
_CANDIDATE = re.compile(rb"(?s)(?=.{4}\x00[\x0b-\x0d\x10\x11\x20\x21\x30\x31]\x00[\x00-\x0c][\x00])")
_KNOWN = frozenset((11, TABLE_DUMP, TABLE_DUMP_V2, BGP4MP, BGP4MP_ET, 32, 33, 48, 49))
_MAX_SUBTYPE = 12
_CHUNK_BYTES = 262_144
_MAX_KEPT_PROBLEMS = 1_000


class Problem(NamedTuple):
    """The reason, and the offset in the uncompressed data."""

    offset: int
    reason: str


@dataclass(slots=True)
class Problems:
    """Problems of a file: all are counted, the first thousand are kept.

    Attributes
    ----------
    total : int
        Number of records or spans that could not be read.
    by_reason : Counter
        The same by reason.
    first : list of Problem
        The first problems.
    skipped : Counter
        Valid records and routes of kinds that are not read (OSPF, VPN routes, …), by kind.
    """

    total: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[Problem] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, offset: int, reason: str) -> None:
        """Count a problem; ``reason`` is one of a few texts, without numbers."""
        self.total += 1
        self.by_reason[reason] += 1
        if len(self.first) < _MAX_KEPT_PROBLEMS:
            self.first.append(Problem(offset, reason))


class Readable(Protocol):
    """A stream of bytes that records why it ended early."""

    @property
    def problem(self) -> str | None:
        """Why the stream ended early; None if no problem is known."""
        ...

    def read(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes; none at the end."""
        ...


class Record(NamedTuple):
    """One record: offset, header and content."""

    offset: int
    timestamp: int
    type: int
    subtype: int
    body: bytes


def looks_like_mrt(head: bytes) -> bool:
    """Whether the first bytes of a file contain a record header, at their start or after damage."""
    for match in _CANDIDATE.finditer(head):
        if match.start() + 12 <= len(head) and is_plausible_header(*HEADER.unpack_from(head, match.start())[1:]):
            return True
    return False


def is_plausible_header(kind: int, subtype: int, length: int) -> bool:
    """Whether the fields may belong to a header; about 1 in 10 million random headers passes.

    Examples
    --------
    >>> is_plausible_header(BGP4MP, 4, 120), is_plausible_header(BGP4MP, 4, 3_000_000_000)
    (True, False)
    """
    if kind not in _KNOWN or subtype > _MAX_SUBTYPE:
        return False
    return length <= (MAX_MESSAGE_BYTES if kind in (BGP4MP, BGP4MP_ET) else MAX_RECORD_BYTES)


class RecordReader:
    """Iterates over the records of a stream, with at most one record and one chunk in memory.

    After an invalid record, call `reject_record` or `suspect_length` before the next iteration.
    """

    def __init__(self, stream: Readable, problems: Problems) -> None:
        self._stream, self._problems = stream, problems
        self._data = b""
        self._base = 0  # offset of _data[0] in the stream
        self._ended = False
        self._rejected = False
        self._suspicion = ""

    def reject_record(self) -> None:
        """Mark the last record as invalid: if the next header is implausible too, the length was wrong."""
        self._rejected = True

    def suspect_length(self, reason: str) -> None:
        """Mark the last record as longer than its content; ``reason`` is counted if the length turns out to be wrong."""
        self._rejected, self._suspicion = True, reason

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
                        self._problems.add(self._base + at, "header is truncated")
                    break
            timestamp, kind, subtype, length = unpack(data, at)
            if not is_plausible_header(kind, subtype, length):
                self._problems.add(self._base + at, "not a record header")
                at = self._resynchronise(at + 1)
                continue
            if end + length > len(data):
                at = self._fill(at, 12 + length)
                data, end = self._data, at + 12
                if end + length > len(data):
                    self._problems.add(self._base + at, "record is truncated")
                    at = self._resynchronise(at + 1)  # the length may be wrong, and more records may follow
                    continue
            self._rejected, self._suspicion = False, ""
            yield Record(self._base + at, timestamp, kind, subtype, data[end : end + length])
            following = end + length
            wrong_length = self._rejected and not self._header_at(following)
            if wrong_length and self._suspicion:
                self._problems.add(self._base + at, self._suspicion)
            at = self._resynchronise(at + 1) if wrong_length else following
        if self._stream.problem:
            self._problems.add(self._base + len(self._data), self._stream.problem)

    def _fill(self, at: int, need: int) -> int:
        """Make ``need`` bytes available at ``at``, if the stream has them; return the new value of ``at``."""
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
        """Whether a plausible header, or the end of the file, is at ``at``, which is in memory or directly after it."""
        if at == len(self._data) and self._ended:
            return True
        if at + 12 > len(self._data):
            return not self._ended  # not in memory yet; checked when it is read
        return is_plausible_header(*HEADER.unpack_from(self._data, at)[1:])

    def _resynchronise(self, at: int) -> int:
        """Return the offset of the next header that another one, or the end, follows; of the end if there is none."""
        while True:
            for match in _CANDIDATE.finditer(self._data, at):
                start = match.start()
                if start + 12 > len(self._data):
                    break
                _, kind, subtype, length = HEADER.unpack_from(self._data, start)
                is_plausible = is_plausible_header(kind, subtype, length) and length
                if is_plausible and self._header_at_or_later(start + 12 + length):
                    return start
            # The last bytes may be the start of a header.
            at = max(at, len(self._data) - 11)
            if self._ended:
                return len(self._data)
            at = self._fill(at, len(self._data) - at + 1)

    def _header_at_or_later(self, at: int) -> bool:
        """Like `_header_at`; an offset beyond memory counts only while the file may reach it."""
        return not self._ended if at > len(self._data) else self._header_at(at)
