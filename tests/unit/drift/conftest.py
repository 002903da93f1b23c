"""Scores with a season and dependent neighbours, from fixed seeds."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Rows = tuple[NDArray[np.int64], NDArray[np.float64]]
MONDAY = 1_767_571_200
"""2026-01-05, 00:00 UTC."""
DAY_S = 86_400


@pytest.fixture
def scores() -> Callable[..., Rows]:
    """Return a function that draws days of gamma scores on an AR(1), twice as high by day as by night."""

    def drawn(days: int = 8, seed: int = 1, phi: float = 0.5) -> Rows:
        random = np.random.default_rng(seed)
        minutes = days * 1_440
        noise = random.standard_normal((2, minutes)) * np.sqrt(1 - phi**2)
        latent = np.zeros((2, minutes))
        for i in range(1, minutes):
            latent[:, i] = phi * latent[:, i - 1] + noise[:, i]
        times = MONDAY + 60 * np.arange(minutes, dtype=np.int64)
        level = 2.0 ** (0.5 * np.sin(2 * np.pi * (times % DAY_S) / DAY_S))
        return times, level * (latent**2).sum(axis=0)

    return drawn
