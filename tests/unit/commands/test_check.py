"""`bgpdrift check`: it writes nothing without --once, and its exit code gives the verdict."""

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


def store_scores(store: Store, factor: float) -> None:
    rng, rows = np.random.default_rng(4), []
    for hour in range(9 * 24):
        level = factor if hour >= 8 * 24 else 1.0
        histogram = Histogram.of((level * rng.gamma(2.0, size=60)).tolist())
        row = {"series": "score:lstm", "model_version": "1", "collector": "rrc00", "hour_start": T + hour * HOUR}
        row |= {
            "n": histogram.n,
            "value_sum": histogram.total,
            "value_sum_squares": histogram.squares,
            "bins": histogram.to_bytes(),
        }
        rows.append(row)
    store.upsert_histograms(rows, None)
    store.write_windows([{"window_start": T + 9 * DAY, "collector": "rrc00"}], None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def test_a_check_prints_the_verdict_and_writes_nothing(store: Store) -> None:
    store_scores(store, 1.8)
    before = store.counts()
    result = run("lstm")
    assert result.exit_code == 10
    assert "drift" in result.output
    assert "lstm: Drift: the scores of the last 24 h are higher than" in result.output.replace("\n", " ")
    assert store.counts() == before


def test_dry_run_prints_what_would_follow(store: Store) -> None:
    store_scores(store, 1.8)
    result = run("lstm", "--dry-run")
    assert (
        "lstm: would be recorded as drift (consecutive checks with drift: 1); no retraining would be requested"
        in result.output
    )


def test_no_drift_exits_0_and_json_has_one_report_a_line(store: Store) -> None:
    store_scores(store, 1.0)
    result = run("lstm", "--json")
    assert result.exit_code == 0
    (report,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (report["model"], report["verdict"], report["schema"]) == ("lstm", "none", 1)


def test_the_length_of_the_window_can_be_given(store: Store) -> None:
    store_scores(store, 1.0)
    result = run("lstm", "--json", "--window-days", "2")
    windows = {comparison["window"] for comparison in json.loads(result.stdout)["comparisons"]}
    assert "48h/7d" in windows
    assert run("--once", "--window-days", "2").exit_code != 0


def test_no_scores_have_an_exit_code_of_their_own(store: Store) -> None:
    result = run()
    assert result.exit_code == 4
    assert "lstm: no scores in the newest day of data" in result.output


def test_a_model_without_a_verdict_is_no_success(store: Store) -> None:
    """A detector that stopped scoring must not look healthy because another one is."""
    store_scores(store, 1.0)
    result = run()
    assert result.exit_code == 4
    assert "isolation_forest: no scores in the newest day of data" in result.output


def test_drift_of_one_model_counts_whatever_the_others_lack(store: Store) -> None:
    store_scores(store, 1.8)
    assert run().exit_code == 10


def test_an_unknown_model_is_bad_input(store: Store) -> None:
    assert run("oracle").exit_code == 2


def test_a_threshold_that_the_policy_does_not_use_is_noted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default rule ignores drift.psi_threshold for its verdict, and the command reports that."""
    store_scores(store, 1.0)
    monkeypatch.setenv("BGPDRIFT_DRIFT__PSI_THRESHOLD", "0.0001")
    result = run("lstm")
    assert result.exit_code == 0
    assert "note: drift.psi_threshold is set, but the policy rule uses it for the severity only" in result.output
