"""Whether a candidate may replace the active model: a pure decision from figures, each check on record.

Every check gives its number, the threshold and a sentence, whether it passed or not, so that a refusal explains itself
and a promotion can be looked up a year later. Who measured the figures, and what publishing means, is not decided here.

===================  ==========  ==========================================================================
check                kind        passes if
===================  ==========  ==========================================================================
rows                 integrity   the candidate learned from at least ``min_rows`` clean windows
finite               integrity   every held-out score of the candidate is a finite number
run_time             quality     fitting took at most ``max_seconds``
accuracy, f1         quality     not below the active model's by more than ``tolerance``
class:<name>         quality     no class of outcomes is recognised less often, by more than ``tolerance``
injected             quality     injected anomalies are found at least as often, within ``detection_tolerance``
injected:<kind>      quality     the same for each kind, within ``kind_tolerance`` (few episodes each)
injected_record      quality     injected anomalies are found as often as the active model or its ancestors found them
                                 when they came into force, within ``record_tolerance``
injected_record:…    quality     the same for each kind, within ``record_kind_tolerance``
injected_least       quality     injected anomalies are found at least with ``min_detection``, active model or not
alarm_rate           quality     false alarms a day on clean held-out windows are within ``max_alarms_per_day``
drift                quality     the candidate's scores on held-out windows drifted by at most ``max_drift`` (PSI), or the
                                 whole span is shorter than ``min_drift_hours``
===================  ==========  ==========================================================================

Without an active model the comparisons pass. After a change of level the active model is no yardstick: it alarms all the
time and finds nothing anew, so that every comparison with it passes. What it found when it came into force is one. Of a
span of a day or two the held-out share is another time of day than what was learned from, and every honest model scores it
otherwise: its drift is put on record and refuses nothing.
``force`` lifts refusals of quality, never of integrity.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["integrity", "quality"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one model showed on the held-out windows.

    Attributes
    ----------
    accuracy, f1 : float or None
        Over labelled minutes; None where there are too few labels.
    classes : mapping of str to float
        Share of each class of outcomes that it recognised.
    injected : mapping of str to float
        Share of the injected anomalies of each kind that it raised an alarm for.
    alarms_per_day : float
        Alarm episodes on clean windows.
    """

    accuracy: float | None = None
    f1: float | None = None
    classes: Mapping[str, float] = field(default_factory=dict)
    injected: Mapping[str, float] = field(default_factory=dict)
    alarms_per_day: float = 0.0

    @property
    def injected_mean(self) -> float | None:
        """Mean over the kinds; None without any."""
        return sum(self.injected.values()) / len(self.injected) if self.injected else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the decision rests on.

    Attributes
    ----------
    candidate : Judged
        The new model.
    active : Judged or None
        The model in force on the very same windows; None if there is none that works.
    train_rows : int
        Clean windows the candidate was fitted and calibrated on.
    seconds : float
        What fitting took.
    drift_psi : float
        Between the candidate's scores in training and on held-out windows.
    unusable_scores : int
        Held-out scores of the candidate that are NaN or infinite.
    span_hours : float
        Event time from the first window that teaches to the last that judges.
    drift_unlike : str
        Why ``drift_psi`` tells nothing, in words; "" where it does.
    record : mapping of str to float
        Share of the injected anomalies of each kind that the active model or one of its ancestors found when it was
        judged itself (`bgpdrift.models.ancestors`); empty if that is not known.
    """

    candidate: Judged
    active: Judged | None
    train_rows: int
    seconds: float
    drift_psi: float = 0.0
    unusable_scores: int = 0
    span_hours: float = math.inf
    drift_unlike: str = ""
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Thresholds; their defaults and reasons stand in the settings, section ``retrain``."""

    min_rows: int = 1_440
    max_seconds: float = 1_800.0
    tolerance: float = 0.01
    detection_tolerance: float = 0.1
    kind_tolerance: float = 0.4
    min_detection: float = 0.1
    record_tolerance: float = 0.25
    record_kind_tolerance: float = 0.6
    """Wide: a kind is eight anomalies, and then they were others. A kind that is not seen at all any more is caught."""
    max_alarms_per_day: float = 10.0
    max_drift: float = 1.0
    min_drift_hours: float = 72.0
    """Three days: from there on every hour of the day is found on both sides of the cut, or nearly so."""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the decision."""

    name: str
    kind: Kind
    value: float | None
    threshold: float | None
    passed: bool
    sentence: str

    def as_fields(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "check": self.name,
            "kind": self.kind,
            "value": _short(self.value),
            "threshold": _short(self.threshold),
            "passed": self.passed,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The decision and everything it rests on."""

    accepted: bool
    forced: bool
    """Accepted although a check of quality failed."""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that did not pass, also those that were forced."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def reason(self) -> str:
        """One line: why not, or that nothing spoke against it."""
        said = "; ".join(check.sentence for check in self.failed) or "every check passed"
        return f"forced: {said}" if self.forced else said

    def as_fields(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "accepted": self.accepted,
            "forced": self.forced,
            "reason": self.reason,
            "checks": [check.as_fields() for check in self.checks],
        }


