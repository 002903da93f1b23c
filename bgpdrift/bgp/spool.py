"""The queue of files between collector and aggregator: names, records, and the reader.

A segment is ``<20-digit sequence>.ndjson.zst``, one JSON object per line: RIS Live frames as received, and records of the
spool (`control_line`, `record_line`). A segment is also a RIS Live recording that `bgpdrift replay` can play. Reading never
raises for damaged content: it returns the readable lines and then names the problem. `spool_writer` writes segments, and the
aggregator decides what a gap or a record means for a window.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from bgpdrift.bgp.messages import Timestamp
from bgpdrift.formatting import escape_control

SUFFIX: Final = ".ndjson.zst"
PART_SUFFIX: Final = SUFFIX + ".part"
NEXT_SEQUENCE_FILE: Final = "next_sequence"
LOCK_FILE: Final = ".lock"

FEED_RECORD: Final = "bgpdrift_feed"
SEGMENT_RECORD: Final = "bgpdrift_segment"
SEGMENT_END_RECORD: Final = "bgpdrift_segment_end"
RECORD_START: Final = b'{"type":"bgpdrift_'
"""A line is a record of the spool if and only if it starts with these bytes; see `separate_frame`."""
_MAX_REASON_CHARACTERS = 500

_DIGITS = 20
_NUMBERS_PER_SECOND = 10**9
# The problem inside a step is located byte by byte, and four bytes may expand to 128 KiB: a step gives at most 32 MiB.
_STEP_BYTES = 1_024
MAX_TEXT_BYTES: Final = 400_000_000
"""Text of a segment that is read; the largest that `SpoolSettings.segment_bytes` allows is half of it."""
_MAX_LINE_BYTES: Final = 16_000_001
"""What is kept of a longer line: too much to be decoded, so that it counts as unreadable."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment on disk.

    Attributes
    ----------
    sequence : int
        Grows by 1 without a gap, from `first_number` of the time at which the spool was created; a missing number is a
        lost segment.
    path : Path
        The file.
    bytes : int
        Compressed size.
    """

    sequence: int
    path: Path
    bytes: int


def segment_name(sequence: int) -> str:
    """Return the file name of a segment; names sort in the order of the numbers.

    Examples
    --------
    >>> segment_name(42)
    '00000000000000000042.ndjson.zst'
    """
    return f"{sequence:0{_DIGITS}d}{SUFFIX}"


def first_number(now: float) -> int:
    """Return the number of the first segment of a new spool: above those of every earlier spool in the same place.

    A spool can be emptied while its reader keeps a position. The time (epoch s) keeps the numbers growing; a signed number of
    64 bits holds them.

    Examples
    --------
    >>> segment_name(first_number(1_700_000_000.0))
    '01700000000000000001.ndjson.zst'
    """
    return int(now) * _NUMBERS_PER_SECOND + 1


def parse_sequence(name: str, suffix: str = SUFFIX) -> int | None:
    """Parse the sequence number of a file name; None if it is not a segment.

    Examples
    --------
    >>> parse_sequence("00000000000000000042.ndjson.zst"), parse_sequence("00000000000000000042.ndjson.zst.part")
    (42, None)
    """
    digits = name.removesuffix(suffix)
    well_formed = name.endswith(suffix) and len(digits) == _DIGITS and digits.isascii() and digits.isdigit()
    return int(digits) if well_formed else None


def control_line(event: str, earliest: float | None, latest: float | None, frames: int = 0, reason: str = "") -> bytes:
    """Encode an event of the feed; the aggregator marks the windows of its span.

    Parameters
    ----------
    event : str
        ``connected``, ``disconnected``, ``dropped`` or ``segment_lost``.
    earliest, latest : float or None
        Event time (epoch s) of the last message before and the first message after; None if unknown.
    frames : int
        Number of lost frames, if known.
    reason : str
        Text for people.

    Examples
    --------
    >>> control_line("dropped", 10.0, 12.5, frames=3, reason="disk full")
    b'{"type":"bgpdrift_feed","data":{"event":"dropped","from":10.0,"to":12.5,"frames":3,"reason":"disk full"}}'
    """
    text = escape_control(reason)[:_MAX_REASON_CHARACTERS]  # a server wrote it, and not every text can be encoded
    data = {"event": event, "from": earliest, "to": latest, "frames": frames, "reason": text}
    return record_line(FEED_RECORD, data)


def separate_frame(frame: bytes) -> bytes:
    """Return a frame of the feed as a line that cannot be a record of the spool.

    Records and frames share a file. Only the writer of the spool writes lines that start with `RECORD_START`; a frame that
    does gets a space in front, which means the same in JSON.

    Examples
    --------
    >>> separate_frame(b'{"type":"bgpdrift_feed","data":{}}')
    b' {"type":"bgpdrift_feed","data":{}}'
    """
    return b" " + frame if frame.startswith(RECORD_START) else frame


def record_line(kind: str, data: dict[str, Any]) -> bytes:
    """Encode a record of the spool in the form of a RIS Live frame."""
    return msgspec.json.encode({"type": kind, "data": data})


class _TimedData(msgspec.Struct, gc=False):
    timestamp: Timestamp


class _TimedFrame(msgspec.Struct, gc=False):
    data: _TimedData


_timed_decoder = msgspec.json.Decoder(_TimedFrame)


def event_time(line: bytes) -> float | None:
    """Return the timestamp of a frame (epoch s); None for a record of the spool and for an incomplete frame.

    Examples
    --------
    >>> event_time(b'{"type":"ris_message","data":{"timestamp":1558620047.08,"peer":"196.60.9.165"}}')
    1558620047.08
    >>> event_time(b'{"type":"ris_message","data":{"timestamp":15586')
    """
    try:
        return _timed_decoder.decode(line).data.timestamp
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class SegmentReading(Iterator[bytes]):
    r"""Iterates over the lines of one segment, and then names its problem.

    Read `problem` after the last line. Lines have no newline; blank ones are skipped.

    Attributes
    ----------
    problem : str or None
        Why lines are missing at the end: the file is missing, truncated or damaged. None if no problem is known.

    Examples
    --------
    >>> reading = SegmentReading(Path("/nowhere.ndjson.zst"))
    >>> list(reading), reading.problem
    ([], 'cannot be read: No such file or directory')
    """

    def __init__(self, path: Path) -> None:
        self.problem: str | None = None
        self._lines = self._read(path)

    def __next__(self) -> bytes:
        """Return the next line."""
        return next(self._lines)

    def _read(self, path: Path) -> Iterator[bytes]:
        rest, size = b"", 0
        for text in self._texts(path):
            size += len(text)
            if size > MAX_TEXT_BYTES:
                self.problem = f"expected at most {MAX_TEXT_BYTES} bytes of text, found more"
                return
            *lines, rest = (rest + text).split(b"\n")
            rest = rest[:_MAX_LINE_BYTES]
            for line in lines:
                if line and not line.isspace():
                    yield line
        if rest:
            # Only a truncated file ends inside a line, and an incomplete frame is useless.
            self.problem = self.problem or "truncated: the last line has no end"

    def _texts(self, path: Path) -> Iterator[bytes]:
        try:
            data = path.read_bytes()
        except OSError as error:
            self.problem = f"cannot be read: {error.strerror}"
            return
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        for start in range(0, len(data), _STEP_BYTES):
            try:
                yield decompressor.decompress(data[start : start + _STEP_BYTES])
            except zstandard.ZstdError as error:
                self.problem = f"damaged after byte {start} of {len(data)}: {error}"
                yield _readable_part(data, start)
                return
            if decompressor.eof:
                surplus = len(data) - start - _STEP_BYTES + len(decompressor.unused_data)
                if surplus > 0:
                    self.problem = f"{surplus} bytes follow the end of the compressed text"
                return
        self.problem = f"truncated: the compressed text does not end within {len(data)} bytes"


def _readable_part(data: bytes, start: int) -> bytes:
    """Decompress a failed step byte by byte, up to the damage."""
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    decompressor.decompress(data[:start])
    text = bytearray()
    with contextlib.suppress(zstandard.ZstdError):
        for index in range(start, min(start + _STEP_BYTES, len(data))):
            text += decompressor.decompress(data[index : index + 1])
    return bytes(text)


class SpoolReader:
    """Reads finished segments in order, and removes them when their windows are stored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def segments_after(self, sequence: int) -> list[Segment]:
        """List the finished segments with a larger number, in order; empty if there is no spool yet."""
        return [segment for segment in list_segments(self._path) if segment.sequence > sequence]

    def unread_segments(self, position: int) -> tuple[list[Segment], bool]:
        """List the segments after a position, in order, and whether the numbers began again below it.

        The numbers begin again if the spool was emptied and the wall clock of the writer was set back. Every segment of the
        directory is then unread.
        """
        segments = list_segments(self._path)
        unread = [segment for segment in segments if segment.sequence > position]
        if unread or not segments:
            return unread, False
        begins_again = 0 < read_next_number(self._path) <= position
        return (segments if begins_again else []), begins_again

    def read_segment(self, segment: Segment | Path) -> SegmentReading:
        """Iterate over the lines of a segment; its ``problem`` then names why lines are missing."""
        return SegmentReading(segment.path if isinstance(segment, Segment) else segment)

    def remove_through(self, sequence: int) -> int:
        """Delete the segments up to and including a number; return how many were deleted."""
        done = [segment for segment in list_segments(self._path) if segment.sequence <= sequence]
        for segment in done:
            segment.path.unlink(missing_ok=True)
        return len(done)


def read_next_number(path: Path) -> int:
    """Read the number that the writer will use next, as it stored it in the directory; 0 if that is unknown."""
    try:
        return int((path / NEXT_SEQUENCE_FILE).read_text())
    except (OSError, ValueError):
        return 0


def list_segments(path: Path) -> list[Segment]:
    """List the finished segments of a directory in the order of their numbers."""
    segments = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                sequence = parse_sequence(entry.name)
                if sequence is not None:
                    with contextlib.suppress(FileNotFoundError):  # the reader or the writer has removed it meanwhile
                        segments.append(Segment(sequence, Path(entry.path), entry.stat().st_size))
    except FileNotFoundError:
        return []
    return sorted(segments, key=lambda segment: segment.sequence)
