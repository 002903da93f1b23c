"""The registry of detectors: names, code and defaults in one place, and detectors of other distributions."""

import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from bgpdrift.detector_registry import (
    BUILT_IN,
    DETECTORS,
    DetectorRecord,
    check_records,
    find,
    installed_records,
    load_object,
)
from bgpdrift.errors import InputError, SettingsError
from supervisor.services import BGPDRIFT

ROOT = Path(__file__).parents[2]
RECORD = DetectorRecord(name="volume", title="volume", summary="", build="os:getcwd", train="os:getcwd")


@pytest.mark.parametrize("record", BUILT_IN, ids=lambda record: record.name)
def test_the_code_of_each_detector_can_be_loaded(record):
    assert callable(record.load_builder())
    assert callable(record.load_trainer())
    assert record.load_share() is None or callable(record.load_share())
    assert all(isinstance(name, str) for name in record.load_rule_names())
    assert record.default_model == "" or len(record.read_default_model()) > 1_000


def test_each_detector_has_a_console_script_and_there_is_no_other():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    retrainers = {name: target for name, target in scripts.items() if name.startswith("retrain_")}
    assert retrainers == {record.retrain_command: "retrainers.__main__:main" for record in BUILT_IN}


def test_each_detector_is_a_service_of_the_supervisor():
    assert set(BGPDRIFT.names) > {record.service for record in DETECTORS}


@pytest.mark.parametrize("name", ["lstm", "lstm_detector"])
def test_a_detector_is_found_by_its_model_and_by_its_service(name):
    assert find(name).name == "lstm"


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(InputError, match=r"'oracle'; the detectors are heuristic, isolation_forest, lstm$"):
        find("oracle")


@pytest.mark.parametrize("module", ["retrainers", "bgpdrift.services"])
def test_the_programs_refuse_an_unknown_name_with_those_that_exist(module):
    done = subprocess.run([sys.executable, "-m", module, "oracle"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'oracle'" in done.stderr
    assert "isolation_forest" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "Volume"}, "small letters"),
        ({"name": "ensemble"}, "reserved"),
        ({"name": "volume"}, "registered twice"),
        ({"name": "volume_2"}, "begins with the name"),
        ({"name": "vol", "weight": 1.5}, "a weight from 0 to 1"),
    ],
)
def test_a_record_that_cannot_work_is_refused(changes, problem):
    with pytest.raises(SettingsError, match=problem):
        check_records([RECORD, msgspec.structs.replace(RECORD, **changes)])


def install(folder, target):
    info = folder / "volume-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: volume\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bgpdrift.detectors]\nvolume = {target}\n")


def test_a_distribution_without_detectors_is_not_loaded(tmp_path):
    (tmp_path / "other-1.0.dist-info").mkdir()
    assert installed_records([str(tmp_path), str(tmp_path / "missing")]) == []


def test_an_entry_point_that_names_no_record_is_refused(tmp_path, monkeypatch):
    install(tmp_path, "os:getcwd")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SettingsError, match="is no DetectorRecord"):
        installed_records([str(tmp_path)])


def test_a_detector_whose_code_is_missing_is_named():
    with pytest.raises(SettingsError, match="'no_such_module:build' cannot be loaded"):
        load_object("no_such_module:build")


def test_a_broken_detector_ends_a_command_with_one_line(tmp_path):
    install(tmp_path, "volume:RECORD")
    done = subprocess.run(
        [sys.executable, "-m", "bgpdrift.cli", "config", "check"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bgpdrift: detector registry: 'volume:RECORD' cannot be loaded")
    assert done.stderr.count("\n") == 1
