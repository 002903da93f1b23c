"""What the artifact and log directories say: the model in force, its flag and claim, the run at work.

Reads headers, not models: no numerics are loaded, and whether a file is whole is not decided here (`bgpdrift.models.artifact`
does). A file nobody can read is an answer, never an error.
"""

import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.detector_registry import MODELS
from bgpdrift.models.paths import current_path
from bgpdrift.process.identity import ProcessIdentity, is_alive
from bgpdrift.status.snapshot import FlagFile, Running

RUN_LOCK = "retrain.lock"
UNREADABLE = "unreadable"
_MOST_BYTES, _MOST_HEADER_BYTES = 65_536, 1_000_000
_TAIL_BYTES = 16_384


class ModelHeader(msgspec.Struct, frozen=True):
    """The metadata of a model file, as far as they matter here."""

    version: str = ""
    created_at: int = 0
    parent_version: str = ""
    problem: str = ""
    """Why the file cannot be read; "" if it can or there is none."""
    exists: bool = True


class _Metadata(msgspec.Struct):
    version: str
    created_at: int = 0
    parent_version: str = ""


class _Holder(msgspec.Struct):
    model: str = ""
    owner: ProcessIdentity = ProcessIdentity()
    since: float = 0.0


class Files(msgspec.Struct, frozen=True):
    """All that lies there."""

    models: dict[str, ModelHeader]
    flags: dict[str, FlagFile]
    running: Running | None = None


def look(artifacts: Path, logs: Path) -> Files:
    """Look into both directories, once."""
    flags = {model: flag for model in MODELS if (flag := flag_of(artifacts, model)) is not None}
    headers = {model: header_of(current_path(artifacts, model)) for model in MODELS}
    return Files(headers, flags, running(artifacts, logs, flags))


def header_of(path: Path) -> ModelHeader:
    """Read the metadata at the head of a model file."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= _MOST_HEADER_BYTES:
                return ModelHeader(problem=f"{path.name} is no model: its header is {size} bytes long")
            header = msgspec.json.decode(file.read(size), type=dict[str, Any])
        metadata = msgspec.json.decode(header["__metadata__"]["bgpdrift"], type=_Metadata)
    except FileNotFoundError:
        return ModelHeader(exists=False)
    except OSError as error:
        return ModelHeader(problem=f"{path.name} cannot be read: {error.strerror}")
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return ModelHeader(problem=f"{path.name} is no model, or half of one")
    return ModelHeader(metadata.version, metadata.created_at, metadata.parent_version)


def flag_of(artifacts: Path, model: str) -> FlagFile | None:
    """Read the request to retrain a model, claimed or not; None if there is none."""
    claim = _document(artifacts / f"retrain_{model}.flag.claimed")
    if claim is not None:
        owner = _converted(claim[0].get("owner"), ProcessIdentity) or ProcessIdentity()
        state = "claimed" if is_alive(owner) else "orphaned"
        flag = claim[0].get("flag")
        return _flag(state, flag if isinstance(flag, dict) else {}, claim[1], owner.pid or None)
    waiting = _document(artifacts / f"retrain_{model}.flag")
    return None if waiting is None else _flag("waiting", *waiting, None)


def running(artifacts: Path, logs: Path, flags: dict[str, FlagFile]) -> Running | None:
    """Find the run at work, by the lock it holds; None if there is none."""
    found = _document(artifacts / RUN_LOCK)
    holder = _converted(found[0], _Holder) if found else None
    if holder is None or not is_alive(holder.owner):
        return _claimed(flags)
    log = logs / f"retrain_{holder.model}.ndjson"
    phase, done = progress(_tail(log)) if _written_at(log) >= holder.since - 1.0 else ("", None)
    return Running(holder.model, holder.owner.pid, holder.since, phase, done)


def progress(text: bytes) -> tuple[str, float | None]:
    r"""Read from the last lines of a run how far it is: phase and share of the whole.

    Examples
    --------
    >>> progress(b'{"event":"retrain.progress","phase":"fit","share":0.5,"done":0.175}\n{"eve')
    ('fit', 0.175)
    >>> progress(b'{"event":"retrain.started"}')
    ('', None)
    """
    for line in reversed(text.splitlines()):
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # the line being written, or a traceback
        if row.get("event") == "retrain.progress":
            done = row.get("done")
            return str(row.get("phase", "")), float(done) if isinstance(done, int | float) else None
    return "", None


def _claimed(flags: dict[str, FlagFile]) -> Running | None:
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


def _document(path: Path) -> tuple[dict[str, Any], float] | None:
    """Content and time of a small JSON file; None if there is none, ``unreadable`` as its reason if nobody can tell."""
    try:
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            return None
        raw = path.read_bytes()[:_MOST_BYTES] if stat.S_ISREG(found.st_mode) else b"?"
    except FileNotFoundError:
        return None
    except OSError:
        return {"reason": UNREADABLE}, 0.0
    if not raw.strip():
        return {}, found.st_mtime
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]), found.st_mtime
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"reason": UNREADABLE}, found.st_mtime


def _converted(value: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError:
        return None


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES)
    except OSError:
        return b""
