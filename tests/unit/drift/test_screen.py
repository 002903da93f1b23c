"""A screen at a series says what a whole comparison says, but for what scatter of few draws there is."""

import math

import numpy as np
import pytest

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.rule import compare, screen
from bgpdrift.settings_sections import DriftSettings

DAY = 86_400


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0])
def test_a_glance_agrees_with_a_whole_comparison(factor: float) -> None:
    minutes = np.arange(8 * 1_440) * 60
    values = np.random.default_rng(3).gamma(2, size=len(minutes)) * np.where(minutes >= 7 * DAY, factor, 1.0)
    series = {"rrc00": Hours.from_rows(minutes, values)}
    now, past, settings = (7 * DAY, 8 * DAY), (0, 7 * DAY), DriftSettings()
    whole = compare(
        series,
        series,
        window="24h/7d",
        reference_kind="rolling",
        current_span=now,
        reference_span=past,
        settings=settings,
        alpha=settings.alpha,
    )
    brief = screen(
        series,
        series,
        window="24h/7d",
        current_span=now,
        reference_span=past,
        settings=settings,
        alpha=settings.alpha,
    )
    assert brief.verdict == whole.verdict == ("none" if factor == 1 else "drift")
    brief_psi, whole_psi = (next(m for m in found.measures if m.name == "psi") for found in (brief, whole))
    assert brief_psi.value == whole_psi.value
    assert brief.p_value is not None
    assert whole.p_value is not None
    assert abs(math.log10(brief.p_value / whole.p_value)) < 0.5
