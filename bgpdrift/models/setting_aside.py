"""Move a current file that failed out of the way, without ever touching one that was published in its place.

Decides when that is safe: only while holding the lock of all publishers, only the very file that failed (device and
inode), and only a plain file. A symbolic link is its maker's: it stays, refused until it leads elsewhere.
"""

import contextlib
import os
import stat as stat_module
from pathlib import Path

from bgpdrift.errors import TransientError
from bgpdrift.models.artifact import Identity
from bgpdrift.models.paths import REJECTED, publish_lock_path
from bgpdrift.models.publication import reject
from bgpdrift.process.durable import STAGE_SUFFIX
from bgpdrift.process.locks import RETRY_S, hold_lock


def set_aside(path: Path, model: str, identity: Identity, reason: str, now: float) -> Path | None:
    """Move the current file to ``rejected/`` with its reason, if it is still the one that failed.

    Parameters
    ----------
    path : Path
        The current file.
    model : str
        Whose.
    identity : Identity
        Of the file that failed.
    reason : str
        For the note beside it.
    now : float
        Wall clock, epoch seconds.

    Returns
    -------
    Path or None
        Where it lies now; None if there was nothing to move: it is gone, replaced, a link, or no plain file.

    Raises
    ------
    TransientError
        A publisher is at work, or the folder cannot be written.
    """
    if not _is_still(path, identity):
        return None
    folder = path.parent
    with hold_lock(publish_lock_path(folder, model), f"{model}: another process is publishing it"):
        if not _is_still(path, identity):
            return None
        # Somebody's plain `mv` knows no lock. A rename takes whatever lies there in one step; what was not meant goes back.
        taken = folder / REJECTED / f".{path.name}.{os.getpid()}{STAGE_SUFFIX}"  # swept should we die here
        try:
            taken.parent.mkdir(parents=True, exist_ok=True)
            path.rename(taken)
            if not _is_still(taken, identity):
                with contextlib.suppress(FileExistsError):
                    os.link(taken, path)
                taken.unlink()
                return None
        except OSError as error:
            raise TransientError(f"{path}: cannot be set aside: {error.strerror}", RETRY_S) from error
        return reject(folder, taken, model, reason, now)


def _is_still(path: Path, identity: Identity) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat_module.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) == identity[:2]
