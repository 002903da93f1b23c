"""State changes of incidents, approvals, requests, versions and checks: each once, in the order they were seen."""

from typing import Any

import pytest

from bgpdrift.lab.demo.timeline import Timeline
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import DriftState
from bgpdrift.store.model_records import ModelVersion

START = 1_788_220_800


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        yield opened


def version(state: Any) -> ModelVersion:
    return ModelVersion(
        model="lstm",
        version="3",
        state=state,
        parent_version="2",
        digest="d",
        created_at=START,
        activated_at=START,
    )


def check(verdict: str, severity: str = "none") -> StateCursor[DriftState]:
    return StateCursor(
        "drift:lstm", START, DriftState(verdict=verdict, severity=severity, reason="the level rose by 60 %")
    )


def test_each_state_is_reported_once(store):
    lines: list[str] = []
    timeline = Timeline(store, START, lambda one: lines.append(one.line(START)))
    store.record_model_version(version("active"))

    for hour in (1, 2, 30):
        if hour == 30:
            store.record_transition([], [("lstm", "3", "accepted")], None, START)
        timeline.update(START + hour * 3600)

    assert lines == ["day  0 01.00 h  version lstm 3: active", "day  1 06.00 h  version lstm 3: accepted"]
    assert [one.at - START for one in timeline.select("version", "lstm")] == [3600, 108_000]


def test_a_drift_has_its_severity_and_its_reason(store):
    timeline = Timeline(store, START)
    for hour, cursor in enumerate((check("none"), check("drift", "high"), check("drift", "high"), check("none")), 1):
        store.put_cursor(cursor)
        timeline.update(START + hour * 3600)

    assert [one.state for one in timeline.select("check", "lstm")] == ["none", "drift high", "none"]
    found = timeline.first("check", state="drift high")
    assert found is not None
    assert found.text == "the level rose by 60 %"
    assert timeline.first("check", state="drift high", since=START + 3 * 3600) is None
