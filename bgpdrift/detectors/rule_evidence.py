"""The evidence of the rules: every rule at every time scale beside a baseline, for the minutes to score.

`measure_rules` smooths the minutes once. They are then compared with either baseline: the rolling one of the last hours,
or the one that was learned for a collector. `compute_exceedance` combines the results with thresholds;
`bgpdrift.detectors.rule_learning` sets the thresholds, and `bgpdrift.detectors.heuristic` computes the score.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from bgpdrift.detectors.interface import (
    DROPPED,
    FEED_GAP,
    INCOMPLETE,
    PEER_RESET,
    WARMING,
    BoolArray,
    FloatArray,
    IntArray,
    WindowFrame,
)
from bgpdrift.detectors.preparation import HOUR, MAX_HOUR_TO_QUARTER, QUARTER
from bgpdrift.detectors.rules import Rule
from bgpdrift.detectors.smoothing import SCALES_MIN, Baseline, MinuteGrid, compute_rolling_baseline, smooth

MIN_HISTORY_MIN = 60
"""Clean minutes below which a rule abstains."""
MIN_SPREAD_LEVEL, MIN_SPREAD_VOLUME, MIN_SPREAD_EVENTS = 0.03, 0.05, 0.5
"""Smallest spreads on the log scale: 3 % of a path length, 5 % of a volume, half an event over none."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every rule at every time scale for the rows to score; all arrays have shape (n_rules, n_scales, n_rows).

    Attributes
    ----------
    present, baseline : ndarray of float
        On the rule's own log scale.
    spreads : ndarray of float
        Distance from the baseline in spreads; positive is a finding.
    factor : ndarray of float
        Log of the factor from the baseline, as a share of the log of the factor that matters.
    size : ndarray of float
        Size as a share of the size that matters.
    known : ndarray of bool
        Whether the rule has a vote, that is, does not abstain.
    """

    present: FloatArray
    baseline: FloatArray
    spreads: FloatArray
    factor: FloatArray
    size: FloatArray
    known: BoolArray


@dataclass(frozen=True, slots=True)
class RuleMinutes:
    """Signals of the rules, smoothed over a frame.

    Attributes
    ----------
    rules : tuple of Rule
        In the order of the arrays.
    smoothed : ndarray of float, shape (n_scales · n_rules, n_minutes)
        Every minute of the grid, on the rules' own scales.
    unsmoothed : ndarray of float, shape (n_rules, n_rows)
        The rows to score, also where a mark makes them a hole in ``smoothed``.
    rows : ndarray of int, shape (n_rows,)
        Columns of ``smoothed`` to score.
    first_minute : int
        First minute of ``smoothed``, since the epoch.
    """

    rules: tuple[Rule, ...]
    smoothed: FloatArray
    unsmoothed: FloatArray
    rows: IntArray
    first_minute: int


@dataclass(frozen=True, slots=True)
class _Constants:
    """The constants of the rules as columns, shape (n_rules, 1)."""

    direction: FloatArray
    is_level: BoolArray
    is_events: BoolArray
    log_min_factor: FloatArray
    min_size: FloatArray


def measure_rules(frame: WindowFrame, rules: Iterable[Rule]) -> RuleMinutes:
    """Compute the signals of the rules and smooth them.

    Minutes that are warming, incomplete or without a feed are holes. A table transfer is a hole for the rules that it
    explains; the unsmoothed minute is kept for the record.
    """
    table = tuple(rules)
    grid = MinuteGrid.of(frame.window_start)
    raw = np.full((len(table), grid.length), np.nan)
    bad = frame.mark(INCOMPLETE) | frame.mark(FEED_GAP) | frame.mark(DROPPED)
    warming, reset = frame.mark(WARMING), frame.mark(PEER_RESET)
    unsmoothed = np.full((len(table), len(frame) - frame.first), np.nan)
    for index, rule in enumerate(table):
        if any(name not in frame.features for name in rule.needs):
            continue
        values = to_log_scale(rule, rule.signal(frame.features))
        unsmoothed[index] = values[frame.first :]
        hole = bad | (reset & rule.reset_explains) | (warming & (rule.form == "events"))
        raw[index, grid.row_of] = np.where(hole, np.nan, values)
    is_events = _constants(table).is_events[:, 0]
    unsmoothed[is_events] = np.log1p(unsmoothed[is_events])
    smoothed = smooth_at_scales(raw, is_events)
    return RuleMinutes(table, smoothed, unsmoothed, grid.row_of[frame.first :], grid.first_minute)


def compare_with_recent(minutes: RuleMinutes, history_minutes: int) -> Evidence:
    """Compare with the rolling baseline of the hours before each row.

    A short history underestimates how far calm minutes vary: the spread is doubled after one hour and a sixth wider
    after six.
    """
    baseline = compute_rolling_baseline(minutes.smoothed, minutes.rows, minutes.first_minute, history_minutes)
    return _compare(minutes, baseline, 1.0 + MIN_HISTORY_MIN / np.maximum(baseline.count, 1))


def compare_with_learned(minutes: RuleMinutes, levels: FloatArray) -> Evidence:
    """Compare with the learned baseline of a group: median, spread above and below, shape (3, n_rules, n_scales)."""
    median, above, below = (part.T.reshape(-1, 1) for part in levels)
    known = (above > 0) | (below > 0)
    count = np.where(known, MIN_HISTORY_MIN, 0)
    return _compare(minutes, Baseline(np.where(known, median, np.nan), above, below, count), np.ones(1))


def _compare(minutes: RuleMinutes, baseline: Baseline, widening: FloatArray) -> Evidence:
    constants, count = _constants(minutes.rules), len(minutes.rules)
    shape = (count, len(SCALES_MIN), len(minutes.rows))
    present, median, distance, spread = np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape)
    known = np.zeros(shape, bool)
    now_all = minutes.smoothed[:, minutes.rows]
    for scale, length in enumerate(SCALES_MIN):
        of_scale = slice(scale * count, (scale + 1) * count)
        now, middle = now_all[of_scale], baseline.median[of_scale]
        if length == 1:
            now = np.where(np.isfinite(now), now, minutes.unsmoothed)
        present[:, scale], median[:, scale] = now, middle
        distance[:, scale] = constants.direction * (now - middle)
        one_sided = np.where(constants.direction > 0, baseline.above[of_scale], baseline.below[of_scale])
        floor = _min_spread(constants, middle, length)
        spread[:, scale] = np.maximum(one_sided, floor) * (widening[of_scale] if len(widening) > 1 else widening)
        known[:, scale] = np.isfinite(now) & (baseline.count[of_scale] >= MIN_HISTORY_MIN)
    # The minimum of a level may lie anywhere on the log scale, so it is compared by difference; that of a count by ratio.
    reached = np.where(constants.direction[:, :, None] > 0, present, median)
    is_level, min_size = constants.is_level[:, :, None], constants.min_size[:, :, None]
    size = np.where(is_level, 1.0 + reached - min_size, reached / np.where(is_level, 1.0, min_size))
    with np.errstate(invalid="ignore"):
        factor = distance / constants.log_min_factor[:, :, None]
        return Evidence(present, median, distance / spread, factor, size, known)


def compute_exceedance(evidence: Evidence, thresholds: FloatArray) -> FloatArray:
    """Compute the exceedance of each rule: the smallest of spreads, factor and size, each 1 at its threshold.

    Over an hour the exceedance counts only as far as the last quarter of an hour agrees: the mean of an hour decays
    slowly, and a storm would otherwise keep firing for an hour after its end.

    Returns
    -------
    ndarray of float, shape (n_rules, n_scales, n_rows)
    """
    exceedance = np.minimum(np.minimum(evidence.spreads / thresholds, evidence.factor), evidence.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = MAX_HOUR_TO_QUARTER * np.maximum(evidence.factor[:, QUARTER], 0.0) / evidence.factor[:, HOUR]
    share = np.where(np.isfinite(ratio), np.clip(ratio, 0.0, 1.0), 1.0)
    exceedance[:, HOUR] = np.where(exceedance[:, HOUR] > 0, exceedance[:, HOUR] * share, exceedance[:, HOUR])
    return np.asarray(exceedance)


def select_evidence(use_first: BoolArray, first: Evidence, second: Evidence) -> Evidence:
    """Take the first evidence where ``use_first`` is true, else the second."""
    names = ("present", "baseline", "spreads", "factor", "size", "known")
    return Evidence(*(np.where(use_first, getattr(first, name), getattr(second, name)) for name in names))


def smooth_at_scales(raw: FloatArray, is_events: BoolArray) -> FloatArray:
    """Smooth signals at every time scale, shape (n_scales · n_rules, n_minutes); totals of events on their log scale."""
    smoothed = np.concatenate([smooth(raw, minutes, total=is_events) for minutes in SCALES_MIN])
    of_events = np.tile(is_events, len(SCALES_MIN))
    smoothed[of_events] = np.log1p(smoothed[of_events])
    return smoothed


def to_log_scale(rule: Rule, values: FloatArray) -> FloatArray:
    """Put the values of a signal on the scale on which they are smoothed; events stay counts until they are summed."""
    if rule.form == "events":
        return values
    if rule.form == "volume":
        return np.log1p(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def scale_value(rule: Rule, value: float) -> float:
    """Put one value on the rule's own scale, on which it is compared."""
    return float(np.log(value) if rule.form == "level" else np.log1p(value))


@cache
def _constants(rules: tuple[Rule, ...]) -> _Constants:
    def column(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), np.float64)[:, None]

    return _Constants(
        column(rule.direction for rule in rules),
        column(rule.form == "level" for rule in rules) > 0,
        column(rule.form == "events" for rule in rules) > 0,
        column(np.log(rule.min_factor) for rule in rules),
        column(scale_value(rule, rule.min_size) for rule in rules),
    )


def _min_spread(constants: _Constants, median: FloatArray, minutes: int) -> FloatArray:
    """Spread that counting alone causes; a collector that shows less is too quiet to show its variation."""
    count = np.exp(np.where(constants.is_level | np.isnan(median), 0.0, median))  # baseline + 1
    independent = 1.0 if minutes == 1 else 2.0 * minutes
    volume = np.maximum(MIN_SPREAD_VOLUME, 1.0 / np.sqrt(count * independent))
    rare = MIN_SPREAD_EVENTS / np.sqrt(count)
    return np.where(constants.is_level, MIN_SPREAD_LEVEL, np.where(constants.is_events, rare, volume))
