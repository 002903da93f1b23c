"""Verdicts to incidents."""

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bgpdrift.store.evidence_records import (
    ChangedPrefix,
    FiredRule,
    RouteChange,
    SeenBy,
    Suspect,
    VerdictEvidence,
)
from bgpdrift.verdicts.correlation import CorrelationPolicy, Correlator
from bgpdrift.verdicts.footprint import name_changes

POLICY = CorrelationPolicy(link_minutes=10, quiet_minutes=15, reopen_minutes=60)
RULE = FiredRule(rule="moas_new", value=9.0, baseline=0.0, threshold=3.0, unit="prefixes", meaning="…", sufficient=True)


def hijack(asn: int, first_at: int = 0, collector: str = "rrc00", prefixes: int = 5) -> RouteChange:
    """A second origin of prefixes that belong to this hijacker alone."""
    return RouteChange(
        change="second_origin",
        collector=collector,
        first_at=first_at,
        n_routes=prefixes,
        n_prefixes=prefixes,
        n_peers=3,
        suspects=(Suspect(asn, prefixes),),
        prefixes=tuple(ChangedPrefix(f"20.{asn}.{n}.0/24", 64500, asn) for n in range(prefixes)),
        peers=(SeenBy("192.0.2.1", "64501"),),
    )


def verdict(
    minute: int,
    anomaly: bool = False,
    collector: str = "rrc00",
    rule: str = "moas_new",
    origins: Sequence[int] = (),
    changes: Sequence[RouteChange] = (),
) -> dict[str, Any]:
    changes = (*changes, *(hijack(asn, 60 * minute, collector) for asn in origins))
    names = name_changes(changes)
    evidence = VerdictEvidence(
        rules_fired=(msgspec.structs.replace(RULE, rule=rule),),
        changes=changes,
        origins=names[0],
        prefixes=names[1],
        peers=names[2],
    )
    return {
        "window_start": 60 * minute,
        "collector": collector,
        "peer": "",
        "combined": 5.0 if anomaly else 0.3,
        "is_anomaly": anomaly,
        "p_values": {"heuristic": 1e-5},
        "abstaining": {"lstm": "waiting for a model"},
        "evidence": evidence if anomaly else VerdictEvidence(),
    }


def minutes(start: int, end: int, anomalous: range = range(0), **more: Any) -> list[dict[str, Any]]:
    return [verdict(m, m in anomalous, **(more if m in anomalous else {})) for m in range(start, end)]


class IncidentLog:
    """The incidents and events that a store holds after each batch."""

    def __init__(self) -> None:
        self.incidents: dict[int, dict[str, Any]] = {}
        self.events: dict[tuple[int, int, str], dict[str, Any]] = {}
        self.clocks: dict[str, int] = {}

    def add(self, correlator: Correlator, verdicts: list[dict[str, Any]]) -> None:
        changes = correlator.add(verdicts)
        for row in (*changes.inserts, *changes.updates):
            self.incidents.setdefault(row["id"], {}).update(copy.deepcopy(dict(row)))
        for event in changes.events:
            self.events[event["incident_id"], event["at"], event["kind"]] = dict(event)
        self.clocks = correlator.clock_fields

    def restart(self) -> Correlator:
        rows = [copy.deepcopy(row) for row in self.incidents.values()]
        return Correlator(POLICY, rows, self.clocks, max(self.incidents, default=0) + 1)

    def kinds(self, incident: int) -> list[str]:
        return [kind for (i, _, kind) in self.events if i == incident]


@pytest.fixture
def log() -> IncidentLog:
    return IncidentLog()


def test_calm_verdicts_close_an_incident(log: IncidentLog) -> None:
    log.add(Correlator(POLICY), minutes(0, 60, range(10, 20)))
    (incident,) = log.incidents.values()
    assert (incident["state"], incident["started_at"], incident["last_seen_at"]) == ("closed", 600, 19 * 60)
    assert incident["closed_at"] == (19 + 15) * 60
    assert log.kinds(1)[0] == "opened"
    assert log.kinds(1)[-1] == "closed"
    assert incident["explanation"].rule_minutes == {"moas_new": 10}
    assert "rrc00" in incident["summary"]
    assert incident["kind"] == "origin hijack"


def test_an_incident_stays_open_while_event_time_does_not_advance(log: IncidentLog) -> None:
    log.add(Correlator(POLICY), minutes(0, 24, range(10, 20)))
    assert log.incidents[1]["state"] == "updated"


def test_two_causes_hours_apart_are_two_incidents(log: IncidentLog) -> None:
    log.add(Correlator(POLICY), minutes(0, 400, range(10, 20)) + minutes(400, 500, range(410, 420)))
    assert len(log.incidents) == 2


