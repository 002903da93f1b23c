"""Reversion: the share of minutes that went back to the reference level although the level of the hours has left it.

The mean of an hour hides short waves: a storm of 25 minutes in every hour makes each hour's mean as high as the next. A
new level is where all minutes are, whereas waves leave some minutes behind. A minute counts as reverted if it lies
nearer to the reference level than half way to the present one, on the logarithm and less the season; minutes that
scatter alone would put there are subtracted. Levels that are too close together to be separated give 0.
"""

from collections.abc import Mapping

import numpy as np

from bgpdrift.drift.constants import (
    BIN_WIDTH,
    HIGH_QUANTILE,
    HOUR_S,
    LOW_QUANTILE,
    MAX_OVERLAP_HOUR,
    MAX_OVERLAP_HOURS,
    MIN_REVERSION_FACTOR,
    SEASON_SMOOTHING_H,
)
from bgpdrift.drift.hours import BoolArray, FloatArray, Hours

MIN_SHIFT_BINS = np.log(MIN_REVERSION_FACTOR) / np.log(BIN_WIDTH)
_Minutes = tuple[FloatArray, FloatArray]
"""Values in bins, less the season, and how many minutes have each."""


def compute_reverted_share(now: Mapping[str, Hours], before: Mapping[str, Hours], since: int) -> float:
    """Compute the share of minutes at the reference level while most minutes are at another level.

    Parameters
    ----------
    now, before : mapping of str to Hours
        By collector: hours that may be at another level, and clean hours before them. Values should be positive; others
        count as the smallest positive value halved.
    since : int
        Epoch seconds: only hours from here on.

    Returns
    -------
    float
        0 to 1, less what scatter alone would give; 0 where most minutes are at, or near, the reference level.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(8 * 1440)
    >>> values = rng.gamma(4.0, size=len(minute))
    >>> today = minute >= 7 * 86_400
    >>> levels = (np.where(today, 20, 1), np.where(today & (minute % 10_800 < 9_000), 20, 1))
    >>> stable, waves = [Hours.from_rows(minute, values * level) for level in levels]
    >>> past = {"a": stable.between(0, 7 * 86_400)}
    >>> [round(compute_reverted_share({"a": hours}, past, 7 * 86_400), 2) for hours in (stable, waves)]
    [0.0, 0.16]
    """
    minutes, reference = _collect_minutes(now, before, since)
    if not len(minutes[0]) or not len(reference[0]):
        return 0.0
    shift = _quantile(minutes, 0.5) - _quantile(reference, 0.5)
    return _share_reverted(minutes, reference, shift, MAX_OVERLAP_HOURS)


def compute_unmoved_share(now: Hours, before: Hours) -> float:
    """Compute the share of an hour's minutes at the reference level while its extremes have left it.

    The result is the median over all hours.

    Parameters
    ----------
    now, before : Hours
        Of one collector: the hours to judge, and clean hours before them.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(8 * 1440)
    >>> storms = np.where((minute >= 7 * 86_400) & (minute % 3_600 < 1_500), 12, 1)
    >>> hours = Hours.from_rows(minute, rng.gamma(4.0, size=len(minute)) * storms)
    >>> round(compute_unmoved_share(hours.between(7 * 86_400, 8 * 86_400), hours.between(0, 7 * 86_400)), 2)
    0.55
    """
    season, floor = _median_by_hour(before), _floor_bin(before)
    reference = _list_minutes(before, season, floor)
    if not len(reference[0]) or not len(now):
        return 0.0
    high, low = _quantile(reference, HIGH_QUANTILE), _quantile(reference, LOW_QUANTILE)
    shares = []
    for start in now.starts.tolist():
        hour = _list_minutes(now.between(start, start + 1), season, floor)
        rise, fall = _quantile(hour, HIGH_QUANTILE) - high, low - _quantile(hour, LOW_QUANTILE)
        shares.append(_share_reverted(hour, reference, rise if rise >= fall else -fall, MAX_OVERLAP_HOUR))
    return float(np.median(shares))


def _share_reverted(minutes: _Minutes, reference: _Minutes, shift: float, max_overlap: float) -> float:
    """Share of minutes on the reference's side of half the shift, less those that a whole shift would leave there."""
    if abs(shift) < MIN_SHIFT_BINS:
        return 0.0
    middle, sign = _quantile(reference, 0.5), 1.0 if shift >= 0 else -1.0
    overlap = _share(reference, sign * (reference[0] - middle) < -abs(shift) / 2)
    if overlap > max_overlap:
        return 0.0
    return max(0.0, _share(minutes, sign * (minutes[0] - middle) < abs(shift) / 2) - overlap)


def _collect_minutes(now: Mapping[str, Hours], before: Mapping[str, Hours], since: int) -> tuple[_Minutes, _Minutes]:
    parts: tuple[list[_Minutes], list[_Minutes]] = ([], [])
    for name in sorted(now):
        past, recent = before.get(name, Hours.empty()), now[name].between(since, 2**62)
        if len(past) and len(recent):
            season, floor = _median_by_hour(past), _floor_bin(past)
            parts[0].append(_list_minutes(recent, season, floor))
            parts[1].append(_list_minutes(past, season, floor))
    return _join(parts[0]), _join(parts[1])


def _median_by_hour(hours: Hours) -> FloatArray:
    """Median at each hour of day, in bins; shape (24,).

    Neighbouring hours are pooled, because of two or three days alone each value would be its own median.
    """
    of_day = np.zeros((24, len(hours.bins)))
    for offset in range(-SEASON_SMOOTHING_H, SEASON_SMOOTHING_H + 1):
        np.add.at(of_day, (hours.starts // HOUR_S + offset) % 24, hours.counts)
    places, overall = _place_bins(hours, _floor_bin(hours)), of_day.sum(axis=0)
    pooled = [counts if counts.any() else overall for counts in of_day]
    return np.array([_quantile((places, counts), 0.5) if counts.any() else 0.0 for counts in pooled])


def _list_minutes(hours: Hours, season: FloatArray, floor: float) -> _Minutes:
    rows, columns = np.nonzero(hours.counts)
    values = _place_bins(hours, floor)[columns] - season[hours.starts[rows] // HOUR_S % 24]
    return values, hours.counts[rows, columns].astype(float)


def _place_bins(hours: Hours, floor: float) -> FloatArray:
    return np.where(hours.bins > 0, hours.bins.astype(float), floor)


def _floor_bin(hours: Hours) -> float:
    """Place of zero and negative values: half of the smallest positive value."""
    positive = hours.bins[hours.bins > 0]
    return float(positive.min()) - MIN_SHIFT_BINS if len(positive) else 0.0


def _join(parts: list[_Minutes]) -> _Minutes:
    if not parts:
        return np.zeros(0), np.zeros(0)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _quantile(minutes: _Minutes, share: float) -> float:
    values, counts = minutes
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    return float(values[order][int(np.searchsorted(reached, share * reached[-1]))])


def _share(minutes: _Minutes, chosen: BoolArray) -> float:
    return float(minutes[1][chosen].sum() / minutes[1].sum())
