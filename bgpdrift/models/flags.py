"""Flag files: requests to retrain a model, and the claims of the processes that work on them.

``retrain_<model>.flag`` requests a run. It is empty (``touch``) or JSON; a file that cannot be decoded is still a request.
A retrainer claims it: the file is renamed to ``.flag.claimed`` and the owner is written into it. A claim whose owner has
ended becomes a request again. A request that comes during a claim waits for the next run. There is one file per model,
however many requests come: a thousand requests are one run, and a request of the drift monitor is answered by the run of
any request written over it. `bgpdrift.monitor` decides whether a request is allowed.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bgpdrift.errors import TransientError
from bgpdrift.process.durable import write_durably
from bgpdrift.process.identity import ProcessIdentity, is_alive_in, record
from bgpdrift.process.locks import FileLock

LOCK_NAME = ".flags.lock"
MAX_BYTES = 65_536
UNREADABLE = "unreadable"
_PREFIX, _FLAG, _CLAIMED = "retrain_", ".flag", ".flag.claimed"


class DriftCause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The drift that caused a training; empty if a person asked for it."""

    request_id: int | None = None
    """Row of ``retrain_requests``."""
    check_id: int | None = None
    """Row of ``drift_metrics``."""
    severity: str = ""
    change_point: int | None = None
    """Level change, epoch seconds."""
    report_path: str = ""
    version: str = ""
    """The version that drifted."""
    consented: bool = False
    """Whether a person approved the incident as the new normal before."""


