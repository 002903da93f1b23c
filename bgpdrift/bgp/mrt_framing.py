"""Finds the records of an MRT file (RFC 6396, section 2), also in a damaged file.

This module decides which headers are plausible. After an implausible one, reading continues at the next header that is
followed by another header or by the end of the file. The other ``mrt_`` modules interpret the records.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from bgpdrift.bgp.problems import Problems

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
TYPE_NAMES = {
    5: "BGP",
    6: "RIP",
    7: "IDRP",
    8: "RIPNG",
    9: "BGP4PLUS",
    10: "BGP4PLUS_01",
    11: "OSPF",
    32: "ISIS",
    33: "ISIS_ET",
    48: "OSPFv3",
    49: "OSPFv3_ET",
}
"""Types that are not read. 5 to 10 are obsolete (RFC 6396, appendix B): early RIS and RouteViews files contain them."""
_OBSOLETE = range(5, 11)
_CHUNK_BYTES = 262_144


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


def first_record_type(head: bytes) -> int | None:
    """Return the type of the first record in the first bytes of a file, also after damage; None if there is none."""
    if _is_obsolete_record(head, 0):
        return int(HEADER.unpack_from(head)[1])
    for match in _CANDIDATE.finditer(head):
        if match.start() + 12 <= len(head):
            _, kind, subtype, length = HEADER.unpack_from(head, match.start())
            if is_plausible_header(kind, subtype, length):
                return int(kind)
    return None


def _is_obsolete_record(data: bytes, at: int) -> bool:
    """Whether a record of an obsolete type is at ``at``, and another header or the end follows it in the data.

    The fields of its header are small numbers, which are frequent in damaged data. The next header confirms them.
    """
    if at + 12 > len(data):
        return False
    _, kind, subtype, length = HEADER.unpack_from(data, at)
    if kind not in _OBSOLETE or subtype > _MAX_SUBTYPE or length > MAX_MESSAGE_BYTES:
        return False
    following = at + 12 + length
    if following == len(data):
        return True
    if following + 12 > len(data):
        return False
    _, kind, subtype, length = HEADER.unpack_from(data, following)
    is_obsolete = kind in _OBSOLETE and subtype <= _MAX_SUBTYPE and length <= MAX_MESSAGE_BYTES
    return is_obsolete or is_plausible_header(kind, subtype, length)


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
        self._has_named_stream_problem = False

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
                        self._add_truncation(at, "header is truncated")
                    break
            timestamp, kind, subtype, length = unpack(data, at)
            if kind in _OBSOLETE and length <= MAX_MESSAGE_BYTES:
                at = self._fill(at, 24 + length)
                data, end = self._data, at + 12
            if not is_plausible_header(kind, subtype, length) and not _is_obsolete_record(data, at):
                self._problems.add(self._base + at, "not a record header")
                at = self._resynchronise(at + 1)
                continue
            if end + length > len(data):
                at = self._fill(at, 12 + length)
                data, end = self._data, at + 12
                if end + length > len(data):
                    self._add_truncation(at, "record is truncated")
                    at = self._resynchronise(at + 1)  # the length may be wrong, and more records may follow
                    continue
            self._rejected, self._suspicion = False, ""
            yield Record(self._base + at, timestamp, kind, subtype, data[end : end + length])
            following = end + length
            wrong_length = self._rejected and not self._header_at(following)
            if wrong_length and self._suspicion:
                self._problems.add(self._base + at, self._suspicion)
            at = self._resynchronise(at + 1) if wrong_length else following
        self._add_truncation(len(self._data), "")

    def _add_truncation(self, at: int, reason: str) -> None:
        """Count an early end once: why the stream ended, if that is known, else ``reason``."""
        problem = None if self._has_named_stream_problem else self._stream.problem
        self._has_named_stream_problem |= problem is not None
        if problem or reason:
            self._problems.add(self._base + at, problem or reason)

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
