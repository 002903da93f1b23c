"""Accuracy of a detector by labels of operators: shares, intervals, and the treatment of too few labels.

This module decides when a fall of accuracy, precision, recall, F1 or of one class is more than chance, and which fall
the labels would have shown. `bgpdrift.verdicts` turns labels into counts.

With fewer labels than ``settings.drift.min_labels`` a measure has no value and its note begins with `TOO_FEW`. The same
applies to accuracy, precision and F1 with too few labels of one class (`bgpdrift.intervals.MIN_LABELS_PER_CLASS`). That is
never the same as "no fall". A fall that the labels cannot show is not ruled out either: the note of a measure without a
fall names the fall that would have been detected in 80 % of cases. A fall from .90 to .85 needs about 400 labels,
beside 1,200 before.
"""

from collections.abc import Mapping
from typing import Protocol

from bgpdrift import intervals
from bgpdrift.drift.report import Measure
from bgpdrift.drift.severity import rank_accuracy_drop
from bgpdrift.settings_sections import DriftSettings

TOO_FEW = "too few labels"
"""First words of the note of a measure without enough labels."""
OF_BOTH_CLASSES = ("accuracy", "precision", "f1")
"""Measures that need labels of anomalies and of normal time."""


class Labels(Protocol):
    """Labels by truth and verdict, such as `bgpdrift.verdicts.performance.LabelCounts`."""

    @property
    def true_positives(self) -> int:
        """Anomalies that raised an alarm."""

    @property
    def false_positives(self) -> int:
        """Alarms without an anomaly."""

    @property
    def true_negatives(self) -> int:
        """Normal minutes without an alarm."""

    @property
    def false_negatives(self) -> int:
        """Anomalies without an alarm."""


def measure_performance(current: Labels, reference: Labels | None, settings: DriftSettings) -> tuple[Measure, ...]:
    """Measure performance by labels and compare it with before.

    Parameters
    ----------
    current : Labels
        In the current window, of the active version.
    reference : Labels or None
        Before it. With None or too few labels, shares are given with their interval and no fall can be judged.
    settings : DriftSettings
        ``min_labels`` and ``severity_accuracy_drop``.

    Returns
    -------
    tuple of Measure
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``class:anomaly``, ``class:normal``. ``effect`` is the change,
        negative for a fall; ``p_value`` is that of Newcombe's interval. The measure has the severity of the fall if the
        95 % interval of the fall lies above 0.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> def labels(tp, fp, tn, fn):
    ...     return SimpleNamespace(true_positives=tp, false_positives=fp, true_negatives=tn, false_negatives=fn)
    >>> now, before = labels(160, 40, 160, 40), labels(180, 20, 180, 20)
    >>> accuracy = measure_performance(now, before, DriftSettings())[0]
    >>> accuracy.value, round(accuracy.effect, 2), accuracy.severity
    (0.8, -0.1, 'high')
    >>> measure_performance(labels(5, 1, 0, 0), before, DriftSettings())[0].note
    'too few labels: 6 in the current window, 20 needed'
    """
    now, before = _count_labels(current), _count_labels(reference) if reference else {}
    if before and not _has_both_classes(before, settings):
        before = {name: counts for name, counts in before.items() if name not in OF_BOTH_CLASSES}
    measures = [measure_share(name, now[name], before.get(name), settings) for name in now]
    if not _has_both_classes(now, settings):
        measures = [_withhold(measure, now) if measure.name in OF_BOTH_CLASSES else measure for measure in measures]
    return tuple(measures)


def measure_share(
    name: str, current: tuple[int, int], reference: tuple[int, int] | None, settings: DriftSettings
) -> Measure:
    """Measure one share, (successes, trials), and compare it with before.

    Parameters
    ----------
    name : str
        Name of the measure; ``f1`` is read as (true positives, true positives + both kinds of errors).
    current, reference : tuple of int
        The counts.
    settings : DriftSettings
        ``min_labels``, ``severity_accuracy_drop``.

    Examples
    --------
    >>> measure_share("accuracy", (36, 40), (90, 100), DriftSettings()).note
    'no fall beyond chance; a fall of 0.17 would have been detected'
    """
    needed = settings.min_labels
    if current[1] < needed:
        note = f"{TOO_FEW}: {current[1]} in the current window, {needed} needed"
        return Measure(name, None, unit="share", note=note)
    now = _build_interval(name, current)
    value, low, high = now(intervals.Z95)
    if reference is None or reference[1] < needed:
        n_before = reference[1] if reference else 0
        note = f"{TOO_FEW} before to compare: {n_before}, {needed} needed; now {low:.2f} to {high:.2f}"
        return Measure(name, value, unit="share", note=note)
    before = _build_interval(name, reference)
    value_before = before(intervals.Z95)[0]
    drop, min_drop, max_drop = intervals.estimate_difference(now, before)
    is_fall = min_drop > 0
    detectable = intervals.find_smallest_fall(value_before, current[1], reference[1])
    return Measure(
        name,
        value,
        threshold=value_before - min(settings.severity_accuracy_drop),
        by_chance=value_before,
        p_value=intervals.compute_p_value(now, before),
        effect=-drop,
        severity=rank_accuracy_drop(drop, settings) if is_fall else "none",
        unit="share",
        note=(
            f"fell by {drop:.2f} ({min_drop:.2f} to {max_drop:.2f})"
            if is_fall
            else f"no fall beyond chance; a fall of {detectable:.2f} would have been detected"
        ),
    )


def _has_both_classes(counts: Mapping[str, tuple[int, int]], settings: DriftSettings) -> bool:
    return intervals.has_enough_labels(counts["class:anomaly"][1], counts["class:normal"][1], settings.min_labels)


def _withhold(measure: Measure, counts: Mapping[str, tuple[int, int]]) -> Measure:
    """Withhold a value that labels of one class would give; a measure without a value stays as it is."""
    if measure.value is None:
        return measure
    anomalous, normal = counts["class:anomaly"][1], counts["class:normal"][1]
    needed = f"at least {intervals.MIN_LABELS_PER_CLASS} of each class needed"
    note = f"{TOO_FEW}: {anomalous} anomalous and {normal} normal in the current window, {needed}"
    return Measure(measure.name, None, unit=measure.unit, note=note)


def _build_interval(name: str, counts: tuple[int, int]) -> intervals.Interval:
    return (
        intervals.estimate_f1(counts[0], counts[1] - counts[0]) if name == "f1" else intervals.estimate_share(*counts)
    )


def _count_labels(labels: Labels) -> dict[str, tuple[int, int]]:
    """Successes and trials of each measure."""
    hits, alarms = labels.true_positives, labels.true_positives + labels.false_positives
    anomalies, quiet = hits + labels.false_negatives, labels.true_negatives
    normal = quiet + labels.false_positives
    return {
        "accuracy": (hits + quiet, anomalies + normal),
        "precision": (hits, alarms),
        "recall": (hits, anomalies),
        "f1": (hits, alarms + labels.false_negatives),
        "class:anomaly": (hits, anomalies),
        "class:normal": (quiet, normal),
    }
