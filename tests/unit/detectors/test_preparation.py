"""Smoothing and scaling, compared with the definition."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from bgpdrift.detectors.preparation import Preparation, list_abstentions
from bgpdrift.detectors.signals import SIGNAL_BY_NAME, available_signals
from bgpdrift.detectors.smoothing import SCALES_MIN
from bgpdrift.errors import NotEnoughDataError

ANNOUNCED = (SIGNAL_BY_NAME["announced"],)


def _exponential_mean(values: np.ndarray, scale: int, at: int) -> float:
    """The exponential mean of one minute, term by term, without the NaN minutes."""
    total = weight = 0.0
    for lag in range(min(4 * scale, at + 1)):
        if np.isfinite(values[at - lag]):
            total += np.exp(-lag / scale) * values[at - lag]
            weight += np.exp(-lag / scale)
    return total / weight


def test_every_time_scale_is_the_exponential_mean_of_the_existing_minutes(windows: ModuleType) -> None:
    frame = windows.calm(900)
    frame.quality["feed_gap"][[300, 301, 302, 650]] = 1
    preparation = Preparation.fit([frame], ANNOUNCED)
    prepared = preparation.prepare(frame)
    assert prepared is not None
    values = np.where(frame.quality["feed_gap"] > 0, np.nan, np.log1p(frame.features["announced"]))
    for index, scale in enumerate(SCALES_MIN):
        if scale > 1:
            for at in (250, 303, 310, 655, 899):
                z = (_exponential_mean(values, scale, at) - preparation.centre[0, index, 0]) / preparation.spread[
                    0, index, 0
                ]
                assert prepared.z[at, index] == pytest.approx(z, rel=1e-9)
    assert not prepared.known[300].any()


def test_a_cut_with_enough_history_has_the_same_values(windows: ModuleType) -> None:
    frame = windows.calm(1_200, first=1_000)
    preparation = Preparation.fit([windows.calm(1_200)])
    whole = preparation.prepare(frame, lead=20)
    cut = preparation.prepare(frame.rows(1_000 - 20 - preparation.history_minutes, 1_200, 20 + 240), lead=20)
    assert whole is not None
    assert cut is not None
    np.testing.assert_allclose(cut.z, whole.z, rtol=1e-9, atol=1e-9)
    assert whole.row_of[0] == 20


def test_each_collector_has_its_own_baseline(windows: ModuleType) -> None:
    small, large = windows.calm(900, level=50.0), replace(windows.calm(900, level=5_000.0), collector="rrc99")
    preparation = Preparation.fit([small, large], ANNOUNCED)
    assert preparation.groups == tuple(sorted((small.collector, "rrc99")))
    for frame in (small, large):
        prepared = preparation.prepare(frame)
        assert prepared is not None
        assert abs(np.median(prepared.z[100:, 0])) < 0.1
        assert 0.5 < np.std(prepared.z[100:, 0]) < 1.5


def test_excluded_windows_do_not_enter_the_baseline(windows: ModuleType) -> None:
    frame = windows.calm(1_500)
    clean = Preparation.fit([frame], ANNOUNCED)
    frame.features["announced"][500:900] *= 50
    dirty = replace(frame, quality={**frame.quality, "excluded": (np.arange(1_500) // 100 == 5).astype(float)})
    dirty.quality["excluded"][500:900] = 1  # type: ignore[index]
    again = Preparation.fit([dirty], ANNOUNCED)
    np.testing.assert_allclose(again.centre, clean.centre, atol=0.1)


def test_a_marked_minute_names_its_mark_and_the_first_hour_is_warming(windows: ModuleType) -> None:
    frame = windows.calm(600)
    frame.quality["peer_reset"][400] = 1
    frame.quality["incomplete"][401] = 1
    preparation = Preparation.fit([windows.calm(900)])
    given = list_abstentions(frame, preparation.prepare(frame))
    assert given[400:402] == ("peer_reset", "incomplete")
    assert given[402] == ""
    assert given[0] == "warming"


def test_no_group_with_enough_windows_is_not_enough_data(windows: ModuleType) -> None:
    with pytest.raises(NotEnoughDataError, match="clean windows"):
        Preparation.fit([windows.calm(60)])


def test_the_available_signals_follow_from_the_columns() -> None:
    names = {signal.name for signal in available_signals(["announced", "path_length_sum"])}
    assert names == {"announced", "path_length"}
