"""What is put right at a start: whatever a process that died in the middle of its work left in the artifact directory.

Unfinished writes of the dead are removed. A current file that is missing or damaged is replaced by the newest backup that
verifies, and set aside. A whole file that this program merely cannot run is left in place: on a shared directory another
host may be newer than we are, and readers fall back by themselves (`bgpdrift.models.loading`). Flags and claims are
`bgpdrift.models.flags`' affair.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import ArtifactError, DigestMismatchError, LockHeldError, TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.paths import CANDIDATES, REJECTED, backup_paths, current_path, publish_lock_path
from bgpdrift.models.rejection import set_aside
from bgpdrift.models.verification import DEFAULT_HISTORY_MINUTES, Verify, verify_file
from bgpdrift.process.durable import remove_stale_stages, write_durably
from bgpdrift.process.locks import hold_lock


def recover(
    folder: Path, now: float, *, history_minutes: int = DEFAULT_HISTORY_MINUTES, verify: Verify = verify_file
) -> list[str]:
    """Put the artifact directory right; safe at any time and in several processes at once.

    Parameters
    ----------
    folder : Path
        The artifact directory; nothing is done if it is not there.
    now : float
        Wall clock, epoch seconds, for the notes.
    history_minutes : int
        Setting ``detectors.history_minutes``.
    verify : callable
        How a backup is tried.

    Returns
    -------
    list of str
        What was done or could not be, a line each; empty where all was well.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails.
    """
    if not folder.is_dir():
        return []
    said = []
    for place in (folder, folder / CANDIDATES, folder / REJECTED):
        said += [f"{stage.name}: unfinished, its writer is gone; removed" for stage in remove_stale_stages(place)]
    for model in MODELS:
        if current_path(folder, model).exists() or backup_paths(folder, model):
            try:
                with hold_lock(publish_lock_path(folder, model), f"{model}: another process is publishing it"):
                    said += _restore(folder, model, now, partial(_tried, verify, model, history_minutes))
            except LockHeldError:
                continue  # it will leave a good file or none of its own
    return said


def _tried(verify: Verify, model: str, history_minutes: int, file: Path) -> None:
    verify(file, model, history_minutes)


def _restore(folder: Path, model: str, now: float, verify: Callable[[Path], None]) -> list[str]:
    path = current_path(folder, model)
    if path.is_dir():
        return [f"{path.name}: a folder in place of the model; remove it"]
    wrong = _what_is_wrong(path, model)
    if not wrong:
        return []
    said = []
    for backup in backup_paths(folder, model):
        try:
            verify(backup)
            raw = backup.read_bytes()
            version = artifacts.from_bytes(raw, backup.name, model).version
        except (ArtifactError, TransientError, OSError) as error:
            said.append(f"{backup.name}: no help: {error}")
            continue
        if path.exists():
            try:
                set_aside(folder, path, model, "", wrong, now)
            except OSError as error:
                raise TransientError(f"{path}: cannot be set aside: {error.strerror}", 10.0) from error
        write_durably(path, raw)
        return [*said, f"{wrong}; version {version} of {backup.name} put in its place"]
    return [*said, f"{wrong}; no backup to put in its place"]


def _what_is_wrong(path: Path, model: str) -> str:
    """Why a current file must be replaced; empty if it must not."""
    if not path.exists():
        return f"{path.name}: missing"
    try:
        artifacts.read(path, model)
    except DigestMismatchError as error:
        return str(error)
    except ArtifactError as error:
        # A disk that cannot be read now may be readable later; a whole file of another program is not ours to judge.
        return "" if isinstance(error.__cause__, OSError) or _names_its_maker(path) else str(error)
    return ""


def _names_its_maker(path: Path) -> bool:
    try:
        raw = artifacts.read_once(path).raw
        header = msgspec.json.decode(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        return "bgpdrift" in header["__metadata__"]
    except (OSError, ArtifactError, msgspec.MsgspecError, KeyError, TypeError):
        return False
