"""How much less often a detector is right than it was, from labels of operators: figures, intervals and what too few mean.

Decides when a fall of accuracy, precision, recall, F1 or of one class is more than chance, and says how large a fall the
labels at hand would have shown. Who labelled what and how labels become counts, `bgpdrift.verdicts` decides.

With fewer labels than ``settings.drift.min_labels`` a measure has no value and its note begins with `TOO_FEW`: that is never
the same as having found nothing. And a fall that labels cannot show has not been ruled out: the note of every measure that
shows none says which fall would have been seen, four times in five. To see .90 fall to .85 takes about 400 labels, beside
1,200 before.
"""

from collections.abc import Mapping
from typing import Protocol

from bgpdrift import intervals
from bgpdrift.drift.report import Measure
from bgpdrift.drift.severity import rank_accuracy_drop
from bgpdrift.settings_sections import DriftSettings

TOO_FEW = "too few labels"
"""First words of the note of a measure without enough of them."""


class Labels(Protocol):
    """Labels by what was true and what the detector said, such as `bgpdrift.verdicts.performance.LabelCounts`."""

    @property
    def true_positives(self) -> int:
        """Anomalies it alarmed on."""

    @property
    def false_positives(self) -> int:
        """Alarms that were none."""

    @property
    def true_negatives(self) -> int:
        """Quiet and rightly so."""

    @property
    def false_negatives(self) -> int:
        """Anomalies it missed."""


def measure_performance(current: Labels, reference: Labels | None, settings: DriftSettings) -> tuple[Measure, ...]:
    """Measure what labels say of a window beside what they said before.

    Parameters
    ----------
    current : Labels
        In the current window, of the version in force.
    reference : Labels or None
        Before it; None or too few: shares are given with their interval, and no fall can be judged.
    settings : DriftSettings
        ``min_labels`` and ``severity_accuracy_drop``.

    Returns
    -------
    tuple of Measure
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``class:anomaly``, ``class:normal``. ``effect`` is the change
        (negative for a fall), ``p_value`` that of Newcombe's interval, and the severity that of the fall, as long as its 95 %
        interval is all above 0.

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
    now, before = _counts(current), _counts(reference) if reference else {}
    return tuple(measure_share(name, now[name], before.get(name), settings) for name in now)


def class_measures(
    current: Mapping[str, tuple[int, int]], reference: Mapping[str, tuple[int, int]], settings: DriftSettings
) -> tuple[Measure, ...]:
    """Measure each class of what was labelled, such as kinds of incidents: (recognised, labelled) by name.

    Examples
    --------
    >>> fell, = class_measures({"hijack": (30, 60)}, {"hijack": (57, 60)}, DriftSettings())
    >>> fell.name, fell.value, fell.severity
    ('class:hijack', 0.5, 'critical')
    """
    return tuple(
        measure_share(f"class:{name}", current[name], reference.get(name), settings) for name in sorted(current)
    )


def measure_share(
    name: str,
    current: tuple[int, int],
    reference: tuple[int, int] | None,
    settings: DriftSettings,
    *,
    what: str = "labels",
) -> Measure:
    """Measure one share, (successes, trials), beside what it was.

    Parameters
    ----------
    name : str
        Of the measure; ``f1`` is read as (true positives, true positives + both kinds of errors).
    current, reference : tuple of int
        The counts.
    settings : DriftSettings
        ``min_labels``, ``severity_accuracy_drop``.
    what : str
        What trials are, for the note.

    Examples
    --------
    >>> measure_share("accuracy", (36, 40), (90, 100), DriftSettings()).note
    'no fall beyond chance; one of 0.17 would have shown'
    """
    least = settings.min_labels
    if current[1] < least:
        note = f"too few {what}: {current[1]} in the current window, {least} needed"
        return Measure(name, None, unit="share", note=note)
    now = _interval(name, current)
    value, low, high = now(intervals.Z95)
    if reference is None or reference[1] < least:
        held = reference[1] if reference else 0
        note = f"too few {what} before to compare: {held}, {least} needed; now {low:.2f} to {high:.2f}"
        return Measure(name, value, unit="share", note=note)
    before = _interval(name, reference)
    usual = before(intervals.Z95)[0]
    drop, least_drop, most_drop = intervals.estimate_difference(now, before)
    sure = least_drop > 0
    seen = intervals.find_smallest_fall(usual, current[1], reference[1])
    return Measure(
        name,
        value,
        threshold=usual - min(settings.severity_accuracy_drop),
        by_chance=usual,
        p_value=intervals.compute_p_value(now, before),
        effect=-drop,
        severity=rank_accuracy_drop(drop, settings) if sure else "none",
        unit="share",
        note=(
            f"fell by {drop:.2f} ({least_drop:.2f} to {most_drop:.2f})"
            if sure
            else f"no fall beyond chance; one of {seen:.2f} would have shown"
        ),
    )


def _interval(name: str, counts: tuple[int, int]) -> intervals.Interval:
    return (
        intervals.estimate_f1(counts[0], counts[1] - counts[0]) if name == "f1" else intervals.estimate_share(*counts)
    )


def _counts(labels: Labels) -> dict[str, tuple[int, int]]:
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