def test_an_anomaly_of_the_same_kind_within_the_hour_reopens_the_incident(log: IncidentLog) -> None:
    log.add(Correlator(POLICY), minutes(0, 60, range(10, 20)) + minutes(60, 70, range(62, 70)))
    assert len(log.incidents) == 1
    assert "reopened" in log.kinds(1)
    assert log.incidents[1]["closed_at"] is None


def test_an_anomaly_of_another_kind_within_the_hour_is_another_incident(log: IncidentLog) -> None:
    late = minutes(60, 70, range(62, 70), rule="silence")
    log.add(Correlator(POLICY), minutes(0, 60, range(10, 20)) + late)
    assert len(log.incidents) == 2


def test_one_origin_at_two_collectors_is_one_incident(log: IncidentLog) -> None:
    both = [verdict(m, m in range(10, 20), c, origins=[64666]) for m in range(60) for c in ("rrc00", "rrc01")]
    log.add(Correlator(POLICY), both)
    assert [row["collectors"] for row in log.incidents.values()] == [["rrc00", "rrc01"]]


def test_linked_incidents_are_merged_into_the_older(log: IncidentLog) -> None:
    one = [verdict(10, True, "rrc00", "moas_new", origins=[1]), verdict(11, True, "rrc01", "silence", origins=[2])]
    log.add(Correlator(POLICY), [*one, verdict(12, True, "rrc02", "bogon", origins=[1, 2])])
    older, younger = log.incidents[1], log.incidents[2]
    assert younger["merged_into"] == 1
    assert younger["state"] == "closed"
    assert older["state"] != "closed"
    assert set(older["collectors"]) == {"rrc00", "rrc01", "rrc02"}
    assert "merged" in log.kinds(2)


def test_a_collector_without_verdicts_does_not_keep_its_incident_open(log: IncidentLog) -> None:
    log.add(Correlator(POLICY), [verdict(10, True, "rrc00"), *(verdict(m, collector="rrc01") for m in range(11, 60))])
    assert log.incidents[1]["state"] != "closed"
    correlator = log.restart()
    log.add(correlator, [verdict(m, collector="rrc01") for m in range(60, 120)])
    assert log.incidents[1]["state"] == "closed"


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_a_crash_after_any_batch_gives_the_same_incidents(batch: int) -> None:
    """The state is restored from the committed rows, and the uncommitted batch is processed again."""
    stream = minutes(0, 100, range(10, 20), origins=[5]) + minutes(100, 400, range(300, 320), rule="silence")
    whole, pieces = IncidentLog(), IncidentLog()
    whole.add(Correlator(POLICY), stream)
    for first in range(0, len(stream), batch):
        correlator = pieces.restart()
        correlator.add(stream[first : first + batch])  # a crash before the commit
        pieces.add(pieces.restart(), stream[first : first + batch])
    assert pieces.incidents == whole.incidents
    assert set(pieces.events) == set(whole.events)


def test_the_names_are_those_of_the_strongest_minute_and_stay_when_later_minutes_have_others(log: IncidentLog) -> None:
    first = [verdict(10, True, origins=[64666])]
    later = [verdict(m, True, changes=[hijack(64700 + m, 60 * m, prefixes=1)]) for m in range(11, 20)]

    log.add(Correlator(POLICY), [*first, *later])

    (incident,) = log.incidents.values()
    assert incident["origins"] == [64666]
    assert incident["prefixes"] == [f"20.64666.{n}.0/24" for n in range(5)]
    assert incident["peers"] == ["192.0.2.1"]
    assert incident["explanation"].changes[0].first_at == 600


def test_an_outage_with_a_stray_second_origin_is_an_outage(log: IncidentLog) -> None:
    lost = tuple(ChangedPrefix(f"20.0.{n}.0/24", n, 0, (1, 64666, n)) for n in range(1, 40))
    outage = RouteChange(
        change="lost", n_routes=200, n_prefixes=343, n_peers=9, suspects=(Suspect(64666, 190, 5),), prefixes=lost
    )
    stray = verdict(10, True, rule="moas_new", changes=[hijack(64700, 600, prefixes=3)])

    log.add(Correlator(POLICY), [stray, verdict(11, True, rule="lost_together", changes=[outage])])

    (incident,) = log.incidents.values()
    assert (incident["kind"], incident["origins"]) == ("outage", [64666])
    assert incident["prefixes"] == [prefix.prefix for prefix in lost]
    assert incident["summary"].startswith("Outage behind AS64666 at collector rrc00 since")


def test_one_hijack_at_two_collectors_names_the_peers_of_both(log: IncidentLog) -> None:
    other = msgspec.structs.replace(hijack(5, 600, "rrc01"), peers=(SeenBy("192.0.2.9", "9"),))
    log.add(Correlator(POLICY), [verdict(10, True, origins=[5]), verdict(10, True, "rrc01", changes=[other])])

    (incident,) = log.incidents.values()
    assert incident["peers"] == ["192.0.2.1", "192.0.2.9"]
    assert incident["origins"] == [5]
