"""Streams of scores without drift, as difficult as real ones, on which the drift rule is evaluated.

Gamma(2) scores ride on a Gaussian AR(1) over minutes, so neighbours depend on each other; their level follows the day
(2.2 from trough to peak). On top of it days that scatter, thinned nights, weekends, many rows a minute, or an incident.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import gamma, norm

from bgpdrift.drift.hours import Hours

DAY_MIN = 1_440
MONDAY = 1_767_571_200
"""2026-01-05, 00:00 UTC."""
_GRID = np.linspace(-8.0, 8.0, 3_201)
_GAMMA = gamma.isf(norm.sf(_GRID), 2.0)
_WITHIN = 0.8
"""Correlation of rows of one minute."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The parameters of a stream.

    Attributes
    ----------
    phi : float
        Dependence of neighbouring minutes.
    rows : int
        Scores a minute.
    day_scatter : float
        Standard deviation of the logarithm of whole days' levels.
    thinned : float
        Share of rows kept between 0 and 6 UTC.
    weekend : float
        Level on weekends.
    peak : float
        Level at the peak of the day through that at its trough.
    """

    phi: float = 0.5
    rows: int = 1
    day_scatter: float = 0.0
    thinned: float = 1.0
    weekend: float = 1.0
    peak: float = 2.2

    def scores(self, days: int, seed: int, start: int = MONDAY) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw some days: times (epoch seconds) and scores, shape (rows,)."""
        random = np.random.default_rng(seed)
        minutes = days * DAY_MIN
        noise = random.standard_normal(minutes)
        noise[1:] *= np.sqrt(1 - self.phi**2)
        latent = lfilter([1.0], [1.0, -self.phi], noise)
        times = np.repeat(start + 60 * np.arange(minutes), self.rows)
        if self.rows > 1:
            own = random.standard_normal(minutes * self.rows)
            latent = np.sqrt(_WITHIN) * np.repeat(latent, self.rows) + np.sqrt(1 - _WITHIN) * own
        level = self.peak ** (0.5 * np.sin(2 * np.pi * (times % 86_400) / 86_400))
        day = (times - start) // 86_400
        level *= np.exp(self.day_scatter * random.standard_normal(days))[day]
        level = np.where(np.isin((times // 86_400 + 4) % 7, (0, 6)), self.weekend * level, level)
        kept = (times % 86_400 >= 6 * 3_600) | (random.random(len(times)) < self.thinned)
        scores = level * np.interp(latent, _GRID, _GAMMA)
        return times[kept], scores[kept]


CALM = {
    "AR .5": Stream(0.5),
    "AR .9": Stream(0.9),
    "AR .98": Stream(0.98),
    "10 rows a minute": Stream(0.9, rows=10),
    "days scatter 5 %": Stream(0.9, day_scatter=0.05),
    "thinned nights": Stream(0.9, thinned=0.1),
    "weekends": Stream(0.9, weekend=0.8),
}
"""Streams without drift, by name."""


def day_after_week(
    stream: Stream, seed: int, *, factor: float = 1.0, incident_h: int = 0, incident_factor: float = 3.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw 7 days and one more, which is ``factor`` higher, or holds an incident that begins at some hour."""
    start = MONDAY + 86_400 * (seed % 7)  # every day of the week comes to be the last one
    times, scores = stream.scores(8, seed, start)
    last = start + 7 * 86_400
    scores[times >= last] *= factor
    if incident_h:
        begin = last + 3_600 * int(np.random.default_rng(seed).integers(0, 24 - incident_h))
        scores[(times >= begin) & (times < begin + 3_600 * incident_h)] *= incident_factor
    return times, scores


def hours_of(times: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, Hours]:
    """Fold rows as the monitor does."""
    return {"rrc00": Hours.from_rows(times, scores)}


def creeping(stream: Stream, days: int, share_a_day: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A calm week, then a level that grows by a share each day."""
    times, scores = replace(stream).scores(7 + days, seed)
    since = np.maximum(times - (MONDAY + 7 * 86_400), 0) / 86_400
    return times, scores * (1 + share_a_day) ** since
