"""Requests to retrain as files: who drops one, who takes it, what becomes of it when the taker dies.

``retrain_<model>.flag`` is a request: empty (``touch``) or JSON; content nobody can read is still a request. Taking it
renames it to ``.flag.claimed`` and writes the owner into it. A claim whose owner is gone goes back to being a request;
a request that comes while a claim is held waits for the next run. However many are dropped, there is one file: a
thousand requests are one run, and a wish of the drift monitor that waits is answered by whatever is dropped on top of it.
Whether a request is allowed (cooldown, approval) is not decided here.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import TransientError
from bgpdrift.models.publication import write_durably
from bgpdrift.process.identity import ProcessIdentity, is_alive
from bgpdrift.process.locks import FileLock

LOCK_NAME = ".flags.lock"
MOST_BYTES = 65_536
UNREADABLE = "unreadable"
KEPT_DETAILS = ("request_id", "change_point")
"""Details of a request that one dropped on top of it takes over."""
_PREFIX, _FLAG, _CLAIMED = "retrain_", ".flag", ".flag.claimed"


class Flag(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request to retrain a model."""

    reason: str = ""
    """For people; ``unreadable`` for a file with content that is no request."""
    requested_by: str = ""
    force: bool = False
    """Publish although the gate refuses its quality."""
    requested_at: float = 0.0
    """Wall clock, epoch seconds; 0 is unknown."""
    details: Mapping[str, Any] = {}
    """What caused it, as JSON: drift figures, the trigger's row."""
    attempts: int = 0
    """Runs that took this request and died of it."""


class Claim(msgspec.Struct, frozen=True):
    """A request that somebody works on."""

    model: str
    flag: Flag
    owner: ProcessIdentity


def flag_path(folder: Path, model: str) -> Path:
    """Where a request for a model lies."""
    return folder / f"{_PREFIX}{model}{_FLAG}"


def claim_path(folder: Path, model: str) -> Path:
    """Where a request lies while somebody works on it."""
    return folder / f"{_PREFIX}{model}{_CLAIMED}"


def drop(folder: Path, model: str, flag: Flag) -> None:
    """Ask for a run. A request that waits already is replaced, but a forced one stays forced.

    Raises
    ------
    TransientError
        The folder cannot be written.
    """
    path = flag_path(folder, model)
    waiting = _read_flag(path)
    write_durably(path, msgspec.json.encode(_merged(flag, waiting)))


def peek(folder: Path, model: str) -> Flag | None:
    """Read the request that waits, if any."""
    return _read_flag(flag_path(folder, model))


def waiting(folder: Path) -> list[str]:
    """Models somebody asked to retrain, by name."""
    found = (path.name for path in folder.glob(f"{_PREFIX}*{_FLAG}"))
    return sorted(name.removeprefix(_PREFIX).removesuffix(_FLAG) for name in found)


def claim(folder: Path, model: str, owner: ProcessIdentity) -> Claim | None:
    """Take the request of a model; None if there is none, or somebody alive works on one.

    A claim of a dead owner is first made a request again, so that it is not lost.
    """
    if not folder.is_dir():
        return None
    with _locked(folder):
        _requeue(folder, model)
        source, target = flag_path(folder, model), claim_path(folder, model)
        if os.path.lexists(target):
            return None
        flag = _read_flag(source)
        if flag is None:
            return None
        source.rename(target)
        # Read again: what was dropped between reading and renaming has just become ours.
        taken = Claim(model, _merged(_read_flag(target) or flag, flag), owner)
        write_durably(target, msgspec.json.encode(taken))
        return taken


def is_held(folder: Path, claimed: Claim) -> bool:
    """Whether the claim is still its owner's."""
    return _read_claim(claim_path(folder, claimed.model)) == claimed


def release(folder: Path, claimed: Claim) -> bool:
    """Say that the work on a request is over; False if the claim was no longer ours."""
    with _locked(folder):
        if not is_held(folder, claimed):
            return False
        claim_path(folder, claimed.model).unlink()
        return True


def give_back(folder: Path, claimed: Claim) -> bool:
    """Make a claim of ours a request again, for the next run; False if it was no longer ours."""
    with _locked(folder):
        if not is_held(folder, claimed):
            return False
        _put_back(folder, claimed.model, claimed.flag)
        return True


