"""Injected anomalies: where they lie, that they are what they are called, and that they come back alike."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bgpdrift.detectors.heuristic import Heuristic
from bgpdrift.models.injection import KINDS, LENGTH_MIN, REST_MIN, inject
from bgpdrift.verdicts.quality import roc_auc


@pytest.fixture(scope="module")
def frame(windows):
    return windows.calm(2_400, first=400)


def test_every_kind_is_there_and_the_same_seed_gives_the_same(frame):
    one, two, other = inject(frame, 7), inject(frame, 7), inject(frame, 8)

    assert {episode.kind for episode in one.episodes} == set(KINDS)
    assert one.episodes == two.episodes
    assert all((one.frame.features[name] == two.frame.features[name]).all() for name in frame.features)
    assert one.episodes != other.episodes


def test_the_calm_frame_is_left_as_it_was_and_nothing_changes_outside_the_episodes(frame):
    before = {name: values.copy() for name, values in frame.features.items()}
    injected = inject(frame, 1)

    outside = ~injected.rows_of()
    for name, values in before.items():
        assert (frame.features[name] == values).all()
        assert (injected.frame.features[name][outside] == values[outside]).all()
        assert np.isfinite(injected.frame.features[name]).all()
        assert (injected.frame.features[name] >= 0).all()


def test_history_and_unclean_minutes_hold_no_episode(frame):
    marked = {**frame.quality, "feed_gap": np.zeros(len(frame))}
    marked["feed_gap"][600:900] = 1.0
    injected = inject(replace(frame, quality=marked), 1)

    rows = np.flatnonzero(injected.rows_of())
    assert rows.min() >= 400
    assert not ((rows >= 600) & (rows < 900)).any()


def test_a_missing_minute_holds_no_episode(frame):
    gone = np.delete(np.arange(len(frame)), slice(700, 703))
    holed = replace(
        frame,
        window_start=frame.window_start[gone],
        features={name: values[gone] for name, values in frame.features.items()},
        quality={name: values[gone] for name, values in frame.quality.items()},
    )
    for episode in inject(holed, 1).episodes:
        span = holed.window_start[episode.end - 1] - holed.window_start[episode.begin]
        assert span == 60 * (LENGTH_MIN - 1)


def test_between_two_episodes_there_is_rest(frame):
    episodes = inject(frame, 1).episodes
    assert min(b.begin - a.end for a, b in itertools.pairwise(episodes)) >= REST_MIN


def test_only_some_columns_are_needed(frame):
    few = replace(frame, features={name: frame.features[name] for name in ("announced", "withdrawn")})
    assert set(inject(few, 1).frame.features) == {"announced", "withdrawn"}


def test_a_frame_too_short_for_one_stays_calm(windows):
    assert inject(windows.calm(30), 1).episodes == ()


@pytest.mark.parametrize("level", [20.0, 2_000.0], ids=["quiet collector", "busy collector"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_that_knows_the_kind_ranks_it_above_calm_minutes(windows, kind, level, artifact):
    injected = inject(windows.calm(1_500, level=level, seed=4, first=450), 3, [kind])
    detector = Heuristic.from_content(artifact.content)

    scores = detector.score(injected.frame).score
    truth, judged = injected.rows_of()[450:], ~injected.aftermath()[450:]

    auc = roc_auc(scores[judged], truth[judged])
    assert auc is not None
    assert auc > 0.75
