"""Saves an aggregator's state in one file and reads it back: whole or not at all.

Layout: a magic line, the length of a JSON header, the header (plain values; name, dtype and shape of each array), the
arrays' bytes, a BLAKE2b digest over all before it. Written beside, flushed to the disk and renamed, so that a crash
leaves the old file or the new one. No pickle. What a damaged file means is the caller's to decide.
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

MAGIC = b"bgpdrift checkpoint 1\n"
_DIGEST_BYTES = 32
_LENGTH = struct.Struct("<Q")
_LARGEST_HEADER = 1 << 30


def save(path: Path, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> int:
    """Write a checkpoint in place of the one before.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    OSError
        The disk is full or broken; the file before is untouched.
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
            # One array at a time: the state is not held twice in memory.
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
        There is none.
    InputError
        It is cut short, damaged, or not a checkpoint; the message says which.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_digest(file, size, path)
        file.seek(len(MAGIC))
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        if length > min(_LARGEST_HEADER, size):
            raise InputError(f"{path}: header of {length} bytes in a file of {size}")
        header = msgspec.json.decode(file.read(length))
        arrays = {name: _read_array(file, dtype, shape) for name, dtype, shape in header["arrays"]}
    values: dict[str, Any] = header["values"]
    return arrays, values


def _check_digest(file: BufferedReader, size: int, path: Path) -> None:
    if file.read(len(MAGIC)) != MAGIC:
        raise InputError(f"{path}: not a checkpoint of this version: it does not begin with {MAGIC!r}")
    digest = hashlib.blake2b(MAGIC, digest_size=_DIGEST_BYTES)
    left = size - len(MAGIC) - _DIGEST_BYTES
    while left > 0:
        part = file.read(min(left, 1 << 20))
        if not part:
            break
        digest.update(part)
        left -= len(part)
    if left != 0 or file.read() != digest.digest():
        raise InputError(f"{path}: cut short or damaged: its digest does not match")


def _read_array(file: BufferedReader, dtype: str, shape: list[int]) -> NDArray[Any]:
    array: NDArray[Any] = np.empty(shape, dtype=np.dtype(dtype))
    file.readinto(array.reshape(-1).view(np.uint8).data)
    return array
