"""Probation: decides whether a version that became active is accepted, watched longer or rolled back. Pure.

The active version and the version it replaced (the shadow) score the same stored windows and the same injected anomalies, hour
by hour of event time. `bgpdrift.monitor.shadow_scoring` counts, `bgpdrift.monitor.probation` acts on the decision.

============  ==================================================================================================
rule          the version is rolled back if
============  ==================================================================================================
false_alarms  its alarms that no other detector shares within ten minutes exceed ``alarm_factor`` times the alarm
              budget, and ``alarm_factor`` times the shadow's alarms. An alarm without a pause counts once an hour
detection     of at least `MIN_INJECTED` anomalies it finds fewer than the shadow, by more than ``detection_loss``
recall        of at least `MIN_INJECTED` anomalies it finds less than ``min_recall``, and either it bypassed the
              gate (promoted by hand, or forced), or it finds less than its own metadata or the shadow's metadata
              state, by more than ``detection_loss``. The shadow's own count does not matter: it may no longer work
accuracy      of at least ``min_labels`` labels, with enough of each class, it agrees with fewer than the shadow, by
              more than ``accuracy_drop``, and by at least `MIN_LOST_LABELS` labels
============  ==================================================================================================

After a level change the shadow alarms all the time, so its alarms and detections are not evidence against the new version.
During an attack other detectors alarm too, and shared alarms do not count. A version with low recall that passed the gate, or
one with fewer than `MIN_INJECTED` anomalies, is watched for up to `MAX_DURATION_FACTOR` times the set duration. If recall is
still low then, the version needs review: a person is alerted. Without a shadow only the alarm budget and recall apply, and a
rollback is not possible.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from bgpdrift.settings import Settings
from bgpdrift.store.cursor_states import ProbationState, ProbationTally, ProbationVerdict

MINUTES_PER_DAY = 1_440
MIN_INJECTED = 28
"""Four hours with one anomaly of each of seven kinds an hour."""
MAX_DURATION_FACTOR = 3
"""Longest probation as a multiple of the set duration."""
MIN_MAX_DURATION_H = 8.0
"""The longest probation is at least this long: twice the time that `MIN_INJECTED` anomalies take."""
MIN_LOST_LABELS = 3
"""One or two labels are within chance."""

NO_ROLLBACK_TARGET = "there is no version to roll back to"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbationPolicy:
    """Limits of a probation, from the settings sections ``retrain``, ``detectors`` and ``drift``."""

    hours: float = 24.0
    accuracy_drop: float = 0.05
    alarm_factor: float = 5.0
    detection_loss: float = 0.25
    false_alarms_per_day: float = 2.0
    min_labels: int = 20
    min_recall: float = 0.1

    @classmethod
    def from_settings(cls, settings: Settings) -> "ProbationPolicy":
        """Build the policy."""
        retrain = settings.retrain
        return cls(
            hours=retrain.probation_h,
            accuracy_drop=retrain.probation_accuracy_drop,
            alarm_factor=retrain.probation_alarm_factor,
            detection_loss=retrain.probation_recall_loss,
            false_alarms_per_day=settings.detectors.false_alarms_per_day,
            min_labels=settings.drift.min_labels,
            min_recall=retrain.min_recall,
        )

    @property
    def max_hours(self) -> float:
        """Hours after which the probation ends in any case."""
        return max(MAX_DURATION_FACTOR * self.hours, MIN_MAX_DURATION_H)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a version became active, and the detection measured at training.

    Attributes
    ----------
    bypassed_gate : bool
        Promoted by hand, or published although the gate rejected it.
    trained_detection, shadow_trained_detection : float or None
        Share of the injected anomalies that the version, and the shadow, found at training; None if unknown.
    """

    bypassed_gate: bool = False
    trained_detection: float | None = None
    shadow_trained_detection: float | None = None


def add_tallies(left: ProbationTally, right: ProbationTally) -> ProbationTally:
    """Return the sum of two tallies.

    Examples
    --------
    >>> add_tallies(ProbationTally(minutes=60, alarms=1), ProbationTally(minutes=60, alarms=2)).alarms
    3
    """
    return ProbationTally(
        **{name: getattr(left, name) + getattr(right, name) for name in ProbationTally.__struct_fields__}
    )


