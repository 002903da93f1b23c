"""The heuristic: the packaged default on an unknown collector, and a trained model on its own."""

import hashlib
from types import ModuleType

import numpy as np
import pytest

from bgpdrift.detector_registry import BY_NAME
from bgpdrift.detectors.heuristic import Heuristic, build
from bgpdrift.detectors.interface import ModelContent
from bgpdrift.detectors.rule_learning import learn_rules
from bgpdrift.detectors.rules import RULES
from bgpdrift.detectors.smoothing import SCALES_MIN
from bgpdrift.errors import ArtifactError
from bgpdrift.models.artifact import from_bytes


@pytest.fixture(scope="module")
def detector() -> Heuristic:
    raw = BY_NAME["heuristic"].read_default_model()
    assert raw is not None
    return build(from_bytes(raw, "packaged default", "heuristic").content, history_minutes=360)


def _rules(scores, row: int) -> dict[str, dict]:
    return {rule["rule"]: rule for rule in scores.rules_fired[row]}


@pytest.mark.parametrize("level", [20.0, 200.0, 20_000.0])
def test_a_calm_collector_of_any_size_stays_below_every_threshold(detector, windows: ModuleType, level: float) -> None:
    """Scale-free: one artifact for a collector of 20 and one of 20,000 announcements a minute."""
    assert not any(detector.score(windows.calm(1_500, level=level, first=600)).rules_fired)


def test_the_default_abstains_on_a_new_collector_for_an_hour(detector, windows) -> None:
    """Its only baseline is the rolling one, which needs an hour of history."""
    assert set(detector.score(windows.calm(60)).abstained) == {"warming"}


@pytest.fixture(scope="module")
def trained(windows: ModuleType) -> Heuristic:
    content = learn_rules([windows.calm(2_880)], history_minutes=360, with_baseline=True)
    return Heuristic.from_content(content, history_minutes=360)


def test_the_learned_baseline_ranks_a_storm_of_ten_hours_until_its_end(detector, trained, windows) -> None:
    frame = windows.calm(1_500, first=600)
    frame.features["announced"][700:1_300] *= 6
    pinned, rolling = trained.score(frame).score, detector.score(frame).score
    assert pinned[650:690].min() >= 1.0 > rolling[650:690].max()
    assert "update_storm" in _rules(trained.score(frame), 680)


def test_a_sudden_deviation_still_fires_against_the_rolling_baseline(trained, windows) -> None:
    """A night far below the baseline: a burst up to the daily level is small against the learned baseline, but sudden."""
    frame = windows.calm(1_500, first=600)
    for values in frame.features.values():
        values[:] = values * 0.3
    frame.features["announced"][1_000:1_010] *= 30
    assert "update_storm" in _rules(trained.score(frame), 405)


def test_the_calm_after_a_storm_is_no_silence(trained, windows) -> None:
    frame = windows.calm(1_500, first=600)
    for name in ("announced", "messages"):
        frame.features[name][300:1_000] *= 20
    scores = trained.score(frame)
    assert not any("silence" in _rules(scores, row) for row in range(420, 600))


def test_no_rule_fires_an_hour_after_a_storm(trained, windows) -> None:
    """The mean of an hour decays slowly; the last quarter of an hour limits it."""
    frame = windows.calm(1_500, first=600)
    frame.features["announced"][700:1_000] *= 20
    scores = trained.score(frame)
    assert scores.score[300:399].min() >= 1.0
    assert not any("update_storm" in _rules(scores, row) for row in range(445, 600))


@pytest.mark.parametrize("level", [40.0, 4_000.0])
def test_an_update_storm_fires_its_rule_with_value_threshold_and_baseline(detector, windows, level) -> None:
    frame = windows.calm(700, level=level, first=600)
    frame.features["announced"][650:] *= 20
    frame.features["path_length_sum"][650:] *= 20
    scores = detector.score(frame)
    storm = _rules(scores, 60)["update_storm"]
    assert scores.score[:50].max() < 1.0 <= scores.score[60]
    assert storm["sufficient"]
    assert storm["value"] > storm["threshold"] > storm["baseline"]
    assert 0.5 * level < storm["baseline"] < 1.5 * level
    assert all(storm[name] == round(storm[name]) for name in ("value", "threshold", "baseline"))  # whole prefixes


