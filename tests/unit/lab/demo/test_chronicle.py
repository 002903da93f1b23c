"""What happened, told once each: incidents, questions, wishes, versions and checks in the order they were seen."""

import pytest

from bgpdrift.lab.demo.chronicle import Chronicle
from bgpdrift.store import Cursor, migrate, open_store

START = 1_788_220_800


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        yield opened


def version(state: str) -> dict:
    return {
        "model": "lstm", "version": "3", "state": state, "parent_version": "2", "digest": "d", "artifact_path": "f",
        "created_at": START, "activated_at": START, "details": {},
    }  # fmt: skip


def check(verdict: str, severity: str = "none") -> Cursor:
    return Cursor("drift:lstm", START, {"verdict": verdict, "severity": severity, "reason": "the level rose by 60 %"})


def test_each_thing_is_told_when_it_changes_and_not_again(store):
    told: list[str] = []
    chronicle = Chronicle(store, START, lambda one: told.append(one.line(START)))
    store.record_model_version(version("active"))

    for hour in (1, 2, 30):
        if hour == 30:
            store.set_model_state("lstm", "3", "accepted", START)
        chronicle.look(START + hour * 3600)

    assert told == ["day  0 01.00 h  version lstm 3: active", "day  1 06.00 h  version lstm 3: accepted"]
    assert [one.at - START for one in chronicle.all("version", "lstm")] == [3600, 108_000]


def test_a_drift_is_told_with_its_severity_and_its_reason(store):
    chronicle = Chronicle(store, START)
    for hour, cursor in enumerate((check("none"), check("drift", "high"), check("drift", "high"), check("none")), 1):
        with store.writing() as connection:
            store.write_cursor(connection, cursor)
        chronicle.look(START + hour * 3600)

    assert [one.state for one in chronicle.all("check", "lstm")] == ["none", "drift high", "none"]
    found = chronicle.first("check", state="drift high")
    assert found is not None
    assert found.text == "the level rose by 60 %"
    assert chronicle.first("check", state="drift high", since=START + 3 * 3600) is None
