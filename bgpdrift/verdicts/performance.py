"""Measures how often a detector was right by the operators' labels: counts per day, and rates once labels suffice.

The unit is the label, not the minute: the minutes of an incident are not independent, and a confidence interval over
minutes would be far too narrow. A label counts for a detector that voted on at least one minute of the range at the
collectors concerned. It counts on the UTC day on which the range begins.

=====================  ================  ==================
label                  detector alarmed  no alarm
=====================  ================  ==================
true_positive, missed  true positive     false negative
false_positive         false positive    true negative
new_normal             false positive    true negative
=====================  ================  ==================

Minutes without a label do not count. Operators look at alarms, so that the accuracy is the rate over the labelled ranges,
not over all minutes. Counts of days are added; rates are computed from the sums.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from bgpdrift.intervals import has_enough_labels
from bgpdrift.store.outcomes import DailyPerformance, VoteCount
from bgpdrift.verdicts.outcomes import IS_ANOMALY

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The confusion matrix of a detector over labels.

    Examples
    --------
    >>> week = LabelCounts(8, 2, 0, 1) + LabelCounts(1, 0, 0, 0)
    >>> week.labels, round(week.precision, 3), round(week.recall, 3), week.accuracy
    (12, 0.818, 0.9, 0.75)
    """

    true_positives: int = 0
    false_positives: int = 0
    true_negatives: int = 0
    false_negatives: int = 0

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        return LabelCounts(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    @property
    def labels(self) -> int:
        """Number of labels."""
        return sum(astuple(self))

    @property
    def anomalous(self) -> int:
        """Number of labels of anomalies."""
        return self.true_positives + self.false_negatives

    @property
    def normal(self) -> int:
        """Number of labels of normal time."""
        return self.true_negatives + self.false_positives

    def suffice(self, min_labels: int) -> bool:
        """Whether rates may be given: enough labels, and enough of each class."""
        return has_enough_labels(self.anomalous, self.normal, min_labels)

    @property
    def right(self) -> int:
        """Number of labels that agree with the detector."""
        return self.true_positives + self.true_negatives

    @property
    def accuracy(self) -> float | None:
        """Share of labels that agree with the detector; None without labels."""
        return _rate(self.right, self.labels)

    @property
    def precision(self) -> float | None:
        """Share of alarms that were right; None without alarms."""
        return _rate(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of anomalies with an alarm; None without anomalies."""
        return _rate(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without alarms and anomalies."""
        wrong = self.false_positives + self.false_negatives
        return _rate(2 * self.true_positives, 2 * self.true_positives + wrong)


def judge_label(label: str, votes: Iterable[VoteCount]) -> dict[tuple[str, str], LabelCounts]:
    """Judge each detector by one label.

    If a model was swapped within the range, its label counts for the version with most votes.

    Parameters
    ----------
    label : str
        A key of `IS_ANOMALY`.
    votes : iterable of VoteCount
        The votes in the range.

    Returns
    -------
    dict of (model, version) to LabelCounts
        Detectors without votes are left out.

    Examples
    --------
    >>> judge_label("missed", [VoteCount(model="lstm", model_version="4", votes=30, alarms=0)])
    {('lstm', '4'): LabelCounts(true_positives=0, false_positives=0, true_negatives=0, false_negatives=1)}
    """
    by_model: dict[str, list[VoteCount]] = {}
    for one in votes:
        if one.votes:
            by_model.setdefault(one.model, []).append(one)
    counts = {}
    for model, versions in by_model.items():
        main = max(versions, key=lambda one: (one.votes, one.model_version))
        has_alarm = any(one.alarms for one in versions)
        counts[model, main.model_version] = _count(IS_ANOMALY[label], has_alarm)
    return counts


def daily_rows(
    day_start: int, labels: Sequence[tuple[str, Sequence[VoteCount]]], min_labels: int
) -> list[DailyPerformance]:
    """Build the rows of ``performance_metrics`` of one day.

    Parameters
    ----------
    day_start : int
        Epoch seconds, UTC midnight.
    labels : sequence of (label, votes)
        Labels of ranges that begin on this day, each with the votes in the range as in `judge_label`.
    min_labels : int
        The rates are None with fewer labels, or with too few of one class (`bgpdrift.intervals.MIN_LABELS_PER_CLASS`).
    """
    sums: dict[tuple[str, str], LabelCounts] = {}
    for label, votes in labels:
        for key, counts in judge_label(label, votes).items():
            sums[key] = sums.get(key, LabelCounts()) + counts
    return [
        DailyPerformance(
            day_start=day_start,
            model=model,
            model_version=version,
            true_positives=counts.true_positives,
            false_positives=counts.false_positives,
            true_negatives=counts.true_negatives,
            false_negatives=counts.false_negatives,
            labels=counts.labels,
            accuracy=counts.accuracy if counts.suffice(min_labels) else None,
            precision=counts.precision if counts.suffice(min_labels) else None,
            recall=counts.recall if counts.suffice(min_labels) else None,
            f1=counts.f1 if counts.suffice(min_labels) else None,
        )
        for (model, version), counts in sorted(sums.items())
    ]


def sum_daily_rows(rows: Iterable[DailyPerformance]) -> dict[tuple[str, str], LabelCounts]:
    """Add up daily rows by (model, version), in that order."""
    sums: dict[tuple[str, str], LabelCounts] = {}
    for row in rows:
        key = (row.model, row.model_version)
        sums[key] = sums.get(key, LabelCounts()) + count_labels(row)
    return dict(sorted(sums.items()))


def count_labels(row: DailyPerformance) -> LabelCounts:
    """Return the confusion matrix of a daily row."""
    return LabelCounts(row.true_positives, row.false_positives, row.true_negatives, row.false_negatives)


def day_start_of(seconds: int) -> int:
    """Return the UTC midnight before a time, both in epoch seconds.

    Examples
    --------
    >>> day_start_of(90_000)
    86400
    """
    return seconds // DAY_S * DAY_S


def _count(is_anomaly: bool, has_alarm: bool) -> LabelCounts:
    if is_anomaly:
        return LabelCounts(true_positives=1) if has_alarm else LabelCounts(false_negatives=1)
    return LabelCounts(false_positives=1) if has_alarm else LabelCounts(true_negatives=1)


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
