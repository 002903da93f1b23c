"""Between-day variance follows the history and ignores a change, a creep or another version."""

import numpy as np
import pytest

from bgpdrift.drift.between_day_variance import BetweenDayVariance, estimate_between_day_variance
from bgpdrift.drift.constants import MAX_INFLATION
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.rule import compare
from bgpdrift.drift.windows import WindowPair
from bgpdrift.settings_sections import DriftSettings

HOUR_S, DAY_S = 3_600, 86_400
ROWS = 20
"""Scores an hour."""


def of_levels(levels: np.ndarray, seed: int = 1) -> dict[str, Hours]:
    """Days of gamma scores; the logarithm of each day's level is given."""
    random = np.random.default_rng(seed)
    times = np.arange(len(levels) * 24 * ROWS) * (HOUR_S // ROWS)
    return {"a": Hours.from_rows(times, random.gamma(2.0, size=len(times)) * np.exp(levels[times // DAY_S]))}


def walk(days: int, step: float, seed: int = 3) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0.0, step, days))


def learned(series: dict[str, Hours], days: int) -> BetweenDayVariance:
    found = estimate_between_day_variance([series], days * DAY_S)
    assert found is not None
    return found


def spread(found: BetweenDayVariance, gap_d: float = 0.0) -> float:
    """Standard deviation of the difference of a day and a week, in ranks."""
    return found.variance_of_difference(1, 7, gap_d) ** 0.5


def test_independent_days_differ_as_much_a_week_apart() -> None:
    levels = np.random.default_rng(2).normal(0.0, 0.2, 28)
    found = learned(of_levels(levels), 28)
    ranks = np.std(daily_ranks(levels))
    assert found.scatter**0.5 == pytest.approx(ranks, rel=0.5)
    assert spread(found, 7) < 2 * spread(found)


def daily_ranks(levels: np.ndarray) -> list[float]:
    values = np.random.default_rng(9).gamma(2.0, size=2_000) * np.exp(levels)[:, None]
    order = values.ravel().argsort().argsort().reshape(values.shape) / values.size
    return order.mean(axis=1).tolist()


def test_persistent_steps_add_up_with_the_distance_of_two_windows() -> None:
    found = learned(of_levels(walk(28, 0.1)), 28)
    assert found.step > 0
    assert spread(found, 3) > 1.2 * spread(found)


def test_one_change_of_level_does_not_inflate_the_variance() -> None:
    calm = learned(of_levels(np.zeros(28)), 28)
    changed = learned(of_levels(np.where(np.arange(28) < 15, 0.0, 0.7)), 28)
    assert spread(changed) < 3 * spread(calm)
    assert spread(learned(of_levels(walk(28, 0.3)), 28)) > 4 * spread(calm)


def test_a_steady_creep_does_not_inflate_the_variance() -> None:
    calm = learned(of_levels(np.zeros(28)), 28)
    assert spread(learned(of_levels(0.02 * np.arange(28)), 28)) < 3 * spread(calm)


def test_days_are_compared_within_a_version_only() -> None:
    older, newer = of_levels(np.zeros(14)), of_levels(np.full(28, 3.0), seed=2)
    newer = {"a": newer["a"].between(14 * DAY_S, 28 * DAY_S)}
    found = estimate_between_day_variance([older, newer], 28 * DAY_S)
    assert found is not None
    assert found.days == 28
    assert spread(found) < 0.05


def test_hours_after_the_end_are_ignored() -> None:
    series = of_levels(np.where(np.arange(28) < 10, 0.0, np.arange(28) % 3 * 1.0))
    assert spread(learned(series, 10)) < 0.5 * spread(learned(series, 28))


@pytest.mark.parametrize("days", [0, 1, 3])
def test_too_few_days_give_no_estimate(days: int) -> None:
    assert estimate_between_day_variance([of_levels(np.zeros(days))] if days else [], days * DAY_S) is None


def test_days_that_are_less_than_half_there_are_ignored() -> None:
    hours = of_levels(np.zeros(10))["a"]
    thin = hours.select(hours.starts % DAY_S < 11 * HOUR_S)
    assert estimate_between_day_variance([{"a": thin}], 10 * DAY_S) is None


def test_the_inflation_is_shrunk_for_few_days_and_bounded() -> None:
    few, many = BetweenDayVariance(5, 0.02, 0.0), BetweenDayVariance(30, 0.02, 0.0)
    assert few.compute_inflation(0.01, 1, 7, 0) < many.compute_inflation(0.01, 1, 7, 0)
    assert many.compute_inflation(1e-6, 1, 7, 0) == MAX_INFLATION


def test_calm_days_are_not_inflated() -> None:
    assert BetweenDayVariance(28, 0.01, 0.0).compute_inflation(0.01 * (1 + 1 / 7), 1, 7, 0) < 1.0


def p_value_of(levels: np.ndarray, with_history: bool) -> float:
    series, end = of_levels(levels), len(levels) * DAY_S
    pair = WindowPair(
        window="24h/7d",
        reference_kind="rolling",
        current=series,
        reference=series,
        current_span=(end - DAY_S, end),
        reference_span=(end - 4 * DAY_S, end - DAY_S),
    )
    variance = estimate_between_day_variance([series], end - DAY_S) if with_history else None
    comparison = compare(pair, DriftSettings(), between_day_variance=variance)
    assert comparison.p_value is not None
    return comparison.p_value


def test_a_series_whose_days_always_differed_is_less_significant_when_they_differ_again() -> None:
    levels = np.append(np.random.default_rng(4).normal(0.0, 0.15, 25), [0.0, 0.0, 0.0, 0.2])
    assert p_value_of(levels, with_history=False) < 0.001
    assert p_value_of(levels, with_history=True) > 0.001


def test_a_large_change_is_detected_although_days_always_differed() -> None:
    levels = np.append(np.random.default_rng(4).normal(0.0, 0.15, 25), [0.0, 0.0, 0.0, 1.5])
    assert p_value_of(levels, with_history=True) < 0.001
