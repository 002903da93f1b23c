"""The queue of files between collector and aggregator: names, records, and how it is read.

A segment is ``<20-digit sequence>.ndjson.zst``, one JSON object a line: RIS Live frames as received, and our own records
(`control_line`, `segment_line`). A segment is also a RIS Live recording; `bgpdrift replay` plays it again. Reading never
raises for damaged content: what is readable comes, and the reading says what was wrong. Writing is `spool_writer`; what a
gap or a record means for a window is the aggregator's to judge.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

SUFFIX: Final = ".ndjson.zst"
PART_SUFFIX: Final = SUFFIX + ".part"
NEXT_SEQUENCE_FILE: Final = "next_sequence"
LOCK_FILE: Final = ".lock"

FEED_RECORD: Final = "bgpdrift_feed"
SEGMENT_RECORD: Final = "bgpdrift_segment"
SEGMENT_END_RECORD: Final = "bgpdrift_segment_end"

_DIGITS = 20
# Small steps: what is wrong inside one is found again byte by byte, and a step of highly repetitive text may expand
# a thousandfold.
_STEP_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment on disk.

    Attributes
    ----------
    sequence : int
        1, 2, … without a gap, for ever; a missing number is a lost segment.
    path : Path
        The file.
    bytes : int
        Its compressed size.
    """

    sequence: int
    path: Path
    bytes: int


def segment_name(sequence: int) -> str:
    """Name the file of a segment, so that names sort as numbers do.

    Examples
    --------
    >>> segment_name(42)
    '00000000000000000042.ndjson.zst'
    """
    return f"{sequence:0{_DIGITS}d}{SUFFIX}"


def sequence_of(name: str, suffix: str = SUFFIX) -> int | None:
    """Read the sequence number from a file name; None if it is no segment.

    Examples
    --------
    >>> sequence_of("00000000000000000042.ndjson.zst"), sequence_of("00000000000000000042.ndjson.zst.part")
    (42, None)
    """
    digits = name.removesuffix(suffix)
    well_formed = name.endswith(suffix) and len(digits) == _DIGITS and digits.isascii() and digits.isdigit()
    return int(digits) if well_formed else None


def control_line(event: str, earliest: float | None, latest: float | None, frames: int = 0, reason: str = "") -> bytes:
    """Encode what happened to the feed, for the aggregator to mark the windows concerned.

    Parameters
    ----------
    event : str
        ``connected``, ``disconnected``, ``dropped`` or ``segment_lost``.
    earliest, latest : float or None
        Event time (epoch s) concerned: of the last message before and the first after; None if not known.
    frames : int
        Frames lost, where that is known.
    reason : str
        For a person.

    Examples
    --------
    >>> control_line("dropped", 10.0, 12.5, frames=3, reason="disk full")
    b'{"type":"bgpdrift_feed","data":{"event":"dropped","from":10.0,"to":12.5,"frames":3,"reason":"disk full"}}'
    """
    data = {"event": event, "from": earliest, "to": latest, "frames": frames, "reason": reason}
    return record_line(FEED_RECORD, data)


def record_line(kind: str, data: dict[str, Any]) -> bytes:
    """Encode one of our own records in the shape of a RIS Live frame."""
    return msgspec.json.encode({"type": kind, "data": data})


class _TimedData(msgspec.Struct, gc=False):
    timestamp: float


class _TimedFrame(msgspec.Struct, gc=False):
    data: _TimedData


_timed_decoder = msgspec.json.Decoder(_TimedFrame)


def event_time(line: bytes) -> float | None:
    """Read when a frame happened (epoch s); None for a record of ours, and for what is no whole frame.

    Examples
    --------
    >>> event_time(b'{"type":"ris_message","data":{"timestamp":1558620047.08,"peer":"196.60.9.165"}}')
    1558620047.08
    >>> event_time(b'{"type":"ris_message","data":{"timestamp":15586')
    """
    try:
        return _timed_decoder.decode(line).data.timestamp
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class SegmentReading(Iterator[bytes]):
    r"""The lines of one segment, and what was wrong with it.

    Iterate to the end, then look at `problem`. Lines come without their newline; blank ones are left out.

    Attributes
    ----------
    problem : str or None
        Why lines are missing at the end: the file is gone, cut short or damaged. None while nothing is known to be.

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
        """Give the next line."""
        return next(self._lines)

    def _read(self, path: Path) -> Iterator[bytes]:
        rest = b""
        for text in self._texts(path):
            *lines, rest = (rest + text).split(b"\n")
            for line in lines:
                if line and not line.isspace():
                    yield line
        if rest:
            # Only a cut file ends inside a line; half a frame is nothing to hand on.
            self.problem = self.problem or "cut short: the last line has no end"

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
        self.problem = f"cut short: the compressed text does not end within {len(data)} bytes"


def _readable_part(data: bytes, start: int) -> bytes:
    """Decompress a step that failed byte by byte, for what stands before the damage."""
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    decompressor.decompress(data[:start])
    found = bytearray()
    with contextlib.suppress(zstandard.ZstdError):
        for index in range(start, min(start + _STEP_BYTES, len(data))):
            found += decompressor.decompress(data[index : index + 1])
    return bytes(found)


class SpoolReader:
    """The aggregator's side of the spool: finished segments in order, removed when their windows are stored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def segments_after(self, sequence: int) -> list[Segment]:
        """List finished segments with a larger number, in order; none if there is no spool yet."""
        return [segment for segment in list_segments(self._path) if segment.sequence > sequence]

    def read_segment(self, segment: Segment | Path) -> SegmentReading:
        """Iterate over the lines of a segment; its ``problem`` says afterwards whether all came."""
        return SegmentReading(segment.path if isinstance(segment, Segment) else segment)

    def remove_through(self, sequence: int) -> int:
        """Delete the segments up to and including a number; return how many there were."""
        done = [segment for segment in list_segments(self._path) if segment.sequence <= sequence]
        for segment in done:
            segment.path.unlink(missing_ok=True)
        return len(done)


def list_segments(path: Path) -> list[Segment]:
    """List the finished segments of a directory in order of their numbers."""
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                sequence = sequence_of(entry.name)
                if sequence is not None:
                    with contextlib.suppress(FileNotFoundError):  # the other side removed it meanwhile
                        found.append(Segment(sequence, Path(entry.path), entry.stat().st_size))
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda segment: segment.sequence)


def missing_after(sequence: int, segments: Sequence[Segment]) -> list[range]:
    """Name the numbers that are missing between a position and the segments that follow it.

    Parameters
    ----------
    sequence : int
        The last number read; 0 if none was.
    segments : sequence of Segment
        What `SpoolReader.segments_after` gave for it.

    Examples
    --------
    >>> missing_after(3, [Segment(4, Path("4"), 1), Segment(7, Path("7"), 1)])
    [range(5, 7)]
    """
    gaps = []
    for segment in segments:
        if segment.sequence > sequence + 1:
            gaps.append(range(sequence + 1, segment.sequence))
        sequence = segment.sequence
    return gaps
