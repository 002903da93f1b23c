"""Verdicts in, incidents out."""

import copy
from typing import Any

import pytest

from bgpdrift.verdicts.correlation import CorrelationPolicy, Correlator

POLICY = CorrelationPolicy(link_minutes=10, quiet_minutes=15, reopen_minutes=60)
RULE = {
    "rule": "moas_new",
    "value": 9.0,
    "usual": 0.0,
    "threshold": 3.0,
    "unit": "prefixes",
    "meaning": "…",
    "sufficient": True,
}


def verdict(minute: int, anomaly: bool = False, collector: str = "rrc00", rule: str = "moas_new", **evidence: Any):
    fired = [{**RULE, "rule": rule}] if anomaly else []
    return {
        "window_start": 60 * minute,
        "collector": collector,
        "peer": "",
        "combined": 5.0 if anomaly else 0.3,
        "is_anomaly": anomaly,
        "p_values": {"heuristic": 1e-5},
        "abstaining": {"lstm": "waiting for a model"},
        "evidence": {"rules_fired": fired, **evidence} if anomaly else {},
    }


def minutes(start: int, end: int, anomalous: range = range(0), **more: Any) -> list[dict[str, Any]]:
    return [verdict(m, m in anomalous, **(more if m in anomalous else {})) for m in range(start, end)]


class Written:
    """What a store would hold after each batch."""

    def __init__(self) -> None:
        self.incidents: dict[int, dict[str, Any]] = {}
        self.events: dict[tuple[int, int, str], dict[str, Any]] = {}
        self.clocks: dict[str, int] = {}

    def take(self, correlator: Correlator, verdicts: list[dict[str, Any]]) -> None:
        changes = correlator.add(verdicts)
        for row in (*changes.inserts, *changes.updates):
            self.incidents.setdefault(row["id"], {}).update(copy.deepcopy(dict(row)))
        for event in changes.events:
            self.events[event["incident_id"], event["at"], event["kind"]] = dict(event)
        self.clocks = correlator.clock_fields

    def restarted(self) -> Correlator:
        rows = [copy.deepcopy(row) for row in self.incidents.values()]
        return Correlator(POLICY, rows, self.clocks, max(self.incidents, default=0) + 1)

    def kinds(self, incident: int) -> list[str]:
        return [kind for (i, _, kind) in self.events if i == incident]


@pytest.fixture
def written() -> Written:
    return Written()


def test_an_incident_opens_grows_and_closes_on_calm_verdicts_alone(written: Written) -> None:
    written.take(Correlator(POLICY), minutes(0, 60, range(10, 20)))
    (incident,) = written.incidents.values()
    assert (incident["state"], incident["started_at"], incident["last_seen_at"]) == ("closed", 600, 19 * 60)
    assert incident["closed_at"] == (19 + 15) * 60
    assert written.kinds(1)[0] == "opened"
    assert written.kinds(1)[-1] == "closed"
    assert incident["explanation"]["rule_minutes"] == {"moas_new": 10}
    assert "rrc00" in incident["summary"]
    assert incident["kind"] == "origin hijack"


def test_it_stays_open_while_time_does_not_go_on(written: Written) -> None:
    written.take(Correlator(POLICY), minutes(0, 24, range(10, 20)))
    assert written.incidents[1]["state"] == "updated"


def test_two_causes_hours_apart_are_two_incidents(written: Written) -> None:
    written.take(Correlator(POLICY), minutes(0, 400, range(10, 20)) + minutes(400, 500, range(410, 420)))
    assert len(written.incidents) == 2


def test_the_same_kind_within_the_hour_reopens(written: Written) -> None:
    written.take(Correlator(POLICY), minutes(0, 60, range(10, 20)) + minutes(60, 70, range(62, 70)))
    assert len(written.incidents) == 1
    assert "reopened" in written.kinds(1)
    assert written.incidents[1]["closed_at"] is None


def test_another_kind_within_the_hour_is_another_incident(written: Written) -> None:
    late = minutes(60, 70, range(62, 70), rule="silence")
    written.take(Correlator(POLICY), minutes(0, 60, range(10, 20)) + late)
    assert len(written.incidents) == 2


def test_two_collectors_that_see_one_culprit_see_one_incident(written: Written) -> None:
    both = [verdict(m, m in range(10, 20), c, origins=[64666]) for m in range(60) for c in ("rrc00", "rrc01")]
    written.take(Correlator(POLICY), both)
    assert [row["collectors"] for row in written.incidents.values()] == [["rrc00", "rrc01"]]


def test_incidents_that_prove_to_be_one_are_merged_into_the_elder(written: Written) -> None:
    one = [verdict(10, True, "rrc00", "moas_new", origins=[1]), verdict(11, True, "rrc01", "silence", origins=[2])]
    written.take(Correlator(POLICY), [*one, verdict(12, True, "rrc02", "bogon", origins=[1, 2])])
    elder, younger = written.incidents[1], written.incidents[2]
    assert younger["merged_into"] == 1
    assert younger["state"] == "closed"
    assert elder["state"] != "closed"
    assert set(elder["collectors"]) == {"rrc00", "rrc01", "rrc02"}
    assert "merged" in written.kinds(2)


def test_a_collector_that_fell_silent_for_good_does_not_keep_its_incident_open(written: Written) -> None:
    written.take(
        Correlator(POLICY), [verdict(10, True, "rrc00"), *(verdict(m, collector="rrc01") for m in range(11, 60))]
    )
    assert written.incidents[1]["state"] != "closed"
    correlator = written.restarted()
    written.take(correlator, [verdict(m, collector="rrc01") for m in range(60, 120)])
    assert written.incidents[1]["state"] == "closed"


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_killed_after_any_batch_it_ends_with_the_same_incidents(batch: int) -> None:
    """State comes back from what was committed; the batch that was not is taken again."""
    stream = minutes(0, 100, range(10, 20), origins=[5]) + minutes(100, 400, range(300, 320), rule="silence")
    whole, pieces = Written(), Written()
    whole.take(Correlator(POLICY), stream)
    for first in range(0, len(stream), batch):
        correlator = pieces.restarted()
        correlator.add(stream[first : first + batch])  # killed before it was committed
        pieces.take(pieces.restarted(), stream[first : first + batch])
    assert pieces.incidents == whole.incidents
    assert set(pieces.events) == set(whole.events)
