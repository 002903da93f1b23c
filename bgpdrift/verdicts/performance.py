"""How often a detector was right, by what operators said: counts a day, and shares once there are enough of them.

The unit is the label, not the minute: minutes of one incident are one event seen many times, and an interval over them
would be far too narrow. A label counts for a detector if it had an opinion on at least one minute of the range, at the
collectors concerned, and it counts on the UTC day on which the range begins:

=====================  ================  ==================
operator               detector alarmed  detector was quiet
=====================  ================  ==================
true_positive, missed  true positive     false negative
false_positive         false positive    true negative
new_normal             false positive    true negative
=====================  ================  ==================

Minutes that nobody labelled count for nothing: operators look at alarms, so the accuracy is that on what was worth
asking about, and no share of all minutes. Counts of days add up; shares do not, and are made of the sums.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgpdrift.verdicts.outcomes import IS_ANOMALY

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Tally:
    """Labels by what was true and what a detector said.

    Examples
    --------
    >>> week = Tally(8, 2, 0, 1) + Tally(1, 0, 0, 0)
    >>> week.labels, round(week.precision, 3), round(week.recall, 3), week.accuracy
    (12, 0.818, 0.9, 0.75)
    """

    true_positives: int = 0
    false_positives: int = 0
    true_negatives: int = 0
    false_negatives: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.true_negatives + other.true_negatives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def labels(self) -> int:
        """All of them."""
        return self.true_positives + self.false_positives + self.true_negatives + self.false_negatives

    @property
    def right(self) -> int:
        """Labels the detector agreed with."""
        return self.true_positives + self.true_negatives

    @property
    def accuracy(self) -> float | None:
        """Share of labels it agreed with."""
        return _share(self.right, self.labels)

    @property
    def precision(self) -> float | None:
        """Share of its alarms that were right; None without alarms."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of true anomalies it alarmed on; None without any."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None where there was neither an alarm nor an anomaly."""
        wrong = self.false_positives + self.false_negatives
        return _share(2 * self.true_positives, 2 * self.true_positives + wrong)


def judge_label(label: str, opinions: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Tally]:
    """What one label says of each detector, by (model, version).

    A model that was swapped within the range answers for it with the version that judged most of its minutes.

    Parameters
    ----------
    label : str
        Of `IS_ANOMALY`.
    opinions : iterable of mapping
        ``model``, ``model_version``, ``opinions``, ``alarms`` over the range.

    Examples
    --------
    >>> judge_label("missed", [{"model": "lstm", "model_version": "4", "votes": 30, "alarms": 0}])
    {('lstm', '4'): Tally(true_positives=0, false_positives=0, true_negatives=0, false_negatives=1)}
    """
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for opinion in opinions:
        if opinion["votes"]:
            by_model.setdefault(str(opinion["model"]), []).append(opinion)
    found = {}
    for model, versions in by_model.items():
        most = max(versions, key=lambda row: (int(row["votes"]), str(row["model_version"])))
        alarmed = any(row["alarms"] for row in versions)
        found[model, str(most["model_version"])] = _tally(IS_ANOMALY[label], alarmed)
    return found


def daily_rows(
    day_start: int, labels: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], least_labels: int
) -> list[dict[str, Any]]:
    """Rows of ``performance_metrics`` of one day.

    Parameters
    ----------
    day_start : int
        Epoch seconds, UTC midnight.
    labels : sequence of (label, opinions)
        Labels of ranges that begin on this day, each with what was said of it (`judge_label`).
    least_labels : int
        With fewer labels there are counts, and no shares.
    """
    sums: dict[tuple[str, str], Tally] = {}
    for label, opinions in labels:
        for key, tally in judge_label(label, opinions).items():
            sums[key] = sums.get(key, Tally()) + tally
    return [
        {
            "day_start": day_start,
            "model": model,
            "model_version": version,
            "true_positives": tally.true_positives,
            "false_positives": tally.false_positives,
            "true_negatives": tally.true_negatives,
            "false_negatives": tally.false_negatives,
            "labels": tally.labels,
            **{
                name: getattr(tally, name) if tally.labels >= least_labels else None
                for name in ("accuracy", "precision", "recall", "f1")
            },
        }
        for (model, version), tally in sorted(sums.items())
    ]


def summed(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Tally]:
    """Add up daily rows by (model, version)."""
    sums: dict[tuple[str, str], Tally] = {}
    for row in rows:
        key = (str(row["model"]), str(row["model_version"]))
        counts = (row["true_positives"], row["false_positives"], row["true_negatives"], row["false_negatives"])
        sums[key] = sums.get(key, Tally()) + Tally(*map(int, counts))
    return dict(sorted(sums.items()))


def day_of(seconds: int) -> int:
    """Midnight, UTC, of the day a moment lies in.

    Examples
    --------
    >>> day_of(90_000)
    86400
    """
    return seconds // DAY_S * DAY_S


def _tally(is_anomaly: bool, alarmed: bool) -> Tally:
    if is_anomaly:
        return Tally(true_positives=1) if alarmed else Tally(false_negatives=1)
    return Tally(false_positives=1) if alarmed else Tally(true_negatives=1)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
