"""What single detectors and the ensemble are taken to have said, held to what their services write."""

from collections.abc import Callable

import numpy as np
import pytest

from bgpdrift.detectors.interface import Scores, WindowFrame
from bgpdrift.lab.evaluation.detections import joined, judge_alone, judge_together, k_of_n
from bgpdrift.models.detector_output import DetectorOutput
from bgpdrift.settings import Settings, load
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.ensemble import ensemble_policy

RULE = {"rule": "update_storm", "sufficient": True}


class Told:
    """A detector that says what it was told to."""

    history_minutes = 0

    def __init__(
        self,
        name: str,
        scores: list[float],
        silent: tuple[int, ...] = (),
        rules: bool = False,
        idle: tuple[int, ...] = (),
    ) -> None:
        self.name, self._scores, self._silent, self._rules, self._idle = name, scores, silent, rules, idle

    def score(self, windows: WindowFrame) -> Scores:
        count = len(self._scores)
        abstained = tuple("feed_gap" if row in self._silent else "" for row in range(count))
        nothing: tuple[list[dict[str, object]], ...] = tuple([] for _ in range(count))
        fired = tuple([RULE] if self._rules and value > 50 else [] for value in self._scores)
        actionable = ~np.isin(np.arange(count), self._idle)
        return Scores(windows.to_score, np.array(self._scores), abstained, fired, nothing, actionable=actionable)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """A hundred is far beyond anything calm."""
    return Calibration.fit(np.random.default_rng(5).exponential(1.0, 5_000))


@pytest.fixture
def settings() -> Settings:
    return load()


@pytest.fixture
def voice(calibration: Calibration, settings: Settings) -> Callable[[Told], DetectorOutput]:
    return lambda detector: DetectorOutput.of(detector, calibration, frame(5), settings)


def frame(n: int, reset: tuple[int, ...] = ()) -> WindowFrame:
    marks = {"peer_reset": np.isin(np.arange(n), reset).astype(float)}
    return WindowFrame("rrc00", "", 60 * np.arange(n), {"announced": np.zeros(n)}, marks)


def test_an_alarm_needs_two_minutes_of_three(voice: Callable[[Told], DetectorOutput], settings: Settings) -> None:
    judged = judge_alone(voice(Told("lstm", [100, 0, 100, 100, 0])), ensemble_policy(settings))

    assert judged.alarms.tolist() == [False, False, True, True, False]


def test_a_silent_minute_ranks_lowest_and_raises_no_alarm(
    voice: Callable[[Told], DetectorOutput], settings: Settings
) -> None:
    judged = judge_alone(voice(Told("lstm", [-7, 100, 100, 100, 0], silent=(1, 2))), ensemble_policy(settings))

    assert judged.score.tolist() == [-7, -np.inf, -np.inf, 100, 0]
    assert (judged.surprisal[1], judged.abstained) == (0.0, 2)
    assert not judged.alarms.any()


def test_a_minute_with_nothing_to_act_on_is_no_alarm_however_rare_its_score(
    voice: Callable[[Told], DetectorOutput],
) -> None:
    """A p-value alone names no rule."""
    scores = [0.0, 100.0, 0.0, 100.0, 0.0]

    assert voice(Told("heuristic", scores)).is_alarm.tolist() == [False, True, False, True, False]
    assert voice(Told("heuristic", scores, idle=(1,))).is_alarm.tolist() == [False, False, False, True, False]


def test_two_that_agree_are_an_alarm_of_the_ensemble(
    voice: Callable[[Told], DetectorOutput], settings: Settings
) -> None:
    loud, calm = [0.0, 100.0, 100.0, 0.0, 0.0], [0.0] * 5
    two = {"lstm": voice(Told("lstm", loud)), "isolation_forest": voice(Told("isolation_forest", loud))}
    one = {"lstm": voice(Told("lstm", loud)), "isolation_forest": voice(Told("isolation_forest", calm))}

    agreed = judge_together(two, {}, frame(5), ensemble_policy(settings))
    alone = judge_together(one, {}, frame(5), ensemble_policy(settings))

    assert agreed.alarms.tolist() == [False, False, True, False, False]
    assert not alone.alarms.any()


def test_a_table_transfer_explains_what_the_ensemble_saw(
    voice: Callable[[Told], DetectorOutput], settings: Settings
) -> None:
    loud = [100.0] * 5
    two = {"lstm": voice(Told("lstm", loud)), "isolation_forest": voice(Told("isolation_forest", loud))}

    judged = judge_together(two, {}, frame(5, reset=(0, 1, 2, 3)), ensemble_policy(settings))

    assert not judged.alarms.any()


def test_where_no_detector_votes_the_ensemble_abstains(
    voice: Callable[[Told], DetectorOutput], settings: Settings
) -> None:
    only = {"lstm": voice(Told("lstm", [1.0] * 5, silent=(2,)))}

    judged = judge_together(only, {"heuristic": "absent"}, frame(5), ensemble_policy(settings))

    assert np.isneginf(judged.score).tolist() == [False, False, True, False, False]


def test_a_missing_minute_is_a_calm_one(settings: Settings) -> None:
    minutes = np.array([0, 180, 240])

    assert k_of_n(minutes, np.array([True, True, True]), ensemble_policy(settings)).tolist() == [False, False, True]


def test_several_collectors_are_as_loud_as_the_loudest(
    voice: Callable[[Told], DetectorOutput], settings: Settings
) -> None:
    groups = [voice(Told("lstm", scores)) for scores in ([0.0, 1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 100.0, 100.0, 0.0])]

    both = joined([judge_alone(group, ensemble_policy(settings)) for group in groups])

    assert both.score.tolist() == [0, 1, 100, 100, 0]
    assert both.alarms.tolist() == [False, False, False, True, False]
