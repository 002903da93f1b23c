"""What every database behind `Store` must do."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from bgpdrift.errors import StoreError
from bgpdrift.store import Cursor, IncidentChanges, StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import AggregatorState
from bgpdrift.store.model_records import ModelVersion
from bgpdrift.store.schema import feature_windows, metadata
from bgpdrift.store.upkeep import AGE_COLUMNS
from helpers.store_rows import read_histograms, read_scores

T = 1_700_000_040
AGGREGATOR = StateCursor("aggregator", 5, AggregatorState(messages=2))


def window(minute=0, collector="rrc00", peer="", **columns):
    return {"window_start": T + 60 * minute, "collector": collector, "peer": peer, **columns}


def score(minute=0, model="heuristic", **columns):
    return window(minute, model=model, model_version="v1", score=1.5, p_value=0.5, is_alarm=False, **columns)


def verdict(minute=0, **columns):
    votes = {"p_values": {"heuristic": 0.1}, "votes": {"heuristic": True}, "abstaining": {"lstm": "waiting"}}
    flags = {"majority": False, "maximum": 1.0, "exceeds": True, "is_anomaly": False}
    return window(minute, combined=1.0, **votes, **flags, **columns)


def incident(id_, **columns):
    return {"id": id_, "state": "open", "severity": "low", "started_at": T, "last_seen_at": T, "peak": 2.0, **columns}


def test_what_was_written_is_read_with_every_column(store, clock):
    evidence = {"origins": [[64500, 3]], "text": "ü\ud800"}
    store.write_windows([window(messages=7, origin_entropy=1.25, evidence=evidence)], None)

    (row,) = store.windows_after(0, 10)

    assert set(row) == {column.name for column in feature_windows.columns}
    assert (row["messages"], row["origin_entropy"], row["evidence"]) == (7, 1.25, evidence)
    assert (row["withdrawn"], row["lag_p50"], row["written_at"]) == (0, 0.0, clock.now())


def test_windows_and_cursor_are_committed_together_or_not_at_all(store):
    store.write_windows([window()], AGGREGATOR)

    with pytest.raises(StoreError):
        store.write_windows([window(1), window(2, messages=None)], Cursor("aggregator", 6))

    assert store.read_state("aggregator", AggregatorState) == AGGREGATOR
    assert len(store.windows_after(0, 10)) == 1


def test_an_unknown_cursor_is_none(store):
    assert store.read_state("unknown", AggregatorState) is None


def test_a_window_written_twice_is_one_row_with_its_old_id_and_new_values(store):
    store.write_windows([window(messages=1), window(1)], None)
    before = [row["id"] for row in store.windows_after(0, 10)]

    store.write_windows([window(messages=2), window(messages=3)], None)

    after = store.windows_after(0, 10)
    assert [row["id"] for row in after] == before
    assert after[0]["messages"] == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1.0", None, True.__class__])
def test_a_number_that_is_none_is_refused_by_name(store, value):
    with pytest.raises(StoreError, match=r"feature_windows\.origin_entropy = .*rrc00"):
        store.write_windows([window(origin_entropy=value)], None)


@pytest.mark.parametrize("bad", [{"mesages": 1}, {"messages": 1.5}, {"messages": 2**63}, {"collector": "x" * 65}])
def test_a_row_that_does_not_fit_is_refused_and_nothing_is_written(store, bad):
    with pytest.raises(StoreError):
        store.write_windows([window(5), {**window(), **bad}], None)

    assert store.counts()["feature_windows"] == 0


def test_json_with_nan_is_refused(store):
    with pytest.raises(StoreError, match="JSON"):
        store.write_windows([window(evidence={"x": float("nan")})], None)


def test_a_row_that_was_read_can_be_written_back(store):
    store.write_windows([window(messages=1)], None)
    (row,) = store.windows_after(0, 1)

    store.write_windows([{**row, "messages": 9}], None)

    assert [(r["id"], r["messages"]) for r in store.windows_after(0, 10)] == [(row["id"], 9)]


def test_numpy_numbers_are_numbers(store):
    numpy = pytest.importorskip("numpy")
    store.write_windows([window(messages=numpy.int64(3), origin_entropy=numpy.float64(0.5))], None)

    (row,) = store.windows_after(0, 1)
    assert (row["messages"], row["origin_entropy"]) == (3, 0.5)


def test_a_reader_follows_by_id_in_batches(store):
    store.write_windows([window(minute) for minute in range(5)], None)

    first = store.windows_after(0, 3)
    rest = store.windows_after(first[-1]["id"], 3)

    assert [row["window_start"] for row in first + rest] == [T + 60 * minute for minute in range(5)]


def test_windows_between_includes_the_start_and_excludes_the_end(store):
    rows = [window(m, collector=c, peer=p) for m in range(3) for c in ("rrc00", "rrc01") for p in ("", "192.0.2.1")]
    store.write_windows(rows, None)

    assert len(store.windows_between(T, T + 120)) == 8
    assert len(store.windows_between(T, T + 120, collector="rrc01")) == 4
    found = store.windows_between(T, T + 180, collector="rrc01", peer="")
    assert [row["window_start"] for row in found] == [T, T + 60, T + 120]


def test_recent_windows_are_the_newest_before_a_time_oldest_first(store):
    store.write_windows([window(minute) for minute in range(6)], None)

    found = store.recent_windows("rrc00", "", before_start=T + 240, limit=2)

    assert [row["window_start"] for row in found] == [T + 120, T + 180]
    assert store.newest_window_start() == T + 300


def test_ids_are_not_used_again_after_a_table_was_emptied(store):
    store.write_windows([window(minute) for minute in range(3)], None)
    newest = store.windows_after(0, 10)[-1]["id"]
    assert store.delete_expired("feature_windows", T + 10_000, 100) == 3

    store.write_windows([window(9)], None)

    assert len(store.windows_after(newest, 10)) == 1, "a reader past the old ids would never see the new window"


def test_scores_are_found_by_id_by_model_by_time_and_by_window(store):
    rows = [score(m, model=model) for m in range(700) for model in ("heuristic", "lstm")]
    store.write_scores(rows, Cursor("lstm", 3))
    store.write_scores(rows, Cursor("lstm", 3))

    assert store.counts()["scores"] == 1400
    assert len(read_scores(store)) == 1400
    assert {row["model"] for row in store.scores_between(T, T + 60 * 700, model="lstm")} == {"lstm"}
    assert len(store.scores_between(T, T + 120)) == 4
    assert len(store.scores_between(T, T + 120, model="lstm", collector="rrc00")) == 2
    assert store.scores_between(T, T + 120, collector="rrc99") == []
    keys = [("rrc00", "", T + 60 * m) for m in range(600)]
    found = store.scores_for([*keys, ("rrc77", "", T), keys[0]])
    assert [row["window_start"] for row in found] == sorted(T + 60 * m for m in range(600) for _ in range(2))
    assert store.scores_for([]) == []
    assert found[0]["is_alarm"] is False
    assert found[0]["rules_fired"] == []


def test_verdicts_are_kept_by_window(store):
    store.write_verdicts([verdict(), verdict(1)], None)
    store.write_verdicts([verdict(1, explained_by="peer_reset")], Cursor("ensemble", 1))

    assert len(store.verdicts_after(0, 10)) == 2
    (row,) = store.verdicts_between(T + 60, T + 120)
    assert (row["explained_by"], row["votes"], row["exceeds"]) == ("peer_reset", {"heuristic": True}, True)


def test_incident_changes_written_twice_change_nothing(store):
    changes = IncidentChanges(
        inserts=[incident(1), incident(2)],
        updates=[{"id": 1, "state": "closed", "closed_at": T + 900}, {"id": 2, "merged_into": 1}],
        events=[{"incident_id": 1, "at": T, "kind": "opened"}, {"incident_id": 1, "at": T + 900, "kind": "closed"}],
    )
    store.apply_incidents(changes, Cursor("correlation", 8))
    once = (store.incident(1), store.incident(2), store.incident_events(1), store.counts())

    store.apply_incidents(changes, Cursor("correlation", 8))

    assert (store.incident(1), store.incident(2), store.incident_events(1), store.counts()) == once
    assert [row["id"] for row in store.open_incidents()] == [2]
    assert [event["kind"] for event in store.incident_events(1)] == ["opened", "closed"]
    assert store.next_incident_id() == 3


def test_what_an_operator_wrote_is_not_overwritten(store):
    store.apply_incidents(IncidentChanges(inserts=[incident(1)]), None)
    store.apply_incidents(IncidentChanges(updates=[{"id": 1, "acknowledged_by": "ann", "acknowledged_at": T}]), None)

    store.apply_incidents(IncidentChanges(inserts=[incident(1, severity="high")]), None)

    row = store.incident(1)
    assert (row["acknowledged_by"], row["severity"]) == ("ann", "high")


@pytest.mark.parametrize(
    "changes",
    [
        IncidentChanges(updates=[{"id": 77, "state": "closed"}]),
        IncidentChanges(events=[{"incident_id": 77, "at": T, "kind": "opened"}]),
        IncidentChanges(inserts=[{"state": "open"}]),
    ],
)
def test_changes_to_an_incident_that_does_not_exist_are_refused(store, changes):
    with pytest.raises(StoreError):
        store.apply_incidents(changes, Cursor("correlation", 9))

    assert store.read_position("correlation") == 0


def test_incidents_between_finds_those_that_touch_the_span(store):
    rows = [
        incident(1, state="closed", last_seen_at=T + 60, closed_at=T + 900),
        incident(2, started_at=T + 600, last_seen_at=T + 660),
        incident(3, started_at=T + 9000, last_seen_at=T + 9000),
    ]
    store.apply_incidents(IncidentChanges(inserts=rows), None)

    assert [row["id"] for row in store.incidents_between(T + 30, T + 100)] == [1]
    assert [row["id"] for row in store.incidents_between(T + 1000, T + 2000)] == [2]
    assert store.incident(99) is None


def test_histograms_are_replaced_not_added(store):
    row = {"hour_start": 3600, "series": "score:lstm", "model_version": "v1", "collector": "rrc00", "n": 60}
    sums = {"value_sum": 1.0, "value_sum_squares": 2.0, "bins": b"\x00\x01"}
    store.upsert_histograms([{**row, **sums}], None)
    store.upsert_histograms([{**row, **sums, "n": 61}], Cursor("drift", 4))

    (found,) = read_histograms(store, "score:lstm")
    assert (found["n"], found["bins"]) == (61, b"\x00\x01")


def test_model_versions_and_service_events_are_kept(store):
    for state in ("active", "accepted"):
        version = ModelVersion(model="lstm", version="v1", state=state, digest="ab", created_at=T)
        store.record_model_version(version)
    store.record_service_event(1.5, "lstm_detector", "model_loaded", {"ms": 3.0})
    store.record_service_event(2.5, "aggregator", "started", {})

    assert [row.state for row in store.model_versions("lstm")] == ["accepted"]
    assert store.model_versions("heuristic") == []
    assert [event.at for event in store.service_events(1)] == [2.5]
    assert store.service_events(5, service="lstm_detector")[0].details == {"ms": 3.0}


def test_rows_are_deleted_in_batches_and_young_ones_stay(store):
    store.write_windows([window(minute) for minute in range(10)], None)

    deleted = [store.delete_expired("feature_windows", T + 300, 2) for _ in range(4)]

    assert deleted == [2, 2, 1, 0]
    assert [row["window_start"] for row in store.windows_after(0, 10)] == [T + 60 * m for m in range(5, 10)]


def test_a_closed_incident_takes_its_events_and_an_open_one_stays(store):
    rows = [incident(1, state="closed", closed_at=T), incident(2), incident(3, state="closed", closed_at=T)]
    events = [{"incident_id": number, "at": T, "kind": "opened"} for number in (1, 2, 3)]
    store.apply_incidents(IncidentChanges(inserts=rows, events=events), None)

    assert store.delete_expired("incidents", T + 1, 100) == 1

    assert store.incident(1) is None
    assert store.incident_events(1) == []
    assert store.incident(2) is not None
    assert store.next_incident_id() == 4, "the newest stays, so that its number is not given again"


@pytest.mark.parametrize("table", sorted(AGE_COLUMNS))
def test_an_empty_table_that_expires_has_nothing_to_delete(store, table):
    assert store.delete_expired(table, T, 10) == 0


def test_a_table_that_is_kept_for_ever_is_refused(store):
    with pytest.raises(StoreError, match="cursors"):
        store.delete_expired("cursors", T, 10)


def test_the_migrations_lead_to_exactly_the_schema(store):
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_keeps_the_rows(store, url):
    store.write_windows([window()], None)

    assert migrate(url) == "current"
    assert store.counts()["feature_windows"] == 1


def test_a_newer_schema_is_refused_with_what_to_do(store, url):
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match="newer than this program"):
        open_store(url)
    with pytest.raises(StoreError, match="newer than this program"):
        migrate(url)


def test_an_empty_database_is_refused_with_what_to_do(store, url):
    with store.writing() as connection:
        connection.execute(text("DROP TABLE alembic_version"))

    with pytest.raises(StoreError, match="doctor --migrate"):
        open_store(url)
