"""Writes the state of an aggregator to one file and reads it back, completely or not at all.

Layout: a magic line, the length of a JSON header, the header (plain values; name, dtype and shape of each array), the bytes
of the arrays, and a BLAKE2b digest of everything before it. The file is written under another name, flushed to the disk and
renamed, so that a crash leaves the old file or the new one. It contains no pickle. The caller decides what follows from a
damaged file.
"""

import hashlib
import os
import struct
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bgpdrift.errors import InputError
from bgpdrift.process.durable import replace_file

MAGIC = b"bgpdrift checkpoint 3\n"
_DIGEST_BYTES = 32
_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 1 << 30


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
            file.write(data)
            digest.update(data)
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
        _check_digest(file, size, path)
        file.seek(len(MAGIC))
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        if length > min(_MAX_HEADER_BYTES, size):
            raise InputError(f"{path}: expected a header within the {size} bytes of the file, found {length} bytes")
        header = msgspec.json.decode(file.read(length))
        arrays = {name: _read_array(file, dtype, shape) for name, dtype, shape in header["arrays"]}
    values: dict[str, Any] = header["values"]
    return arrays, values


def select_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_digest(file: BufferedReader, size: int, path: Path) -> None:
    if file.read(len(MAGIC)) != MAGIC:
        raise InputError(f"{path}: expected {MAGIC!r} at the beginning: not a checkpoint of this version")
    digest = hashlib.blake2b(MAGIC, digest_size=_DIGEST_BYTES)
    left = size - len(MAGIC) - _DIGEST_BYTES
    while left > 0:
        part = file.read(min(left, 1 << 20))
        if not part:
            break
        digest.update(part)
        left -= len(part)
    if left != 0 or file.read() != digest.digest():
        raise InputError(f"{path}: expected the digest of its bytes at the end: truncated or damaged")


def _read_array(file: BufferedReader, dtype: str, shape: list[int]) -> NDArray[Any]:
    array: NDArray[Any] = np.empty(shape, dtype=np.dtype(dtype))
    file.readinto(array.reshape(-1).view(np.uint8).data)
    return array
