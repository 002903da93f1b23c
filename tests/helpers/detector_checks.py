"""Checks that every detector must pass; `test_detectors` runs each check on each registered detector."""

from types import ModuleType

import numpy as np

from bgpdrift.detectors.interface import Detector, WindowFrame


def gives_one_score_a_window(detector: Detector, windows: ModuleType) -> None:
    frame = windows.calm(900, first=600)
    scores = detector.score(frame)
    assert scores.window_start.tolist() == frame.to_score.tolist()
    assert len(scores.abstained) == len(scores.rules_fired) == len(scores.top_features) == 300
    assert np.isfinite(scores.score).all()


def scores_alike_in_any_batch(detector: Detector, windows: ModuleType) -> None:
    frame = windows.calm(900, first=600)
    whole = detector.score(frame).score
    history = detector.history_minutes
    alone = [detector.score(frame.rows(max(0, i - history), i + 1, min(i, history))).score[0] for i in range(600, 620)]
    np.testing.assert_allclose(alone, whole[:20], rtol=1e-9)


def never_looks_ahead(detector: Detector, windows: ModuleType) -> None:
    frame = windows.calm(900, first=600)
    before = detector.score(frame).score
    for values in frame.features.values():
        values[800:] *= 7.0
    np.testing.assert_array_equal(detector.score(frame).score[:200], before[:200])


def abstains_as_warming_until_enough_is_known(detector: Detector, windows: ModuleType) -> None:
    abstained = detector.score(windows.calm(120)).abstained
    silent = abstained.index("")
    assert silent <= 70
    assert set(abstained[:silent]) <= {"warming"}
    assert set(abstained[silent:]) == {""}


def abstains_by_name_on_marked_windows(detector: Detector, windows: ModuleType) -> None:
    for mark in ("incomplete", "feed_gap", "warming"):
        frame = windows.calm(700, first=600)
        frame.quality[mark][650] = 1
        scores = detector.score(frame)
        assert scores.abstained[50] == mark
        assert scores.score[50] == 0.0
        assert scores.abstained[49] == "" == scores.abstained[51]


def handles_missing_minutes(detector: Detector, windows: ModuleType) -> None:
    frame = windows.calm(900)
    keep = np.flatnonzero(np.random.default_rng(5).random(900) > 0.3)
    thinned = WindowFrame(
        frame.collector,
        frame.peer,
        frame.window_start[keep],
        {name: values[keep] for name, values in frame.features.items()},
        {name: values[keep] for name, values in frame.quality.items()},
        500,
    )
    scores = detector.score(thinned)
    assert set(scores.abstained) == {""}
    assert scores.score.max() < 1.0


def ignores_history_before_a_gap_of_years(detector: Detector, windows: ModuleType) -> None:
    """Windows after the gap are scored as if they were the first."""
    frame = windows.calm(900, first=0)
    frame.window_start[450:] += 20 * 365 * 86_400
    scores, alone = detector.score(frame), detector.score(frame.rows(450, 900, 0))
    assert len(scores.score) == 900
    assert scores.abstained[450:] == alone.abstained
    np.testing.assert_allclose(scores.score[450:], alone.score, rtol=1e-9)


def returns_no_score_for_no_window(detector: Detector, windows: ModuleType) -> None:
    assert len(detector.score(windows.calm(100).rows(0, 0, 0)).score) == 0


CHECKS = (
    gives_one_score_a_window,
    scores_alike_in_any_batch,
    never_looks_ahead,
    abstains_as_warming_until_enough_is_known,
    abstains_by_name_on_marked_windows,
    handles_missing_minutes,
    ignores_history_before_a_gap_of_years,
    returns_no_score_for_no_window,
)
