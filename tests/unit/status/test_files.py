"""Flags, claims, models and the run at work, as they lie on the disk; whatever lies there is an answer."""

import json
import os

import pytest

from bgpdrift.models.flags import Flag, claim, drop
from bgpdrift.models.paths import current_path
from bgpdrift.process.identity import identify_self
from bgpdrift.status.files import flag_of, header_of, look, progress


def test_the_header_of_the_packaged_model_is_read_without_reading_the_model():
    from importlib.resources import files

    found = header_of(files("bgpdrift.detectors") / "defaults" / "heuristic.safetensors")
    assert (found.version, found.problem) == ("default-1", "")


@pytest.mark.parametrize(
    "raw", [b"", b"half", b"\x00" * 40, b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null"]
)
def test_a_file_that_is_no_model_is_named_and_raises_nothing(tmp_path, raw):
    path = current_path(tmp_path, "lstm")
    path.write_bytes(raw)
    assert "lstm.safetensors is no model" in header_of(path).problem


def test_a_directory_in_place_of_a_model_cannot_be_read(tmp_path):
    current_path(tmp_path, "lstm").mkdir()
    assert "cannot be read" in header_of(current_path(tmp_path, "lstm")).problem


def test_a_missing_model_is_no_problem_but_missing(tmp_path):
    found = header_of(tmp_path / "lstm.safetensors")
    assert (found.exists, found.problem) == (False, "")


def test_a_flag_that_was_dropped_waits_and_says_who_asked(tmp_path):
    drop(tmp_path, "lstm", Flag("drift", "drift_monitor", requested_at=5.0, attempts=2))
    found = flag_of(tmp_path, "lstm")
    assert (found.state, found.requested_by, found.reason, found.attempts) == ("waiting", "drift_monitor", "drift", 2)
    assert found.requested_at == 5.0


def test_a_touched_flag_waits_since_it_was_touched(tmp_path):
    path = tmp_path / "retrain_lstm.flag"
    path.touch()
    os.utime(path, (77, 77))
    assert flag_of(tmp_path, "lstm").requested_at == 77


def test_a_claim_is_told_from_one_whose_owner_is_gone(tmp_path):
    drop(tmp_path, "lstm", Flag("drift"))
    claim(tmp_path, "lstm", identify_self())
    assert flag_of(tmp_path, "lstm").state == "claimed"
    path = tmp_path / "retrain_lstm.flag.claimed"
    held = json.loads(path.read_text())
    held["owner"]["start_time"] += 1
    path.write_text(json.dumps(held))
    assert flag_of(tmp_path, "lstm").state == "orphaned"


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"[1]", b"{", b"[" * 5_000, b'{"owner": 7, "flag": 7}'])
@pytest.mark.parametrize("name", ["retrain_lstm.flag", "retrain_lstm.flag.claimed", "retrain.lock"])
def test_garbage_in_place_of_a_flag_claim_or_lock_raises_nothing(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    found = look(tmp_path, tmp_path)
    assert found.running is None
    assert ("lstm" in found.flags) == (name != "retrain.lock")


def test_the_run_at_work_is_told_with_phase_and_progress(system, constants):
    system.claim("lstm")
    system.says("lstm", {"event": "retrain.progress", "phase": "calibrate", "share": 0.5, "done": 0.5})
    found = system.status(constants.NOW).running
    assert (found.model, found.pid, found.phase, found.done) == ("lstm", os.getpid(), "calibrate", 0.5)


def test_progress_of_an_earlier_run_is_not_taken_for_this_one(system, constants):
    system.claim("lstm")
    system.says("lstm", {"event": "retrain.progress", "phase": "calibrate", "share": 0.5, "done": 0.5})
    os.utime(system.settings.logs_path / "retrain_lstm.ndjson", (constants.NOW - 10_000, constants.NOW - 10_000))
    found = system.status(constants.NOW).running
    assert (found.phase, found.done) == ("", None)


def test_a_claim_without_a_lock_yet_is_a_run_that_has_not_said_how_far_it_is(system, constants):
    system.claim("lstm")
    (system.settings.artifacts_path / "retrain.lock").unlink()
    assert system.status(constants.NOW).running.phase == ""


def test_a_lock_whose_holder_is_gone_is_no_run(tmp_path):
    (tmp_path / "retrain.lock").write_text(json.dumps({"model": "lstm", "owner": {"pid": 1}, "since": 5.0}))
    assert look(tmp_path, tmp_path).running is None


def test_a_line_that_is_being_written_does_not_hide_the_one_before():
    lines = b'{"event":"retrain.progress","phase":"read","done":0.05}\n{"event":"retrain.progress","pha'
    assert progress(lines) == ("read", 0.05)
