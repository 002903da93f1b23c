"""One segment while it is written: its lines, its file, and a new start after an error.

`spool_writer` decides when a segment ends.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import zstandard

from bgpdrift.bgp import spool
from bgpdrift.bgp.spool_buffer import Batch, cover_spans


class SegmentFile(Protocol):
    """The file operations that a segment needs; tests pass files that fail."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the bytes; return how many."""
        ...

    def fileno(self) -> int:
        """Return the descriptor, for fsync."""
        ...

    def close(self) -> None:
        """Release the descriptor."""
        ...


def open_new(path: Path) -> SegmentFile:
    """Create a file that must not exist, unbuffered."""
    return path.open("xb", buffering=0)


class OpenSegment:
    """The segment being written. Its lines stay in memory until it is renamed, so that it can be written again."""

    def __init__(self, sequence: int, path: Path, *, opened_at: float, opened_monotonic: float, run: str) -> None:
        header = {"sequence": sequence, "opened_at": opened_at, "run": run}
        self.sequence, self.opened_monotonic = sequence, opened_monotonic
        self.part = path / (spool.segment_name(sequence) + ".part")
        self.final = path / spool.segment_name(sequence)
        self.batches = [Batch(spool.record_line(spool.SEGMENT_RECORD, header) + b"\n", 0)]
        self.raw_bytes = 0
        self._written = 0  # number of batches in the present file
        self._file: SegmentFile | None = None
        self._compressor: zstandard.ZstdCompressionObj | None = None

    @property
    def frames(self) -> int:
        """Number of frames of the feed, without records of the spool."""
        return sum(batch.frames for batch in self.batches)

    @property
    def span(self) -> tuple[float | None, float | None]:
        """Event time (epoch s) of the frames, if known."""
        return cover_spans(*((batch.earliest, batch.latest) for batch in self.batches))

    def add(self, batches: Sequence[Batch]) -> None:
        """Add lines in memory; `write` writes them to the file."""
        self.batches += batches
        self.raw_bytes += sum(len(batch.text) for batch in batches)

    def write(self, opener: Callable[[Path], SegmentFile], level: int) -> None:
        """Write the new lines, so that the file can be read up to the last of them."""
        if self._file is None:
            self.part.unlink(missing_ok=True)
            self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
            self._file = opener(self.part)
        assert self._compressor is not None
        text = b"".join(batch.text for batch in self.batches[self._written :])
        if text:
            self._write_all(self._compressor.compress(text))
            self._write_all(self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        self._written = len(self.batches)

    def finish(self, closed_at: float) -> None:
        """Finish the compressed text and sync it, still under the name of a part."""
        assert self._file is not None
        assert self._compressor is not None
        end = spool.record_line(spool.SEGMENT_END_RECORD, {"closed_at": closed_at, "frames": self.frames})
        self._write_all(self._compressor.compress(end + b"\n") + self._compressor.flush())
        os.fsync(self._file.fileno())
        file, self._file = self._file, None
        file.close()

    def discard_file(self) -> None:
        """Discard the file after an error; the lines remain in memory."""
        file, self._file, self._written = self._file, None, 0
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()
        with contextlib.suppress(OSError):
            self.part.unlink(missing_ok=True)

    def _write_all(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]  # an almost full disk writes only a part
