"""Files set aside: kept under ``rejected/`` with a note that says why, never loaded or published by themselves.

Decides nothing about a model; the gate, a reader or probation found it wanting.
"""

import errno
import os
from pathlib import Path

import msgspec

from bgpdrift.errors import ArtifactError, TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.paths import REASON_SUFFIX, REJECTED, SUFFIX, backup_stamp
from bgpdrift.process.durable import RETRY_S, sync_directory, write_durably


def reject(folder: Path, file: Path, model: str, reason: str, now: float) -> Path:
    """Set a file aside in ``rejected/``, with a note that says why and when.

    Nothing in ``rejected/`` is ever loaded or published by itself. The current file may be set aside only by who holds
    `publish_lock_path`: another could be in its place by now.

    Returns
    -------
    Path
        Where it lies now.
    """
    try:
        version = artifacts.read(file, model).version
    except ArtifactError:
        version = ""
    try:
        target = set_aside(folder, file, model, version, reason, now)
        file.unlink()
        sync_directory(file.parent)
    except OSError as error:
        raise TransientError(f"{file}: cannot be set aside: {error.strerror}", RETRY_S) from error
    return target


def set_aside(folder: Path, file: Path, model: str, version: str, reason: str, now: float) -> Path:
    """Name a file in ``rejected/`` too, with a note."""
    stem = f"{model}_{version or backup_stamp(now, None)}"
    target, number = folder / REJECTED / f"{stem}{SUFFIX}", 1
    target.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            second_name(file, target)
            break
        except FileExistsError:
            number += 1
            target = target.with_name(f"{stem}~{number}{SUFFIX}")
    note = {"model": model, "version": version, "reason": reason, "rejected_at": int(now), "file": file.name}
    write_durably(target.with_name(target.name.removesuffix(SUFFIX) + REASON_SUFFIX), msgspec.json.encode(note))
    return target


def second_name(file: Path, name: Path) -> None:
    """A hard link; where the file is a symbolic link, a copy of what it leads to."""
    if not file.is_symlink():
        os.link(file, name)
    elif name.exists():
        raise FileExistsError(errno.EEXIST, "there already", str(name))
    else:
        write_durably(name, file.read_bytes())
