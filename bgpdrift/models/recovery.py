"""Repair of the artifact directory after a process was killed in the middle of its work.

Stages whose writer has ended are removed. A current file that is missing or damaged is quarantined and replaced by the
newest backup that verifies. A whole file that this program cannot run stays: on a shared directory another host may have a
newer program, and readers fall back by themselves (`bgpdrift.models.loading`). `bgpdrift.models.flags` repairs claims.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import ArtifactError, DigestMismatchError, LockHeldError, TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.paths import CANDIDATES, REJECTED, backup_paths, current_path, publish_lock_path
from bgpdrift.models.quarantine import link_into_rejected
from bgpdrift.models.verification import DEFAULT_HISTORY_MINUTES, Verify, verify_file
from bgpdrift.process.durable import remove_stale_stages, write_durably
from bgpdrift.process.locks import hold_lock


def recover(
    folder: Path, now: float, *, history_minutes: int = DEFAULT_HISTORY_MINUTES, verify: Verify = verify_file
) -> list[str]:
    """Repair the artifact directory; safe at any time and in several processes at once.

    Parameters
    ----------
    folder : Path
        The artifact directory; nothing is done if it does not exist.
    now : float
        Wall clock, epoch seconds, for the notes.
    history_minutes : int
        Setting ``detectors.history_minutes``.
    verify : callable
        Tries a backup.

    Returns
    -------
    list of str
        What was repaired or could not be repaired, one line each.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails.
    """
    if not folder.is_dir():
        return []
    messages = []
    for directory in (folder, folder / CANDIDATES, folder / REJECTED):
        messages += [
            f"{stage.name}: removed an unfinished write whose process ended" for stage in remove_stale_stages(directory)
        ]
    for model in MODELS:
        if current_path(folder, model).exists() or backup_paths(folder, model):
            try:
                with hold_lock(publish_lock_path(folder, model), f"{model}: another process is publishing it"):
                    messages += _restore(folder, model, now, partial(_verify, verify, model, history_minutes))
            except LockHeldError:
                continue  # the publisher leaves a good file
    return messages


def _verify(verify: Verify, model: str, history_minutes: int, file: Path) -> None:
    verify(file, model, history_minutes)


def _restore(folder: Path, model: str, now: float, verify: Callable[[Path], None]) -> list[str]:
    path = current_path(folder, model)
    if path.is_dir():
        return [f"{path.name}: a directory in place of the model file; remove it"]
    problem = _find_problem(path, model)
    if not problem:
        return []
    messages = []
    for backup in backup_paths(folder, model):
        try:
            verify(backup)
            raw = backup.read_bytes()
            version = artifacts.from_bytes(raw, backup.name, model).version
        except (ArtifactError, TransientError, OSError) as error:
            messages.append(f"{backup.name}: the backup cannot be used: {error}")
            continue
        if path.exists():
            try:
                link_into_rejected(folder, path, model, "", problem, now)
            except OSError as error:
                raise TransientError(f"{path}: cannot be moved to {REJECTED}/: {error.strerror}", 10.0) from error
        write_durably(path, raw)
        return [*messages, f"{problem}; restored version {version} from {backup.name}"]
    return [*messages, f"{problem}; there is no usable backup"]


def _find_problem(path: Path, model: str) -> str:
    """Find why a current file must be replaced; empty if it must not."""
    if not path.exists():
        return f"{path.name}: missing"
    try:
        artifacts.read(path, model)
    except DigestMismatchError as error:
        return str(error)
    except ArtifactError as error:
        # A file that cannot be read now may be readable later, and a whole file may suit another program.
        return "" if isinstance(error.__cause__, OSError) or _has_metadata(path) else str(error)
    return ""


def _has_metadata(path: Path) -> bool:
    try:
        raw = artifacts.read_once(path).raw
        header = msgspec.json.decode(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        return "bgpdrift" in header["__metadata__"]
    except (OSError, ArtifactError, msgspec.MsgspecError, KeyError, TypeError):
        return False
