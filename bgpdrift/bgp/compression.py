"""Reads files as plain bytes, compressed or not; the readable part of a damaged file comes before the error.

The first bytes of a file decide its format (gzip, bzip2, zstd or plain), never its name. A read returns at most the requested
size, so that a small file that expands a thousandfold needs time, not memory.
"""

import bz2
import zlib
from typing import BinaryIO, cast

import zstandard

_CHUNK_BYTES = 65_536
_GZIP, _BZIP2, _ZSTD = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd"
_MAX_WINDOW_BYTES = 1 << 27  # the largest zstd window that `zstd -d` accepts by default; a frame may ask for terabytes


class DecompressedStream:
    """The plain bytes of a file, read forwards once.

    Attributes
    ----------
    problem : str or None
        Why the bytes end early: truncated or damaged data. None if no problem is known.

    Examples
    --------
    >>> import gzip, io
    >>> stream = DecompressedStream(io.BytesIO(gzip.compress(b"routes")[:-9]))
    >>> stream.read(100), stream.read(100), stream.problem
    (b'routes', b'', 'gzip data is truncated')
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
            self._zstandard = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(
                cast("BinaryIO", _RejoinedFile(head, raw)), read_across_frames=True
            )
        else:
            self._step = self._plain

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        """Return 1 to ``size`` bytes; none at the end. Errors of the disk (`OSError`) are raised."""
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
                rest = rest.lstrip(b"\0")  # tapes and some archives are padded with zeros
                if not rest:
                    return b""
                self._gunzip, self._pending = zlib.decompressobj(31), rest
            data = self._pending or self._raw.read(_CHUNK_BYTES)
            if not data:
                # A final flush would ignore the limit, and the bounded reads have returned everything.
                self.problem = "gzip data is truncated"
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
                    self.problem = "bzip2 data is truncated"
                    return b""
            try:
                plain = self._bunzip.decompress(data, size)
            except OSError as error:  # bz2 reports damage this way
                raise ValueError(error) from error
            if plain:
                return plain

    def _zstd(self, size: int) -> bytes:
        return self._zstandard.read(size)


class _RejoinedFile:
    """A file whose first bytes have been read."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head or self._rest.read(size)


def _read_fully(raw: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes from a pipe that may return them in parts."""
    data = b""
    while len(data) < size and (more := raw.read(size - len(data))):
        data += more
    return data
