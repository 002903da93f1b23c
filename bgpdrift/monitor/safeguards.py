"""Safeguards: decides whether a retraining request becomes a flag file. Pure; every other outcome carries its reason.

The safeguards apply in this order, and the first that objects decides:

===================  =================  =======================================================================
safeguard            outcome            objects if
===================  =================  =======================================================================
master switch        refuse             ``retrain.auto`` is off
model switch         refuse             ``detectors.<model>.auto_retrain`` is off
first                refuse             it is a first training, and ``retrain.first`` is ``off``
pilot                refuse             no drifting collector is in ``retrain.pilot_collectors``
severity             refuse             the severity is below ``retrain.min_severity``
version              refuse             another version became active after the request
drift                refuse             the drift has ended
one at a time        refuse             another request of this model is open
cooldown             postpone           ``retrain.cooldown_h`` of event time have not passed since the last
                                        automatic run, or since a version was rolled back
approval             request_approval   the drift is critical and ``retrain.approve_critical`` is on, or it is a first
                                        training and ``retrain.first`` is ``ask``, unless a person, or an approval
                                        request without an answer, has consented
windows              postpone           fewer than ``retrain.min_windows`` windows of any one collector are available
                                        for training, or less than a whole day of them follows the change point
===================  =================  =======================================================================

A first training has no drift. Pilot, severity and drift do not concern it, and it is refused once any version is active.
`bgpdrift.monitor.first_training` decides when its data suffices.

Approval comes before windows, so that a person can answer while windows accumulate. The module also decides what an approval
request without an answer means. `bgpdrift.monitor.request_situation` reads the figures from the store.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bgpdrift.detector_registry import MODELS
from bgpdrift.drift.report import SEVERITIES, Severity
from bgpdrift.formatting import format_time
from bgpdrift.settings import Settings

HOUR_S, DAY_S = 3_600, 86_400
REJECTION_HOLD_H = 168.0
"""A rejection by a person prevents new requests of the same drift for this long, unless the drift ends first."""
AUTOMATIC_RUN_ENDED = "an automatic run ended"
"""Cause of a cooldown."""
DRIFT_ENDED = "the drift has ended"
"""Reason for refusing a request once a check no longer finds the drift."""

Outcome = Literal["flag", "request_approval", "postpone", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeguardPolicy:
    """Limits for one model, from the settings sections ``retrain`` and ``drift``."""

    auto: bool = True
    auto_model: bool = True
    cooldown_h: float = 24.0
    min_severity: Severity = "high"
    approve_critical: bool = True
    first: Literal["auto", "ask", "off"] = "auto"
    pilot_collectors: tuple[str, ...] = ()
    min_windows: int = 1_440
    held_out_share: float = 0.2
    unanswered_h: float = 12.0
    unanswered: Literal["drift", "hold"] = "drift"

    @classmethod
    def from_settings(cls, settings: Settings, model: str) -> "SafeguardPolicy":
        """Build the policy of a model."""
        retrain, drift = settings.retrain, settings.drift
        return cls(
            auto=retrain.auto,
            auto_model=model in MODELS and settings.detectors.of(model).auto_retrain,
            cooldown_h=retrain.cooldown_h,
            min_severity=retrain.min_severity,
            approve_critical=retrain.approve_critical,
            first=retrain.first,
            pilot_collectors=tuple(retrain.pilot_collectors),
            min_windows=retrain.min_windows,
            held_out_share=retrain.held_out_share,
            unanswered_h=drift.unanswered_h,
            unanswered=drift.unanswered,
        )


@dataclass(frozen=True, slots=True)
class Situation:
    """The input of the safeguards.

    Attributes
    ----------
    model : str
        Model to retrain.
    at : int
        Current event time, epoch seconds.
    severity : str
        Severity of the drift.
    collectors : tuple of str
        Collectors that drift; empty if unknown.
    drifted_version : str
        Version that drifts; "" if unknown.
    active_version : str
        Version active now; "" if unknown.
    drift_persists : bool
        False once a check finds that the drift has ended.
    open_request_id : int or None
        Another open request of the same model.
    cooldown_since : int or None
        Event time of the end of the last automatic run, or of the last rollback.
    cooldown_cause : str
        Which of the two, as a clause.
    windows : int
        Windows stored in the training span, of the collector that has most.
    change_point : int or None
        Event time from which the new level holds.
    not_before : int
        Event time before which a retrainer found training to be useless; 0 for none.
    not_before_reason : str
        Reason that the retrainer gave.
    consented : bool
        A person, or an approval request without an answer, agreed to train on the new level.
    is_first : bool
        Whether it is the first training of a model without a version.
    """

    model: str
    at: int
    severity: Severity = "high"
    collectors: tuple[str, ...] = ()
    drifted_version: str = ""
    active_version: str = ""
    drift_persists: bool = True
    open_request_id: int | None = None
    cooldown_since: int | None = None
    cooldown_cause: str = AUTOMATIC_RUN_ENDED
    windows: int = 10**9
    change_point: int | None = None
    not_before: int = 0
    not_before_reason: str = ""
    consented: bool = False
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome for a request.

    Attributes
    ----------
    outcome : str
        ``flag``: drop the flag file. ``request_approval``: ask a person first. ``postpone``: decide again at ``until``.
        ``refuse``: the request ends.
    safeguard : str
        The safeguard that objects; "" for ``flag``.
    reason : str
        Its reason, for people; "" for ``flag``.
    until : int
        Event time of the next decision; 0 unless postponed.
    """

    outcome: Outcome
    safeguard: str = ""
    reason: str = ""
    until: int = 0


