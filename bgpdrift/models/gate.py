"""Decides whether a candidate may replace the active model, from figures alone. Pure.

Each check records its number, its threshold and a sentence, whether it passed or not, so that every refusal and every
promotion can be explained later. The retrainers measure the figures; `bgpdrift.models.publication` publishes.

===================  ==========  ==========================================================================
check                kind        passes if
===================  ==========  ==========================================================================
rows                 integrity   the candidate was trained on at least ``min_rows`` clean windows
finite               integrity   every held-out score of the candidate is a finite number
run_time             quality     fitting took at most ``max_seconds``
accuracy, f1         quality     not below the active model's by more than ``tolerance``
class:<name>         quality     the recall of no class of outcomes is lower by more than ``tolerance``
injected             quality     the recall of injected anomalies is not lower by more than ``recall_tolerance``
injected:<kind>      quality     the same for each kind, within ``kind_tolerance`` (a kind has few anomalies)
injected_record      quality     the recall is not lower, by more than ``record_tolerance``, than the active model or its
                                 ancestors had when they were trained
injected_record:…    quality     the same for each kind, within ``record_kind_tolerance``
injected_least       quality     the recall of injected anomalies is at least ``min_recall``, active model or not
alarm_rate           quality     at most ``max_alarms_per_day`` false alarms a day on clean held-out windows
drift                quality     the candidate's scores drift by at most ``max_drift`` (PSI) from training to held-out
                                 windows; always passes if the span is shorter than ``min_drift_hours``
===================  ==========  ==========================================================================

Without an active model the comparisons pass. After a level change the active model alarms all the time and raises no new
alarm, so every comparison with it passes. Its recall at its own training remains valid for comparison. In a span of a day or
two the held-out windows are from another time of day than the training windows, and every model scores them differently.
The drift is then recorded and does not refuse the candidate.
``force`` overrides failed quality checks, never failed integrity checks.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

Kind = Literal["integrity", "quality"]
ROUNDING_SLACK = 1e-9
"""Keeps a difference of exactly the tolerance within the tolerance in floating point."""


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one model on the held-out windows.

    Attributes
    ----------
    accuracy, f1 : float or None
        Over labelled minutes, or over injected minutes if there are too few labels; None without either.
    auc : float or None
        Injected minutes against clean minutes, all kinds together.
    judged_by : str
        Where accuracy and F1 come from: ``labels`` or ``injected``.
    classes : dict of str to float
        Recall per class of outcomes.
    injected : dict of str to float
        Recall per kind of injected anomaly.
    injected_mean : float or None
        Mean over the kinds; computed if it is not given.
    injected_auc : dict of str to float
        AUC per kind.
    alarms_per_day : float
        Alarm episodes a day on clean windows.
    abstained_windows : int
        Clean held-out windows without a vote.
    """

    accuracy: float | None = None
    f1: float | None = None
    auc: float | None = None
    judged_by: str = ""
    classes: dict[str, float] = {}
    injected: dict[str, float] = {}
    injected_mean: float | None = None
    injected_auc: dict[str, float] = {}
    alarms_per_day: float = 0.0
    abstained_windows: int = 0

    def __post_init__(self) -> None:
        """Compute the mean."""
        if self.injected_mean is None and self.injected:
            msgspec.structs.force_setattr(self, "injected_mean", sum(self.injected.values()) / len(self.injected))


class Check(msgspec.Struct, frozen=True):
    """One check of the gate: its number, its threshold (None if nothing was compared) and a sentence."""

    name: str
    kind: Kind
    value: float | None
    threshold: float | None
    passed: bool
    message: str


