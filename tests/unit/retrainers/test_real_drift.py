"""Scores of trained detectors on real minutes (RIPE NCC, RIS): a worm is an incident, eight years later is drift."""

from typing import Any

import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.drift import check_scores
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.lab.labelled_sets.reading import read_labelled
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.settings import Settings
from bgpdrift.store import IncidentChanges, migrate, open_store
from retrainers.training import train

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(240)]
TWO_DAYS = 2 * 1_440


@pytest.fixture(scope="module", params=["heuristic", "isolation_forest", "lstm"])
def scored(request: pytest.FixtureRequest, shared_data: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Starts and scores of three times two calm days, of the worm's days and of a week in 2011; labels; where 2011 begins.

    The calm days have the scores that models which had not seen them gave.
    """
    (worm,) = read_labelled(shared_data / "labelled" / "Slammer.csv.gz")
    (later,) = read_labelled(shared_data / "labelled" / "RIPE_regular.csv.gz")
    begin = int(worm.window_start[0])
    calm = WindowFrame(worm.collector, "", worm.window_start, worm.features, worm.quality).rows(0, TWO_DAYS, 0)
    trained = train(request.param, [calm], history_minutes=360)
    together = WindowFrame(
        worm.collector,
        "",
        begin + 60 * np.arange(len(worm) + len(later)),
        {name: np.concatenate([worm.features[name], later.features[name]]) for name in worm.features},
        {},
        TWO_DAYS,
    )
    scored = trained.detector.score(together)
    has_score = np.array([not why for why in scored.abstained])
    unseen = np.concatenate([part.window_start for part in trained.held_out])
    order = np.argsort(unseen)
    unseen, calm_scores = unseen[order], np.concatenate([part.score for part in trained.held_out])[order]
    # Repeated three times, two days apart, so that the reference has a week.
    starts = np.concatenate([*(unseen - back * 2 * 86_400 for back in (2, 1, 0)), together.to_score[has_score]])
    labelled = np.zeros(len(starts), bool)
    labelled[-int(has_score.sum()) :] = np.concatenate([worm.truth[TWO_DAYS:], np.zeros(len(later), bool)])[has_score]
    scores = np.concatenate([calm_scores, calm_scores, calm_scores, scored.score[has_score]])
    return starts, scores, labelled, begin + 60 * len(worm)


def hour_of(model: str, start: int, values: np.ndarray) -> dict[str, Any]:
    """A row of ``hourly_histograms``."""
    found = ExactValues.of(values.tolist())
    return {
        "hour_start": start,
        "series": f"score:{model}",
        "model_version": "1",
        "collector": "rrc00",
        "n": found.n,
        "value_sum": found.total,
        "value_sum_squares": found.squares,
        "bins": found.to_bytes(),
    }


def test_during_the_worm_the_drift_is_held_and_no_retraining_is_requested(scored, tmp_path, request):
    """The scores drift from the seventh hour on; the incident, open since the fourth minute, holds the drift."""
    model = request.node.callspec.params["scored"]
    starts, scores, labelled, _ = scored
    begin, end = (int(at) for at in starts[labelled][[0, -1]])
    settings, clock = Settings(data_dir=str(tmp_path)), FakeClock(float(end))
    migrate(settings.store_url)
    incident = {"id": 1, "state": "open", "severity": "high", "peak": 5.0, "collectors": ["rrc00"]}
    incident |= {"started_at": begin + 240, "last_seen_at": begin + 240}
    verdicts = []
    with open_store(settings.store_url, clock=clock) as store:
        checks = DriftChecks(settings, store, clock)
        for hour in np.unique(starts[starts < end] // HOUR_S * HOUR_S):
            within = (starts >= hour) & (starts < hour + HOUR_S)
            store.upsert_histograms([hour_of(model, int(hour), scores[within])], None)
            if hour == begin // HOUR_S * HOUR_S:
                store.apply_incidents(IncidentChanges(inserts=[incident]), None)
            store.write_windows([{"window_start": int(hour) + HOUR_S, "collector": "rrc00", "peer": ""}], None)
            while checks.step():
                pass
            if hour >= begin // HOUR_S * HOUR_S:
                verdicts.append(store.drift_checks_between(model=model, limit=1)[0].verdict)
        requests = store.retrain_requests(model)

    assert set(verdicts) <= {"none", "incident", "held"}
    assert {"incident", "held"} & set(verdicts)
    assert requests == []


def test_eight_years_later_is_drift_within_a_day(scored):
    starts, scores, labelled, change = scored
    clean = ~np.isin(starts // HOUR_S, np.unique(starts[labelled] // HOUR_S))  # the incident is known
    verdicts = []
    for hours in range(4, 25, 4):
        known = clean & (starts < change + hours * HOUR_S)
        verdicts.append(check_scores(starts[known], scores[known]).verdict)
    assert "drift" in verdicts, verdicts
