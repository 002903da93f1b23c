"""Drift of a candidate's own scores."""

import numpy as np
import pytest

from bgpdrift.drift.histogram import Histogram
from retrainers.held_out_drift import compute_drift_figures

RNG = np.random.default_rng(5)
CALM = Histogram.of(RNG.exponential(1.0, 4_000).tolist())


def test_the_same_scores_do_not_drift():
    assert set(compute_drift_figures(CALM, CALM).values()) == {0.0}


def test_a_second_sample_drifts_little_and_a_shift_drifts_much():
    same = compute_drift_figures(CALM, Histogram.of(RNG.exponential(1.0, 1_000).tolist()))
    shifted = compute_drift_figures(CALM, Histogram.of(RNG.exponential(2.0, 1_000).tolist()))
    assert same["drift_psi"] < 0.05
    assert same["drift_ks"] < 0.07
    assert all(shifted[name] > 3 * same[name] for name in same)
    assert shifted["drift_psi"] > 0.25
    assert shifted["drift_js"] <= 1.0


def test_a_shift_shows_in_scores_that_are_nearly_always_equal():
    flat, moved = Histogram.of([0.0] * 900 + [1.0] * 100), Histogram.of([0.0] * 500 + [1.0] * 500)
    assert compute_drift_figures(flat, moved)["drift_ks"] == pytest.approx(0.4)
    assert compute_drift_figures(flat, moved)["drift_psi"] > 0.25


def test_without_scores_there_are_no_figures():
    assert compute_drift_figures(Histogram(), CALM) == {}
    assert compute_drift_figures(CALM, Histogram()) == {}
