"""Minute-by-minute results of detectors and ensemble: the same alarms as the services raise."""

from collections.abc import Callable

import numpy as np
import pytest

from bgpdrift.detectors.interface import Scores, WindowFrame
from bgpdrift.lab.evaluation.detections import debounce, detect_alone, detect_together, merge_groups
from bgpdrift.models.detector_output import DetectorOutput
from bgpdrift.settings import Settings, load
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.ensemble import ensemble_policy

RULE = {"rule": "update_storm", "sufficient": True}


class FixedDetector:
    """A detector with fixed scores."""

    history_minutes = 0

    def __init__(
        self,
        name: str,
        scores: list[float],
        abstaining: tuple[int, ...] = (),
        rules: bool = False,
        idle: tuple[int, ...] = (),
    ) -> None:
        self.name, self._scores, self._abstaining, self._rules, self._idle = name, scores, abstaining, rules, idle

    def score(self, windows: WindowFrame) -> Scores:
        count = len(self._scores)
        abstained = tuple("feed_gap" if row in self._abstaining else "" for row in range(count))
        nothing: tuple[list[dict[str, object]], ...] = tuple([] for _ in range(count))
        fired = tuple([RULE] if self._rules and value > 50 else [] for value in self._scores)
        actionable = ~np.isin(np.arange(count), self._idle)
        return Scores(windows.to_score, np.array(self._scores), abstained, fired, nothing, actionable=actionable)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """Scores of calm minutes; 100 is far above them."""
    return Calibration.fit(np.random.default_rng(5).exponential(1.0, 5_000))


@pytest.fixture
def settings() -> Settings:
    return load()


@pytest.fixture
def output(calibration: Calibration, settings: Settings) -> Callable[[FixedDetector], DetectorOutput]:
    return lambda detector: DetectorOutput.of(detector, calibration, frame(5), settings)


def frame(n: int, reset: tuple[int, ...] = ()) -> WindowFrame:
    marks = {"peer_reset": np.isin(np.arange(n), reset).astype(float)}
    return WindowFrame("rrc00", "", 60 * np.arange(n), {"announced": np.zeros(n)}, marks)


def test_an_alarm_needs_two_minutes_of_three(
    output: Callable[[FixedDetector], DetectorOutput], settings: Settings
) -> None:
    detections = detect_alone(output(FixedDetector("lstm", [100, 0, 100, 100, 0])), ensemble_policy(settings))

    assert detections.alarms.tolist() == [False, False, True, True, False]


def test_a_minute_without_a_vote_ranks_lowest_and_has_no_alarm(
    output: Callable[[FixedDetector], DetectorOutput], settings: Settings
) -> None:
    detections = detect_alone(
        output(FixedDetector("lstm", [-7, 100, 100, 100, 0], abstaining=(1, 2))), ensemble_policy(settings)
    )

    assert detections.score.tolist() == [-7, -np.inf, -np.inf, 100, 0]
    assert (detections.surprisal[1], detections.abstained) == (0.0, 2)
    assert not detections.alarms.any()


def test_a_minute_with_nothing_to_act_on_has_no_alarm_at_any_score(
    output: Callable[[FixedDetector], DetectorOutput],
) -> None:
    """A p-value alone names no rule."""
    scores = [0.0, 100.0, 0.0, 100.0, 0.0]

    assert output(FixedDetector("heuristic", scores)).is_alarm.tolist() == [False, True, False, True, False]
    assert output(FixedDetector("heuristic", scores, idle=(1,))).is_alarm.tolist() == [False, False, False, True, False]


def test_two_detectors_that_agree_raise_an_alarm_of_the_ensemble(
    output: Callable[[FixedDetector], DetectorOutput], settings: Settings
) -> None:
    high, calm = [0.0, 100.0, 100.0, 0.0, 0.0], [0.0] * 5
    two = {
        "lstm": output(FixedDetector("lstm", high)),
        "isolation_forest": output(FixedDetector("isolation_forest", high)),
    }
    one = {
        "lstm": output(FixedDetector("lstm", high)),
        "isolation_forest": output(FixedDetector("isolation_forest", calm)),
    }

    agreed = detect_together(two, {}, frame(5), ensemble_policy(settings))
    alone = detect_together(one, {}, frame(5), ensemble_policy(settings))

    assert agreed.alarms.tolist() == [False, False, True, False, False]
    assert not alone.alarms.any()


def test_a_table_transfer_explains_an_alarm_away(
    output: Callable[[FixedDetector], DetectorOutput], settings: Settings
) -> None:
    high = [100.0] * 5
    two = {
        "lstm": output(FixedDetector("lstm", high)),
        "isolation_forest": output(FixedDetector("isolation_forest", high)),
    }

    detections = detect_together(two, {}, frame(5, reset=(0, 1, 2, 3)), ensemble_policy(settings))

    assert not detections.alarms.any()


def test_where_no_detector_votes_the_ensemble_abstains(
    output: Callable[[FixedDetector], DetectorOutput], settings: Settings
) -> None:
    only = {"lstm": output(FixedDetector("lstm", [1.0] * 5, abstaining=(2,)))}

    detections = detect_together(only, {"heuristic": "absent"}, frame(5), ensemble_policy(settings))

    assert np.isneginf(detections.score).tolist() == [False, False, True, False, False]


def test_a_missing_minute_counts_as_calm(settings: Settings) -> None:
    minutes = np.array([0, 180, 240])

    assert debounce(minutes, np.array([True, True, True]), ensemble_policy(settings)).tolist() == [False, False, True]


def test_a_minute_has_the_values_of_the_most_unusual_collector(
    output: Callable[[FixedDetector], DetectorOutput], settings: Settings
) -> None:
    groups = [
        output(FixedDetector("lstm", scores)) for scores in ([0.0, 1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 100.0, 100.0, 0.0])
    ]

    both = merge_groups([detect_alone(group, ensemble_policy(settings)) for group in groups])

    assert both.score.tolist() == [0, 1, 100, 100, 0]
    assert both.alarms.tolist() == [False, False, False, True, False]
