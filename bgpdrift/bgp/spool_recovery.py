"""What a start of the writer finds: parts of a killed one, and the number to go on with.

Decides what of a ``.part`` is kept (its whole lines) and that no sequence number is ever given twice.
"""

from pathlib import Path

import zstandard

from bgpdrift import logs
from bgpdrift.bgp import spool
from bgpdrift.process.durable import replace_file, sync_directory

log = logs.get_logger()


def salvage(path: Path, now: float) -> int:
    """Make proper segments of what a killed writer left in ``.part`` files; return how many.

    The whole lines that can be decompressed replace the part, under its own name first: whatever moment this is killed
    at, the next start finds either the part or the segment, never both, and the number is not given twice.
    """
    saved = 0
    for part in sorted(path.glob(f"*{spool.PART_SUFFIX}")):
        sequence = spool.sequence_of(part.name, spool.PART_SUFFIX)
        if sequence is None:
            continue
        lines = [line for line in spool.SegmentReading(part) if spool.SEGMENT_END_RECORD.encode() not in line[:40]]
        if len(lines) <= 1:  # its header at most
            part.unlink()
            continue
        frames = sum(1 for line in lines if not line.startswith(b'{"type":"bgpdrift_'))
        end = {"closed_at": now, "frames": frames, "salvaged": True}
        text = b"\n".join([*lines, spool.record_line(spool.SEGMENT_END_RECORD, end), b""])
        _replace(part, zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text))
        store_next_sequence(path, max(sequence + 1, next_sequence(path)))
        part.rename(path / spool.segment_name(sequence))
        sync_directory(path)
        log.warning("spool.salvaged", sequence=sequence, frames=frames)
        saved += 1
    return saved


def next_sequence(path: Path) -> int:
    """Name the number of the next segment: above every one on disk and every one ever given."""
    on_disk = [segment.sequence for segment in spool.list_segments(path)]
    try:
        stored = int((path / spool.NEXT_SEQUENCE_FILE).read_text())
    except (OSError, ValueError):  # a first start; or damaged, and then the disk is all there is to go by
        stored = 1
    return max(stored, *(number + 1 for number in on_disk), 1)


def event_span(path: Path) -> tuple[float | None, float | None]:
    """Read a segment for the event time it covers."""
    times = [time for time in map(spool.event_time, spool.SegmentReading(path)) if time is not None]
    return min(times, default=None), max(times, default=None)


def store_next_sequence(path: Path, number: int) -> None:
    """Remember durably that every number below has been given."""
    _replace(path / spool.NEXT_SEQUENCE_FILE, f"{number}\n".encode())


def _replace(path: Path, data: bytes) -> None:
    with replace_file(path) as file:
        file.write(data)