def decide_gate(evidence: Evidence, policy: GatePolicy) -> GateVerdict:
    """Decide whether the candidate may be published.

    Examples
    --------
    >>> better = Judged(injected={"burst": 1.0, "silence": 0.9}, alarms_per_day=1.0)
    >>> worse = Judged(injected={"burst": 0.9, "silence": 0.5}, alarms_per_day=1.5)
    >>> decide_gate(Evidence(better, worse, 8_000, 3.0), GatePolicy()).accepted
    True
    >>> decide_gate(Evidence(worse, better, 8_000, 3.0), GatePolicy()).reason
    'finds 70.0 % of the injected anomalies, the active model 95.0 %'
    """
    checks = tuple(_checks(evidence, policy))
    sound = all(check.passed for check in checks if check.kind == "integrity")
    good = all(check.passed for check in checks)
    return GateVerdict(
        accepted=good or (sound and policy.force), forced=sound and policy.force and not good, checks=checks
    )


def _checks(evidence: Evidence, policy: GatePolicy) -> Iterator[Check]:
    rows, unusable = evidence.train_rows, evidence.unusable_scores
    said = f"learned from {rows:,} clean windows, at least {policy.min_rows:,} expected"
    yield Check("rows", "integrity", rows, policy.min_rows, rows >= policy.min_rows, said)
    said = f"{unusable:,} held-out scores are no finite number"
    yield Check("finite", "integrity", unusable, 0, unusable == 0, said)
    seconds = evidence.seconds
    said = f"fitting took {seconds:.1f} s, at most {policy.max_seconds:g} s allowed"
    yield Check("run_time", "quality", seconds, policy.max_seconds, seconds <= policy.max_seconds, said)
    yield from _comparisons(evidence.candidate, evidence.active, policy)
    found, least = evidence.candidate.injected_mean, policy.min_detection
    yield from _against_record(evidence.candidate.injected, evidence.record, policy)
    if found is not None:
        said = f"finds {_percent(found)} of the injected anomalies, at least {_percent(least)} expected"
        yield Check("injected_least", "quality", found, least, found >= least, said)
    rate = evidence.candidate.alarms_per_day
    said = f"{rate:.1f} false alarms a day on clean windows, at most {policy.max_alarms_per_day:g} allowed"
    yield Check("alarm_rate", "quality", rate, policy.max_alarms_per_day, rate <= policy.max_alarms_per_day, said)
    yield _drift(evidence, policy)


def _drift(evidence: Evidence, policy: GatePolicy) -> Check:
    drift, hours = evidence.drift_psi, evidence.span_hours
    said = f"its scores drift by PSI {drift:.3f} from training to held-out windows"
    if hours < policy.min_drift_hours:
        said += f": a span of {hours:.0f} h cannot tell drift from time of day"
        return Check("drift", "quality", drift, None, True, said)
    if evidence.drift_unlike:
        return Check("drift", "quality", drift, None, True, f"{said}: {evidence.drift_unlike}, which cannot tell drift")
    said += f", at most {policy.max_drift:g} allowed"
    return Check("drift", "quality", drift, policy.max_drift, drift <= policy.max_drift, said)


def _comparisons(candidate: Judged, active: Judged | None, policy: GatePolicy) -> Iterator[Check]:
    """Compare with the active model; a figure that one of the two lacks is not compared."""
    before = active or Judged()
    tolerance = policy.tolerance
    yield _compared("accuracy", candidate.accuracy, before.accuracy, tolerance, "has an accuracy of {}")
    yield _compared("f1", candidate.f1, before.f1, tolerance, "has an F1 of {}")
    for name in sorted(set(candidate.classes) & set(before.classes)):
        new, old = candidate.classes[name], before.classes[name]
        yield _compared(f"class:{name}", new, old, tolerance, "recognises {} of " + name.replace("_", " "))
    if candidate.injected and before.injected:
        said = "finds {} of the injected anomalies"
        yield _compared("injected", candidate.injected_mean, before.injected_mean, policy.detection_tolerance, said)
    for name in sorted(set(candidate.injected) & set(before.injected)):
        new, old = candidate.injected[name], before.injected[name]
        said = "finds {} of injected " + name.replace("_", " ")
        yield _compared(f"injected:{name}", new, old, policy.kind_tolerance, said)


def _against_record(found: Mapping[str, float], record: Mapping[str, float], policy: GatePolicy) -> Iterator[Check]:
    """Compare with what the active model and its ancestors found in their time, over the kinds that both met."""
    kinds = sorted(set(found) & set(record))
    if not kinds:
        return
    said = "finds {} of {}, the active model or one before it {} in its time"
    new, old = (sum(shares[kind] for kind in kinds) / len(kinds) for shares in (found, record))
    least = old - policy.record_tolerance
    sentence = said.format(_percent(new), "the injected anomalies", _percent(old))
    yield Check("injected_record", "quality", new, least, new >= least - 1e-9, sentence)
    for kind in kinds:
        new, old = found[kind], record[kind]
        least = old - policy.record_kind_tolerance
        sentence = said.format(_percent(new), "injected " + kind.replace("_", " "), _percent(old))
        yield Check(f"injected_record:{kind}", "quality", new, least, new >= least - 1e-9, sentence)


def _compared(name: str, new: float | None, old: float | None, tolerance: float, said: str) -> Check:
    if new is None or old is None:
        return Check(name, "quality", new, None, True, f"{name}: nothing to compare with")
    # A hair of slack, so that a tolerance of one point forgives one point also in floating point.
    passed = new >= old - tolerance - 1e-9
    sentence = f"{said.format(_percent(new))}, the active model {_percent(old)}"
    return Check(name, "quality", new, old - tolerance, passed, sentence)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
