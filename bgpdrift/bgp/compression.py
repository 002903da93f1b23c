"""Reads files as plain bytes, compressed or not; the readable part of a damaged file comes before the error.

The first bytes of a file decide its format (gzip, bzip2, zstd or plain), never its name. A read returns at most the requested
size, so that a small file that expands a thousandfold needs time, not memory.
"""

import bz2
import zlib
from typing import BinaryIO, cast

import zstandard

_CHUNK_BYTES = 65_536
_SLOW_BYTES = 4 * _CHUNK_BYTES
"""More than any decompressor reads ahead."""
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
        self._returned = 0
        self._start = raw.tell() if raw.seekable() else None
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
            plain = self._step(size)
        except (zlib.error, zstandard.ZstdError, ValueError) as error:
            self.problem = describe_damage(error)
            plain = self._read_to_damage(size)
        self._returned += len(plain)
        return plain

    def _read_to_damage(self, size: int) -> bytes:
        """Return the bytes that the failed step would have returned up to the damage.

        A decompressor discards them with the error. The file is decompressed again, in the last step byte by byte; a pipe
        cannot be read again.
        """
        if self._start is None:
            return b""
        fast_until = max(self._start, self._raw.tell() - _SLOW_BYTES)
        self._raw.seek(self._start)
        again = DecompressedStream(cast("BinaryIO", _SlowingFile(self._raw, fast_until)))
        left = self._returned
        while left and (skipped := again.read(min(left, _CHUNK_BYTES))):
            left -= len(skipped)
        plain = bytearray()
        while len(plain) < size and (byte := again.read(1)):
            plain += byte
        return bytes(plain)

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


def describe_damage(error: Exception) -> str:
    """Describe an error of a decompressor in one of a few texts.

    Examples
    --------
    >>> describe_damage(zlib.error("Error -3 while decompressing data: incorrect data check"))
    'compressed data is damaged: the checksum is wrong'
    """
    text = str(error)
    if any(word in text for word in ("incorrect data check", "incorrect length check", "checksum")):
        text = "the checksum is wrong"
    return f"compressed data is damaged: {text}"


class _SlowingFile:
    """A file that gives single bytes from an offset on, so that the checksum arrives after the last byte before it."""

    def __init__(self, raw: BinaryIO, fast_until: int) -> None:
        self._raw, self._left = raw, fast_until - raw.tell()

    def seekable(self) -> bool:
        return False

    def read(self, size: int) -> bytes:
        data = self._raw.read(min(size, self._left) if self._left > 0 else 1)
        self._left -= len(data)
        return data


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
