"""Files as plain bytes, whatever they were compressed with; what is readable of a damaged one comes before the bad news.

Decides by the first bytes, never by the name: gzip, bzip2, zstd or plain. A read gives at most what was asked for, so a
small file that expands a thousandfold costs time, not memory.
"""

import bz2
import zlib
from typing import BinaryIO, cast

import zstandard

_CHUNK_BYTES = 65_536
_GZIP, _BZIP2, _ZSTD = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd"
_WINDOW_BYTES = 1 << 27  # the largest zstd window `zstd -d` accepts unasked; a frame may claim terabytes


class Decompressed:
    """The plain bytes of a file, read forwards once.

    Attributes
    ----------
    problem : str or None
        Why the bytes end early: cut short or damaged. None while nothing is known to be wrong.

    Examples
    --------
    >>> import gzip, io
    >>> stream = Decompressed(io.BytesIO(gzip.compress(b"routes")[:-9]))
    >>> stream.read(100), stream.read(100), stream.problem
    (b'routes', b'', 'gzip data is cut short')
    """

    def __init__(self, raw: BinaryIO) -> None:
        self.problem: str | None = None
        self._raw = raw
        head = _read_fully(raw, 4)
        self._pending = head
        if head.startswith(_GZIP):
            self._step = self._gzip
            self._gunzip = zlib.decompressobj(31)
        elif head.startswith(_BZIP2):
            self._step = self._bzip2
            self._bunzip = bz2.BZ2Decompressor()
        elif head == _ZSTD:
            self._step = self._zstd
            self._zstandard = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(
                cast("BinaryIO", _Rejoined(head, raw)), read_across_frames=True
            )
        else:
            self._step = self._plain

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        """Give 1 to ``size`` bytes; none only at the end. Errors of the disk itself (`OSError`) are raised."""
        if self.problem is not None:
            return b""
        try:
            return self._step(size)
        except (zlib.error, zstandard.ZstdError, ValueError) as error:
            self.problem = f"compressed data is damaged: {error}"
            return b""

    def _plain(self, size: int) -> bytes:
        head, self._pending = self._pending[:size], self._pending[size:]
        return head or self._raw.read(size)

    def _gzip(self, size: int) -> bytes:
        while True:
            if self._gunzip.eof:
                rest = self._gunzip.unused_data or self._raw.read(_CHUNK_BYTES)
                rest = rest.lstrip(b"\0")  # tapes and some archives pad with zeros
                if not rest:
                    return b""
                self._gunzip, self._pending = zlib.decompressobj(31), rest
            data = self._pending or self._raw.read(_CHUNK_BYTES)
            if not data:
                # A last flush would ignore the limit; bounded reads have already given what there is.
                self.problem = "gzip data is cut short"
                return b""
            plain = self._gunzip.decompress(data, size)
            self._pending = self._gunzip.unconsumed_tail
            if plain:
                return plain

    def _bzip2(self, size: int) -> bytes:
        while True:
            if self._bunzip.eof:
                rest = self._bunzip.unused_data or self._raw.read(_CHUNK_BYTES)
                if not rest:
                    return b""
                self._bunzip, self._pending = bz2.BZ2Decompressor(), rest
            data = b""
            if self._bunzip.needs_input:
                data, self._pending = self._pending or self._raw.read(_CHUNK_BYTES), b""
                if not data:
                    self.problem = "bzip2 data is cut short"
                    return b""
            try:
                plain = self._bunzip.decompress(data, size)
            except OSError as error:  # how bz2 reports damage
                raise ValueError(error) from error
            if plain:
                return plain

    def _zstd(self, size: int) -> bytes:
        return self._zstandard.read(size)


class _Rejoined:
    """A file whose first bytes were already read."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head or self._rest.read(size)


def _read_fully(raw: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes from a pipe that may give them in parts."""
    data = b""
    while len(data) < size and (more := raw.read(size - len(data))):
        data += more
    return data
