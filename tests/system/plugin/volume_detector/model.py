"""A detector in a few lines: how far the announcements of a minute lie from their median, in spreads."""

import numpy as np

from bgpdrift.detectors.interface import FEED_GAP, INCOMPLETE, ModelContent, Scores, WindowFrame
from bgpdrift.errors import NotEnoughDataError

COLUMN = "announced"


class Volume:
    """Score of a window: distance from the median of the training windows, on a log scale."""

    name = "volume"
    history_minutes = 0

    def __init__(self, median: float, spread: float) -> None:
        self._median, self._spread = median, spread

    def score(self, windows: WindowFrame) -> Scores:
        values = np.log1p(windows.features[COLUMN][windows.first :])
        marked = (windows.mark(INCOMPLETE) | windows.mark(FEED_GAP))[windows.first :]
        score = np.where(marked, 0.0, np.abs(values - self._median) / self._spread)
        none = tuple([] for _ in score)
        return Scores(windows.to_score, score, tuple(INCOMPLETE if mark else "" for mark in marked), none, none)


def build(content, *, history_minutes):
    return Volume(float(content.arrays["median"][0]), float(content.arrays["spread"][0]))


def fit(frames, *, history_minutes, seed, progress, draft, shared):
    values = np.log1p(np.concatenate([frame.features[COLUMN][frame.clean] for frame in frames]))
    if len(values) < 500:
        raise NotEnoughDataError(f"volume: expected 500 clean windows, found {len(values)}")
    progress("fit", 1.0)
    arrays = {"median": np.array([np.median(values)]), "spread": np.array([values.std()])}
    return ModelContent("volume", (COLUMN,), arrays)
