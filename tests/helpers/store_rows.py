"""All rows of a table, for tests that compare whole tables."""

from typing import Any

from bgpdrift.store import Store
from bgpdrift.store.schema import hourly_histograms, scores


def read_scores(store: Store) -> list[dict[str, Any]]:
    """Read all scores by id."""
    return store.rows(scores.select().order_by(scores.c.id))


def read_histograms(store: Store, series: str) -> list[dict[str, Any]]:
    """Read all hourly histograms of a series in order of time, version and collector."""
    table = hourly_histograms
    query = table.select().where(table.c.series == series)
    return store.rows(query.order_by(table.c.hour_start, table.c.model_version, table.c.collector))
