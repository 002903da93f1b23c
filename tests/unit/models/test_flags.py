"""Requests to retrain: none is lost and none runs twice, for any content of the file and after any process ends."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import msgspec
import pytest

from bgpdrift.models import flags
from bgpdrift.models.flags import UNREADABLE, DriftCause, Flag
from bgpdrift.process.identity import ProcessIdentity, identify_self, is_alive

GONE = ProcessIdentity(pid=2**22 + 1, start_time=5, boot_id="another boot")


def recycled() -> ProcessIdentity:
    """A living pid with the start time of an earlier process: what pid reuse looks like."""
    return ProcessIdentity(os.getpid(), identify_self().start_time - 100, identify_self().boot_id)


def test_a_flag_is_claimed_with_its_reason_and_released(tmp_path):
    flags.drop(tmp_path, "lstm", Flag(reason="drift", requested_by="monitor", requested_at=7.0))

    claim = flags.claim(tmp_path, "lstm", identify_self())

    assert claim is not None
    assert (claim.flag.reason, claim.flag.requested_by) == ("drift", "monitor")
    assert not flags.flag_path(tmp_path, "lstm").exists()
    assert flags.release(tmp_path, claim)
    assert flags.claim(tmp_path, "lstm", identify_self()) is None


def test_touch_is_a_request(tmp_path):
    flags.flag_path(tmp_path, "heuristic").touch()
    claim = flags.claim(tmp_path, "heuristic", identify_self())
    assert claim is not None
    assert claim.flag.reason == ""
    assert claim.flag.requested_at > 0


@pytest.mark.parametrize(
    "content", [b"\x00\xff", b"retrain please", b"[1]", b'{"reason": 7}', b"{" * 5_000, b"[" * 70_000]
)
def test_a_flag_that_cannot_be_decoded_is_a_request(tmp_path, content):
    flags.flag_path(tmp_path, "lstm").write_bytes(content)
    claim = flags.claim(tmp_path, "lstm", identify_self())
    assert claim is not None
    assert claim.flag.reason == UNREADABLE
    assert not claim.flag.force


def test_a_symbolic_link_is_a_request_and_its_target_is_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("keep me")
    flags.flag_path(tmp_path, "lstm").symlink_to(secret)

    claim = flags.claim(tmp_path, "lstm", identify_self())

    assert claim is not None
    assert claim.flag.reason == UNREADABLE
    assert secret.read_text() == "keep me"


def test_a_directory_with_the_name_of_a_flag_is_no_request(tmp_path):
    flags.flag_path(tmp_path, "lstm").mkdir()
    assert flags.claim(tmp_path, "lstm", identify_self()) is None


def test_without_a_folder_there_is_no_request(tmp_path):
    assert flags.claim(tmp_path / "none", "lstm", identify_self()) is None
    assert flags.requeue_abandoned(tmp_path / "none") == []


def test_a_thousand_flags_are_one_run_and_a_forced_one_stays_forced(tmp_path):
    for number in range(1_000):
        flags.drop(tmp_path, "lstm", Flag(reason=str(number), force=number == 500))

    claim = flags.claim(tmp_path, "lstm", identify_self())

    assert claim is not None
    assert (claim.flag.reason, claim.flag.force) == ("999", True)
    flags.release(tmp_path, claim)
    assert flags.list_requested(tmp_path) == []


def test_a_flag_that_comes_during_a_run_starts_exactly_one_more(tmp_path):
    flags.drop(tmp_path, "lstm", Flag(reason="first"))
    first = flags.claim(tmp_path, "lstm", identify_self())
    for reason in ("second", "third"):
        flags.drop(tmp_path, "lstm", Flag(reason=reason))

    assert first is not None
    assert flags.claim(tmp_path, "lstm", identify_self()) is None  # one run at a time
    flags.release(tmp_path, first)
    again = flags.claim(tmp_path, "lstm", identify_self())
    assert again is not None
    assert again.flag.reason == "third"
    flags.release(tmp_path, again)
    assert flags.claim(tmp_path, "lstm", identify_self()) is None


@pytest.mark.parametrize("owner", [GONE, recycled(), ProcessIdentity()], ids=["another boot", "pid reused", "nobody"])
def test_a_claim_of_an_ended_process_becomes_a_request_and_counts_the_attempt(tmp_path, owner):
    flags.drop(tmp_path, "lstm", Flag(reason="drift", force=True))
    dead = flags.claim(tmp_path, "lstm", owner)

    assert flags.requeue_abandoned(tmp_path) == ["lstm"]
    assert flags.requeue_abandoned(tmp_path) == []
    again = flags.claim(tmp_path, "lstm", identify_self())

    assert again is not None
    assert (again.flag.reason, again.flag.force, again.flag.attempts) == ("drift", True, 1)
    assert dead is not None
    assert not flags.is_held(tmp_path, dead)
    assert not flags.release(tmp_path, dead), "the dead must not take away what the living work on"
    assert flags.is_held(tmp_path, again)


def test_a_claim_of_a_running_process_stays(tmp_path):
    flags.drop(tmp_path, "lstm", Flag())
    claim = flags.claim(tmp_path, "lstm", identify_self())
    assert claim is not None
    assert flags.requeue_abandoned(tmp_path) == []
    assert flags.is_held(tmp_path, claim)


def test_a_claim_without_an_owner_becomes_a_request(tmp_path):
    """Killed between the rename and writing its name."""
    flags.drop(tmp_path, "lstm", Flag(reason="drift"))
    flags.flag_path(tmp_path, "lstm").rename(flags.claim_path(tmp_path, "lstm"))

    assert flags.requeue_abandoned(tmp_path) == ["lstm"]
    found = flags.read_flag(tmp_path, "lstm")
    assert found is not None
    assert found.reason == "drift"


def test_an_abandoned_claim_and_a_newer_flag_become_one_forced_request(tmp_path):
    flags.drop(tmp_path, "lstm", Flag(reason="old", force=True))
    flags.claim(tmp_path, "lstm", GONE)
    flags.drop(tmp_path, "lstm", Flag(reason="new"))

    claim = flags.claim(tmp_path, "lstm", identify_self())

    assert claim is not None
    assert (claim.flag.reason, claim.flag.force) == ("new", True)
    assert flags.list_requested(tmp_path) == []


def test_a_claim_given_back_is_the_same_request(tmp_path):
    flags.drop(tmp_path, "lstm", Flag(reason="drift", requested_at=9.0))
    claim = flags.claim(tmp_path, "lstm", identify_self())
    assert claim is not None
    assert flags.give_back(tmp_path, claim)
    assert flags.read_flag(tmp_path, "lstm") == Flag(reason="drift", requested_at=9.0)
    assert not flags.claim_path(tmp_path, "lstm").exists()


def test_a_flag_is_claimed_only_for_its_model(tmp_path):
    flags.drop(tmp_path, "lstm", Flag())
    assert flags.claim(tmp_path, "heuristic", identify_self()) is None
    assert flags.list_requested(tmp_path) == ["lstm"]


def test_a_flag_file_is_readable_json(tmp_path):
    flags.drop(tmp_path, "lstm", Flag(reason="drift", cause=DriftCause(severity="high")))
    raw = flags.flag_path(tmp_path, "lstm").read_bytes()
    assert msgspec.json.decode(raw) == {"reason": "drift", "cause": {"severity": "high"}}


def _claim_and_answer(folder, gate, answers):
    gate.wait()
    answers.put(flags.claim(folder, "lstm", identify_self()) is not None)
    gate.wait()  # alive until everybody tried


def test_one_of_many_processes_claims_the_flag(tmp_path):
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(6), context.SimpleQueue()
    flags.drop(tmp_path, "lstm", Flag())
    processes = [context.Process(target=_claim_and_answer, args=(tmp_path, gate, answers)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert sorted(answers.get() for _ in processes) == [False] * 5 + [True]


def test_a_process_counts_as_ended_before_it_is_reaped():
    code = f"import sys; sys.path[:] = {sys.path!r}; from bgpdrift.process.identity import *; import msgspec, os\n"
    code += "os.write(1, msgspec.json.encode(identify_self())); os.close(1); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    owner = msgspec.json.decode(child.stdout.read(), type=ProcessIdentity)
    assert is_alive(owner)
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert not is_alive(owner)
    child.stdin.close()
    child.stdout.close()
    child.wait(30)
    assert not is_alive(owner)


def test_a_claim_in_a_copied_folder_is_a_request_again_and_the_original_stays_claimed(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    flags.drop(original, "lstm", Flag(reason="drift"))
    claim = flags.claim(original, "lstm", identify_self())
    shutil.copytree(original, copy)

    assert flags.requeue_abandoned(copy) == ["lstm"]
    flag = flags.read_flag(copy, "lstm")
    assert flag is not None
    assert flag.reason == "drift"
    assert flags.requeue_abandoned(original) == []
    assert claim is not None
    assert flags.is_held(original, claim)
