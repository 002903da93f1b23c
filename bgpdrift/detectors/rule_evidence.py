"""What the rules see: every rule at every time scale beside what is usual, for the minutes to be scored.

Minutes are smoothed once (`look`) and compared with either kind of usual: that of the last hours, or that learned for a
collector. No threshold is applied here but `exceedance`, which puts the three numbers together; who sets thresholds is
`rule_learning`'s affair, what a minute is worth `heuristic`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import (
    DROPPED,
    FEED_GAP,
    INCOMPLETE,
    PEER_RESET,
    WARMING,
    FloatArray,
    IntArray,
    WindowFrame,
)
from bgpdrift.detectors.preparation import SCALES_MIN, BoolArray, MinuteGrid, Usual, smooth, usual
from bgpdrift.detectors.prepared import HOUR, QUARTER, STILL_THERE
from bgpdrift.detectors.rules import Rule

LEAST_HISTORY_MIN = 60
"""Clean minutes before a rule has an opinion."""
LEAST_SPREAD_LEVEL, LEAST_SPREAD_VOLUME, LEAST_SPREAD_EVENTS = 0.03, 0.05, 0.5
"""Smallest spreads on the log scale: 3 % of a path length, 5 % of a volume, half an event over none."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every rule at every time scale for the rows to be scored; all arrays have shape (n_rules, n_scales, n_rows).

    ``present`` and ``usual`` are on the rule's own scale (log), ``spreads`` is signed so that positive is a finding.
    """

    present: FloatArray
    usual: FloatArray
    spreads: FloatArray
    factor: FloatArray
    size: FloatArray
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Minutes:
    """Rules smoothed over a frame.

    Attributes
    ----------
    rules : tuple of Rule
        In the order of the arrays.
    every : ndarray, shape (n_scales · n_rules, n_minutes)
        On the rules' own scale, minute by minute.
    bare : ndarray, shape (n_rules, n_rows)
        The rows to be scored as they are, also where a mark makes them a hole.
    rows : ndarray of int, shape (n_rows,)
        Columns of ``every`` to be scored.
    first_minute : int
        Of ``every``, since the epoch.
    """

    rules: tuple[Rule, ...]
    every: FloatArray
    bare: FloatArray
    rows: IntArray
    first_minute: int


@dataclass(frozen=True, slots=True)
class _Table:
    """The rules' own constants as columns, shape (n_rules, 1)."""

    direction: FloatArray
    levels: BoolArray
    events: BoolArray
    factor: FloatArray
    minimum: FloatArray


def look(frame: WindowFrame, rules: Iterable[Rule]) -> Minutes:
    """Make the rules' values and smooth them.

    Minutes that are warming, incomplete or without a feed are holes in the history. A table transfer is one for the
    rules it explains, and is measured itself as a bare minute, for the record.
    """
    table = tuple(rules)
    grid = MinuteGrid.of(frame.window_start)
    raw = np.full((len(table), grid.length), np.nan)
    bad = frame.mark(INCOMPLETE) | frame.mark(FEED_GAP) | frame.mark(DROPPED)
    warming, reset = frame.mark(WARMING), frame.mark(PEER_RESET)
    bare = np.full((len(table), len(frame) - frame.first), np.nan)
    for index, rule in enumerate(table):
        if any(name not in frame.features for name in rule.needs):
            continue
        values = on_scale(rule, rule.value(frame.features))
        bare[index] = values[frame.first :]
        hole = bad | (reset & rule.reset_explains) | (warming & (rule.form == "events"))
        raw[index, grid.row_of] = np.where(hole, np.nan, values)
    events = _table(table).events[:, 0]
    bare[events] = np.log1p(bare[events])
    return Minutes(table, at_scales(raw, events), bare, grid.row_of[frame.first :], grid.first_minute)


def against_recent(minutes: Minutes, history_minutes: int) -> Evidence:
    """Compare with the hours before each row.

    A short history does not yet know how far calm minutes stray: twice as far after an hour, a sixth after six.
    """
    level = usual(minutes.every, minutes.rows, minutes.first_minute, history_minutes)
    return _compared(minutes, level, 1.0 + LEAST_HISTORY_MIN / np.maximum(level.count, 1))


def against_learned(minutes: Minutes, levels: FloatArray) -> Evidence:
    """Compare with what was learned of this group: median, spread above and below, shape (3, n_rules, n_scales)."""
    median, above, below = (part.T.reshape(-1, 1) for part in levels)
    known = (above > 0) | (below > 0)
    count = np.where(known, LEAST_HISTORY_MIN, 0)
    return _compared(minutes, Usual(np.where(known, median, np.nan), above, below, count), np.ones(1))