def held(folder: Path, model: str) -> Claim | None:
    """Read who works on a request of a model, dead or alive; None if nobody does, or it cannot be told."""
    return _read_claim(claim_path(folder, model))


def count_attempt(folder: Path, model: str) -> int:
    """Note that a run died before it could take the request that waits; how many did so far, 0 if none waits."""
    with _locked(folder):
        path = flag_path(folder, model)
        flag = _read_flag(path)
        if flag is None:
            return 0
        again = msgspec.structs.replace(flag, attempts=flag.attempts + 1)
        write_durably(path, msgspec.json.encode(again))
        return again.attempts


def withdraw(folder: Path, model: str) -> Flag | None:
    """Take a request that waits away, unanswered; what it was."""
    with _locked(folder):
        path = flag_path(folder, model)
        flag = _read_flag(path)
        path.unlink(missing_ok=True)
        return flag


def requeue_dead(folder: Path) -> list[str]:
    """Make claims whose owner is gone requests again; the models concerned."""
    if not folder.is_dir():
        return []
    models = sorted(
        path.name.removeprefix(_PREFIX).removesuffix(_CLAIMED) for path in folder.glob(f"{_PREFIX}*{_CLAIMED}")
    )
    if not models:
        return []
    with _locked(folder):
        return [model for model in models if _requeue(folder, model)]


def _requeue(folder: Path, model: str) -> bool:
    path = claim_path(folder, model)
    if not os.path.lexists(path):
        return False
    held = _read_claim(path)
    if held is not None and is_alive(held.owner):
        return False
    if held is None:  # died between taking it and writing its name into it: the request itself is in there
        flag = _read_flag(path) or Flag(reason=UNREADABLE)
    else:
        flag = msgspec.structs.replace(held.flag, attempts=held.flag.attempts + 1)
    _put_back(folder, model, flag)
    return True


def _put_back(folder: Path, model: str, flag: Flag) -> None:
    """Make a claim a request; one that came meanwhile is the newer and stays. Interrupted, it is done again."""
    path, newer = flag_path(folder, model), _read_flag(flag_path(folder, model))
    if newer is None:
        write_durably(path, msgspec.json.encode(flag))
    elif (both := _merged(newer, flag)) != newer:
        write_durably(path, msgspec.json.encode(both))
    claim_path(folder, model).unlink(missing_ok=True)


def _merged(newer: Flag, older: Flag | None) -> Flag:
    """The newer one, with what must not get lost of the older: that it was forced, and whose wish it answers."""
    if older is None:
        return newer
    kept = {name: older.details[name] for name in KEPT_DETAILS if name in older.details}
    return msgspec.structs.replace(newer, force=newer.force or older.force, details={**kept, **newer.details})


def _read_flag(path: Path) -> Flag | None:
    found = _read(path)
    if found is None:
        return None
    raw, written_at = found
    if raw.strip() == b"":
        return Flag(requested_at=written_at)
    try:
        flag = msgspec.json.decode(raw, type=Flag)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Flag(reason=UNREADABLE, requested_at=written_at)
    return flag if flag.requested_at else msgspec.structs.replace(flag, requested_at=written_at)


def _read_claim(path: Path) -> Claim | None:
    found = _read(path)
    try:
        return msgspec.json.decode(found[0], type=Claim) if found else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _read(path: Path) -> tuple[bytes, float] | None:
    """Content and time of a flag; None if there is none. A symlink or an unreadable file is one without words."""
    try:
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            return None
        if not stat.S_ISREG(found.st_mode):
            return b"?", found.st_mtime
        with path.open("rb") as file:
            return file.read(MOST_BYTES), found.st_mtime
    except FileNotFoundError:
        return None
    except OSError:
        return b"?", 0.0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time move claims. Writing a flag file needs no lock."""
    try:
        with FileLock(folder / LOCK_NAME) as lock:
            lock.acquire()
            yield
    except OSError as error:
        raise TransientError(f"{folder}: flags cannot be claimed: {error.strerror}", 10.0) from error
