"""What the end of the process that verifies a model means for the model."""

import signal
import subprocess
import sys

import pytest

from bgpdrift.errors import ArtifactError, DigestMismatchError, TransientError
from bgpdrift.models import verification
from bgpdrift.models.verification import find_problem


@pytest.mark.parametrize(
    ("code", "last_line", "error_type", "match"),
    [
        (verification.EXIT_BAD, "self-test failed", ArtifactError, "^self-test failed$"),
        (verification.EXIT_DAMAGED, "expected and found: aa bb", DigestMismatchError, "bb… found, aa… expected"),
        (verification.EXIT_DISK, "Input/output error", TransientError, "not verified: Input/output error"),
        (1, "ImportError: numpy", ArtifactError, "ended with 1: ImportError"),
        (-signal.SIGSEGV, "", ArtifactError, "ended with -11: no output"),
        (-signal.SIGXCPU, "", ArtifactError, "did not finish within"),
        (-signal.SIGKILL, "", TransientError, "killed by another process"),
    ],
)
def test_each_end_is_attributed_to_the_model_or_to_the_machine(code, last_line, error_type, match) -> None:
    problem = find_problem("m", code, last_line)
    assert type(problem) is error_type
    with pytest.raises(error_type, match=match):
        raise problem


def test_exit_code_0_is_a_usable_model() -> None:
    assert find_problem("m", 0, "") is None


def verify_with(setup: str, path, limit: str) -> subprocess.CompletedProcess[str]:
    """Run the child's program with a smaller limit; ``setup`` replaces the self-test."""
    call = f"sys.exit(verify.main([{str(path)!r}, 'heuristic']))"
    code = f"import sys; from bgpdrift.models import artifact, verify; verify.{limit}; {setup}; {call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_a_self_test_that_never_ends_is_stopped(tmp_path, bytes_of) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes_of("1"))
    endless = "artifact.run_self_test = lambda *_: [0 for _ in iter(int, 1)]"
    done = verify_with(endless, path, "CPU_LIMIT_S = 2")
    assert done.returncode == -signal.SIGXCPU, done


def test_a_model_that_allocates_too_much_memory_is_refused(tmp_path, bytes_of) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes_of("1"))
    greedy = "artifact.run_self_test = lambda *_: bytearray(3 * 10**9)"
    done = verify_with(greedy, path, "MEMORY_LIMIT_BYTES = 2 * 10**9")
    assert (done.returncode, "needs more than" in done.stdout) == (verification.EXIT_BAD, True), done
