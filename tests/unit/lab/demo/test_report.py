"""The printed report of a demo: at most 80 columns, and the reason of a failure in a sentence below the table."""

from dataclasses import replace

import pytest

from bgpdrift.lab.demo.judge import Finding, Report
from bgpdrift.lab.demo.report import show
from bgpdrift.lab.demo.training import TrainedModel

REASON = (
    "its scores drift by PSI 1.800 from training to held-out windows, at most 1 allowed; finds 20.0 % of the anomalies"
)
GOOD = TrainedModel("isolation_forest", 0, "12", "promoted", 12_640, 104.0, 2_800, 1_210, 2_800)
REJECTED = TrainedModel("isolation_forest", 3, "2", REASON, 0, 4.0)
WITHOUT_VOTE = TrainedModel("lstm", 0, "1", "promoted", 2_640, 14.0, 0, 0, 2_800)


def report(*models: TrainedModel) -> Report:
    finding = Finding("worm", 1_788_329_700, 1_788_336_900, (1,), 300, "update storm, path hunting")
    return Report(120.0, 50.0, 1_626_527, 6_000, 6_000, 0, 0, 0, 0, 1, 1, (finding,), (), {"lstm": 1}, models)


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *models: TrainedModel) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    show(report(*models))
    return capsys.readouterr().out


@pytest.mark.parametrize("models", [(GOOD,), (REJECTED,), (GOOD, WITHOUT_VOTE)], ids=["active", "rejected", "no vote"])
def test_every_line_fits_eighty_columns_and_no_cell_is_broken(capsys, monkeypatch, models):
    text = shown(capsys, monkeypatch, *models)

    assert max(len(line) for line in text.splitlines()) <= 80
    assert "│ isolation_forest │" in text
    assert "…" not in text


def test_the_reason_of_a_rejection_is_printed_below_the_table(capsys, monkeypatch):
    text = " ".join(shown(capsys, monkeypatch, GOOD, REJECTED).split())

    assert f"isolation_forest was not trained (exit 3): {REASON}" in text
    assert "demo FAILED" in text


def test_an_active_model_without_a_vote_fails_the_demo(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, WITHOUT_VOTE)

    assert "lstm 1 is active and has no vote" in text
    assert "demo FAILED" in text


def test_an_incident_that_began_with_the_change_is_not_counted_as_false(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show(replace(report(GOOD), change_incidents=("Leak at collector rrc00 since 2026-09-04 14:11 UTC.",)))
    text = capsys.readouterr().out

    assert "  began with the change: Leak at collector rrc00 since" in text
    assert ", 0 false," in text


def test_what_went_well_passes_in_one_sentence(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, GOOD)

    assert "12,640" in text
    assert "100.0 %" in text
    assert text.splitlines()[-1] == "demo passed: 1 of 1 incidents found, 0 false, 0 windows missing"
