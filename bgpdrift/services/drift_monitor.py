"""The drift monitor, as far as it goes yet: folds scores and features into hourly histograms, exactly once.

Two cursors, one for scores and one for windows; histograms and cursor are written in one transaction, and what is
added is computed from the row as it was read: this service is its only writer, so a kill counts nothing twice. Windows
with a quality mark stay out of the baselines. It also turns operators' labels into daily figures of performance
(`bgpdrift.services.labelled_days`) and keeps all tables within their retention. Whether anything drifts comes with the
drift decision.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift.clock import Clock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.services import runtime
from bgpdrift.services.labelled_days import LabelledDays
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store, open_store
from bgpdrift.store.retention import Sweeper
from bgpdrift.store.window_columns import FEATURE_NAMES

NAME = "drift_monitor"
ROWS_A_STEP = 500
HOUR_S = 3600
MARKS = ("incomplete", "feed_gap", "peer_reset", "dropped", "warming")
Key = tuple[str, str, str, int]
"""(series, model_version, collector, hour_start)"""


class DriftMonitor:
    """Worker."""

    def __init__(
        self, store: Store, enabled: bool, sweeper: Sweeper | None = None, labelled: LabelledDays | None = None
    ) -> None:
        self._store, self._enabled, self._sweeper, self._labelled = store, enabled, sweeper, labelled
        self._positions = {}
        for what in ("scores", "windows"):
            cursor = store.read_cursor(f"{NAME}:{what}")
            self._positions[what] = cursor.position if cursor else 0
        self._rows = 0
        self._hours: set[int] = set()

    def step(self) -> bool:
        """Fold the next scores and windows, delete a batch of what has expired; True if more is waiting."""
        if self._sweeper is not None:
            self._sweeper.step()
        if self._labelled is not None:
            self._labelled.step()
        if not self._enabled:
            return False
        scores = self._store.scores_after(self._positions["scores"], ROWS_A_STEP)
        self._write("scores", scores, fold_scores(scores))
        windows = self._store.windows_after(self._positions["windows"], ROWS_A_STEP)
        self._write("windows", windows, fold_windows(windows))
        return ROWS_A_STEP in (len(scores), len(windows))

    def status(self) -> str:
        """What was folded, and what this version does not do."""
        if not self._enabled:
            return "switched off (drift.enabled)"
        return f"{len(self._hours)} hours, {self._rows:,} rows folded; drift checks come with the drift decision"

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _write(self, what: str, rows: Sequence[Mapping[str, Any]], folded: Mapping[Key, tuple[Histogram, int]]) -> None:
        if not rows:
            return
        position = int(rows[-1]["id"])
        written = [self._merged(key, histogram, alarms) for key, (histogram, alarms) in folded.items()]
        self._store.upsert_histograms(written, Cursor(f"{NAME}:{what}", position, {}))
        self._positions[what] = position
        self._rows += len(rows)
        self._hours |= {key[3] for key in folded}

    def _merged(self, key: Key, histogram: Histogram, alarms: int) -> dict[str, Any]:
        series, version, collector, hour = key
        for row in self._store.histograms_between(series, hour, hour + 1, version, collector):
            before = Histogram.from_bytes(row["bins"], row["value_sum"], row["value_sum_squares"])
            histogram, alarms = before + histogram, int(row["alarms"]) + alarms
        return {
            "hour_start": hour,
            "series": series,
            "model_version": version,
            "collector": collector,
            "n": histogram.n,
            "alarms": alarms,
            "value_sum": histogram.total,
            "value_sum_squares": histogram.squares,
            "bins": histogram.to_bytes(),
        }


def fold_scores(rows: Sequence[Mapping[str, Any]]) -> dict[Key, tuple[Histogram, int]]:
    """Scores of whole collectors by model version and hour; a detector that abstained said nothing."""
    folded: dict[Key, tuple[Histogram, int]] = {}
    for row in rows:
        if row["peer"] or row["abstained"]:
            continue
        key = (f"score:{row['model']}", str(row["model_version"]), str(row["collector"]), _hour(row))
        histogram, alarms = folded.get(key, (Histogram(), 0))
        histogram.add(float(row["score"]))
        folded[key] = (histogram, alarms + bool(row["is_alarm"]))
    return folded


def fold_windows(rows: Sequence[Mapping[str, Any]]) -> dict[Key, tuple[Histogram, int]]:
    """Features of whole collectors by hour, without windows that carry a quality mark."""
    folded: dict[Key, tuple[Histogram, int]] = {}
    for row in rows:
        if row["peer"] or any(row[mark] for mark in MARKS):
            continue
        for name in FEATURE_NAMES:
            key = (f"feature:{name}", "", str(row["collector"]), _hour(row))
            folded.setdefault(key, (Histogram(), 0))[0].add(float(row[name]))
    return folded


def _hour(row: Mapping[str, Any]) -> int:
    return int(row["window_start"]) // HOUR_S * HOUR_S


def build(settings: Settings, clock: Clock) -> DriftMonitor:
    """Make the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    days = {str(table): kept for table, kept in settings.store.retention_days.items()}
    labelled = LabelledDays(store, clock, settings.drift.min_labels)
    return DriftMonitor(store, settings.drift.enabled, Sweeper(store, days, clock), labelled)


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.drift.poll_s)
