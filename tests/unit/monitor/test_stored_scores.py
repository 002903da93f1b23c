"""No verdict on stored scores depends on their unit or offset: folded, stored and checked like those of any detector."""

import csv
import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bgpdrift.clock import FakeClock
from bgpdrift.drift import check_scores
from bgpdrift.drift.report import Comparison, DriftReport
from bgpdrift.drift.rule import compare
from bgpdrift.drift.stored_hours import choose_stored_scaling, decode_values, scale_series
from bgpdrift.drift.windows import DetectorHours, pair_rolling, split_windows
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.monitor.folding import SCORE_COLUMNS, build_merge, fold_scores
from bgpdrift.monitor.monitor_worker import DriftMonitor
from bgpdrift.settings import Settings
from bgpdrift.settings_sections import DriftSettings
from bgpdrift.store import migrate, open_store

MODEL = "isolation_forest"
BEGIN = 1_767_571_200
"""2026-01-05, a Monday."""
DAY_S = 86_400
TIMES = BEGIN + 60 * np.arange(8 * 1_440)
END = BEGIN + 8 * DAY_S
TODAY = TIMES >= BEGIN + 7 * DAY_S
FIRST_HOUR = TIMES < BEGIN + 3_600
ROWS_PER_STEP = 2_000
Scores = NDArray[np.float64]

_rng = np.random.default_rng(7)
_gamma = _rng.gamma(2.0, size=len(TIMES)) * (1.5 + np.sin(TIMES / DAY_S * 2 * np.pi))
_normal = _rng.normal(size=len(TIMES))
_digits = _rng.integers(0, 4, size=len(TIMES)).astype(float)
_is_tiny = _rng.random(len(TIMES)) < 0.5
STREAMS: dict[str, tuple[Scores, str]] = {
    "gamma": (_gamma, "none"),
    "gamma, higher": (np.where(TODAY, 1.4 * _gamma, _gamma), "drift"),
    "normal": (_normal, "none"),
    "normal, lower": (_normal - 0.4 * TODAY, "drift"),
    "integers 0 to 3": (_digits, "none"),
    "integers 0 to 3, more of 3": (np.where(TODAY & (_gamma > 4), 3.0, _digits), "drift"),
    "one value": (np.full(len(TIMES), 0.5), "none"),
    "one value, another": (np.where(TODAY, 0.7, 0.5), "drift"),
    "all 0": (np.zeros(len(TIMES)), "none"),
    "all 0, then not": (np.where(TODAY, 0.1, 0.0), "drift"),
    "first hour constant": (np.where(FIRST_HOUR, 3.0, _normal), "none"),
    "first hour constant, lower": (np.where(FIRST_HOUR, 3.0, _normal - 0.4 * TODAY), "drift"),
    "two sizes": (np.where(_is_tiny, 1e-13, 1e3) * _gamma, "none"),
    "two sizes, tiny ones higher": (np.where(_is_tiny, 1e-13 * (1 + 4 * TODAY), 1e3) * _gamma, "drift"),
    "two sizes, large ones higher": (np.where(_is_tiny, 1e-13, 1e3 * (1 + 4 * TODAY)) * _gamma, "drift"),
}


def row(i: int, start: int, score: float) -> tuple[Any, ...]:
    columns = {
        "id": i + 1,
        "collector": "rrc00",
        "peer": "",
        "window_start": start,
        "model": MODEL,
        "model_version": "1",
        "score": score,
        "is_alarm": False,
        "abstained": "",
        "rules_fired": "[]",
        "embedding": None,
    }
    return tuple(columns[name] for name in SCORE_COLUMNS)


def compare_stored(scores: Scores) -> Comparison:
    """Fold scores as the monitor does, and compare the last day with the week before."""
    hours: dict[Any, Any] = {}
    for begin in range(0, len(scores), ROWS_PER_STEP):
        part = slice(begin, begin + ROWS_PER_STEP)
        pairs = zip(TIMES[part].tolist(), scores[part].tolist(), strict=True)
        rows = [row(i, start, score) for i, (start, score) in enumerate(pairs)]
        folded = fold_scores(rows)
        assert not folded.unusable
        merged = build_merge(folded.added)([hours[key] for key in folded.added if key in hours])
        hours |= dict(zip(folded.added, merged, strict=True))
    names = ("collector", "hour_start", "alarms", "value_sum", "value_sum_squares", "bins")
    series, unreadable = decode_values([tuple(hours[key][name] for name in names) for key in sorted(hours)])
    assert unreadable == 0
    scaling = choose_stored_scaling([series], split_windows("24h/7d", END)[0][0])
    return compare(pair_rolling(DetectorHours(END, scale_series(series, scaling)), "24h/7d"), DriftSettings())


