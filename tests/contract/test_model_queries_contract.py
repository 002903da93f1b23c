"""Versions of models, and the events that change them, are kept; the same on every database."""

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from bgpdrift.errors import StoreError
from bgpdrift.store import Store
from bgpdrift.store.model_records import EventReason, ModelState, ModelVersion, RetrainEvent
from bgpdrift.store.models import EVENT_KINDS
from helpers.store_rows import read_scores

T = 1_700_000_040


def version(number: str, state: ModelState = "active") -> ModelVersion:
    return ModelVersion(model="lstm", version=number, state=state, digest="ab", created_at=T)


def event(kind: Any = "retrain", model: str = "lstm", at: int = T, **fields: Any) -> RetrainEvent:
    return RetrainEvent(model=model, kind=kind, started_at=at, **fields)


def states(store: Store) -> dict[str, str]:
    return {row.version: row.state for row in store.model_versions("lstm")}


def test_an_event_is_begun_and_completed(store: Store) -> None:
    number = store.record_retrain_event(event(reason=EventReason(summary="drift", request_id=3)))
    (begun,) = store.retrain_events("lstm")
    assert begun == event(id=number, reason=EventReason(summary="drift", request_id=3))

    done = replace(begun, finished_at=T + 9, version="4", promoted=True, f1_new=0.5)
    assert store.record_retrain_event(done) == number

    assert store.retrain_events() == [done]


def test_events_are_read_newest_first_of_one_model_or_of_all(store: Store) -> None:
    for number, model in enumerate(("lstm", "heuristic", "lstm", "lstm")):
        store.record_retrain_event(event("promote", model, T + number))
    assert [row.started_at for row in store.retrain_events("lstm", limit=2)] == [T + 3, T + 2]
    assert len(store.retrain_events()) == 4
    assert store.retrain_events("isolation_forest") == []


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_kind_of_event_fits(store: Store, kind: str) -> None:
    store.record_retrain_event(event(kind))
    assert store.retrain_events()[0].kind == kind


def test_an_unknown_kind_and_an_unknown_event_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="expected one of retrain"):
        store.record_retrain_event(event("magic"))
    with pytest.raises(StoreError, match="no event 77"):
        store.record_retrain_event(event(id=77, finished_at=T))
    assert store.retrain_events() == []


def test_a_transition_changes_states_with_their_time_and_ignores_unknown_versions(store: Store) -> None:
    store.record_model_version(version("1", "candidate"))
    store.record_transition([], [("lstm", "1", "active"), ("lstm", "2", "active")], None, T + 5.5)
    (row,) = store.model_versions()
    assert (row.state, row.state_at, row.activated_at) == ("active", T + 5, T + 5)
    store.record_transition([], [("lstm", "1", "accepted")], None, T + 60)
    (row,) = store.model_versions("lstm")
    assert (row.state, row.state_at, row.activated_at) == ("accepted", T + 60, T + 5)


def test_a_transition_is_written_as_a_whole_or_not_at_all(store: Store) -> None:
    store.record_model_version(version("1"))
    promotion = event("promote", version="2")

    number = store.record_transition([version("2")], [("lstm", "1", "retired"), ("lstm", "9", "retired")], promotion, T)

    assert states(store) == {"1": "retired", "2": "active"}
    assert [row.id for row in store.retrain_events("lstm")] == [number]
    with pytest.raises(StoreError):
        store.record_transition([version("3")], [("lstm", "2", "retired")], event("magic"), T)
    assert states(store) == {"1": "retired", "2": "active"}
    assert store.record_transition([], [("lstm", "2", "accepted")], None, T) is None


def test_a_completed_event_is_written_with_the_transition(store: Store) -> None:
    number = store.record_retrain_event(event())

    done = event(id=number, version="2", finished_at=T + 9, promoted=True)
    assert store.record_transition([version("2")], [], done, T) == number

    assert store.retrain_events() == [done]


def test_a_score_carries_its_embedding_or_none(store: Store) -> None:
    row = {
        "window_start": T,
        "collector": "rrc00",
        "model_version": "1",
        "score": 1.0,
        "p_value": 0.5,
        "is_alarm": False,
    }
    store.write_scores([{**row, "model": "lstm", "embedding": [0.5, -1.25]}, {**row, "model": "heuristic"}], None)
    assert [found["embedding"] for found in read_scores(store)] == [[0.5, -1.25], None]
    with store.reading() as connection:
        query = text("SELECT COUNT(*) FROM scores WHERE embedding IS NULL")
        assert connection.execute(query).scalar() == 1
