"""Recovers the spool when the writer starts: unfinished segments of a killed writer, and the next sequence number.

This module decides which lines of a ``.part`` file are kept (the complete ones) and that no sequence number is used twice.
"""

from pathlib import Path

import zstandard

from bgpdrift import logs
from bgpdrift.bgp import spool
from bgpdrift.process.durable import replace_file, sync_directory

_END_START = b'{"type":"%s"' % spool.SEGMENT_END_RECORD.encode()

log = logs.get_logger()


def recover_parts(path: Path, now: float) -> int:
    """Convert the ``.part`` files of a killed writer into segments; return how many.

    The complete lines that can be decompressed replace the part under its own name first. If this process is killed at any
    moment, the next start finds either the part or the segment, never both, and the number is not used twice.
    """
    recovered = 0
    for part in sorted(path.glob(f"*{spool.PART_SUFFIX}")):
        sequence = spool.parse_sequence(part.name, spool.PART_SUFFIX)
        if sequence is None:
            continue
        lines = [line for line in spool.SegmentReading(part) if not line.startswith(_END_START)]
        if len(lines) <= 1:  # at most the header
            part.unlink()
            continue
        frames = sum(1 for line in lines if not line.startswith(spool.RECORD_START))
        end = {"closed_at": now, "frames": frames, "salvaged": True}
        text = b"\n".join([*lines, spool.record_line(spool.SEGMENT_END_RECORD, end), b""])
        _replace(part, zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text))
        store_next_sequence(path, max(sequence + 1, next_sequence(path, now)))
        part.rename(path / spool.segment_name(sequence))
        sync_directory(path)
        log.warning("spool.salvaged", sequence=sequence, frames=frames)
        recovered += 1
    return recovered


def next_sequence(path: Path, now: float) -> int:
    """Return the number of the next segment: above every number on disk and every number used before.

    At the first start, in an emptied directory and after damage the stored number is unknown. Then the numbers continue from
    the present time (epoch s), so that the reader sees a gap and reads what follows.
    """
    stored = spool.read_next_number(path)
    on_disk = [segment.sequence for segment in spool.list_segments(path)]
    return max(stored or spool.first_number(now), *(number + 1 for number in on_disk), 1)


def event_span(path: Path) -> tuple[float | None, float | None]:
    """Read the event time that a segment covers."""
    times = [time for time in map(spool.event_time, spool.SegmentReading(path)) if time is not None]
    return min(times, default=None), max(times, default=None)


def store_next_sequence(path: Path, number: int) -> None:
    """Store durably that every smaller number has been used."""
    _replace(path / spool.NEXT_SEQUENCE_FILE, f"{number}\n".encode())


def _replace(path: Path, data: bytes) -> None:
    with replace_file(path) as file:
        file.write(data)
