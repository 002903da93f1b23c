"""Operators' labels and detectors' votes to daily counts and rates."""

import pytest

from bgpdrift.store.outcomes import VoteCount
from bgpdrift.verdicts.performance import LabelCounts, daily_rows, judge_label, sum_daily_rows


def counts(alarms: int, votes: int = 30, model: str = "lstm", version: str = "1") -> VoteCount:
    return VoteCount(model=model, model_version=version, votes=votes, alarms=alarms)


@pytest.mark.parametrize(
    ("label", "alarms", "expected"),
    [
        ("true_positive", 4, LabelCounts(true_positives=1)),
        ("true_positive", 0, LabelCounts(false_negatives=1)),
        ("missed", 1, LabelCounts(true_positives=1)),
        ("missed", 0, LabelCounts(false_negatives=1)),
        ("false_positive", 1, LabelCounts(false_positives=1)),
        ("false_positive", 0, LabelCounts(true_negatives=1)),
        ("new_normal", 9, LabelCounts(false_positives=1)),
        ("new_normal", 0, LabelCounts(true_negatives=1)),
    ],
)
def test_a_label_is_one_count_however_long_its_range(label: str, alarms: int, expected: LabelCounts) -> None:
    assert judge_label(label, [counts(alarms)]) == {("lstm", "1"): expected}


def test_a_detector_without_votes_is_neither_right_nor_wrong() -> None:
    assert judge_label("true_positive", [counts(0, votes=0)]) == {}


def test_a_model_swapped_within_the_range_counts_once_for_the_version_with_most_votes() -> None:
    """The alarm of the other version counts too: the detector alarmed."""
    judged = judge_label("true_positive", [counts(3, 5, version="1"), counts(0, 25, version="2")])

    assert judged == {("lstm", "2"): LabelCounts(true_positives=1)}


def test_with_too_few_labels_a_day_has_counts_but_no_rates() -> None:
    (row,) = daily_rows(0, [("true_positive", [counts(1)])] * 7, min_labels=20)

    assert (row.labels, row.true_positives) == (7, 7)
    assert [getattr(row, name) for name in ("accuracy", "precision", "recall", "f1")] == [None] * 4


def test_with_labels_of_one_class_a_day_has_counts_but_no_rates() -> None:
    """A detector that always alarms would have an accuracy of 1."""
    labels = [("true_positive", [counts(1)])] * 30 + [("false_positive", [counts(2)])] * 4

    (row,) = daily_rows(0, labels, min_labels=20)

    assert row.labels == 34
    assert (row.accuracy, row.precision, row.recall, row.f1) == (None, None, None, None)


def test_with_enough_labels_a_day_has_rates() -> None:
    labels = (
        [("true_positive", [counts(1)])] * 12 + [("missed", [counts(0)])] * 3 + [("false_positive", [counts(2)])] * 5
    )

    (row,) = daily_rows(86_400, labels, min_labels=20)

    assert (row.day_start, row.labels, row.accuracy) == (86_400, 20, 0.6)
    assert (row.precision, row.recall) == (12 / 17, 12 / 15)
    assert row.f1 == pytest.approx(24 / 32)


def test_a_day_without_labels_has_no_rows() -> None:
    assert daily_rows(0, [], 20) == []


def test_days_are_added_by_detector_and_version() -> None:
    days = [daily_rows(day, [("true_positive", [counts(1), counts(0, model="heuristic")])], 20) for day in (0, 86_400)]

    assert sum_daily_rows(row for rows in days for row in rows) == {
        ("heuristic", "1"): LabelCounts(false_negatives=2),
        ("lstm", "1"): LabelCounts(true_positives=2),
    }


def test_without_labels_there_are_no_rates() -> None:
    nothing = LabelCounts()

    assert (nothing.accuracy, nothing.precision, nothing.recall, nothing.f1) == (None, None, None, None)
