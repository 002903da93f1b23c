"""`bgpdrift models`, `promote` and `rollback`: their effects, and their messages without any model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog
from click.testing import CliRunner

from bgpdrift.cli import cli
from bgpdrift.detectors.interface import ModelContent
from bgpdrift.errors import InputError
from bgpdrift.models.artifact import Artifact, from_bytes, to_bytes
from bgpdrift.models.loading import default_bytes
from bgpdrift.models.metadata import EvaluationMetrics, TrainingRecord
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import active_version
from bgpdrift.settings import load
from bgpdrift.store import migrate, open_store
from bgpdrift.store.model_records import ModelVersion

M = "isolation_forest"


def bytes_of(version: str, **metrics: float) -> bytes:
    """A whole file with figures, from which no detector can be built."""
    content = ModelContent(M, ("messages",), {"nothing": np.zeros(1)})
    training = TrainingRecord(start=1_788_220_800, end=1_788_580_800, rows=123_456)
    figures = EvaluationMetrics(**metrics)
    return to_bytes(Artifact(content, version, 1_788_580_800, metrics=figures, training=training))


@pytest.fixture(autouse=True)
def _reset_logs() -> Iterator[None]:
    """The commands configure the log of the whole process, on a stream that is closed after the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    migrate(load().store_url)
    found = tmp_path / "data" / "model_artifacts"
    (found / "candidates").mkdir(parents=True)
    return found


def run(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(cli, arguments)


def test_without_models_the_command_says_so(folder: Path) -> None:
    shown = run("models")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"no models in {folder}")
    assert json.loads(run("models", "--json").stdout) == {"folder": str(folder), "models": []}


def test_the_table_fits_eighty_columns_with_the_longest_names(folder: Path) -> None:
    (folder / f"{M}.safetensors").write_bytes(bytes_of("default-1", auc=0.99712, drift_psi=0.1234))
    for number in range(12):
        (folder / f"{M}_backup_20260101T0000{number:02}Z.safetensors").write_bytes(bytes_of(str(number)))
        (folder / "candidates" / f"{M}_{number + 20}.safetensors").write_bytes(bytes_of(str(number + 20)))
    with open_store(load().store_url) as store:
        accepted = ModelVersion(model=M, version="default-1", state="accepted", digest="", created_at=5)
        store.record_model_version(accepted)
    lines = run("models").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for word in (M, "default-1", "accepted", "09-01…09-05", "123,456", "0.997", "0.123", "12"):
        assert word in lines[1] + lines[2], word
    assert "…" not in lines[1].replace("09-01…09-05", "")


def test_a_damaged_current_file_is_named_below_the_table(folder: Path) -> None:
    (folder / f"{M}.safetensors").write_bytes(b"half")
    shown = run("models").stdout
    assert "damaged" in shown
    assert "not a model file: 4 bytes" in shown


def test_json_lists_every_file_and_version(folder: Path) -> None:
    (folder / f"{M}.safetensors").write_bytes(bytes_of("4", auc=0.9))
    (folder / f"{M}_backup_20260101T000000Z.safetensors").write_bytes(bytes_of("3"))
    (folder / "candidates" / f"{M}_5.safetensors").write_bytes(b"half")
    (found,) = json.loads(run("models", "--json").stdout)["models"]
    assert (found["model"], found["version"], found["state"]) == (M, "4", "active")
    assert found["current"]["metrics"] == {"auc": 0.9}
    assert [one["version"] for one in found["backups"]] == ["3"]
    assert found["candidates"][0]["problem"].endswith("not a model file: 4 bytes")


def test_the_files_are_listed_without_a_store(folder: Path) -> None:
    load().store_url.unlink()
    (folder / f"{M}.safetensors").write_bytes(bytes_of("4"))
    shown = run("models", "--json")
    assert json.loads(shown.stdout)["models"][0]["version"] == "4"
    assert "the store is not available" in shown.stderr


def test_promote_without_candidates_succeeds(folder: Path) -> None:
    shown = run("promote")
    assert (shown.exit_code, "no candidates" in shown.stdout) == (0, True)


def test_promote_names_the_candidates_it_skips_and_exits_with_3(folder: Path) -> None:
    (folder / "candidates" / f"{M}_2.safetensors").write_bytes(bytes_of("2", drift_psi=0.4))
    (folder / "candidates" / f"{M}_3.safetensors").write_bytes(b"half")
    shown = run("promote", M, "--max-drift", "0.3")
    assert shown.exit_code == 3
    assert "version 2 skipped: drift_psi 0.4, at most 0.3 allowed" in shown.stdout
    assert "version 3 skipped: unreadable" in shown.stdout
    result = json.loads(run("promote", "--max-drift", "0.3", "--json").stdout)
    assert result["published"] is None
    assert set(result["skipped"]) == {"2", "3"}


def test_a_candidate_this_program_cannot_run_is_never_published(folder: Path) -> None:
    (folder / "candidates" / f"{M}_2.safetensors").write_bytes(bytes_of("2", drift_psi=0.1))
    shown = run("promote", M)
    assert shown.exit_code == 3
    assert "version 2 skipped" in shown.stdout
    assert active_version(folder, M) == ""


@pytest.mark.parametrize("arguments", [("rollback", M), ("rollback", M, "--to", "7")])
def test_a_rollback_without_a_backup_is_refused_with_a_reason(folder: Path, arguments: tuple[str, ...]) -> None:
    current_path(folder, M).write_bytes(bytes_of("1"))
    shown = run(*arguments)
    assert isinstance(shown.exception, InputError)
    assert active_version(folder, M) == "1"


def test_the_problem_of_a_file_controls_no_terminal(folder: Path) -> None:
    content = ModelContent("\x1b[2J", ("messages",), {"nothing": np.zeros(1)})
    raw = to_bytes(Artifact(content, "1", 1_788_580_800, metrics=EvaluationMetrics(), training=TrainingRecord()))
    current_path(folder, M).write_bytes(raw)

    shown = run("models").stdout

    assert "\x1b" not in shown
    assert r"\x1b[2J" in shown.replace("\\\\", "\\")


def test_a_rollback_prints_its_sentence_and_no_log_lines(folder: Path) -> None:
    model = "heuristic"
    default = from_bytes(default_bytes(model) or b"", "default", model)
    current_path(folder, model).write_bytes(to_bytes(replace(default, version="8")))
    backup = folder / f"{model}_backup_20260101T000000Z.safetensors"
    backup.write_bytes(to_bytes(replace(default, version="7")))

    shown = run("rollback", model)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == f"{model}: version 7 is active again; version 8 is kept in rejected/.\n"


def test_an_unknown_model_is_refused_with_those_that_exist(folder: Path) -> None:
    for command in ("rollback", "promote"):
        shown = run(command, "../x")
        assert shown.exit_code == 2
        assert "no detector is named '../x'; the detectors are heuristic, isolation_forest, lstm" in shown.output


def test_a_model_may_be_named_by_its_service(folder: Path) -> None:
    assert f"{M}: no candidates" in run("promote", f"{M}_detector").stdout


def test_help_describes_the_commands() -> None:
    for command in ("models", "promote", "rollback"):
        assert "Usage" in run(command, "--help").output
