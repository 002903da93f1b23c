"""Any series replayed through the drift rule: hourly checks with a rolling and a pinned week, and the flags that follow.

This module decides only the order of the checks; `bgpdrift.drift.rule` decides the verdicts. Real columns, simulated
months and labelled events are replayed by this module.
"""

import csv
import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift.between_day_variance import estimate_between_day_variance
from bgpdrift.drift.constants import DAY_S, HOUR_S
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report import DriftReport
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.windows import WindowPair, split_windows
from bgpdrift.settings_sections import DriftSettings

Series = Mapping[str, Hours]


@dataclass(frozen=True, slots=True)
class Replay:
    """Hourly checks of one series.

    Attributes
    ----------
    reports : tuple of DriftReport
        In order of time.
    flags : tuple of int
        Event times at which a drift had persisted and a retraining would be requested; armed again after it was clear.
    """

    reports: tuple[DriftReport, ...]
    flags: tuple[int, ...]

    def first(self, verdict: str) -> DriftReport | None:
        """Find the first check with this verdict."""
        return next((report for report in self.reports if report.verdict == verdict), None)

    def share(self, verdict: str) -> float:
        """Share of checks with this verdict."""
        return sum(report.verdict == verdict for report in self.reports) / max(len(self.reports), 1)


def replay(
    hours: Series,
    begin: int,
    end: int,
    *,
    pinned: tuple[int, int] | None = None,
    settings: DriftSettings | None = None,
    every_h: int = 1,
    draws: int = 1_000,
    learns: bool = True,
) -> Replay:
    """Check each hour from ``begin`` to ``end``, both epoch seconds.

    Parameters
    ----------
    pinned : tuple of int, optional
        Span of the pinned reference; without it only the rolling reference is used.
    learns : bool, default True
        A flag is followed by a model that learned the hours since the change: its references begin there, and until they
        are long enough there is not enough data. Otherwise the old reference stays.
    """
    settings = settings or DriftSettings()
    reports: list[DriftReport] = []
    flags: list[int] = []
    running, armed = 0, True
    for at in range(begin, end + 1, every_h * HOUR_S):
        report = check(hours, at, pinned=pinned, settings=settings, draws=draws)
        reports.append(report)
        running = running + 1 if report.is_drift else 0
        armed = armed or not running
        if not armed or running < settings.persistence_checks:
            continue
        flags.append(at)
        armed = False
        if learns:
            since = report.change_point or at - DAY_S
            hours = {name: part.between(since, end) for name, part in hours.items()}
            pinned = (since, since + 7 * DAY_S) if pinned else None
    return Replay(tuple(reports), tuple(flags))


def check(
    hours: Series, at: int, *, pinned: tuple[int, int] | None, settings: DriftSettings, draws: int = 1_000
) -> DriftReport:
    """Check once, as the monitor does: the preset with the rolling reference, and each window with the pinned one."""
    current, rolling = split_windows(settings.preset, at)
    variance = estimate_between_day_variance([hours], current[0])
    pairs = [
        WindowPair(
            window=settings.preset,
            reference_kind="rolling",
            current=hours,
            reference=hours,
            current_span=current,
            reference_span=rolling,
        )
    ]
    for length in settings.pinned_windows_h if pinned else ():
        begin = at - length * HOUR_S
        if pinned is None or begin < pinned[1]:
            continue
        pairs.append(
            WindowPair(
                window=f"{length}h/pinned",
                reference_kind="pinned",
                current=hours,
                reference=hours,
                current_span=(begin, at),
                reference_span=pinned,
                recent={name: part.between(pinned[1], begin) for name, part in hours.items()},
            )
        )
    comparisons = [compare(pair, settings, between_day_variance=variance, draws=draws) for pair in pairs]
    return decide(comparisons, model="", model_version="", at=at, settings=settings)


def columns_of(path: Path) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Read a real series: times (epoch seconds) and its numeric columns by name."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    times = np.array([int(datetime.fromisoformat(row["window_start"]).timestamp()) for row in rows], np.int64)
    names = [name for name in rows[0] if name not in ("window_start", "window_id", "collector")]
    return times, {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def replay_columns(
    path: Path,
    names: Iterable[str] | None = None,
    *,
    settings: DriftSettings | None = None,
    tell: Callable[[str, Replay], None] | None = None,
) -> dict[str, Replay]:
    """Replay every column as if it were a score: its first week is pinned, each later hour is checked.

    Values that are no numbers are left out; a column is replayed only if it has any.
    """
    times, columns = columns_of(path)
    found: dict[str, Replay] = {}
    for name in names or columns:
        known = np.isfinite(columns[name])
        if not known.any():
            continue
        begin = int(times[0]) // HOUR_S * HOUR_S
        end = (int(times[-1]) // HOUR_S + 1) * HOUR_S
        hours = {"rrc04": Hours.from_rows(times[known], columns[name][known])}
        pinned = (begin, begin + 7 * DAY_S)
        found[name] = replay(hours, begin + 8 * DAY_S, end, pinned=pinned, settings=settings)
        if tell is not None:
            tell(name, found[name])
    return found


def announcements(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[int, int], int]:
    """Read announcements a minute around the worm Slammer (2003), and then of 2011, as if it were the next day.

    The two calm days before the worm are repeated three times, so that the reference has a week.

    Returns
    -------
    times, counts : ndarray, shape (minutes,)
    event : tuple of int
        Epoch seconds at which the worm begins and ends.
    change : int
        At which 2011 begins.
    """
    worm, calm = (_labelled(folder / f"{name}.csv.gz") for name in ("Slammer", "RIPE_regular"))
    minutes = 2 * 1_440
    counts = np.concatenate([*([worm[:minutes, 4]] * 3), worm[:, 4], calm[:, 4]])
    event = np.flatnonzero(worm[:, -1] == 1) + 3 * minutes
    times = 60 * np.arange(len(counts), dtype=np.int64)
    return times, counts, (int(times[event[0]]), int(times[event[-1]]) + 60), 60 * (3 * minutes + len(worm))


def _labelled(path: Path) -> NDArray[np.float64]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return np.loadtxt(stream, delimiter=",")