def set_tally(state: ProbationState, tally: ProbationTally, has_shadow: bool) -> ProbationState:
    """Return a state with a tally and its rates and shares; a rate is None where nothing was counted.

    Examples
    --------
    >>> set_tally(ProbationState(), ProbationTally(minutes=2_880, alarms=4), has_shadow=False).alarms_per_day
    2.0
    """
    days = _count_days(tally)
    return replace(
        state,
        tally=tally,
        alarms_per_day=_share(tally.alarms, days),
        shadow_alarms_per_day=_share(tally.shadow_alarms, days) if has_shadow else None,
        detection=_share(tally.detected, tally.injected),
        shadow_detection=_share(tally.shadow_detected, tally.injected) if has_shadow else None,
        accuracy=_share(tally.correct, tally.labels),
        shadow_accuracy=_share(tally.shadow_correct, tally.labels) if has_shadow else None,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict on the version, with the reason as a sentence."""

    verdict: ProbationVerdict
    reason: str = ""

    @property
    def extends(self) -> bool:
        """Whether the probation lasts longer than set; the reason names the cause."""
        return self.verdict == "watching" and bool(self.reason)


def decide(
    tally: ProbationTally,
    *,
    passed_h: float,
    has_shadow: bool,
    policy: ProbationPolicy,
    provenance: Provenance = Provenance(),
) -> Decision:
    """Decide after an hour of probation.

    Parameters
    ----------
    tally : ProbationTally
        All counts so far.
    passed_h : float
        Hours of event time since the version became active.
    has_shadow : bool
        Whether an earlier version scores the same windows.
    policy : ProbationPolicy
        Limits.
    provenance : Provenance
        How the version became active, and its detection at training.

    Examples
    --------
    >>> policy, watched = ProbationPolicy(), {"passed_h": 4, "has_shadow": True}
    >>> decide(ProbationTally(injected=28, detected=20, shadow_detected=22), policy=policy, **watched).verdict
    'watching'
    >>> decide(ProbationTally(injected=28, detected=10, shadow_detected=22), policy=policy, **watched).reason
    'it finds 36 % of the injected anomalies, the version before it 79 %'
    >>> forced = Provenance(bypassed_gate=True)
    >>> decide(ProbationTally(injected=28), policy=policy, provenance=forced, **watched).reason
    'it finds 0 % of the injected anomalies, at least 10 % are required; it became active without passing the gate'
    """
    failure = _check_false_alarms(tally, has_shadow, policy)
    if has_shadow:
        failure = (
            failure
            or _check_detection(tally, policy)
            or _check_recall(tally, policy, provenance)
            or _check_accuracy(tally, policy)
        )
        if failure:
            return Decision("rolled_back", failure)
    elif failure:
        return Decision("needs_review", f"{failure}; {NO_ROLLBACK_TARGET}")
    if passed_h < policy.hours:
        return Decision("watching")
    return _decide_at_end(tally, passed_h, has_shadow, policy)


def _decide_at_end(tally: ProbationTally, passed_h: float, has_shadow: bool, policy: ProbationPolicy) -> Decision:
    """Accept the version, or extend the probation while recall is low or too few anomalies were injected."""
    low_recall = _describe_low_recall(tally, policy)
    if low_recall and has_shadow:
        low_recall += f"; the version before it finds {_percent(tally.shadow_detected, tally.injected)}"
    if passed_h < policy.max_hours:
        until = f": the probation lasts up to {policy.max_hours:g} hours instead of {policy.hours:g}"
        if low_recall:
            return Decision("watching", low_recall + until)
        if tally.injected < MIN_INJECTED:
            reason = (
                f"only {tally.injected} anomalies could be injected into clean windows, {MIN_INJECTED} are required"
            )
            return Decision("watching", reason + until)
    elif low_recall:
        return Decision("needs_review", low_recall if has_shadow else f"{low_recall}; {NO_ROLLBACK_TARGET}")
    return Decision("accepted", f"no rule failed in {passed_h:.3g} hours of probation")


def _check_false_alarms(tally: ProbationTally, has_shadow: bool, policy: ProbationPolicy) -> str:
    days = _count_days(tally)
    limit = policy.alarm_factor * policy.false_alarms_per_day * days
    if tally.alarms <= limit or (has_shadow and tally.alarms <= policy.alarm_factor * tally.shadow_alarms):
        return ""
    reason = (
        f"it raises {tally.alarms / days:.1f} alarms a day that no other detector shares, "
        f"at most {limit / days:g} are allowed"
    )
    shadow = f"; the version before it raises {tally.shadow_alarms / days:.1f}"
    return reason + (shadow if has_shadow else "")


def _check_detection(tally: ProbationTally, policy: ProbationPolicy) -> str:
    lost = tally.shadow_detected - tally.detected
    if tally.injected < MIN_INJECTED or lost <= policy.detection_loss * tally.injected:
        return ""
    new, old = _percent(tally.detected, tally.injected), _percent(tally.shadow_detected, tally.injected)
    return f"it finds {new} of the injected anomalies, the version before it {old}"


def _check_recall(tally: ProbationTally, policy: ProbationPolicy, provenance: Provenance) -> str:
    low_recall = _describe_low_recall(tally, policy)
    if not low_recall:
        return ""
    if provenance.bypassed_gate:
        return f"{low_recall}; it became active without passing the gate"
    share = tally.detected / tally.injected
    for source, trained in (
        ("its metadata", provenance.trained_detection),
        ("the metadata of the version before it", provenance.shadow_trained_detection),
    ):
        if trained is not None and share < trained - policy.detection_loss:
            return f"{low_recall}; {source} state {100 * trained:.0f} %"
    return ""


def _check_accuracy(tally: ProbationTally, policy: ProbationPolicy) -> str:
    lost = tally.shadow_correct - tally.correct
    if tally.labels < policy.min_labels or lost < MIN_LOST_LABELS or lost <= policy.accuracy_drop * tally.labels:
        return ""
    new, old = 100 * tally.correct / tally.labels, 100 * tally.shadow_correct / tally.labels
    return f"it agrees with {new:.0f} % of {tally.labels} labels, the version before it with {old:.0f} %"


def _describe_low_recall(tally: ProbationTally, policy: ProbationPolicy) -> str:
    """Describe a recall below the minimum; "" if recall suffices, or too few anomalies were injected."""
    if tally.injected < MIN_INJECTED or tally.detected >= policy.min_recall * tally.injected:
        return ""
    share = _percent(tally.detected, tally.injected)
    return f"it finds {share} of the injected anomalies, at least {100 * policy.min_recall:.0f} % are required"


def _count_days(tally: ProbationTally) -> float:
    """Return collector days, at least 1, so that one alarm in the first hour is not a rate of many a day."""
    return max(tally.minutes / MINUTES_PER_DAY, 1.0)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %"


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
