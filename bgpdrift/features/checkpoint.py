"""Writes the state of an aggregator to one file and reads it back, completely or not at all.

Layout: a magic line, the length of a JSON header, the header (plain values; name, dtype and shape of each array), the bytes
of the arrays, and a BLAKE2b digest of everything before it. The file is written under another name, flushed to the disk and
renamed, so that a crash leaves the old file or the new one. It contains no pickle. The caller decides what follows from a
damaged file.
"""

import hashlib
import math
import os
import struct
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bgpdrift.errors import InputError
from bgpdrift.process.durable import replace_file
from bgpdrift.process.waiting import report_work

MAGIC = b"bgpdrift checkpoint 4\n"
_DIGEST_BYTES = 32
_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 1 << 30
_PART_BYTES = 1 << 24


def save(path: Path, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> int:
    """Write a checkpoint; it replaces the previous one.

    Returns
    -------
    int
        Size of the file, bytes.

    Raises
    ------
    OSError
        The disk is full or fails; the previous file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = msgspec.json.encode({"arrays": layout, "values": values})
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with replace_file(path) as file:
        for part in (MAGIC, _LENGTH.pack(len(header)), header):
            file.write(part)
            digest.update(part)
        for array in arrays.values():
            # One array at a time, so that the state is not held twice in memory.
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            for begin in range(0, len(data), _PART_BYTES):
                file.write(data[begin : begin + _PART_BYTES])
                digest.update(data[begin : begin + _PART_BYTES])
                report_work()
        file.write(digest.digest())
        size = file.tell()
    return size


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError
        There is no checkpoint.
    InputError
        The file is truncated, damaged, or not a checkpoint; the message states which.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        reader = _DigestReader(file, path)
        if reader.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{path}: expected {MAGIC!r} at the beginning: not a checkpoint of this version")
        (length,) = _LENGTH.unpack(reader.read(_LENGTH.size))
        if length > min(_MAX_HEADER_BYTES, size):
            raise InputError(f"{path}: expected a header within the {size} bytes of the file, found {length} bytes")
        try:
            header = msgspec.json.decode(reader.read(length), type=_Header)
            dtypes = [np.dtype(dtype) for _, dtype, _ in header.arrays]
        except (msgspec.MsgspecError, TypeError, ValueError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{path}: expected a header of arrays and values: damaged ({error})") from error
        sizes = [dtype.itemsize * math.prod(shape) for dtype, (_, _, shape) in zip(dtypes, header.arrays, strict=True)]
        if sum(sizes) != size - file.tell() - _DIGEST_BYTES:
            raise InputError(f"{path}: expected {sum(sizes)} bytes of arrays: truncated or damaged")
        arrays: dict[str, NDArray[Any]] = {}
        for dtype, (name, _, shape) in zip(dtypes, header.arrays, strict=True):
            arrays[name] = np.empty(shape, dtype=dtype)
            reader.read_into(memoryview(arrays[name].reshape(-1).view(np.uint8).data))
        if file.read() != reader.digest.digest():
            raise InputError(f"{path}: expected the digest of its bytes at the end: truncated or damaged")
    return arrays, header.values


def take_arrays(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Remove and return the arrays whose names begin with a prefix, so that the caller can free them one by one."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}


class _Header(msgspec.Struct):
    arrays: list[tuple[str, str, list[Annotated[int, msgspec.Meta(ge=0)]]]]
    values: dict[str, Any]


class _DigestReader:
    """Reads a file in parts, computes the digest of what was read, and reports progress to the watchdog."""

    def __init__(self, file: BufferedReader, path: Path) -> None:
        self.digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._file, self._path = file, path

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        data = self._file.read(size)
        if len(data) != size:
            raise InputError(f"{self._path}: expected more than {self._file.tell()} bytes: truncated")
        self.digest.update(data)
        return data

    def read_into(self, target: memoryview) -> None:
        """Fill a buffer."""
        for begin in range(0, len(target), _PART_BYTES):
            part = target[begin : begin + _PART_BYTES]
            if self._file.readinto(part) != len(part):
                raise InputError(f"{self._path}: expected more than {self._file.tell()} bytes: truncated")
            self.digest.update(part)
            report_work()
