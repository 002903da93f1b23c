"""Whether this program can run a model file, found out by a child process with limits.

A bad file may be more than wrong: it may ask for all memory or never end. The child (`bgpdrift.models.verify`) reads and
runs it with the readers' own code; what it does to itself stops there.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from bgpdrift.errors import ArtifactError, BgpdriftError, DigestMismatchError, TransientError
from bgpdrift.process.child import run_command
from bgpdrift.settings_sections import DetectorSettings

Verify = Callable[[Path, str, int], None]
"""How a file is tried: file, model, history minutes; as `verify_file` does it."""
CPU_LIMIT_S = 30
WALL_LIMIT_S = 120.0
MEMORY_LIMIT_BYTES = 2_000_000_000
EXIT_GOOD, EXIT_BAD, EXIT_DAMAGED, EXIT_DISK = 0, 3, 4, 5
DEFAULT_HISTORY_MINUTES = DetectorSettings().history_minutes


def verify_file(path: Path, model: str, history_minutes: int = DEFAULT_HISTORY_MINUTES) -> None:
    """Let a child read a file, build its detector and run its self-test.

    Raises
    ------
    ArtifactError
        It will never do, with the child's reason; `DigestMismatchError` for bytes that are not those written.
    TransientError
        The child could not be run to its end; nothing is known of the file.
    """
    command = [sys.executable, "-m", "bgpdrift.models.verify", str(path), model, str(history_minutes)]
    try:
        child = run_command(command, WALL_LIMIT_S)
    except TimeoutError as error:
        raise TransientError(f"{path.name}: not verified within {WALL_LIMIT_S:.0f} s") from error
    except OSError as error:
        raise TransientError(f"{path.name}: cannot start a process to verify it: {error.strerror}") from error
    lines = (child.stdout.strip() or child.stderr.strip()).splitlines()
    problem = explained(path.name, child.exit_code, lines[-1] if lines else "")
    if problem is not None:
        raise problem


def explained(name: str, code: int, said: str) -> BgpdriftError | None:
    """Say what the end of the child means for the file it tried; None if it is good.

    Parameters
    ----------
    name : str
        The file.
    code : int
        Exit code, or the negative number of a signal.
    said : str
        The child's last line.

    Examples
    --------
    >>> explained("lstm.safetensors", -signal.SIGXCPU, "")
    ArtifactError('lstm.safetensors: tried for 30 s of processor time without coming to an end')
    >>> explained("lstm.safetensors", -signal.SIGKILL, "")
    TransientError('lstm.safetensors: not verified: the process was killed from outside')
    """
    if code == EXIT_GOOD:
        return None
    if code == EXIT_DAMAGED:
        return DigestMismatchError(name, *said.split()[-2:])
    if code == EXIT_BAD:
        return ArtifactError(said)
    if code == EXIT_DISK:
        return TransientError(f"{name}: not verified: {said}")
    if code == -signal.SIGKILL:  # by a person or for want of memory on the machine: no word on the file
        return TransientError(f"{name}: not verified: the process was killed from outside")
    if code == -signal.SIGXCPU:
        return ArtifactError(f"{name}: tried for {CPU_LIMIT_S} s of processor time without coming to an end")
    return ArtifactError(f"{name}: the process that tried it ended with {code}: {said or 'nothing said'}")
