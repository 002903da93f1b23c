"""Trial of a model file in a child process with limits: ``python -m bgpdrift.models.verification FILE MODEL [HISTORY_MINUTES]``.

A bad file may allocate all memory or never end. Therefore a child checks the digest and the metadata, builds the detector
and runs the self-test, with the code of the readers. Exit code 0 means that the file is good; otherwise the
last line of output states the problem. The child sets its limits before it imports anything large.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from bgpdrift.errors import ArtifactError, BgpdriftError, DigestMismatchError, TransientError
from bgpdrift.process.child import limit_own_resources, run_command
from bgpdrift.settings_sections import DetectorSettings

Verify = Callable[[Path, str, int], None]
"""A function that tries a file, as `verify_file` does: file, model, history minutes."""
CPU_LIMIT_S = 30
WALL_LIMIT_S = 120.0
MEMORY_LIMIT_BYTES = 2_000_000_000
EXIT_GOOD, EXIT_BAD, EXIT_DAMAGED, EXIT_DISK = 0, 3, 4, 5
DEFAULT_HISTORY_MINUTES = DetectorSettings().history_minutes


def verify_file(path: Path, model: str, history_minutes: int = DEFAULT_HISTORY_MINUTES) -> None:
    """Try a file in a child process.

    Raises
    ------
    ArtifactError
        The file is not usable, for the child's reason; `DigestMismatchError` if it is damaged.
    TransientError
        The child could not finish; nothing is known about the file.
    """
    command = [sys.executable, "-m", "bgpdrift.models.verification", str(path), model, str(history_minutes)]
    try:
        child = run_command(command, WALL_LIMIT_S)
    except TimeoutError as error:
        raise TransientError(f"{path.name}: not verified within {WALL_LIMIT_S:.0f} s") from error
    except OSError as error:
        raise TransientError(f"{path.name}: cannot start a process to verify it: {error.strerror}") from error
    lines = (child.stdout.strip() or child.stderr.strip()).splitlines()
    problem = interpret_exit(path.name, child.exit_code, lines[-1] if lines else "")
    if problem is not None:
        raise problem


def interpret_exit(name: str, code: int, line: str) -> BgpdriftError | None:
    """Interpret the end of the child; None if the file is good.

    Parameters
    ----------
    name : str
        The file.
    code : int
        Exit code, or the negative number of a signal.
    line : str
        The child's last line of output.

    Examples
    --------
    >>> interpret_exit("lstm.safetensors", -signal.SIGXCPU, "")
    ArtifactError('lstm.safetensors: the trial did not end within 30 s of processor time')
    >>> interpret_exit("lstm.safetensors", -signal.SIGKILL, "")
    TransientError('lstm.safetensors: not verified: another process killed the trial')
    """
    if code == EXIT_GOOD:
        return None
    if code == EXIT_DAMAGED:
        return DigestMismatchError(name, *line.split()[-2:])
    if code == EXIT_BAD:
        return ArtifactError(line)
    if code == EXIT_DISK:
        return TransientError(f"{name}: not verified: {line}")
    if code == -signal.SIGKILL:  # a person, or the kernel because memory ran out: no evidence against the file
        return TransientError(f"{name}: not verified: another process killed the trial")
    if code == -signal.SIGXCPU:
        return ArtifactError(f"{name}: the trial did not end within {CPU_LIMIT_S} s of processor time")
    return ArtifactError(f"{name}: the trial ended with {code}: {line or 'no output'}")


def main(arguments: list[str]) -> int:
    """Try a file in this process; the exit code."""
    limit_own_resources(CPU_LIMIT_S, MEMORY_LIMIT_BYTES)
    from bgpdrift.models import artifact
    from bgpdrift.models.loading import builder
    from bgpdrift.models.self_test import run_self_test

    path, model = Path(arguments[0]), arguments[1]
    history_minutes = int(arguments[2]) if len(arguments) > 2 else DEFAULT_HISTORY_MINUTES
    try:
        decoded = artifact.from_bytes(artifact.read_once(path).raw, path.name, model)
        run_self_test(decoded, builder(model, history_minutes))
    except DigestMismatchError as error:
        print("expected and found:", error.expected or "-", error.actual or "-")
        return EXIT_DAMAGED
    except ArtifactError as error:
        print(" ".join(str(error).split()))
        return EXIT_BAD
    except OSError as error:
        print(f"{path}: cannot be read: {error.strerror}")
        return EXIT_DISK
    except MemoryError:
        print(f"{path.name}: needs more than {MEMORY_LIMIT_BYTES:,} bytes of memory")
        return EXIT_BAD
    return EXIT_GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
