"""Generated windows of one collector: calm, with a daily season and bursts, and what tests lay over them."""

import numpy as np

from bgpdrift.detectors.interface import FloatArray, WindowFrame
from bgpdrift.store.window_columns import FEATURE_NAMES, FEATURES, QUALITY, QUALITY_NAMES

START = 1_788_220_800


def calm(minutes: int = 1_500, level: float = 200.0, seed: int = 1, first: int = 0) -> WindowFrame:
    """Windows of a collector with nothing wrong; `level` is its announcements a minute."""
    rng = np.random.default_rng(seed)
    season = 1.0 + 0.2 * np.sin(2 * np.pi * np.arange(minutes) / 1_440)
    announced = rng.poisson(level * season * rng.lognormal(0.0, 0.25, minutes)).astype(float)
    features: dict[str, FloatArray] = {name: rng.poisson(0.05 * announced).astype(float) for name in FEATURE_NAMES}
    rare = ("moas_new", "subprefix_new", "visibility_loss", "session_down", "session_up", "bogon", "too_specific")
    features |= {name: np.zeros(minutes) for name in rare}
    features["announced"] = announced
    features["messages"] = announced * 0.5 + 1.0
    features["withdrawn"] = rng.poisson(0.1 * announced).astype(float)
    features["withdrawn_prefixes"] = np.ceil(0.6 * features["withdrawn"])
    features["peers"] = rng.binomial(20, 0.9, minutes).astype(float)
    features["path_length_sum"] = np.round(announced * rng.normal(4.5, 0.1, minutes))
    features["edit_distance_sum"] = features["implicit_withdrawal"] * 2.0
    quality = {name: np.zeros(minutes) for name in QUALITY_NAMES}
    return WindowFrame("rrc00", "", START + 60 * np.arange(minutes), features, quality, first)


def rows_of(frame: WindowFrame) -> list[dict[str, object]]:
    """The same as rows of the store."""
    return [
        {
            "window_start": int(start),
            "collector": frame.collector,
            "peer": frame.peer,
            "evidence": {},
            **{c.name: c.kind(frame.features[c.name][i]) for c in FEATURES},
            **{c.name: c.kind(frame.quality[c.name][i]) for c in QUALITY},
        }
        for i, start in enumerate(frame.window_start)
    ]
