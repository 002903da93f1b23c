"""What the end of the trial of a file means, and that the limits of the trial hold."""

import signal
import subprocess
import sys

import pytest

from bgpdrift.errors import ArtifactError, DigestMismatchError, TransientError
from bgpdrift.models import verification
from bgpdrift.models.verification import interpret_exit


@pytest.mark.parametrize(
    ("code", "line", "expected", "match"),
    [
        (verification.EXIT_BAD, "m: self-test failed", ArtifactError, "self-test failed"),
        (verification.EXIT_DAMAGED, "expected and found: aa bb", DigestMismatchError, "bb… found, aa… expected"),
        (verification.EXIT_DISK, "m: cannot be read: EIO", TransientError, "EIO"),
        (1, "ImportError: no torch", ArtifactError, "ended with 1: ImportError"),
        (-signal.SIGSEGV, "", ArtifactError, "ended with -11: no output"),
        (-signal.SIGXCPU, "", ArtifactError, "did not end within"),
        (-signal.SIGKILL, "", TransientError, "another process killed"),
    ],
    ids=["bad", "damaged", "disk", "crash", "signal", "processor time", "killed"],
)
def test_the_end_of_a_trial_tells_a_bad_file_from_a_fault_of_the_machine(code, line, expected, match) -> None:
    problem = interpret_exit("m", code, line)
    assert type(problem) is expected
    with pytest.raises(expected, match=match):
        raise problem


def run_trial(setup: str, path, limit: str) -> subprocess.CompletedProcess[str]:
    """Run the trial with a smaller limit; ``setup`` replaces the self-test."""
    call = f"sys.exit(verification.main([{str(path)!r}, 'heuristic']))"
    code = f"import sys; from bgpdrift.models import self_test, verification; verification.{limit}; {setup}; {call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_a_self_test_that_does_not_end_is_stopped(tmp_path, bytes_of) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes_of("1"))
    endless = "self_test.run_self_test = lambda *_: [0 for _ in iter(int, 1)]"
    done = run_trial(endless, path, "CPU_LIMIT_S = 2")
    assert done.returncode == -signal.SIGXCPU, done


def test_a_self_test_that_needs_too_much_memory_is_refused(tmp_path, bytes_of) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes_of("1"))
    greedy = "self_test.run_self_test = lambda *_: bytearray(3 * 10**9)"
    done = run_trial(greedy, path, "MEMORY_LIMIT_BYTES = 2 * 10**9")
    assert (done.returncode, "needs more than" in done.stdout) == (verification.EXIT_BAD, True), done