def decide(situation: Situation, policy: SafeguardPolicy) -> Decision:
    """Return the decision of the first safeguard that objects; ``flag`` if none does.

    Examples
    --------
    >>> decide(Situation("lstm", at=0), SafeguardPolicy()).outcome
    'flag'
    >>> decide(Situation("lstm", at=7_200, cooldown_since=3_600), SafeguardPolicy()).reason
    'the cooldown lasts until 1970-01-02 01:00 UTC: an automatic run ended at 1970-01-01 01:00 UTC'
    """
    return next(_find_objections(situation, policy), Decision("flag"))


def find_switched_off(model: str, policy: SafeguardPolicy, *, is_first: bool) -> Decision | None:
    """Return the refusal of the switch that turns automatic trainings of a model off; None if all are on.

    Examples
    --------
    >>> find_switched_off("lstm", SafeguardPolicy(first="off"), is_first=True).reason
    'the first training is left to a person (retrain.first)'
    """
    if not policy.auto:
        return Decision("refuse", "master switch", "automatic retraining is off (retrain.auto)")
    if not policy.auto_model:
        reason = f"automatic retraining of {model} is off (detectors.{model}.auto_retrain)"
        return Decision("refuse", "model switch", reason)
    if is_first and policy.first == "off":
        return Decision("refuse", "first", "the first training is left to a person (retrain.first)")
    return None


