"""Quality figures: compared with scikit-learn, and in cases where a lenient definition would give better figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.errors import InputError
from bgpdrift.verdicts.quality import episodes, figures, labelled_spans, roc_auc

metrics = pytest.importorskip("sklearn.metrics", reason="the oracle, scikit-learn, is not installed")

labelled_scores = st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.booleans()), min_size=2, max_size=60)


def minutes(n: int) -> np.ndarray:
    return 60 * np.arange(n)


def during(n: int, *spans: tuple[int, int]) -> np.ndarray:
    """True in minutes ``[begin, end)`` of n."""
    marked = np.zeros(n, bool)
    for begin, end in spans:
        marked[begin:end] = True
    return marked


@given(labelled_scores)
def test_the_auc_equals_that_of_scikit_learn_also_with_ties(rows: list[tuple[int, bool, bool]]) -> None:
    scores, _, truth = (np.array(column) for column in zip(*rows, strict=True))

    ours = roc_auc(scores.astype(float), truth)

    if truth.all() or not truth.any():
        assert ours is None
    else:
        assert ours == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)


@given(labelled_scores)
def test_figures_per_minute_equal_those_of_scikit_learn(rows: list[tuple[int, bool, bool]]) -> None:
    scores, alarms, truth = (np.array(column) for column in zip(*rows, strict=True))

    result = figures(minutes(len(rows)), scores.astype(float), alarms, truth)

    if not truth.any():
        assert (result.auc, result.f1, result.precision, result.recall) == (None, None, None, None)
        return
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, alarms, average="binary", pos_label=True, zero_division=0
    )
    assert (result.recall, result.f1) == pytest.approx((recall, f1))
    assert result.precision is None if not alarms.any() else result.precision == pytest.approx(precision)


def test_a_minute_without_a_vote_is_the_calmest_minute() -> None:
    """A detector that abstains during an anomaly must not rank above its own negative scores."""
    scores, truth = np.array([-5.0, -4.0, -np.inf, 3.0]), np.array([False, False, True, True])

    assert roc_auc(scores, truth) == 0.5


def test_nan_scores_are_refused() -> None:
    with pytest.raises(InputError, match="found 2 NaN"):
        roc_auc(np.array([np.nan, 1.0, np.nan]), np.array([True, False, False]))


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="3 minutes, 2 alarms, 3 labels"):
        figures(minutes(3), np.zeros(3), np.zeros(2, bool), np.zeros(3, bool))


def test_minutes_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="strictly increasing"):
        figures(np.array([60, 0]), np.zeros(2), np.zeros(2, bool), np.zeros(2, bool))


def test_fourteen_quiet_minutes_are_one_episode_and_fifteen_are_two() -> None:
    alarms = during(60, (0, 1), (15, 16), (31, 32))

    assert episodes(minutes(60), alarms) == [(0, 15), (31, 31)]


def test_missing_minutes_are_quiet() -> None:
    assert episodes(np.array([0, 20 * 60]), np.array([True, True])) == [(0, 0), (1, 1)]


def test_without_an_alarm_there_is_no_episode() -> None:
    assert episodes(minutes(5), np.zeros(5, bool)) == []


def test_an_alarm_that_extends_beyond_the_span_is_not_a_false_alarm() -> None:
    result = figures(minutes(1540), np.zeros(1540), during(1540, (1000, 1130)), during(1540, (1000, 1100)))

    assert (result.false_alarms, result.false_alarms_per_day) == (0, 0.0)
    assert result.false_minutes_per_day == pytest.approx(30.0)
    assert result.precision == pytest.approx(100 / 130)


def test_an_alarm_after_fifteen_quiet_minutes_is_a_new_episode() -> None:
    result = figures(
        minutes(1540), np.zeros(1540), during(1540, (1000, 1100), (1115, 1116)), during(1540, (1000, 1100))
    )

    assert result.false_alarms == 1


def test_an_alarm_that_begins_before_the_span_is_false_even_if_it_continues_into_it() -> None:
    """Otherwise a detector that always alarms would have no false alarm."""
    result = figures(minutes(1540), np.zeros(1540), during(1540, (900, 1100)), during(1540, (1000, 1100)))

    assert (result.false_alarms, result.first_alarm_minutes) == (1, 1.0)


def test_the_false_alarm_rate_is_per_day_of_unlabelled_minutes() -> None:
    truth = during(2 * 1440 + 600, (0, 600))
    alarms = during(len(truth), (700, 703), (900, 901), (1500, 1600))

    result = figures(minutes(len(truth)), np.zeros(len(truth)), alarms, truth)

    assert (result.false_alarms, result.false_alarms_per_day) == (3, 1.5)


def test_the_delay_of_the_first_alarm_runs_to_the_end_of_its_minute() -> None:
    result = figures(minutes(200), np.zeros(200), during(200, (104, 110)), during(200, (100, 150)))

    assert result.first_alarm_minutes == 5.0


def test_several_spans_give_the_median_delay_of_those_with_an_alarm() -> None:
    truth = during(400, (50, 100), (150, 200), (250, 300), (350, 380))
    alarms = during(400, (50, 52), (152, 155), (259, 260))

    result = figures(minutes(400), np.zeros(400), alarms, truth)

    assert (result.first_alarm_minutes, result.spans, result.spans_alarmed) == (3.0, 4, 3)


def test_a_file_without_labels_has_only_false_alarm_figures() -> None:
    result = figures(minutes(1440), np.zeros(1440), during(1440, (5, 7)), np.zeros(1440, bool))

    assert (result.auc, result.f1, result.precision, result.recall, result.first_alarm_minutes) == (None,) * 5
    assert result.false_alarms_per_day == 1.0


def test_a_file_with_labelled_minutes_only_has_no_false_alarm_rate() -> None:
    result = figures(minutes(10), np.zeros(10), np.ones(10, bool), np.ones(10, bool))

    assert (result.false_alarms_per_day, result.false_minutes_per_day, result.recall) == (None, None, 1.0)


def test_a_labelled_span_is_given_by_its_first_and_last_row() -> None:
    assert labelled_spans(during(4, (1, 3))) == [(1, 2)]