class GateVerdict(msgspec.Struct, frozen=True):
    """The decision and the checks it rests on."""

    accepted: bool
    forced: bool
    """Accepted although a quality check failed."""
    reason: str
    """The sentences of the failed checks, or that every check passed."""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that did not pass, forced or not."""
        return tuple(check for check in self.checks if not check.passed)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the decision rests on.

    Attributes
    ----------
    candidate : ModelFigures
        The new model.
    active : ModelFigures or None
        The active model on the same windows; None if there is none that runs.
    train_rows : int
        Clean windows the candidate was fitted and calibrated on.
    seconds : float
        Duration of the fit.
    drift_psi : float
        Between the candidate's scores in training and on held-out windows, in nats.
    unusable_scores : int
        Held-out scores of the candidate that are NaN or infinite.
    span_hours : float
        Event time from the first training window to the last held-out window.
    drift_incomparable : str
        Why ``drift_psi`` is not evidence of drift; "" if it is.
    record : mapping of str to float
        Recall per kind that the active model or an ancestor had when it was trained (`bgpdrift.models.ancestors`); empty
        if that is not known.
    """

    candidate: ModelFigures
    active: ModelFigures | None
    train_rows: int
    seconds: float
    drift_psi: float = 0.0
    unusable_scores: int = 0
    span_hours: float = math.inf
    drift_incomparable: str = ""
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """Thresholds. Section ``retrain`` of the settings has their defaults and reasons."""

    min_rows: int = 1_440
    max_seconds: float = 1_800.0
    tolerance: float = 0.01
    recall_tolerance: float = 0.1
    kind_tolerance: float = 0.4
    min_recall: float = 0.1
    record_tolerance: float = 0.25
    record_kind_tolerance: float = 0.6
    """Wide, because a kind has eight anomalies, and they were others then. A recall that falls to 0 is still refused."""
    max_alarms_per_day: float = 10.0
    max_drift: float = 1.0
    min_drift_hours: float = 72.0
    """From three days on, nearly every hour of the day occurs in both the training and the held-out windows."""
    force: bool = False


def decide_gate(evidence: Evidence, policy: GatePolicy) -> GateVerdict:
    """Decide whether the candidate may be published.

    Examples
    --------
    >>> better = ModelFigures(injected={"burst": 1.0, "silence": 0.9}, alarms_per_day=1.0)
    >>> worse = ModelFigures(injected={"burst": 0.9, "silence": 0.5}, alarms_per_day=1.5)
    >>> decide_gate(Evidence(better, worse, 8_000, 3.0), GatePolicy()).accepted
    True
    >>> decide_gate(Evidence(worse, better, 8_000, 3.0), GatePolicy()).reason
    'recall of injected anomalies is 70.0 %, at least 85.0 % required (active model: 95.0 %)'
    """
    checks = tuple(_run_checks(evidence, policy))
    is_sound = all(check.passed for check in checks if check.kind == "integrity")
    is_good = all(check.passed for check in checks)
    is_forced = is_sound and policy.force and not is_good
    reason = "; ".join(check.message for check in checks if not check.passed) or "every check passed"
    return GateVerdict(is_good or is_forced, is_forced, f"forced: {reason}" if is_forced else reason, checks)


def _run_checks(evidence: Evidence, policy: GatePolicy) -> Iterator[Check]:
    rows, unusable, seconds = evidence.train_rows, evidence.unusable_scores, evidence.seconds
    message = f"trained on {rows:,} clean windows, at least {policy.min_rows:,} required"
    yield _check("rows", rows, policy.min_rows, rows >= policy.min_rows, message, "integrity")
    message = f"{unusable:,} held-out scores are NaN or infinite, 0 allowed"
    yield _check("finite", unusable, 0, unusable == 0, message, "integrity")
    message = f"fitting took {seconds:.1f} s, {_at_most(policy.max_seconds, ' s')}"
    yield _check("run_time", seconds, policy.max_seconds, seconds <= policy.max_seconds, message)
    yield from _compare_with_active(evidence.candidate, evidence.active or ModelFigures(), policy)
    yield from _compare_with_record(evidence.candidate.injected, evidence.record, policy)
    recall, required = evidence.candidate.injected_mean, policy.min_recall
    if recall is not None:
        message = f"recall of injected anomalies is {_percent(recall)}, at least {_percent(required)} required"
        yield _check("injected_least", recall, required, recall >= required, message)
    rate = evidence.candidate.alarms_per_day
    message = f"{rate:.1f} false alarms a day on clean windows, {_at_most(policy.max_alarms_per_day)}"
    yield _check("alarm_rate", rate, policy.max_alarms_per_day, rate <= policy.max_alarms_per_day, message)
    yield _check_drift(evidence, policy)