def _find_objections(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    switched_off = find_switched_off(now.model, policy, is_first=now.is_first)
    if switched_off is not None:
        yield switched_off
    yield from _check_model(now) if now.is_first else _check_drift(now, policy)
    if now.open_request_id is not None:
        reason = f"retraining request {now.open_request_id} of this model is open"
        yield Decision("refuse", "one at a time", reason)
    yield from _check_cooldown(now, policy)
    if not now.consented:
        yield from _check_approval(now, policy)
    yield from _check_windows(now, policy)


def _check_model(now: Situation) -> Iterator[Decision]:
    """Check that the model of a first training still has no version."""
    if now.active_version:
        yield Decision("refuse", "version", f"version {now.active_version} became active")


def _check_drift(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if policy.pilot_collectors and not set(now.collectors) & set(policy.pilot_collectors):
        where = ", ".join(now.collectors) or "unknown"
        pilots = ", ".join(policy.pilot_collectors)
        reason = f"the drifting collectors ({where}) include none of retrain.pilot_collectors ({pilots})"
        yield Decision("refuse", "pilot", reason)
    if SEVERITIES.index(now.severity) < SEVERITIES.index(policy.min_severity):
        reason = f"the severity is {now.severity}, below retrain.min_severity ({policy.min_severity})"
        yield Decision("refuse", "severity", reason)
    if now.drifted_version and now.active_version and now.drifted_version != now.active_version:
        reason = f"version {now.drifted_version} drifted, but version {now.active_version} is active now"
        yield Decision("refuse", "version", reason)
    if not now.drift_persists:
        yield Decision("refuse", "drift", DRIFT_ENDED)


def _check_approval(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if now.is_first and policy.first == "ask":
        yield Decision(
            "request_approval", "approval", "a first training needs the approval of a person (retrain.first)"
        )
    elif now.severity == "critical" and policy.approve_critical and not now.is_first:
        reason = "the drift is critical and needs the approval of a person (retrain.approve_critical)"
        yield Decision("request_approval", "approval", reason)


def _check_cooldown(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if now.cooldown_since is not None:
        until = now.cooldown_since + round(policy.cooldown_h * HOUR_S)
        if now.at < until:
            cause = f"{now.cooldown_cause} at {format_time(now.cooldown_since)} UTC"
            yield Decision("postpone", "cooldown", f"the cooldown lasts until {format_time(until)} UTC: {cause}", until)


def _check_windows(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if now.at < now.not_before:
        yield Decision("postpone", "windows", now.not_before_reason, now.not_before)
    if now.change_point is not None:
        until = earliest_training_time(now.change_point, policy.held_out_share)
        if now.at < until:
            since, ready = format_time(now.change_point), format_time(until)
            reason = f"a whole day of training data after the change at {since} UTC is available at {ready} UTC"
            yield Decision("postpone", "windows", reason, until)
    required = round(policy.min_windows / (1.0 - policy.held_out_share))
    if now.windows < required:
        reason = f"no collector has more than {now.windows:,} windows for training, {required:,} are required"
        yield Decision("postpone", "windows", reason, now.at + HOUR_S)


def earliest_training_time(change_point: int, held_out_share: float) -> int:
    """Return the event time at which the windows after a change hold a whole day of training data.

    The held-out share of the windows only evaluates, so that a day takes longer than 24 hours to accumulate.

    Examples
    --------
    >>> earliest_training_time(0, 0.2) / HOUR_S
    30.0
    """
    return change_point + round(DAY_S / (1.0 - held_out_share))


def choose_change_point(requested: int | None, newest: int | None, at: int, held_out_share: float) -> int | None:
    """Return the change point for a postponed request whose time has come.

    Each hourly check estimates the change point again, and the estimate may move forward. A request that has waited a
    whole day keeps its own change point if the newest estimate would postpone it again. The model is trained again later,
    when more windows of the new level exist.

    Parameters
    ----------
    requested, newest : int or None
        Event time of the change in the request, and in the newest check.
    at : int
        Event time.
    held_out_share : float
        Share of the windows that only evaluates.

    Examples
    --------
    >>> choose_change_point(0, 20 * HOUR_S, 30 * HOUR_S, 0.2), choose_change_point(0, 2 * HOUR_S, 40 * HOUR_S, 0.2)
    (0, 7200)
    >>> choose_change_point(0, 9, 10, 0.2), choose_change_point(0, None, 40 * HOUR_S, 0.2)
    (9, None)
    """
    if requested is None or newest is None:
        return newest
    ready, next_ready = (earliest_training_time(point, held_out_share) for point in (requested, newest))
    return requested if ready <= at < next_ready else newest


def is_consent_by_timeout(requested_at: int, at: int, policy: SafeguardPolicy) -> bool:
    """Return whether an approval request without an answer counts as consent by now.

    Examples
    --------
    >>> policy = SafeguardPolicy()
    >>> is_consent_by_timeout(0, 13 * HOUR_S, policy), is_consent_by_timeout(0, 11 * HOUR_S, policy)
    (True, False)
    """
    return policy.unanswered == "drift" and at >= requested_at + round(policy.unanswered_h * HOUR_S)


def may_request_again(rejected_at: int | None, at: int) -> bool:
    """Return whether a rejection by a person, if any, is old enough for a new request."""
    return rejected_at is None or at >= rejected_at + REJECTION_HOLD_H * HOUR_S
