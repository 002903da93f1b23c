"""`bgpdrift report` with a store that the monitor filled."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bgpdrift.commands.report import command
from bgpdrift.commands.report_rows import build_histories
from bgpdrift.drift.check import check_scores
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report import Measure
from bgpdrift.errors import InputError
from bgpdrift.monitor.check_records import build_check, build_report, build_signals
from bgpdrift.monitor.report_files import write_report
from bgpdrift.settings import load
from bgpdrift.store import migrate, open_store
from bgpdrift.store.cursor_states import DriftState, drift_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.drift import DriftUpdate
from bgpdrift.store.drift_records import CheckContext, DriftCheck, DriftSignal

T = 1_767_225_600
TOO_FEW_LABELS = Measure("accuracy", None, unit="share", note="too few labels: 3 in the current window, 20 needed")
MINUTES = T + 60 * np.arange(8 * 1_440)


def scores(factor):
    found = np.random.default_rng(1).gamma(2.0, 1.0, len(MINUTES))
    return found * np.where(MINUTES >= T + 7 * 86_400, factor, 1.0)


@pytest.fixture
def run():
    def invoke(*words):
        done = CliRunner().invoke(command, [str(word) for word in words])
        if done.exception:
            raise done.exception
        return done.stdout

    return invoke


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Fill a store with scores and hourly checks of one model; return the newest report."""
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    settings = load()
    settings.data_path.mkdir()
    migrate(settings.store_url)

    def make(factor=1.5, with_file=True, checks=3):
        hours = Hours.from_rows(MINUTES, scores(factor))
        with open_store(settings.store_url) as store:
            rows = []
            for place, start in enumerate(hours.starts.tolist()):
                histogram = hours.between(start, start + 1).pool()
                rows.append(
                    {
                        "hour_start": start,
                        "series": "score:lstm",
                        "model_version": "4",
                        "collector": "rrc00",
                        "n": int(hours.n[place]),
                        "alarms": 0,
                        "value_sum": histogram.total,
                        "value_sum_squares": histogram.squares,
                        "bins": histogram.to_bytes(),
                    }
                )
            store.upsert_histograms(rows, None)
            report = check_scores(MINUTES, scores(factor))
            before = None
            for back in reversed(range(checks)):
                at = report.at - 3_600 * back
                one = report.__class__(
                    "lstm",
                    "4",
                    at,
                    report.verdict,
                    report.severity,
                    report.reason,
                    p_value=report.p_value,
                    comparisons=report.comparisons,
                    signals=(Measure("lag", 5.0 + back, unit="s"), TOO_FEW_LABELS),
                    smallest_shift=report.smallest_shift,
                )
                path = str(write_report(settings.artifacts_path, one, 9)) if with_file else ""
                update = DriftUpdate(
                    before,
                    StateCursor(drift_cursor("lstm"), at, DriftState(at=at)),
                    check=build_check(one, "24h/7d", path, CheckContext()),
                    signals=build_signals(one),
                )
                assert store.update_drift(update)
                before = store.read_drift_state("lstm")
            (newest,) = store.drift_checks_between(model="lstm", limit=1)
            return one, newest, store.signals_of_check(newest.id)

    return make


def test_the_page_shows_verdict_both_windows_and_each_measure_over_time(run, checked, tmp_path):
    checked()
    assert "page.html: " in run("lstm", "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Drift of lstm, version 4" in page
    assert "DRIFT" in page
    assert page.count('role="img"') >= 2 + 8
    assert "3 checks, last" in page
    assert len(page.encode()) < 300_000


def test_a_check_without_a_file_is_shown_from_the_store(run, checked):
    checked(factor=1.0, with_file=False)
    page = run("lstm", "--out", "-")
    assert "no drift" in page
    assert "PSI" in page
    assert "smallest detectable shift" in page


def test_the_page_is_the_same_from_the_store_as_from_the_file(run, checked, tmp_path):
    """Levels by chance, notes such as too few labels, and the severities do not depend on the file."""
    _, row, _ = checked()
    from_file = run("lstm", "--out", "-")
    Path(row.report_path).unlink()
    done = CliRunner().invoke(command, ["lstm", "--out", "-"])
    assert done.stdout == from_file
    assert "too few labels: 3 in the current window, 20 needed" in from_file
    assert "the page shows what the store keeps" in done.stderr


def test_a_damaged_report_file_is_named_and_the_page_is_written_from_the_store(checked, tmp_path):
    _, row, _ = checked()
    Path(row.report_path).write_bytes(b"{")
    done = CliRunner().invoke(command, ["lstm", "--out", str(tmp_path / "p.html")])
    assert done.exit_code == 0
    assert "the page shows what the store keeps" in done.stderr
    assert "DRIFT" in (tmp_path / "p.html").read_text()


def test_without_a_model_each_model_gets_a_page(run, checked, tmp_path):
    checked()
    assert run().startswith("drift_report_lstm.html: ")
    assert (tmp_path / "drift_report_lstm.html").exists()


def test_the_store_keeps_a_report_with_values_by_chance_effects_and_notes(checked):
    report, row, signals = checked(with_file=False)
    found = build_report(row, signals)
    assert (found.verdict, found.severity, found.reason, found.p_value, found.at) == (
        report.verdict,
        report.severity,
        report.reason,
        report.p_value,
        report.at,
    )
    assert found.measures == report.measures
    assert any(measure.by_chance is not None for measure in found.measures)
    assert found.signals == report.signals
    assert found.signals[1].note == "too few labels: 3 in the current window, 20 needed"
    assert found.comparisons[0].current_start == report.comparisons[0].current_start
    assert found.signals[0].name == "lag"


def test_histories_are_in_order_of_time_and_of_one_window():
    def check(at):
        verdict = {"drift_detected": False, "verdict": "none", "severity": "none"}
        return DriftCheck(timestamp=at, model="lstm", window="24h/7d", **verdict), [
            DriftSignal(signal="24h/7d:psi", value=at / 10, threshold=0.2),
            DriftSignal(signal="72h/pinned:psi", value=9.0, threshold=0.2),
            DriftSignal(signal="feature:flaps", threshold=0.2),
        ]

    (curve,) = build_histories([check(2), check(1)], "24h/7d")
    assert (curve.name, curve.times, curve.values, curve.threshold) == ("psi", [1, 2], [0.1, 0.2], 0.2)


def test_a_model_without_checks_is_an_error(run, tmp_path, monkeypatch):
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    load().data_path.mkdir()
    migrate(load().store_url)
    with pytest.raises(InputError, match="no drift check of lstm yet"):
        run("lstm")
    with pytest.raises(InputError, match="expected MODEL with --out"):
        run("--out", "x.html")
    with pytest.raises(SystemExit):
        run("../lstm")