def _check_drift(evidence: Evidence, policy: GatePolicy) -> Check:
    drift, hours = evidence.drift_psi, evidence.span_hours
    message = f"scores drift by PSI {drift:.3f} from training to held-out windows"
    if hours < policy.min_drift_hours:
        message += f"; not judged, because a span of {hours:.0f} h does not separate drift from time of day"
        return _check("drift", drift, None, True, message)
    if evidence.drift_incomparable:
        return _check("drift", drift, None, True, f"{message}; not judged, because {evidence.drift_incomparable}")
    message += f", {_at_most(policy.max_drift)}"
    return _check("drift", drift, policy.max_drift, drift <= policy.max_drift, message)


def _compare_with_active(candidate: ModelFigures, active: ModelFigures, policy: GatePolicy) -> Iterator[Check]:
    """Compare the figures that both models have."""
    yield _compare("accuracy", candidate.accuracy, active.accuracy, policy.tolerance, "accuracy")
    yield _compare("f1", candidate.f1, active.f1, policy.tolerance, "F1")
    for name in sorted(set(candidate.classes) & set(active.classes)):
        figure = f"recall of class {name.replace('_', ' ')}"
        yield _compare(f"class:{name}", candidate.classes[name], active.classes[name], policy.tolerance, figure)
    if candidate.injected and active.injected:
        new, old, figure = candidate.injected_mean, active.injected_mean, "recall of injected anomalies"
        yield _compare("injected", new, old, policy.recall_tolerance, figure)
    for name in sorted(set(candidate.injected) & set(active.injected)):
        new, old, figure = candidate.injected[name], active.injected[name], f"recall of injected {_plain(name)}"
        yield _compare(f"injected:{name}", new, old, policy.kind_tolerance, figure)


def _compare_with_record(
    injected: Mapping[str, float], record: Mapping[str, float], policy: GatePolicy
) -> Iterator[Check]:
    """Compare with the recall of the active model and its ancestors at their training, over the kinds in both."""
    kinds = sorted(set(injected) & set(record))
    if not kinds:
        return
    new, old = (sum(shares[kind] for kind in kinds) / len(kinds) for shares in (injected, record))
    figure, other = "recall of injected anomalies", "best of the active model and its ancestors at their training"
    yield _compare("injected_record", new, old, policy.record_tolerance, figure, other)
    for kind in kinds:
        figure, tolerance = f"recall of injected {_plain(kind)}", policy.record_kind_tolerance
        yield _compare(f"injected_record:{kind}", injected[kind], record[kind], tolerance, figure, other)


def _compare(
    name: str, new: float | None, old: float | None, tolerance: float, figure: str, other: str = "active model"
) -> Check:
    if new is None or old is None:
        return _check(name, new, None, True, f"{figure}: no figure to compare")
    required = old - tolerance
    message = f"{figure} is {_percent(new)}, at least {_percent(required)} required ({other}: {_percent(old)})"
    return _check(name, new, required, new >= required - ROUNDING_SLACK, message)


def _check(
    name: str, value: float | None, threshold: float | None, passed: bool, message: str, kind: Kind = "quality"
) -> Check:
    return Check(name, kind, _round(value), _round(threshold), passed, message)


def _at_most(limit: float, unit: str = "") -> str:
    """Describe an upper limit.

    Examples
    --------
    >>> _at_most(30.0, " s"), _at_most(math.inf)
    ('at most 30 s allowed', 'without a limit')
    """
    return f"at most {limit:g}{unit} allowed" if math.isfinite(limit) else "without a limit"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
