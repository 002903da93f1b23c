"""Alerts about incidents: one for each change that people must know, written with the change and never twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import StoreError
from bgpdrift.settings import Settings, load
from bgpdrift.store import IncidentChanges, Store, migrate, open_store
from bgpdrift.store.request_records import Alert
from bgpdrift.verdicts.correlation_engine import CorrelationEngine
from bgpdrift.verdicts.incident_alerts import build_incident_alerts

START = 1_788_220_800


class World:
    """A store with verdicts, and a correlation engine that restarts for each step."""

    def __init__(self, settings: Settings, store: Store, clock: FakeClock) -> None:
        self.settings, self.store, self.clock, self.minute = settings, store, clock, 0

    def let_pass(self, minutes: int, **fields: Any) -> None:
        """Write verdicts, calm or with fields of an anomaly, and correlate them."""
        rows = []
        for _ in range(minutes):
            row = {"window_start": START + 60 * self.minute, "collector": "rrc00", "peer": "", "combined": 0.2}
            rest = {
                "is_anomaly": False,
                "majority": False,
                "maximum": 0.0,
                "exceeds": False,
                "votes": {},
                "p_values": {},
                "abstaining": {},
                "evidence": {},
            }
            rows.append({**row, **rest, **fields})
            self.minute += 1
        self.store.write_verdicts(rows, None)
        self.correlate()

    def anomaly(self, minutes: int, combined: float = 4.0, peers: int = 1) -> None:
        rule = {"rule": "moas_new", "value": 9.0, "baseline": 0.0, "threshold": 3.0, "unit": "", "meaning": ""}
        evidence = {"rules_fired": [rule], "peers": [f"192.0.2.{number}" for number in range(peers)]}
        self.let_pass(minutes, combined=combined, is_anomaly=True, evidence=evidence)

    def correlate(self) -> None:
        engine = CorrelationEngine(self.settings, open_store(self.settings.store_url), self.clock)
        while engine.step():
            pass
        engine.close()

    def titles(self) -> list[str]:
        return [alert.title.partition(":")[0] for alert in reversed(self.store.alerts())]


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    settings = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path)})
    migrate(settings.store_url)
    with open_store(settings.store_url, clock=clock) as store:
        yield World(settings, store, clock)


def test_an_incident_raises_an_alert_at_each_change_that_people_must_know(world: World) -> None:
    world.anomaly(3)
    assert world.titles() == ["Incident 1 opened"]

    world.anomaly(3)
    assert world.titles() == ["Incident 1 opened"]

    world.anomaly(2, combined=6.0, peers=40)
    world.let_pass(30)
    world.anomaly(2)

    assert world.titles() == [
        "Incident 1 opened",
        "Incident 1 is high, before low",
        "Incident 1 closed",
        "Incident 1 is open again",
    ]
    opened, changed, closed, reopened = reversed(world.store.alerts())
    assert [alert.severity for alert in (opened, changed, closed, reopened)] == ["low", "high", "low", "high"]
    assert {alert.at for alert in world.store.alerts()} == {world.clock.now()}
    assert opened.body.endswith("`bgpdrift incidents 1` explains it.")


def test_verdicts_that_are_read_again_after_a_crash_raise_no_second_alert(world: World) -> None:
    world.anomaly(3)
    world.let_pass(30)
    before = world.store.alerts()
    changes = IncidentChanges(
        events=[{"incident_id": 1, "at": START, "kind": "opened", "details": {"severity": "low"}}]
    )
    world.store.apply_incidents(changes, None, build_incident_alerts(changes, world.clock.now()))

    assert world.store.alerts() == before


def test_alerts_are_written_with_the_changes_or_not_at_all(world: World) -> None:
    alert = Alert(at=0.0, key="incident_closed:9:0", severity="low", title="Incident 9 closed")
    with pytest.raises(StoreError):
        world.store.apply_incidents(IncidentChanges(updates=[{"id": 9, "state": "closed"}]), None, [alert])
    assert world.store.alerts() == []


def test_a_merged_incident_names_the_incident_that_goes_on() -> None:
    event = {"incident_id": 2, "at": 60, "kind": "merged", "details": {"severity": "high", "into": 1}}
    (alert,) = build_incident_alerts(IncidentChanges(events=[event]), 5.0)
    assert (alert.title, alert.severity, alert.at) == ("Incident 2 was merged into incident 1", "low", 5.0)
