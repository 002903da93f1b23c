"""The traffic of a minute as a factor on the base rate: day, week, growth, level regimes and slow noise.

These change over tens of minutes or more; `churn` adds heavy-tailed bursts.
"""

import math
import random
from collections.abc import Sequence

from bgpdrift.lab.simulation.scenario import Regime, Scenario

_DAY, _WEEK, _YEAR = 86_400.0, 604_800.0, 365.25 * 86_400.0
_PEAK_HOUR = 14.0
_THURSDAY = 4  # 1 January 1970, counted from Sunday = 0
_NOISE_SIGMA, _NOISE_MINUTES = 0.20, 25.0


def seasonal_factor(at: float, daily: float, weekend: float) -> float:
    """Compute the traffic at a moment relative to the mean of a week.

    Parameters
    ----------
    at : float
        Epoch seconds, UTC.
    daily : float
        Depth of the daily season: the peak (14 h UTC) is ``1 + daily``.
    weekend : float
        A weekend day relative to a working day.

    Examples
    --------
    >>> seasonal_factor(14 * 3600.0, daily=0.3, weekend=1.0)
    1.3
    """
    hour = at % _DAY / 3600.0
    day = (int(at // _DAY) + _THURSDAY) % 7
    week = (weekend if day in (0, 6) else 1.0) * 7.0 / (5.0 + 2.0 * weekend)
    return week * (1.0 + daily * math.cos((hour - _PEAK_HOUR) * math.pi / 12.0))


def regime_level(regimes: Sequence[Regime], at_s: float) -> float:
    """Compute the product of the level regimes, ``at_s`` seconds after the start of the scenario.

    Examples
    --------
    >>> regime_level([Regime("level", 3.0, at_s=100.0, ramp_s=50.0)], 125.0)
    2.0
    """
    level = 1.0
    for regime in regimes:
        if regime.kind == "level" and at_s >= regime.at_s:
            done = min(1.0, (at_s - regime.at_s) / regime.ramp_s) if regime.ramp_s else 1.0
            level *= 1.0 + (regime.value - 1.0) * done
    return level


class Season:
    """The factor of each minute, in time order, because the noise depends on the minute before."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._rng = random.Random(f"{scenario.seed}/season")
        self._noise = self._rng.gauss(0.0, _NOISE_SIGMA)

    def factor(self, at: float) -> float:
        """Return the factor of the minute that starts at this epoch second."""
        scenario, since = self._scenario, at - self._scenario.start
        keep = math.exp(-1.0 / _NOISE_MINUTES)
        self._noise = keep * self._noise + math.sqrt(1.0 - keep * keep) * self._rng.gauss(0.0, _NOISE_SIGMA)
        return (
            seasonal_factor(at, scenario.daily, scenario.weekend)
            * math.pow(1.0 + scenario.growth_per_year, since / _YEAR)
            * regime_level(scenario.regimes, since)
            * math.exp(self._noise - _NOISE_SIGMA**2 / 2.0)
        )
