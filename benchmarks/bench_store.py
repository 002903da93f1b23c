"""Measures how fast the store writes and reads feature windows, on a SQLite file of its own."""

import tempfile
import time
from pathlib import Path
from typing import Any

from bgpdrift.store import Cursor, Store, migrate, open_store
from bgpdrift.store.window_columns import FEATURE_NAMES

ROWS = 10_000


def run() -> list[dict[str, Any]]:
    """Measure once; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    evidence = {"origins": [[64500 + i, i] for i in range(5)], "peers": [["192.0.2.1", 64500, 7]]}
    figures = dict.fromkeys(FEATURE_NAMES, 3)
    rows = [
        {"window_start": 60 * i, "collector": "rrc00", **figures, "origin_entropy": 1.5, "evidence": evidence}
        for i in range(ROWS)
    ]
    with tempfile.TemporaryDirectory() as folder:
        url = Path(folder) / "store.sqlite3"
        migrate(url)
        with open_store(url) as store:
            inserted = _timed(lambda: store.write_windows(rows, Cursor("bench", 1)))
            updated = _timed(lambda: store.write_windows(rows, Cursor("bench", 2)))
            read = _timed(lambda: store.windows_after(0, ROWS))
            durable = _timed(lambda: _one_by_one(store, rows[:200], Cursor("bench", 3)))
            plain = _timed(lambda: _one_by_one(store, rows[:200], None))
    return [
        _row("store: windows inserted", ROWS / inserted, "rows/s"),
        _row("store: windows overwritten", ROWS / updated, "rows/s"),
        _row("store: windows read", ROWS / read, "rows/s"),
        _row("store: one window, flushed to disk", 1000 * durable / 200, "ms", "not flushed", durable / plain),
        _row("store: one window, not flushed", 1000 * plain / 200, "ms"),
    ]


def _one_by_one(store: Store, rows: list[dict[str, Any]], cursor: Cursor | None) -> None:
    for row in rows:
        store.write_windows([row], cursor)


def _timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _row(name: str, value: float, unit: str, ratio_to: str | None = None, ratio: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio_to": ratio_to, "ratio": ratio}


def main() -> None:
    """Print the figures."""
    for row in run():
        print(f"{row['name']:<40} {row['value']:>12,.2f} {row['unit']}")


if __name__ == "__main__":
    main()