def _compared(minutes: Minutes, level: Usual, young: FloatArray) -> Evidence:
    table, count = _table(minutes.rules), len(minutes.rules)
    shape = (count, len(SCALES_MIN), len(minutes.rows))
    present, median, away, spread = np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape)
    known = np.zeros(shape, bool)
    now_all = minutes.every[:, minutes.rows]
    for scale, length in enumerate(SCALES_MIN):
        of_scale = slice(scale * count, (scale + 1) * count)
        now, middle = now_all[of_scale], level.median[of_scale]
        if length == 1:
            now = np.where(np.isfinite(now), now, minutes.bare)
        present[:, scale], median[:, scale] = now, middle
        away[:, scale] = table.direction * (now - middle)
        beside = np.where(table.direction > 0, level.above[of_scale], level.below[of_scale])
        floor = _least_spread(table, middle, length)
        spread[:, scale] = np.maximum(beside, floor) * (young[of_scale] if len(young) > 1 else young)
        known[:, scale] = np.isfinite(now) & (level.count[of_scale] >= LEAST_HISTORY_MIN)
    # A level's minimum lies at any place of the log scale, so that it is a difference there; a count's is a share.
    reached = np.where(table.direction[:, :, None] > 0, present, median)
    levels, minimum = table.levels[:, :, None], table.minimum[:, :, None]
    size = np.where(levels, 1.0 + reached - minimum, reached / np.where(levels, 1.0, minimum))
    with np.errstate(invalid="ignore"):
        return Evidence(present, median, away / spread, away / table.factor[:, :, None], size, known)


def exceedance(evidence: Evidence, thresholds: FloatArray) -> FloatArray:
    """Smallest of the three numbers; over an hour only as far as the last quarter of an hour agrees.

    An hour's mean forgets slowly: without this a storm would go on firing for an hour after its end.
    """
    found = np.minimum(np.minimum(evidence.spreads / thresholds, evidence.factor), evidence.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        going_on = STILL_THERE * np.maximum(evidence.factor[:, QUARTER], 0.0) / evidence.factor[:, HOUR]
    share = np.where(np.isfinite(going_on), np.clip(going_on, 0.0, 1.0), 1.0)
    found[:, HOUR] = np.where(found[:, HOUR] > 0, found[:, HOUR] * share, found[:, HOUR])
    return np.asarray(found)


def chosen(first: BoolArray, one: Evidence, other: Evidence) -> Evidence:
    """Evidence of one where ``first``, else of the other."""
    names = ("present", "usual", "spreads", "factor", "size", "known")
    return Evidence(*(np.where(first, getattr(one, name), getattr(other, name)) for name in names))


def at_scales(raw: FloatArray, events: npt.NDArray[np.bool_]) -> FloatArray:
    """Smooth rules at every time scale, shape (n_scales · n_rules, n_minutes), events on their log scale."""
    every = np.concatenate([smooth(raw, minutes, total=events) for minutes in SCALES_MIN])
    of_events = np.tile(events, len(SCALES_MIN))
    every[of_events] = np.log1p(every[of_events])
    return every


def on_scale(rule: Rule, values: FloatArray) -> FloatArray:
    """Values as a rule compares them before smoothing: events stay counts until they are totalled."""
    if rule.form == "events":
        return values
    if rule.form == "volume":
        return np.log1p(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def scaled(rule: Rule, value: float) -> float:
    """Put a value on a rule's own scale."""
    return float(np.log(value) if rule.form == "level" else np.log1p(value))


@cache
def _table(rules: tuple[Rule, ...]) -> _Table:
    def column(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), np.float64)[:, None]

    return _Table(
        column(rule.direction for rule in rules),
        column(rule.form == "level" for rule in rules) > 0,
        column(rule.form == "events" for rule in rules) > 0,
        column(np.log(rule.factor) for rule in rules),
        column(scaled(rule, rule.minimum) for rule in rules),
    )


def _least_spread(table: _Table, median: FloatArray, minutes: int) -> FloatArray:
    """Spread that counting alone causes: a collector with no scatter at all is just too quiet to show it."""
    count = np.exp(np.where(table.levels | np.isnan(median), 0.0, median))  # usual + 1
    independent = 1.0 if minutes == 1 else 2.0 * minutes
    volume = np.maximum(LEAST_SPREAD_VOLUME, 1.0 / np.sqrt(count * independent))
    rare = LEAST_SPREAD_EVENTS / np.sqrt(count)
    return np.where(table.levels, LEAST_SPREAD_LEVEL, np.where(table.events, rare, volume))
