"""`bgpdrift check`: a look writes nothing, --once does what the monitor does, the exit code says what was found."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bgpdrift.cli import cli
from bgpdrift.drift.histogram import Histogram
from bgpdrift.store import Store, migrate, open_store

HOUR, DAY = 3_600, 86_400
T = 19_000 * DAY


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'bgpdrift.sqlite3'}"
    migrate(url)
    return open_store(url)


def lived(store: Store, factor: float) -> None:
    rng, rows = np.random.default_rng(4), []
    for hour in range(9 * 24):
        level = factor if hour >= 8 * 24 else 1.0
        found = Histogram.of((level * rng.gamma(2.0, size=60)).tolist())
        row = {"series": "score:lstm", "model_version": "1", "collector": "rrc00", "hour_start": T + hour * HOUR}
        row |= {"n": found.n, "value_sum": found.total, "value_sum_squares": found.squares, "bins": found.to_bytes()}
        rows.append(row)
    store.upsert_histograms(rows, None)
    store.write_windows([{"window_start": T + 9 * DAY, "collector": "rrc00"}], None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def test_a_look_says_what_it_sees_and_writes_nothing(store: Store) -> None:
    lived(store, 1.8)
    before = store.counts()
    result = run("lstm")
    assert result.exit_code == 10
    assert "drift" in result.output
    assert "lstm: Drift: scores of" in result.output.replace("\n", " ")
    assert store.counts() == before


def test_dry_run_says_what_would_follow(store: Store) -> None:
    lived(store, 1.8)
    result = run("lstm", "--dry-run")
    assert "lstm: would be recorded as drift, check 1 running; no wish to retrain" in result.output


def test_without_drift_it_exits_0_and_json_is_a_report_a_line(store: Store) -> None:
    lived(store, 1.0)
    result = run("lstm", "--json")
    assert result.exit_code == 0
    (report,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (report["model"], report["verdict"], report["schema"]) == ("lstm", "none", 1)


def test_another_window_can_be_looked_at(store: Store) -> None:
    lived(store, 1.0)
    result = run("lstm", "--json", "--window-days", "2")
    windows = {comparison["window"] for comparison in json.loads(result.stdout)["comparisons"]}
    assert "48h/7d" in windows
    assert run("--once", "--window-days", "2").exit_code != 0


def test_nothing_to_check_has_a_code_of_its_own(store: Store) -> None:
    result = run()
    assert result.exit_code == 4
    assert "lstm: no scores in the last day of data" in result.output


def test_a_model_nobody_knows_is_bad_input(store: Store) -> None:
    assert run("oracle").exit_code == 2
