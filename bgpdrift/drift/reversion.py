"""Whether minutes go back to what was usual, though a level has left it: waves that the mean of an hour does not show. Pure.

A storm of 25 minutes in every hour makes each hour's mean as high as the next, and a detector that remembers half an hour is
hardly ever calm between two waves. But a new level is where all minutes are, and waves leave some behind. Decides how many
minutes went back, beyond those that scatter as far: half way, on the logarithm and less the season, between what was usual and
the level now. Levels too close together for that are not judged. What follows from it, others decide.
"""

from collections.abc import Mapping

import numpy as np

from bgpdrift.drift.histogram import WIDTH
from bgpdrift.drift.hours import HOUR_S, FloatArray, Hours

MAX_REVERTED_SHARE = 0.08
"""Share of minutes back at what was usual from which on a level comes in waves."""
LEAST_SHIFT = np.log(2.0) / np.log(WIDTH)
"""Bins between two levels that are looked at: a doubling, or a half."""
_APART, _APART_HOUR = 0.04, 0.1
"""Share of what was usual that lies beyond half way to the other level, up to which two levels can be told apart: over hours
that scatter, and within one, where many hours are asked."""
_HIGH, _LOW = 0.9, 0.1
_BESIDE_H = 2
_Minutes = tuple[FloatArray, FloatArray]


def compute_reverted_share(now: Mapping[str, Hours], before: Mapping[str, Hours], since: int) -> float:
    """Give the share of minutes at what was usual, where most minutes are at another level.

    Parameters
    ----------
    now, before : mapping of str to Hours
        By collector: hours that may be at another level; clean hours before it. Positive values; others count as nothing.
    since : int
        Epoch seconds: only hours from here on.

    Returns
    -------
    float
        0 to 1, less what scatter alone would give; 0 where most minutes are at, or near, what was usual.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(8 * 1440)
    >>> values = rng.gamma(4.0, size=len(minute))
    >>> today = minute >= 7 * 86_400
    >>> levels = (np.where(today, 20, 1), np.where(today & (minute % 10_800 < 9_000), 20, 1))
    >>> worlds = [Hours.from_rows(minute, values * level) for level in levels]
    >>> past = {"a": worlds[0].between(0, 7 * 86_400)}
    >>> [round(compute_reverted_share({"a": world}, past, 7 * 86_400), 2) for world in worlds]
    [0.0, 0.16]
    """
    minutes, usual = _both(now, before, since)
    if not len(minutes[0]) or not len(usual[0]):
        return 0.0
    shift = _quantile(minutes, 0.5) - _quantile(usual, 0.5)
    return _back(minutes, usual, shift, _APART)


def compute_unmoved_share(now: Hours, before: Hours) -> float:
    """Give the share of an hour's minutes at what was usual, where its highest, or lowest, have left it: median of the hours.

    Parameters
    ----------
    now, before : Hours
        Of one collector: the hours asked about; clean hours before them.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(8 * 1440)
    >>> storms = np.where((minute >= 7 * 86_400) & (minute % 3_600 < 1_500), 12, 1)
    >>> found = Hours.from_rows(minute, rng.gamma(4.0, size=len(minute)) * storms)
    >>> round(compute_unmoved_share(found.between(7 * 86_400, 8 * 86_400), found.between(0, 7 * 86_400)), 2)
    0.55
    """
    season, least = _season(before), _least(before)
    usual = _minutes(before, season, least)
    if not len(usual[0]) or not len(now):
        return 0.0
    high, low = _quantile(usual, _HIGH), _quantile(usual, _LOW)
    found = []
    for start in now.starts.tolist():
        hour = _minutes(now.between(start, start + 1), season, least)
        rise, fall = _quantile(hour, _HIGH) - high, low - _quantile(hour, _LOW)
        found.append(_back(hour, usual, rise if rise >= fall else -fall, _APART_HOUR))
    return float(np.median(found))


def _back(minutes: _Minutes, usual: _Minutes, shift: float, apart: float) -> float:
    """Share of minutes on the usual side of half a shift, less those that a whole shift would have left there."""
    if abs(shift) < LEAST_SHIFT:
        return 0.0
    middle, way = _quantile(usual, 0.5), 1.0 if shift >= 0 else -1.0
    overlap = _share(usual, way * (usual[0] - middle) < -abs(shift) / 2)
    if overlap > apart:
        return 0.0
    return max(0.0, _share(minutes, way * (minutes[0] - middle) < abs(shift) / 2) - overlap)


def _both(now: Mapping[str, Hours], before: Mapping[str, Hours], since: int) -> tuple[_Minutes, _Minutes]:
    parts: tuple[list[_Minutes], list[_Minutes]] = ([], [])
    for name in sorted(now):
        past, recent = before.get(name, Hours.empty()), now[name].between(since, 2**62)
        if len(past) and len(recent):
            season, least = _season(past), _least(past)
            parts[0].append(_minutes(recent, season, least))
            parts[1].append(_minutes(past, season, least))
    return _joined(parts[0]), _joined(parts[1])


def _season(hours: Hours) -> FloatArray:
    """Median about each hour of day, in bins; shape (24,). About: of two or three days alone each value is its own median."""
    of_day = np.zeros((24, len(hours.bins)))
    for beside in range(-_BESIDE_H, _BESIDE_H + 1):
        np.add.at(of_day, (hours.starts // HOUR_S + beside) % 24, hours.counts)
    places, overall = _places(hours, _least(hours)), of_day.sum(axis=0)
    found = [counts if counts.any() else overall for counts in of_day]
    return np.array([_quantile((places, counts), 0.5) if counts.any() else 0.0 for counts in found])


def _minutes(hours: Hours, season: FloatArray, least: float) -> _Minutes:
    """Values less the season, in bins, and how many there are of each."""
    rows, columns = np.nonzero(hours.counts)
    values = _places(hours, least)[columns] - season[hours.starts[rows] // HOUR_S % 24]
    return values, hours.counts[rows, columns].astype(float)


def _places(hours: Hours, least: float) -> FloatArray:
    return np.where(hours.bins > 0, hours.bins.astype(float), least)


def _least(hours: Hours) -> float:
    """Place of nothing at all: half of the least that was ever counted."""
    positive = hours.bins[hours.bins > 0]
    return float(positive.min()) - LEAST_SHIFT if len(positive) else 0.0


def _joined(parts: list[_Minutes]) -> _Minutes:
    if not parts:
        return np.zeros(0), np.zeros(0)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _quantile(minutes: _Minutes, share: float) -> float:
    values, counts = minutes
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    return float(values[order][int(np.searchsorted(reached, share * reached[-1]))])


def _share(minutes: _Minutes, chosen: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> float:
    return float(minutes[1][chosen].sum() / minutes[1].sum())
