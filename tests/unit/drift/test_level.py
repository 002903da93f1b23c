"""What is steady enough to be asked about: a new level is, waves, growth and surges within the hour are not."""

from collections.abc import Callable

import numpy as np
import pytest

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.level import TOO_FEW, steadiness

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
    found = steadiness(now, before, 7 * DAY + hours * HOUR, hours, minutes=True)
    return found.is_steady, found.reason


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.5, 2.0, 8.0])
def test_a_new_level_is_steady_however_large(factor: float) -> None:
    found = [judged(lambda m: np.full(len(m), factor), seed=seed)[0] for seed in range(20)]
    assert sum(found) >= 17


@pytest.mark.parametrize("period_min", [20, 40, 120, 240, 360])
def test_waves_of_any_length_are_not(period_min: int) -> None:
    found = [
        judged(lambda m: np.where(m // 60 % (2 * period_min) < period_min, 6.0, 1.0), seed=seed)[0]
        for seed in range(20)
    ]
    assert sum(found) <= 1


@pytest.mark.parametrize("hourly", [0.7, 1.15, 1.4])
def test_growth_and_decline_are_not(hourly: float) -> None:
    found = [judged(lambda m: 2 * hourly ** ((m - 7 * DAY) / HOUR), seed=seed)[0] for seed in range(20)]
    assert sum(found) <= 1


def test_one_odd_hour_tilts_nothing() -> None:
    level = lambda m: np.where((m >= 7 * DAY + 5 * HOUR) & (m < 7 * DAY + 6 * HOUR), 2.4, 2.0)  # noqa: E731
    assert judged(level) == (True, "")


def test_too_few_hours_are_not_called_steady() -> None:
    before = {"a": lived(lambda m: np.ones(len(m)), 1)}
    now = {"a": lived(lambda m: np.ones(len(m)), 0.5, first=DAY)}
    assert steadiness(now, before, DAY + 12 * HOUR, 12).reason == TOO_FEW
    assert not steadiness({}, {}, DAY, 12).is_steady
