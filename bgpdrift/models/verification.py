"""Verifies a model file in a child process with limits.

A bad file may allocate all memory or never end. The child (`bgpdrift.models.verify`) reads and runs the file with the code
that detectors use; a crash or an endless loop is confined to the child.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from bgpdrift.errors import ArtifactError, BgpdriftError, DigestMismatchError, TransientError
from bgpdrift.process.child import run_command
from bgpdrift.settings_sections import DetectorSettings

Verify = Callable[[Path, str, int], None]
"""Verifies a file: path, model, history minutes; see `verify_file`."""
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
        The file is not usable, with the child's reason; `DigestMismatchError` if its bytes are not those that were written.
    TransientError
        The child did not finish, so that nothing is known of the file.
    """
    command = [sys.executable, "-m", "bgpdrift.models.verify", str(path), model, str(history_minutes)]
    try:
        child = run_command(command, WALL_LIMIT_S)
    except TimeoutError as error:
        raise TransientError(f"{path.name}: not verified within {WALL_LIMIT_S:.0f} s") from error
    except OSError as error:
        raise TransientError(f"{path.name}: cannot start a process to verify it: {error.strerror}") from error
    lines = (child.stdout.strip() or child.stderr.strip()).splitlines()
    problem = find_problem(path.name, child.exit_code, lines[-1] if lines else "")
    if problem is not None:
        raise problem


def find_problem(name: str, code: int, last_line: str) -> BgpdriftError | None:
    """Return what the end of the child means for the file; None for a usable file.

    Parameters
    ----------
    name : str
        The file.
    code : int
        Exit code, or the negative number of a signal.
    last_line : str
        The last line of the child's output.

    Examples
    --------
    >>> find_problem("lstm.safetensors", -signal.SIGXCPU, "")
    ArtifactError('lstm.safetensors: verification did not finish within 30 s of processor time')
    >>> find_problem("lstm.safetensors", -signal.SIGKILL, "")
    TransientError('lstm.safetensors: not verified: the process was killed by another process')
    """
    if code == EXIT_GOOD:
        return None
    if code == EXIT_DAMAGED:
        return DigestMismatchError(name, *last_line.split()[-2:])
    if code == EXIT_BAD:
        return ArtifactError(last_line)
    if code == EXIT_DISK:
        return TransientError(f"{name}: not verified: {last_line}")
    if code == -signal.SIGKILL:  # by a person, or because the machine ran out of memory: nothing is known of the file
        return TransientError(f"{name}: not verified: the process was killed by another process")
    if code == -signal.SIGXCPU:
        return ArtifactError(f"{name}: verification did not finish within {CPU_LIMIT_S} s of processor time")
    return ArtifactError(f"{name}: the process that verified it ended with {code}: {last_line or 'no output'}")
