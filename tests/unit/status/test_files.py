"""Flag files, claims, model headers and the running retrainer; no file raises an error."""

import json
import os

import pytest

from bgpdrift.models.flags import Flag, claim, drop
from bgpdrift.models.paths import current_path
from bgpdrift.process.identity import identify_self
from bgpdrift.status.files import parse_progress, read_files, read_flag, read_header


def test_the_read_header_the_packaged_model_is_read_without_reading_the_model():
    from importlib.resources import files

    result = read_header(files("bgpdrift.detectors") / "defaults" / "heuristic.safetensors")
    assert (result.version, result.problem) == ("default-1", "")


@pytest.mark.parametrize(
    "raw", [b"", b"half", b"\x00" * 40, b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null"]
)
def test_a_file_that_is_not_a_model_is_named(tmp_path, raw):
    path = current_path(tmp_path, "lstm")
    path.write_bytes(raw)
    assert "lstm.safetensors is not a model file" in read_header(path).problem


def test_a_directory_in_place_of_a_model_cannot_be_read(tmp_path):
    current_path(tmp_path, "lstm").mkdir()
    assert "cannot be read" in read_header(current_path(tmp_path, "lstm")).problem


def test_a_missing_model_is_reported_as_missing(tmp_path):
    result = read_header(tmp_path / "lstm.safetensors")
    assert (result.exists, result.problem) == (False, "")


def test_a_flag_file_waits_and_names_who_requested_it(tmp_path):
    drop(tmp_path, "lstm", Flag("drift", "drift_monitor", requested_at=5.0, attempts=2))
    result = read_flag(tmp_path, "lstm")
    assert (result.state, result.requested_by, result.reason, result.attempts) == (
        "waiting",
        "drift_monitor",
        "drift",
        2,
    )
    assert result.requested_at == 5.0


def test_an_empty_flag_file_waits_since_its_modification(tmp_path):
    path = tmp_path / "retrain_lstm.flag"
    path.touch()
    os.utime(path, (77, 77))
    assert read_flag(tmp_path, "lstm").requested_at == 77


def test_a_claim_whose_owner_is_gone_is_orphaned(tmp_path):
    drop(tmp_path, "lstm", Flag("drift"))
    claim(tmp_path, "lstm", identify_self())
    assert read_flag(tmp_path, "lstm").state == "claimed"
    path = tmp_path / "retrain_lstm.flag.claimed"
    held = json.loads(path.read_text())
    held["owner"]["start_time"] += 1
    path.write_text(json.dumps(held))
    assert read_flag(tmp_path, "lstm").state == "orphaned"


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"[1]", b"{", b"[" * 5_000, b'{"owner": 7, "flag": 7}'])
@pytest.mark.parametrize("name", ["retrain_lstm.flag", "retrain_lstm.flag.claimed", "retrain.lock"])
def test_garbage_in_a_flag_claim_or_lock_is_no_error(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    result = read_files(tmp_path, tmp_path)
    assert result.running is None
    assert ("lstm" in result.flags) == (name != "retrain.lock")


def test_a_running_retrainer_is_shown_with_phase_and_progress(system, constants):
    system.claim("lstm")
    system.log_lines("lstm", {"event": "retrain.progress", "phase": "calibrate", "share": 0.5, "done": 0.5})
    result = system.status(constants.NOW).running
    assert (result.model, result.pid, result.phase, result.done) == ("lstm", os.getpid(), "calibrate", 0.5)


def test_the_progress_of_an_earlier_run_is_ignored(system, constants):
    system.claim("lstm")
    system.log_lines("lstm", {"event": "retrain.progress", "phase": "calibrate", "share": 0.5, "done": 0.5})
    os.utime(system.settings.logs_path / "retrain_lstm.ndjson", (constants.NOW - 10_000, constants.NOW - 10_000))
    result = system.status(constants.NOW).running
    assert (result.phase, result.done) == ("", None)


def test_a_claim_without_a_lock_is_a_run_without_progress(system, constants):
    system.claim("lstm")
    (system.settings.artifacts_path / "retrain.lock").unlink()
    assert system.status(constants.NOW).running.phase == ""


def test_a_lock_whose_holder_is_gone_is_not_a_run(tmp_path):
    (tmp_path / "retrain.lock").write_text(json.dumps({"model": "lstm", "owner": {"pid": 1}, "since": 5.0}))
    assert read_files(tmp_path, tmp_path).running is None


def test_an_incomplete_line_does_not_hide_the_line_before():
    lines = b'{"event":"retrain.progress","phase":"read","done":0.05}\n{"event":"retrain.progress","pha'
    assert parse_progress(lines) == ("read", 0.05)
