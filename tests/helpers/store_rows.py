"""Rows of tables as they are stored, for tests that compare whole tables or need rows that the store does not write."""

from typing import Any

from bgpdrift.store import Cursor, Store
from bgpdrift.store.schema import cursors, hourly_histograms, scores


def read_scores(store: Store) -> list[dict[str, Any]]:
    """Read all scores by id."""
    return store.rows(scores.select().order_by(scores.c.id))


def read_histograms(store: Store, series: str) -> list[dict[str, Any]]:
    """Read all hourly histograms of a series in order of time, version and collector."""
    table = hourly_histograms
    query = table.select().where(table.c.series == series)
    return store.rows(query.order_by(table.c.hour_start, table.c.model_version, table.c.collector))


def write_raw_state(store: Store, name: str, position: int, fields: object) -> None:
    """Write a cursor with any JSON as its state, for example that of an earlier schema version."""
    store.put_cursor(Cursor(name, position))
    with store.writing() as connection:
        connection.execute(cursors.update().where(cursors.c.name == name).values(details=fields))


def read_raw_state(store: Store, name: str) -> Any:
    """Read the JSON of a cursor's state; None if the cursor does not exist."""
    rows = store.rows(cursors.select().where(cursors.c.name == name))
    return rows[0]["details"] if rows else None
