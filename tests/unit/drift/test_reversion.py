"""Waves that the mean of an hour hides: some minutes are back at the reference level."""

from collections.abc import Callable

import numpy as np
import pytest

from bgpdrift.drift.constants import MAX_REVERTED_SHARE
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.reversion import compute_reverted_share, compute_unmoved_share

HOUR, DAY = 3_600, 86_400
Level = Callable[[np.ndarray], np.ndarray]


def bursty(level: Level, seed: int = 1, days: float = 7.5) -> Hours:
    """Minutes of a daily season with heavy-tailed bursts, as ordinary updates have them; from day 7 on times a level."""
    rng, minute = np.random.default_rng(seed), 60 * np.arange(int(1440 * days))
    bursts = (rng.random(len(minute)) < 0.12) * np.minimum(0.35 * rng.random(len(minute)) ** (-1 / 1.2), 9.0)
    traffic = 100 * (1.6 + np.sin(minute / DAY * 2 * np.pi)) * (rng.gamma(9.0, 1 / 9, len(minute)) + bursts)
    return Hours.from_rows(minute, traffic * np.where(minute < 7 * DAY, 1.0, level(minute - 7 * DAY)))


def surges(level: Level, seed: int = 1) -> float:
    found = bursty(level, seed)
    return compute_unmoved_share(found.between(7 * DAY, 8 * DAY), found.between(0, 7 * DAY))


def back(level: Level, seed: int = 1) -> float:
    found = bursty(level, seed)
    return compute_reverted_share({"a": found}, {"a": found.between(0, 7 * DAY)}, 7 * DAY)


def decaying(minutes: int, factor: float) -> Level:
    """A worm in the first minutes of each hour, that decays to an eighth before it ends."""

    def level(second: np.ndarray) -> np.ndarray:
        age = second % HOUR / 60 / minutes
        return np.where(age < 1, 1 + (factor - 1) * 0.12 ** np.maximum(0.0, (age - 0.3) / 0.7), 1.0)

    return level


@pytest.mark.parametrize("minutes", [10, 25, 40])
def test_storms_in_every_hour_leave_minutes_at_the_reference_level(minutes: int) -> None:
    assert min(surges(decaying(minutes, 12.0), seed) for seed in range(5)) > 0.25


@pytest.mark.parametrize("factor", [0.2, 0.5, 1.0, 2.0, 3.0, 12.0])
def test_a_new_level_leaves_no_minutes_there_however_bursty(factor: float) -> None:
    level: Level = lambda second: np.full(len(second), factor)  # noqa: E731
    assert max(surges(level, seed) for seed in range(5)) < 0.12
    assert max(back(level, seed) for seed in range(5)) < MAX_REVERTED_SHARE / 2


def test_a_collector_without_data_for_half_of_each_hour_surges_too() -> None:
    assert surges(lambda second: np.where(second % HOUR < 1800, 0.02, 1.0)) > 0.25


def test_waves_with_one_calm_minute_in_six_have_a_reverted_share_of_a_sixth() -> None:
    found = [back(lambda second: np.where(second % (3 * HOUR) < 9_000, 40.0, 1.0), seed) for seed in range(5)]
    assert 0.12 < min(found) <= max(found) < 0.2


def test_levels_that_are_too_close_have_no_reverted_share() -> None:
    assert back(lambda second: np.where(second % HOUR < 3_000, 1.6, 1.0)) == 0.0


def test_hours_before_the_change_do_not_count_as_reverted() -> None:
    found = bursty(lambda second: np.where(second < 4 * HOUR, 1.0, 40.0))
    past = {"a": found.between(0, 7 * DAY)}
    assert compute_reverted_share({"a": found}, past, 7 * DAY) > 0.25
    assert compute_reverted_share({"a": found}, past, 7 * DAY + 4 * HOUR) < 0.01


def test_without_hours_the_reverted_share_is_zero() -> None:
    found = bursty(lambda second: np.full(len(second), 9.0))
    assert compute_reverted_share({"a": found}, {}, 7 * DAY) == compute_reverted_share({}, {"a": found}, 0) == 0.0
    assert compute_unmoved_share(found, Hours.empty()) == compute_unmoved_share(Hours.empty(), found) == 0.0


def test_zeros_count_as_half_of_the_smallest_value() -> None:
    """A minute without a withdrawal is close to a minute with one, not thirty orders of magnitude below."""
    rng, minute = np.random.default_rng(4), 60 * np.arange(8 * 1440)
    counts = rng.poisson(np.where(minute < 7 * DAY, 2.0, 2.4)).astype(float)
    found = Hours.from_rows(minute, counts)
    past = found.between(0, 7 * DAY)
    assert compute_unmoved_share(found.between(7 * DAY, 8 * DAY), past) == 0.0
    assert compute_reverted_share({"a": found}, {"a": past}, 7 * DAY) == 0.0
