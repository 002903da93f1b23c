"""Whether a model may be retrained by itself: a pure decision, every no with its sentence.

In this order; the first that speaks decides:

====================  ==========  ================================================================================
safeguard             says        when
====================  ==========  ================================================================================
master switch         refuse      ``retrain.auto`` is off
switch of the model   refuse      ``retrain.auto_<model>`` is off
pilot                 refuse      none of the drifting collectors is one of ``retrain.pilot_collectors``
severity              refuse      below ``retrain.min_severity``
version               refuse      another version came into force since the wish
drift                 refuse      it is gone
one at a time         refuse      another wish of this model is under way
cooldown              postpone    ``retrain.cooldown_h`` of event time have not passed since the last automatic run, or
                                  since a version was taken back
windows               postpone    fewer than ``retrain.min_windows`` to learn from, or no whole day since the change
approval              ask         the drift is critical and ``retrain.approve_critical`` is on, unless a person, or the
                                  silence after a question, has consented already
====================  ==========  ================================================================================

What silence after an approval means is decided here too. Who asks, and where the figures come from, others decide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bgpdrift.drift.report import SEVERITIES, Severity
from bgpdrift.settings import Settings

HOUR_S, DAY_S = 3_600, 86_400
PERSONS_NO_H = 168.0
"""So long a person's no to a retraining holds, unless the drift clears first."""

Outcome = Literal["flag", "ask", "postpone", "refuse"]


@dataclass(frozen=True, slots=True)
class SafeguardPolicy:
    """Settings of sections ``retrain`` and ``drift``, for one model."""

    auto: bool = True
    auto_model: bool = True
    cooldown_h: float = 24.0
    min_severity: Severity = "high"
    approve_critical: bool = True
    pilot_collectors: tuple[str, ...] = ()
    min_windows: int = 1_440
    held_out_share: float = 0.2
    unanswered_h: float = 12.0
    unanswered: Literal["drift", "hold"] = "drift"

    @classmethod
    def of(cls, settings: Settings, model: str) -> "SafeguardPolicy":
        """Read them."""
        retrain, drift = settings.retrain, settings.drift
        return cls(
            retrain.auto,
            bool(getattr(retrain, f"auto_{model}", False)),
            retrain.cooldown_h,
            retrain.min_severity,
            retrain.approve_critical,
            tuple(retrain.pilot_collectors),
            retrain.min_windows,
            retrain.held_out_share,
            drift.unanswered_h,
            drift.unanswered,
        )


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a wish is looked at.

    Attributes
    ----------
    model : str
        Which one is to be retrained.
    at : int
        Event time now, epoch seconds.
    severity : str
        Of the drift.
    collectors : tuple of str
        Where it drifts; empty if nobody knows.
    wanted_for : str
        Version that drifts; "" if nobody knows.
    active_version : str
        Version in force now.
    drift_lasts : bool
        False once the monitor says that it cleared.
    under_way : int or None
        Another wish of the same model that is being dealt with.
    quiet_since : int or None
        Event time of the end of the last automatic run, or of a rollback.
    quiet_because : str
        Which of the two.
    windows : int
        Stored in the span there is to learn from.
    change_point : int or None
        From when on the new level holds.
    not_before : int
        Event time before which a retrainer said it is no use; 0 for none.
    not_before_because : str
        Why.
    consented : bool
        A person, or the silence after a question, said that this is to be learned.
    """

    model: str
    at: int
    severity: Severity = "high"
    collectors: tuple[str, ...] = ()
    wanted_for: str = ""
    active_version: str = ""
    drift_lasts: bool = True
    under_way: int | None = None
    quiet_since: int | None = None
    quiet_because: str = "an automatic run"
    windows: int = 10**9
    change_point: int | None = None
    not_before: int = 0
    not_before_because: str = ""
    consented: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a wish.

    Attributes
    ----------
    outcome : str
        ``flag``, ``ask``, ``postpone`` or ``refuse``.
    safeguard : str
        Which one spoke; "" if none did.
    sentence : str
        Why; "" if none did.
    until : int
        Event time at which to look again, where it is postponed.
    """

    outcome: Outcome
    safeguard: str = ""
    sentence: str = ""
    until: int = 0


def decide(situation: Situation, policy: SafeguardPolicy) -> Decision:
    """Decide what becomes of a wish.

    Examples
    --------
    >>> decide(Situation("lstm", 1_767_225_600), SafeguardPolicy()).outcome
    'flag'
    >>> decide(Situation("lstm", 1_767_225_600, severity="medium"), SafeguardPolicy()).sentence
    'the drift is medium; retrain.min_severity asks for high'
    >>> decide(Situation("lstm", 1_767_225_600, quiet_since=1_767_222_000), SafeguardPolicy()).sentence
    'cooldown until 2026-01-01 23:00Z: an automatic run was at 2025-12-31 23:00Z'
    """
    return next(_spoken(situation, policy), Decision("flag"))