@pytest.mark.parametrize("name", STREAMS)
def test_stored_scores_have_the_verdict_and_the_p_value_of_scores_in_memory(name: str) -> None:
    scores, verdict = STREAMS[name]

    stored, in_memory = compare_stored(scores), check_scores(TIMES, scores).comparisons[0]

    assert stored.verdict == in_memory.verdict == verdict
    assert stored.p_value == in_memory.p_value
    assert stored.measures == in_memory.measures


@cache
def outcome(name: str) -> Comparison:
    return compare_stored(STREAMS[name][0])


@settings(max_examples=25)
@given(
    st.sampled_from([name for name in STREAMS if not name.startswith("two")]),
    st.floats(-100, 100).map(lambda power: 10.0**power),
    st.floats(-1e4, 1e4),
)
def test_unit_and_offset_change_no_verdict_on_stored_scores(name: str, unit: float, offset: float) -> None:
    """The p-value changes by less than a factor of 2.5, because the edges of bins lie elsewhere.

    Whether a level fades is judged by factors, which an offset changes. Where the level changed by a factor and has a
    season, `incident` may therefore stand for `drift`.
    """
    scores, verdict = STREAMS[name]
    expected = outcome(name)

    found = compare_stored(unit * (scores + offset))

    assert found.verdict in ({verdict, "incident"} if name == "gamma, higher" else {verdict})
    assert found.p_value is not None
    assert expected.p_value is not None
    if expected.p_value > 1e-9:
        assert 0.4 < found.p_value / expected.p_value < 2.5
    else:
        assert found.p_value < 1e-9


@settings(max_examples=15)
@given(st.sampled_from([*STREAMS]), st.floats(-100, 100).map(lambda power: 10.0**power))
def test_a_unit_changes_no_verdict_at_all_on_stored_scores(name: str, unit: float) -> None:
    scores, verdict = STREAMS[name]
    assert compare_stored(unit * scores).verdict == verdict


@pytest.fixture
def judge(tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
    """Return a function that writes scores to a store, folds them and judges the newest hour, in two steps of the monitor."""
    drift = DriftSettings()
    configured = Settings(data_dir=str(tmp_path), drift=drift)
    migrate(configured.store_url)
    with open_store(configured.store_url, clock=clock) as store:

        def judged(times: NDArray[np.int64], scores: Scores) -> DriftReport:
            common = {"collector": "rrc00", "model": MODEL, "model_version": "1", "p_value": 0.5, "is_alarm": False}
            store.write_windows([{"window_start": int(times[-1]), "collector": "rrc00"}], None)
            store.write_scores(
                [
                    {**common, "window_start": int(start), "score": score}
                    for start, score in zip(times, scores.tolist(), strict=True)
                ],
                None,
            )
            monitor = DriftMonitor(store, True)
            while monitor.step():
                pass
            judgement = DriftChecks(configured, store, clock).judge_newest(MODEL)
            assert judgement is not None
            return judgement.report

        yield judged


@pytest.mark.parametrize("name", ["d01-tiny-x1000", "d02g-offset-one-bin-5sd"])
def test_scores_of_any_unit_and_offset_drift_in_the_store(judge: Any, shared_cases: Path, name: str) -> None:
    with gzip.open(shared_cases / "csv" / f"{name}.csv.gz", "rt") as lines:
        rows = list(csv.DictReader(lines))
    times, scores = (np.array([float(row[column]) for row in rows]) for column in ("timestamp", "score"))

    report = judge(times.astype(np.int64) // 60 * 60, scores)

    assert report.verdict == "drift", report.reason


def test_scores_far_from_zero_do_not_drift_without_a_shift(judge: Any) -> None:
    report = judge(TIMES, 993.6 + 0.5 * _normal)

    assert report.verdict == "none"
    assert report.p_value > 0.01
    assert report.smallest_shift < 0.001
