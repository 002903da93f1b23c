"""Screening a series agrees with a full comparison within the scatter of few draws."""

import math

import numpy as np
import pytest

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.rule import compare, screen
from bgpdrift.drift.windows import WindowPair
from bgpdrift.settings_sections import DriftSettings

DAY = 86_400


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0])
def test_screening_agrees_with_a_full_comparison(factor: float) -> None:
    minutes = np.arange(8 * 1_440) * 60
    values = np.random.default_rng(3).gamma(2, size=len(minutes)) * np.where(minutes >= 7 * DAY, factor, 1.0)
    series = {"rrc00": Hours.from_rows(minutes, values)}
    pair = WindowPair(
        window="24h/7d",
        reference_kind="rolling",
        current=series,
        reference=series,
        current_span=(7 * DAY, 8 * DAY),
        reference_span=(0, 7 * DAY),
    )
    whole, brief = compare(pair, DriftSettings()), screen(pair, DriftSettings())
    assert brief.verdict == whole.verdict == ("none" if factor == 1 else "drift")
    brief_psi, whole_psi = brief.find("psi"), whole.find("psi")
    assert brief_psi is not None
    assert whole_psi is not None
    assert brief_psi.value == whole_psi.value
    assert brief.p_value is not None
    assert whole.p_value is not None
    assert abs(math.log10(brief.p_value / whole.p_value)) < 0.5