class Flag(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request to retrain a model."""

    reason: str = ""
    """For people; ``unreadable`` for a file that cannot be decoded."""
    requested_by: str = ""
    force: bool = False
    """Publish although the gate refuses the candidate's quality."""
    requested_at: float = 0.0
    """Wall clock, epoch seconds; 0 is unknown."""
    cause: DriftCause = DriftCause()
    attempts: int = 0
    """Runs that claimed this request and were killed."""


class Claim(msgspec.Struct, frozen=True):
    """A request that a process works on."""

    model: str
    flag: Flag
    owner: ProcessIdentity


def flag_path(folder: Path, model: str) -> Path:
    """Return the path of a model's request."""
    return folder / f"{_PREFIX}{model}{_FLAG}"


def claim_path(folder: Path, model: str) -> Path:
    """Return the path of a model's claim."""
    return folder / f"{_PREFIX}{model}{_CLAIMED}"


def drop(folder: Path, model: str, flag: Flag) -> None:
    """Request a run. A request that exists is replaced; ``force`` and the monitor's request are kept.

    Raises
    ------
    TransientError
        The folder cannot be written.
    """
    path = flag_path(folder, model)
    write_durably(path, msgspec.json.encode(_merge(flag, _read_flag(path))))


def read_flag(folder: Path, model: str) -> Flag | None:
    """Read the request of a model; None if there is none."""
    return _read_flag(flag_path(folder, model))


def read_claim(folder: Path, model: str) -> Claim | None:
    """Read the claim of a model, whether its owner runs or not; None if there is none or it cannot be decoded."""
    return _decode_claim(claim_path(folder, model))


def list_requested(folder: Path) -> list[str]:
    """List the models with a request, by name."""
    names = (path.name for path in folder.glob(f"{_PREFIX}*{_FLAG}"))
    return sorted(name.removeprefix(_PREFIX).removesuffix(_FLAG) for name in names)


def claim(folder: Path, model: str, owner: ProcessIdentity) -> Claim | None:
    """Claim the request of a model; None if there is none, or a running process holds a claim.

    A claim whose owner has ended becomes a request again first, so that it is not lost.
    """
    if not folder.is_dir():
        return None
    with _lock(folder):
        _requeue(folder, model)
        source, target = flag_path(folder, model), claim_path(folder, model)
        if os.path.lexists(target):
            return None
        flag = _read_flag(source)
        if flag is None:
            return None
        source.rename(target)
        # Read again: a request written between the read and the rename is now in the claim.
        claimed = Claim(model, _merge(_read_flag(target) or flag, flag), record(owner, folder))
        write_durably(target, msgspec.json.encode(claimed))
        return claimed


def is_live(folder: Path, claimed: Claim) -> bool:
    """Whether the owner of a claim still works in this folder."""
    return is_alive_in(claimed.owner, folder)


def is_held(folder: Path, claimed: Claim) -> bool:
    """Whether the claim still belongs to its owner."""
    return read_claim(folder, claimed.model) == claimed


def release(folder: Path, claimed: Claim) -> bool:
    """Remove a claim whose work is done; False if it no longer belongs to its owner."""
    with _lock(folder):
        if not is_held(folder, claimed):
            return False
        claim_path(folder, claimed.model).unlink()
        return True


def give_back(folder: Path, claimed: Claim) -> bool:
    """Turn a claim into a request for the next run; False if it no longer belongs to its owner."""
    with _lock(folder):
        if not is_held(folder, claimed):
            return False
        _restore_request(folder, claimed.model, claimed.flag)
        return True


def count_attempt(folder: Path, model: str) -> int:
    """Count a run that was killed before it claimed the request; the attempts so far, 0 without a request."""
    with _lock(folder):
        path = flag_path(folder, model)
        flag = _read_flag(path)
        if flag is None:
            return 0
        counted = msgspec.structs.replace(flag, attempts=flag.attempts + 1)
        write_durably(path, msgspec.json.encode(counted))
        return counted.attempts


def withdraw(folder: Path, model: str) -> Flag | None:
    """Remove a request without a run, and return it."""
    with _lock(folder):
        path = flag_path(folder, model)
        flag = _read_flag(path)
        path.unlink(missing_ok=True)
        return flag


def requeue_abandoned(folder: Path) -> list[str]:
    """Turn claims whose owner has ended into requests again; the models concerned."""
    if not folder.is_dir():
        return []
    models = sorted(
        path.name.removeprefix(_PREFIX).removesuffix(_CLAIMED) for path in folder.glob(f"{_PREFIX}*{_CLAIMED}")
    )
    if not models:
        return []
    with _lock(folder):
        return [model for model in models if _requeue(folder, model)]


def _requeue(folder: Path, model: str) -> bool:
    path = claim_path(folder, model)
    if not os.path.lexists(path):
        return False
    claimed = _decode_claim(path)
    if claimed is not None and is_live(folder, claimed):
        return False
    if claimed is None:  # the owner was killed between the rename and the write: the file still holds the request
        flag = _read_flag(path) or Flag(reason=UNREADABLE)
    else:
        flag = msgspec.structs.replace(claimed.flag, attempts=claimed.flag.attempts + 1)
    _restore_request(folder, model, flag)
    return True


def _restore_request(folder: Path, model: str, flag: Flag) -> None:
    """Turn a claim into a request; a newer request stays. It may be interrupted and repeated."""
    path = flag_path(folder, model)
    newer = _read_flag(path)
    if newer is None:
        write_durably(path, msgspec.json.encode(flag))
    elif (merged := _merge(newer, flag)) != newer:
        write_durably(path, msgspec.json.encode(merged))
    claim_path(folder, model).unlink(missing_ok=True)


def _merge(newer: Flag, older: Flag | None) -> Flag:
    """Keep of the older request that it was forced, and which request of the monitor it answers."""
    if older is None:
        return newer
    cause = newer.cause
    if cause.request_id is None:
        cause = msgspec.structs.replace(cause, request_id=older.cause.request_id)
    if cause.change_point is None:
        cause = msgspec.structs.replace(cause, change_point=older.cause.change_point)
    return msgspec.structs.replace(newer, force=newer.force or older.force, cause=cause)


def _read_flag(path: Path) -> Flag | None:
    content = _read(path)
    if content is None:
        return None
    raw, written_at = content
    if raw.strip() == b"":
        return Flag(requested_at=written_at)
    try:
        flag = msgspec.json.decode(raw, type=Flag)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Flag(reason=UNREADABLE, requested_at=written_at)
    return flag if flag.requested_at else msgspec.structs.replace(flag, requested_at=written_at)


def _decode_claim(path: Path) -> Claim | None:
    content = _read(path)
    try:
        return msgspec.json.decode(content[0], type=Claim) if content else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _read(path: Path) -> tuple[bytes, float] | None:
    """Read the content and time of a file; None if there is none. A symbolic link is not followed."""
    try:
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            return b"?", status.st_mtime
        with path.open("rb") as file:
            return file.read(MAX_BYTES), status.st_mtime
    except FileNotFoundError:
        return None
    except OSError:
        return b"?", 0.0


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time move claims. Writing a request needs no lock."""
    try:
        with FileLock(folder / LOCK_NAME) as lock:
            lock.acquire()
            yield
    except OSError as error:
        raise TransientError(f"{folder}: flags cannot be claimed: {error.strerror}", 10.0) from error
