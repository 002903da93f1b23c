"""What the end of the process that tries a model means for the model."""

import signal
import subprocess
import sys

import pytest

from bgpdrift.errors import ArtifactError, DigestMismatchError, TransientError
from bgpdrift.models import verification
from bgpdrift.models.verification import explained


@pytest.mark.parametrize(
    ("code", "said", "meaning", "match"),
    [
        (verification.EXIT_BAD, "self-test failed", ArtifactError, "^self-test failed$"),
        (verification.EXIT_DAMAGED, "expected and found: aa bb", DigestMismatchError, "bb… found, aa… expected"),
        (verification.EXIT_DISK, "Input/output error", TransientError, "not verified: Input/output error"),
        (1, "ImportError: numpy", ArtifactError, "ended with 1: ImportError"),
        (-signal.SIGSEGV, "", ArtifactError, "ended with -11: nothing said"),
        (-signal.SIGXCPU, "", ArtifactError, "without coming to an end"),
        (-signal.SIGKILL, "", TransientError, "killed from outside"),
    ],
)
def test_each_end_blames_the_model_or_the_machine(code, said, meaning, match) -> None:
    problem = explained("m", code, said)
    assert type(problem) is meaning
    with pytest.raises(meaning, match=match):
        raise problem


def test_a_clean_end_is_a_good_model() -> None:
    assert explained("m", 0, "") is None


def tried_with(setup: str, path, limit: str) -> subprocess.CompletedProcess[str]:
    """The child's own program with a smaller limit; ``setup`` makes the model misbehave."""
    call = f"sys.exit(verify.main([{str(path)!r}, 'heuristic']))"
    code = f"import sys; from bgpdrift.models import artifact, verify; verify.{limit}; {setup}; {call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_a_model_that_never_comes_to_an_end_is_stopped(tmp_path, bytes_of) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes_of("1"))
    endless = "artifact.run_self_test = lambda *_: [0 for _ in iter(int, 1)]"
    done = tried_with(endless, path, "CPU_LIMIT_S = 2")
    assert done.returncode == -signal.SIGXCPU, done


def test_a_model_that_asks_for_all_memory_is_refused(tmp_path, bytes_of) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes_of("1"))
    greedy = "artifact.run_self_test = lambda *_: bytearray(3 * 10**9)"
    done = tried_with(greedy, path, "MEMORY_LIMIT_BYTES = 2 * 10**9")
    assert (done.returncode, "needs more than" in done.stdout) == (verification.EXIT_BAD, True), done
