"""How a model file comes into being: staged beside its place, durable, then one rename.

A reader sees the old file or the new one, never none and never half. Which model deserves it is decided elsewhere.
"""

import os
from pathlib import Path

from bgpdrift.errors import TransientError

SUFFIX = ".safetensors"


def current_path(folder: Path, model: str) -> Path:
    """Where the model in force lies."""
    return folder / f"{model}{SUFFIX}"


def backup_paths(folder: Path, model: str) -> list[Path]:
    """Backups of a model, newest first."""
    return sorted(folder.glob(f"{model}_backup_*{SUFFIX}"), reverse=True)


def write_whole(path: Path, raw: bytes) -> None:
    """Put bytes under a name, atomically and durably.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails; what was there before is untouched.
    """
    folder = path.parent
    stage = folder / f".{path.name}.{os.getpid()}.stage"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage.unlink(missing_ok=True)  # of an earlier process that had our pid
        descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            stage.replace(path)
        except OSError:
            stage.unlink(missing_ok=True)
            raise
        directory = os.open(folder.resolve(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise TransientError(f"{path}: cannot be written: {error.strerror}", 10.0) from error
