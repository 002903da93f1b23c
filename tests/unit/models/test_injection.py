"""Injected anomalies: their places, their effect on the columns, and equal anomalies for equal seeds."""

from dataclasses import replace

import numpy as np
import pytest

from bgpdrift.models.injection import KINDS, LENGTH_MINUTES, PER_KIND, STRONGEST, WEAKEST, inject

HISTORY = 400


@pytest.fixture(scope="module")
def frame(windows):
    return windows.calm(2_400, first=HISTORY)


def test_every_kind_comes_in_every_strength_and_the_same_seed_gives_the_same(frame):
    one, two, other = (inject([frame], seed, HISTORY) for seed in (7, 7, 8))

    assert [laid.kind for laid in one] == [kind for kind in KINDS for _ in range(PER_KIND)]
    assert min(laid.factor for laid in one) == pytest.approx(WEAKEST)
    assert max(laid.factor for laid in one) == pytest.approx(STRONGEST)
    for mine, again in zip(one, two, strict=True):
        assert (mine.frame.window_start == again.frame.window_start).all()
        assert all((mine.frame.features[name] == again.frame.features[name]).all() for name in frame.features)
    assert [laid.frame.window_start[0] for laid in one] != [laid.frame.window_start[0] for laid in other]


def test_the_history_and_the_given_frame_are_unchanged(frame):
    before = {name: values.copy() for name, values in frame.features.items()}
    for laid in inject([frame], 1, HISTORY):
        assert len(laid.frame) - laid.frame.first == LENGTH_MINUTES
        assert laid.frame.first >= HISTORY
        at = np.searchsorted(frame.window_start, laid.frame.window_start)
        for name, values in before.items():
            changed = laid.frame.features[name]
            assert (frame.features[name] == values).all()
            assert (changed[: laid.frame.first] == values[at][: laid.frame.first]).all()
            assert np.isfinite(changed).all()
            assert (changed >= 0).all()


def test_every_anomaly_changes_something(frame):
    for laid in inject([frame], 1, HISTORY):
        at = np.searchsorted(frame.window_start, laid.frame.to_score)
        assert any((laid.frame.features[name][laid.frame.first :] != v[at]).any() for name, v in frame.features.items())


def test_no_anomaly_is_injected_into_history_or_unclean_minutes(frame):
    marked = {**frame.quality, "feed_gap": np.zeros(len(frame))}
    marked["feed_gap"][600:2_300] = 1.0
    touched = [laid.frame.to_score for laid in inject([replace(frame, quality=marked)], 1, HISTORY)]

    rows = np.searchsorted(frame.window_start, np.concatenate(touched))
    assert rows.min() >= HISTORY
    assert not ((rows >= 600) & (rows < 2_300)).any()


def test_no_anomaly_spans_a_missing_minute(frame):
    keep = np.delete(np.arange(len(frame)), np.arange(410, 2_390, 20))
    holed = replace(
        frame,
        window_start=frame.window_start[keep],
        features={name: values[keep] for name, values in frame.features.items()},
        quality={name: values[keep] for name, values in frame.quality.items()},
    )
    for laid in inject([holed], 1, HISTORY):
        assert (np.diff(laid.frame.to_score) == 60).all()


def test_whole_collectors_are_preferred_to_single_peers(frame):
    peer = replace(frame, peer="192.0.2.1")
    assert {laid.frame.peer for laid in inject([peer, frame], 1, HISTORY)} == {""}
    assert {laid.frame.peer for laid in inject([peer], 1, HISTORY)} == {"192.0.2.1"}


def test_missing_columns_are_skipped(frame):
    few = replace(frame, features={name: frame.features[name] for name in ("announced", "withdrawn")})
    assert set(inject([few], 1, HISTORY)[0].frame.features) == {"announced", "withdrawn"}


def test_nothing_is_injected_without_a_clean_stretch(windows):
    assert inject([windows.calm(LENGTH_MINUTES - 1)], 1, HISTORY) == ()
    assert inject([], 1, HISTORY) == ()


@pytest.mark.parametrize("level", [20.0, 2_000.0], ids=["quiet collector", "busy collector"])
def test_a_storm_is_proportional_to_the_level_of_the_collector(windows, level):
    calm = windows.calm(1_500, level=level, first=HISTORY)
    for laid in inject([calm], 1, HISTORY, ["burst"]):
        announced = laid.frame.features["announced"][laid.frame.first :]
        assert 0.4 * laid.factor < np.median(announced) / level < 2.5 * laid.factor


def test_a_silence_lowers_every_count(frame):
    for laid in inject([frame], 1, HISTORY, ["silence"]):
        first = laid.frame.first
        for name in ("announced", "messages", "peers"):
            before, during = laid.frame.features[name][:first], laid.frame.features[name][first:]
            assert during.mean() < before.mean()
