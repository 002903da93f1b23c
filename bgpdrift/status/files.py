"""The active models, flag files and the running retrainer, read from the artifact and log directories.

Only the headers of model files are read, so that no numerical library is loaded; `bgpdrift.models.artifact` verifies whole
files. A file that cannot be read is a result, not an error.
"""

import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.detector_registry import MODELS
from bgpdrift.models.paths import current_path
from bgpdrift.models.run_lock import read_run_holder
from bgpdrift.process.identity import ProcessIdentity, is_alive_in
from bgpdrift.status.snapshot import FlagFile, Running

UNREADABLE = "unreadable"
_MAX_BYTES, _MAX_HEADER_BYTES = 65_536, 1_000_000
_TAIL_BYTES = 16_384


class ModelHeader(msgspec.Struct, frozen=True):
    """The part of a model file's metadata that the status shows."""

    version: str = ""
    created_at: int = 0
    parent_version: str = ""
    problem: str = ""
    """Why the file cannot be read; empty if it can, or if there is none."""
    exists: bool = True


class _Metadata(msgspec.Struct):
    version: str
    created_at: int = 0
    parent_version: str = ""


class Files(msgspec.Struct, frozen=True):
    """What the directories hold."""

    models: dict[str, ModelHeader]
    flags: dict[str, FlagFile]
    running: Running | None = None


def read_files(artifacts: Path, logs: Path) -> Files:
    """Read both directories."""
    flags = {model: flag for model in MODELS if (flag := read_flag(artifacts, model)) is not None}
    headers = {model: read_header(current_path(artifacts, model)) for model in MODELS}
    return Files(headers, flags, find_running(artifacts, logs, flags))


def read_header(path: Path) -> ModelHeader:
    """Read the metadata in the header of a model file."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= _MAX_HEADER_BYTES:
                return ModelHeader(problem=f"{path.name} is not a model file: its header would be {size} bytes long")
            header = msgspec.json.decode(file.read(size), type=dict[str, Any])
        metadata = msgspec.json.decode(header["__metadata__"]["bgpdrift"], type=_Metadata)
    except FileNotFoundError:
        return ModelHeader(exists=False)
    except OSError as error:
        return ModelHeader(problem=f"{path.name} cannot be read: {error.strerror}")
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return ModelHeader(problem=f"{path.name} is not a model file, or is incomplete")
    return ModelHeader(metadata.version, metadata.created_at, metadata.parent_version)


def read_flag(artifacts: Path, model: str) -> FlagFile | None:
    """Read the flag file of a model, claimed or not; None if there is none."""
    claim = _read_document(artifacts / f"retrain_{model}.flag.claimed")
    if claim is not None:
        owner = _convert(claim[0].get("owner"), ProcessIdentity) or ProcessIdentity()
        state = "claimed" if is_alive_in(owner, artifacts) else "orphaned"
        flag = claim[0].get("flag")
        return _flag(state, flag if isinstance(flag, dict) else {}, claim[1], owner.pid or None)
    waiting = _read_document(artifacts / f"retrain_{model}.flag")
    return None if waiting is None else _flag("waiting", *waiting, None)


def find_running(artifacts: Path, logs: Path, flags: dict[str, FlagFile]) -> Running | None:
    """Find the running retrainer by the lock that it holds; None if none runs."""
    holder = read_run_holder(artifacts)
    if holder is None:
        return _find_claimed(flags)
    log = logs / f"retrain_{holder.model}.ndjson"
    phase, done = parse_progress(_read_tail(log)) if _modified_at(log) >= holder.since - 1.0 else ("", None)
    return Running(holder.model, holder.owner.pid, holder.since, phase, done)


def parse_progress(text: bytes) -> tuple[str, float | None]:
    r"""Read the phase and the share of the run that is done from the last log lines of a retrainer.

    Examples
    --------
    >>> parse_progress(b'{"event":"retrain.progress","phase":"fit","share":0.5,"done":0.175}\n{"eve')
    ('fit', 0.175)
    >>> parse_progress(b'{"event":"retrain.started"}')
    ('', None)
    """
    for line in reversed(text.splitlines()):
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # an incomplete line, or a traceback
        if row.get("event") == "retrain.progress":
            done = row.get("done")
            return str(row.get("phase", "")), float(done) if isinstance(done, int | float) else None
    return "", None


def _find_claimed(flags: dict[str, FlagFile]) -> Running | None:
    for model, flag in flags.items():
        if flag.state == "claimed" and flag.pid:
            return Running(model, flag.pid, flag.requested_at, "", None)
    return None


def _flag(state: str, document: dict[str, Any], written_at: float, pid: int | None) -> FlagFile:
    requested_at, attempts = document.get("requested_at"), document.get("attempts")
    return FlagFile(
        state,
        str(document.get("requested_by") or ""),
        str(document.get("reason") or ""),
        float(requested_at) if isinstance(requested_at, int | float) and requested_at else written_at,
        int(attempts) if isinstance(attempts, int) else 0,
        pid,
    )


def _read_document(path: Path) -> tuple[dict[str, Any], float] | None:
    """Read a small JSON file and its time; None if there is none. The reason of an unreadable file is ``unreadable``."""
    try:
        info = path.lstat()
        if stat.S_ISDIR(info.st_mode):
            return None
        raw = path.read_bytes()[:_MAX_BYTES] if stat.S_ISREG(info.st_mode) else b"?"
    except FileNotFoundError:
        return None
    except OSError:
        return {"reason": UNREADABLE}, 0.0
    if not raw.strip():
        return {}, info.st_mtime
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]), info.st_mtime
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"reason": UNREADABLE}, info.st_mtime


def _convert(value: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError:
        return None


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read_tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES)
    except OSError:
        return b""
