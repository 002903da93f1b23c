"""Whether a version that came into force stays there: a pure decision from what it and the one before it showed.

Both were given the same stored windows and the same injected anomalies, hour by hour of event time:

==========  ====================================================================================================
rule        takes the version back if
==========  ====================================================================================================
alarms      it alarms alone (no other detector within ten minutes) more than ``alarm_factor`` times as often as the
            budget allows, and as often as the version before it. An alarm that does not end counts every hour
detection   of at least `LEAST_INJECTED` anomalies it misses more than ``detection_loss`` of those beyond what the
            version before it misses
deafness    of as many it finds less than ``min_detection``, and either it came into force past the gate (promoted by
            hand, or forced), or it falls short of what its metadata or those of the version before it promise by more
            than ``detection_loss``. What the version before it finds does not matter: that may be useless by now
accuracy    of at least ``min_labels`` labels by people it loses more than ``accuracy_drop`` against the version
            before it, and at least `LEAST_LOST` of them
==========  ====================================================================================================

After a change of level the version before alarms all the time: then neither its alarms nor what it "finds" speak against
the new one. While there is an attack others alarm, too, and what is alarmed together counts for nobody. A version that passed the
gate, finds almost nothing and breaks no promise is watched longer, as is one for which too few anomalies could be laid: up
to `LONGEST` times as long. One that is deaf then does not settle; a person is told. Without a version before, budget and
deafness judge, and there is nothing to go back to. Who measures, and what rolling back means, others decide.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bgpdrift.settings import Settings

MINUTES_A_DAY = 1_440
LEAST_INJECTED = 28
"""Four hours, with one of each of seven kinds an hour."""
LONGEST = 3
"""Times as long as set a probation lasts at most, but always as long as `LEAST_INJECTED` and as many again take."""
LONGEST_AT_LEAST_H = 8.0
LEAST_LOST = 3
"""Labels: one or two are chance."""

NO_WAY_BACK = "there is no version to go back to"

Verdict = Literal["watching", "accepted", "rolled_back", "alone"]


@dataclass(frozen=True, slots=True)
class ProbationPolicy:
    """Settings of sections ``retrain``, ``detectors`` and ``drift``."""

    hours: float = 24.0
    accuracy_drop: float = 0.05
    alarm_factor: float = 5.0
    detection_loss: float = 0.25
    false_alarms_per_day: float = 2.0
    min_labels: int = 20
    min_detection: float = 0.1

    @classmethod
    def of(cls, settings: Settings) -> "ProbationPolicy":
        """Read them."""
        retrain = settings.retrain
        return cls(
            retrain.probation_h,
            retrain.probation_accuracy_drop,
            retrain.probation_alarm_factor,
            retrain.probation_detection_loss,
            settings.detectors.false_alarms_per_day,
            settings.drift.min_labels,
            retrain.min_detection,
        )

    @property
    def longest_h(self) -> float:
        """Hours after which nothing is waited for any more."""
        return max(LONGEST * self.hours, LONGEST_AT_LEAST_H)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a version beside what it shows.

    Attributes
    ----------
    past_gate : bool
        Put in force by hand, or although the gate refused it.
    promised, shadow_promised : float or None
        Share of injected anomalies it, and the version before it, found when they were trained; None if not known.
    """

    past_gate: bool = False
    promised: float | None = None
    shadow_promised: float | None = None


