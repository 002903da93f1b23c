"""A new level is stable; waves, growth and surges within the hour are not."""

from collections.abc import Callable

import numpy as np
import pytest

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.stability import TOO_FEW_HOURS, assess_stability, find_level_start

HOUR, DAY = 3_600, 86_400


def lived(level: Callable[[np.ndarray], np.ndarray], days: float, first: int = 0, seed: int = 1) -> Hours:
    """Minutes of a daily season with noise that lasts some minutes, times a level."""
    rng, minute = np.random.default_rng(seed), first + 60 * np.arange(int(1440 * days))
    noise = (
        rng.gamma(4.0, 0.25, len(minute)) * np.repeat(rng.lognormal(0, 0.1, len(minute) // 60 + 1), 60)[: len(minute)]
    )
    season = 1.6 + np.sin(minute / DAY * 2 * np.pi)
    return Hours.from_rows(minute, 100 * season * noise * level(minute))


def judged(level: Callable[[np.ndarray], np.ndarray], hours: int = 12, seed: int = 3) -> tuple[bool, str]:
    before = {"a": lived(lambda m: np.ones(len(m)), 7, seed=seed)}
    now = {"a": lived(level, hours / 24, first=7 * DAY, seed=seed + 50)}
    found = assess_stability(now, before, 7 * DAY + hours * HOUR, hours, minutes=True)
    return found.is_stable, found.reason


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.5, 2.0, 8.0])
def test_a_new_level_is_stable_however_large(factor: float) -> None:
    found = [judged(lambda m: np.full(len(m), factor), seed=seed)[0] for seed in range(20)]
    assert sum(found) >= 17


@pytest.mark.parametrize("period_min", [20, 40, 120, 240, 360])
def test_waves_of_any_length_are_unstable(period_min: int) -> None:
    found = [
        judged(lambda m: np.where(m // 60 % (2 * period_min) < period_min, 6.0, 1.0), seed=seed)[0]
        for seed in range(20)
    ]
    assert sum(found) <= 1


@pytest.mark.parametrize("hourly", [0.7, 1.15, 1.4])
def test_growth_and_decline_are_unstable(hourly: float) -> None:
    found = [judged(lambda m: 2 * hourly ** ((m - 7 * DAY) / HOUR), seed=seed)[0] for seed in range(20)]
    assert sum(found) <= 1


def test_one_odd_hour_does_not_change_the_trend() -> None:
    level = lambda m: np.where((m >= 7 * DAY + 5 * HOUR) & (m < 7 * DAY + 6 * HOUR), 2.4, 2.0)  # noqa: E731
    assert judged(level) == (True, "")


@pytest.mark.parametrize("begins_h", [1, 5, 9])
def test_a_short_incident_on_a_new_level_is_ignored(begins_h: int) -> None:
    burst = lambda m: np.where(abs(m - 7 * DAY - (begins_h + 1) * HOUR + 30) < HOUR, 12.0, 2.0)  # noqa: E731
    assert sum(judged(burst, seed=seed)[0] for seed in range(20)) >= 17


def test_an_incident_that_goes_on_is_unstable() -> None:
    begun = lambda m: np.where(m >= 7 * DAY + 11 * HOUR, 12.0, 2.0)  # noqa: E731
    assert sum(judged(begun, seed=seed)[0] for seed in range(20)) <= 1


@pytest.mark.parametrize("days", [2, 3])
def test_a_short_reference_does_not_scatter_less_than_a_long_one(days: int) -> None:
    """Of two or three days at an hour one is the median, which must not reduce the scatter."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rough = np.repeat(rng.lognormal(0, 0.35, 24 * 4), 60)
        minute = 60 * np.arange(len(rough))
        before = Hours.from_rows(minute[: 1440 * days], 100 * rough[: 1440 * days])
        now = Hours.from_rows(minute[-720:], 300 * rough[-720:])
        found.append(assess_stability({"a": now}, {"a": before}, 4 * DAY, 12).is_stable)
    assert sum(found) >= 36


def changed(seed: int, hour: int, before_h: int) -> int:
    """Start of a level that doubles at ``hour``, after a first incident ``before_h`` earlier."""
    found = lived(lambda m: np.where(m < hour * HOUR, 1.0, 2.0), (hour + 14) / 24, seed=seed)
    usual, since = found.between(0, 7 * DAY), (hour - before_h) * HOUR + 60 * (before_h > 0)
    return find_level_start({"a": found}, {"a": usual}, since, (hour + 14) * HOUR) // HOUR


@pytest.mark.parametrize("before_h", [0, 1, 5])
def test_a_level_begins_at_its_change_and_not_at_the_first_incident(before_h: int) -> None:
    found = [changed(seed, 8 * 24 + 5, before_h) for seed in range(20)]
    assert sum(abs(hour - (8 * 24 + 5)) <= 1 for hour in found) >= 18


def test_an_incident_before_or_a_dip_after_does_not_move_the_start() -> None:
    hour = lambda m: m // HOUR - 7 * 24  # noqa: E731
    level = lambda m: np.where((hour(m) == 1) | ((hour(m) >= 8) & (hour(m) != 14)), 2.5, 1.0)  # noqa: E731
    found = lived(level, 8)
    assert find_level_start({"a": found}, {"a": found.between(0, 7 * DAY)}, 7 * DAY, 8 * DAY) == 7 * DAY + 8 * HOUR


def test_without_a_reference_a_level_begins_with_its_incident() -> None:
    assert find_level_start({"a": lived(lambda m: np.ones(len(m)), 1)}, {}, 90, DAY) == HOUR


def test_too_few_hours_are_not_stable() -> None:
    before = {"a": lived(lambda m: np.ones(len(m)), 1)}
    now = {"a": lived(lambda m: np.ones(len(m)), 0.5, first=DAY)}
    assert assess_stability(now, before, DAY + 12 * HOUR, 12).reason == TOO_FEW_HOURS
    assert not assess_stability({}, {}, DAY, 12).is_stable