def _spoken(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if not policy.auto:
        yield Decision("refuse", "master switch", "automatic retraining is switched off (retrain.auto)")
    if not policy.auto_model:
        said = f"automatic retraining of {now.model} is switched off (retrain.auto_{now.model})"
        yield Decision("refuse", "switch of the model", said)
    if policy.pilot_collectors and not set(now.collectors) & set(policy.pilot_collectors):
        where = ", ".join(now.collectors) or "nobody knows where"
        pilots = ", ".join(policy.pilot_collectors)
        yield Decision("refuse", "pilot", f"it drifts at {where}; only {pilots} may retrain (retrain.pilot_collectors)")
    if SEVERITIES.index(now.severity) < SEVERITIES.index(policy.min_severity):
        said = f"the drift is {now.severity}; retrain.min_severity asks for {policy.min_severity}"
        yield Decision("refuse", "severity", said)
    if now.wanted_for and now.active_version and now.wanted_for != now.active_version:
        said = f"version {now.wanted_for} drifted, and {now.active_version} is in force since"
        yield Decision("refuse", "version", said)
    if not now.drift_lasts:
        yield Decision("refuse", "drift", "the drift is gone")
    if now.under_way is not None:
        yield Decision("refuse", "one at a time", f"wish {now.under_way} of this model is under way")
    yield from _cooldown(now, policy)
    # Before the wait for data: a person thinks, and silence runs, while hours after the change gather.
    if now.severity == "critical" and policy.approve_critical and not now.consented:
        said = "the drift is critical: a person is asked first (retrain.approve_critical)"
        yield Decision("ask", "approval", said)
    yield from _too_little(now, policy)


def _cooldown(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if now.quiet_since is not None:
        until = now.quiet_since + round(policy.cooldown_h * HOUR_S)
        if now.at < until:
            said = f"cooldown until {when(until)}: {now.quiet_because} was at {when(now.quiet_since)}"
            yield Decision("postpone", "cooldown", said, until)


def _too_little(now: Situation, policy: SafeguardPolicy) -> Iterator[Decision]:
    if now.at < now.not_before:
        yield Decision("postpone", "windows", now.not_before_because, now.not_before)
    if now.change_point is not None and now.at < (until := enough_after(now.change_point, policy.held_out_share)):
        said = f"since the change at {when(now.change_point)} no whole day can be learned from before {when(until)}"
        yield Decision("postpone", "windows", said, until)
    needed = round(policy.min_windows / (1.0 - policy.held_out_share))
    if now.windows < needed:
        said = f"{now.windows:,} windows are stored to learn from, {needed:,} needed"
        yield Decision("postpone", "windows", said, now.at + HOUR_S)


def enough_after(change_point: int, held_out_share: float) -> int:
    """When what followed a change holds a whole day to learn from, beside the part that only judges; event time.

    Examples
    --------
    >>> (enough_after(0, 0.2) - 0) / HOUR_S
    30.0
    """
    return change_point + round(DAY_S / (1.0 - held_out_share))


def learn_from(wanted: int | None, newest: int | None, at: int, held_out_share: float) -> int | None:
    """Choose the change point of a wish whose time has come: the newest one known, unless that means to wait again.

    The change point of a drift that goes on is found anew each hour, and may move on with it. A wish that has waited for a
    whole day keeps the one it waited for: what followed it is enough to learn from, and the model is trained again as the
    new level fills. Otherwise a wish could wait for ever.

    Parameters
    ----------
    wanted, newest : int or None
        Event time of the change as the wish has it, and as the last check has it.
    at : int
        Event time.
    held_out_share : float
        Of what follows, the part that only judges.

    Examples
    --------
    >>> day = 86_400
    >>> learn_from(0, 20 * HOUR_S, 30 * HOUR_S, 0.2), learn_from(0, 2 * HOUR_S, 40 * HOUR_S, 0.2), learn_from(0, 9, 10, 0.2)
    (0, 7200, 9)
    >>> learn_from(0, None, 40 * HOUR_S, 0.2), learn_from(None, 9, 10, 0.2)
    (None, 9)
    """
    if wanted is None or newest is None:
        return newest
    ripe, waits = enough_after(wanted, held_out_share), enough_after(newest, held_out_share)
    return wanted if ripe <= at < waits else newest


def silence(asked_at: int, at: int, policy: SafeguardPolicy) -> Literal["wait", "consent"]:
    """Say what it means that nobody has answered yet.

    Examples
    --------
    >>> silence(0, 13 * HOUR_S, SafeguardPolicy()), silence(0, 13 * HOUR_S, SafeguardPolicy(unanswered="hold"))
    ('consent', 'wait')
    """
    over = at >= asked_at + round(policy.unanswered_h * HOUR_S)
    return "consent" if over and policy.unanswered == "drift" else "wait"


def may_ask_again(answered_at: int | None, at: int) -> bool:
    """Whether a person's no has lost its force."""
    return answered_at is None or at >= answered_at + PERSONS_NO_H * HOUR_S


def when(at: int) -> str:
    """Show a moment of event time.

    Examples
    --------
    >>> when(1_767_225_600)
    '2026-01-01 00:00Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")


def names(collectors: Sequence[object]) -> tuple[str, ...]:
    """Collectors as a wish names them."""
    return tuple(str(name) for name in collectors)
