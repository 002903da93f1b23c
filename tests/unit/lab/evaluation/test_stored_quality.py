"""Quality from stored scores and verdicts: merged over collectors, across model versions."""

import pytest

from bgpdrift.lab.evaluation.stored_quality import ENSEMBLE, compute_figures, stored_quality
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import migrate, open_store

START = 1_788_220_800
STORM = IncidentTruth("worm", START + 600.0, START + 1_200.0, ("rrc00",), ())


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        yield opened


def verdict(minute: int, collector: str, combined: float, *, is_anomaly: bool = False, has_vote: bool = True) -> dict:
    return {
        "window_start": START + 60 * minute, "collector": collector, "peer": "", "combined": combined,
        "p_values": {"lstm": 0.1} if has_vote else {}, "votes": {}, "abstaining": {}, "majority": False, "maximum": 0.0,
        "exceeds": is_anomaly, "is_anomaly": is_anomaly, "explained_by": "", "evidence": {}, "decided_at": 0.0,
    }  # fmt: skip


def test_a_minute_has_the_score_of_the_most_unusual_collector(store):
    rows = [verdict(minute, "rrc00", 5.0 if 10 <= minute < 20 else 0.1) for minute in range(30)]
    rows += [verdict(minute, "rrc01", 0.2) for minute in range(30)]
    store.write_verdicts(rows, None)

    found = stored_quality(store, [STORM], START, START + 1_800)[ENSEMBLE]

    assert (found.minutes, found.labelled_minutes, found.auc) == (30, 10, 1.0)


def test_only_the_requested_span_counts_and_a_minute_without_a_vote_ranks_lowest(store):
    store.write_verdicts([verdict(m, "rrc00", 9.0, has_vote=m != 15, is_anomaly=m == 3) for m in range(30)], None)

    found = stored_quality(store, [STORM], START + 600, START + 1_800)[ENSEMBLE]

    assert (found.minutes, found.alarmed_minutes) == (20, 0)
    assert found.auc == pytest.approx((9 * 0.5 + 0.0) / 10)


def test_a_detector_without_a_vote_has_no_figures_and_others_count_across_their_versions(store):
    def score(minute: int, model: str, value: float, version: str = "1", abstained: str = "") -> dict:
        return {
            "window_start": START + 60 * minute, "collector": "rrc00", "peer": "", "model": model, "score": value,
            "model_version": version, "p_value": 0.5, "is_alarm": value > 5, "abstained": abstained, "rules_fired": [],
            "top_features": [], "alarm_p": 0.01, "scored_at": 0.0,
        }  # fmt: skip

    store.write_verdicts([verdict(minute, "rrc00", 1.0) for minute in range(30)], None)
    store.write_scores(
        [score(m, "lstm", 9.0 if 10 <= m < 20 else 1.0, "1" if m < 15 else "2") for m in range(30)], None
    )
    store.write_scores([score(m, "heuristic", 0.0, abstained="warming") for m in range(30)], None)

    found = stored_quality(store, [STORM], START, START + 1_800, ("lstm", "heuristic"))

    assert sorted(found) == [ENSEMBLE, "lstm"]
    assert (found["lstm"].auc, found["lstm"].recall, found["lstm"].minutes) == (1.0, 1.0, 30)


def test_an_empty_store_has_no_figures(store):
    assert stored_quality(store, [STORM], START, START + 600) == {}


def test_an_incident_at_another_collector_labels_no_minute():
    minutes = [("rrc01", START + 60 * minute, 1.0, False) for minute in range(30)]

    assert compute_figures(minutes, [IncidentTruth("worm", START, START + 600, ("rrc07",), ())]).labelled_minutes == 0