class Tally(msgspec.Struct, frozen=True):
    """What was counted so far; hours add up.

    Examples
    --------
    >>> (Tally(minutes=60, alarms=1) + Tally(minutes=60, alarms=2)).alarms
    3
    """

    minutes: int = 0
    """Clean minutes of collectors on which both had an opinion, or the new one if there is none before."""
    alarms: int = 0
    shadow_alarms: int = 0
    injected: int = 0
    found: int = 0
    shadow_found: int = 0
    labels: int = 0
    right: int = 0
    shadow_right: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        names = self.__struct_fields__
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def days(self) -> float:
        """Days of one collector; less than one is taken for one, so that an unlucky hour is no rate of many a day."""
        return max(self.minutes / MINUTES_A_DAY, 1.0)

    def figures(self, has_shadow: bool) -> dict[str, Any]:
        """Give rates and shares for people; None where there is nothing to tell."""
        old = has_shadow or None
        return {
            "alarms_per_day": _share(self.alarms, self.days),
            "shadow_alarms_per_day": old and _share(self.shadow_alarms, self.days),
            "detection": _share(self.found, self.injected),
            "shadow_detection": old and _share(self.shadow_found, self.injected),
            "accuracy": _share(self.right, self.labels),
            "shadow_accuracy": old and _share(self.shadow_right, self.labels),
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the version, and why in a sentence."""

    verdict: Verdict
    reason: str = ""

    @property
    def extends(self) -> bool:
        """Whether it is watched longer than usual; the reason says why."""
        return self.verdict == "watching" and bool(self.reason)


def decide(
    tally: Tally, *, passed_h: float, has_shadow: bool, policy: ProbationPolicy, metadata: Metadata = Metadata()
) -> Decision:
    """Decide after an hour.

    Parameters
    ----------
    tally : Tally
        All that was counted.
    passed_h : float
        Hours of event time it has been in force.
    has_shadow : bool
        Whether there is a version before it that could be asked.
    policy : ProbationPolicy
        Limits.
    metadata : Metadata
        How it came into force, and what it promised.

    Examples
    --------
    >>> decide(Tally(60, 1, 1, 28, 20, 22), passed_h=4, has_shadow=True, policy=ProbationPolicy()).verdict
    'watching'
    >>> decide(Tally(60, 1, 1, 28, 10, 22), passed_h=4, has_shadow=True, policy=ProbationPolicy()).reason
    'finds 36 % of the injected anomalies, the version before it 79 %'
    >>> forced = Metadata(past_gate=True)
    >>> decide(Tally(60, 0, 0, 28, 0, 0), passed_h=4, has_shadow=True, policy=ProbationPolicy(), metadata=forced).reason
    'finds 0 % of the injected anomalies, at least 10 % expected; it came into force past the gate'
    """
    wrong = _too_loud(tally, has_shadow, policy)
    if has_shadow:
        wrong = wrong or _deafer(tally, policy) or _broken_word(tally, policy, metadata) or _less_right(tally, policy)
        if wrong:
            return Decision("rolled_back", wrong)
    elif wrong:
        return Decision("alone", f"{wrong}; {NO_WAY_BACK}")
    if passed_h < policy.hours:
        return Decision("watching")
    return _at_the_end(tally, passed_h, has_shadow, policy)


def _at_the_end(tally: Tally, passed_h: float, has_shadow: bool, policy: ProbationPolicy) -> Decision:
    """Settle, or watch on where nothing shows yet that it sees anything."""
    deaf = _deaf(tally, policy)
    if passed_h < policy.longest_h:
        until = f": watched for up to {policy.longest_h:g} hours instead of {policy.hours:g}"
        if deaf:
            return Decision("watching", deaf + (_no_better(tally) if has_shadow else "") + until)
        if tally.injected < LEAST_INJECTED:
            said = f"only {tally.injected} anomalies could be laid over clean windows, {LEAST_INJECTED} are needed"
            return Decision("watching", said + until)
    elif deaf:
        return Decision("alone", f"{deaf}{_no_better(tally)}" if has_shadow else f"{deaf}; {NO_WAY_BACK}")
    return Decision("accepted", f"{passed_h:.3g} hours on probation, and nothing speaks against it")


def _deaf(tally: Tally, policy: ProbationPolicy) -> str:
    """Say that it finds almost nothing; "" if it does, or if that cannot be told."""
    if tally.injected < LEAST_INJECTED or tally.found >= policy.min_detection * tally.injected:
        return ""
    said = f"finds {_percent(tally.found, tally.injected)} of the injected anomalies"
    return f"{said}, at least {100 * policy.min_detection:.0f} % expected"


def _no_better(tally: Tally) -> str:
    return f"; the version before it {_percent(tally.shadow_found, tally.injected)}"


def _broken_word(tally: Tally, policy: ProbationPolicy, metadata: Metadata) -> str:
    deaf = _deaf(tally, policy)
    if not deaf:
        return ""
    if metadata.past_gate:
        return f"{deaf}; it came into force past the gate"
    found = tally.found / tally.injected
    for whose, promised in (
        ("its metadata", metadata.promised),
        ("the metadata of the version before it", metadata.shadow_promised),
    ):
        if promised is not None and found < promised - policy.detection_loss:
            return f"{deaf}; {whose} promise {100 * promised:.0f} %"
    return ""


def _too_loud(tally: Tally, has_shadow: bool, policy: ProbationPolicy) -> str:
    most = policy.alarm_factor * policy.false_alarms_per_day * tally.days
    if tally.alarms <= most or (has_shadow and tally.alarms <= policy.alarm_factor * tally.shadow_alarms):
        return ""
    said = f"{tally.alarms / tally.days:.1f} alarms a day that no other detector shares, at most "
    said += f"{most / tally.days:g} allowed"
    return said + (f"; the version before it {tally.shadow_alarms / tally.days:.1f}" if has_shadow else "")


def _deafer(tally: Tally, policy: ProbationPolicy) -> str:
    lost = tally.shadow_found - tally.found
    if tally.injected < LEAST_INJECTED or lost <= policy.detection_loss * tally.injected:
        return ""
    new, old = _percent(tally.found, tally.injected), _percent(tally.shadow_found, tally.injected)
    return f"finds {new} of the injected anomalies, the version before it {old}"


def _less_right(tally: Tally, policy: ProbationPolicy) -> str:
    lost = tally.shadow_right - tally.right
    if tally.labels < policy.min_labels or lost < LEAST_LOST or lost <= policy.accuracy_drop * tally.labels:
        return ""
    new, old = 100 * tally.right / tally.labels, 100 * tally.shadow_right / tally.labels
    return f"agrees with {new:.0f} % of {tally.labels} labels, the version before it with {old:.0f} %"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %"


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
