"""Runs a program as another user than root, with its own view of ``/proc``; for system tests that run as root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

OTHER_UID = 61_234
"""A user that owns no other process."""
_READ_ALL = "+dac_read_search"
"""The interpreter may lie in a directory that only root may enter; this capability permits reading and nothing else."""
_HIDE_OTHERS = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'


def build_prefix(*, hides_others: bool = False) -> list[str]:
    """Build the words before a command that run it as `OTHER_UID`; the test is skipped where that is not possible.

    Parameters
    ----------
    hides_others : bool
        Whether ``/proc`` is mounted with ``hidepid=2``, which hides the processes of other users.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("unshare") is None:
        pytest.skip("running a program as another user needs root, setpriv and unshare")
    prefix = ["unshare", "-m", "--", "sh", "-c", _HIDE_OTHERS, "sh"] if hides_others else []
    user = ["--reuid", str(OTHER_UID), "--regid", str(OTHER_UID), "--clear-groups"]
    prefix += ["setpriv", *user, "--inh-caps", _READ_ALL, "--ambient-caps", _READ_ALL]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"cannot run a program as another user here: {tried.stderr.strip()}")
    return prefix


def give_to_other_user(*paths: Path) -> None:
    """Make the other user the owner of files and directories."""
    for path in paths:
        os.chown(path, OTHER_UID, OTHER_UID)