@pytest.mark.parametrize("rule", ["moas_new", "subprefix_new"])
def test_a_burst_of_hijacked_prefixes_fires_for_several_minutes_but_one_prefix_does_not(
    detector, windows, rule
) -> None:
    frame = windows.calm(700, first=600)
    frame.features[rule][620] = 1
    frame.features[rule][660] = 60
    scores = detector.score(frame)
    assert scores.score[:59].max() < 1.0
    assert sum(rule in _rules(scores, row) for row in range(60, 70)) >= 3


def test_a_silent_collector_with_the_feed_up_is_a_finding(detector, windows) -> None:
    frame = windows.calm(700, first=600)
    for values in frame.features.values():
        values[660:] = 0.0
    assert "silence" in _rules(detector.score(frame), 70)


def test_a_gap_of_the_feed_is_no_silence(detector, windows) -> None:
    frame = windows.calm(700, first=600)
    for values in frame.features.values():
        values[660:680] = 0.0
    frame.quality["feed_gap"][660:680] = 1
    scores = detector.score(frame)
    assert set(scores.abstained[60:80]) == {"feed_gap"}
    assert scores.score[80:].max() < 1.0


def test_a_table_transfer_is_reported_as_explained_and_raises_no_score(detector, windows) -> None:
    frame = windows.calm(700, first=600)
    frame.features["announced"][660:663] *= 200
    frame.features["path_length_sum"][660:663] *= 200
    frame.quality["peer_reset"][660:663] = 1
    scores = detector.score(frame)
    assert scores.score.max() < 1.0
    assert _rules(scores, 60)["update_storm"]["explained_by"] == "peer_reset"


def test_a_hijack_during_a_table_transfer_still_counts(detector, windows) -> None:
    frame = windows.calm(700, first=600)
    frame.quality["peer_reset"][660:670] = 1
    frame.features["moas_new"][661:670] = 20
    assert detector.score(frame).score[60:70].max() >= 1.0


def test_a_larger_storm_never_scores_lower(detector, windows) -> None:
    found = []
    for times in (1, 2, 4, 8, 16, 32, 64):
        frame = windows.calm(620, first=600)
        frame.features["announced"][610:] *= times
        frame.features["path_length_sum"][610:] *= times
        found.append(detector.score(frame).score[-1])
    assert found == sorted(found)


def test_rules_without_their_columns_abstain_and_the_others_fire(detector, windows) -> None:
    frame = windows.calm(700, first=600)
    for name in ("moas_new", "edge_new", "path_length_sum", "visibility_loss"):
        del frame.features[name]
    frame.features["announced"][660:] *= 20
    scores = detector.score(frame)
    assert set(scores.abstained) == {""}
    assert {"update_storm"} <= set(_rules(scores, 70)) <= {r.name for r in RULES} - {"moas_new", "path_length"}


def test_every_rule_and_scale_has_a_learned_threshold(windows) -> None:
    content = learn_rules([windows.calm(2_500)], history_minutes=360)
    assert content.arrays["thresholds"].shape == (len(RULES), len(SCALES_MIN))
    again = Heuristic.from_content(content, history_minutes=360)
    assert not any(again.score(windows.calm(2_500, first=500)).rules_fired)


@pytest.mark.parametrize(
    "damage",
    [
        {"rules": ["no_such_rule"]},
        {"scales_min": [1, 2]},
    ],
)
def test_content_of_another_program_is_refused(windows, damage) -> None:
    content = learn_rules([windows.calm(200)], history_minutes=360)
    with pytest.raises(ArtifactError, match="heuristic"):
        Heuristic.from_content(
            ModelContent("heuristic", content.feature_names, content.arrays, {**content.hyper_parameters, **damage}),
            history_minutes=360,
        )


def test_impossible_thresholds_are_refused() -> None:
    with pytest.raises(ArtifactError, match="above 0"):
        Heuristic(np.zeros((len(RULES), len(SCALES_MIN))), history_minutes=360)
    with pytest.raises(ArtifactError, match="shape"):
        Heuristic(np.ones((2, 2)), history_minutes=360)


def test_the_packaged_default_has_no_learned_baseline_and_the_numbers_it_was_released_with(detector) -> None:
    """A change of its file format must not change its scores: a digest of the thresholds it learned."""
    assert detector.baseline is None
    assert hashlib.sha256(detector.thresholds.tobytes()).hexdigest()[:16] == "36ca514e31083b05"
