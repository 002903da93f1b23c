"""Whether a version that came into force stays there: a pure decision from what it and the one before it showed.

Both were given the same stored windows and the same injected anomalies, hour by hour of event time:

==========  ====================================================================================================
rule        takes the version back if
==========  ====================================================================================================
alarms      it alarms alone (no other detector within ten minutes) more than ``alarm_factor`` times as often as the
            budget allows, and as often as the version before it. An alarm that does not end counts every hour
detection   of at least `LEAST_INJECTED` anomalies it misses more than ``detection_loss`` of those beyond what the
            version before it misses
accuracy    of at least ``min_labels`` labels by people it loses more than ``accuracy_drop`` against the version
            before it, and at least `LEAST_LOST` of them
==========  ====================================================================================================

After a change of level the version before alarms all the time: then neither its alarms nor what it "finds" speak against
the new one. While there is an attack others alarm, too, and what is alarmed together counts for nobody. Without a version
before, only the budget judges, and there is nothing to go back to. Who measures, and what rolling back means, others decide.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bgpdrift.settings import Settings

MINUTES_A_DAY = 1_440
LEAST_INJECTED = 28
"""Four hours, with one of each of seven kinds an hour."""
LEAST_LOST = 3
"""Labels: one or two are chance."""

Verdict = Literal["watching", "settled", "rolled_back", "alone"]


@dataclass(frozen=True, slots=True)
class ProbationPolicy:
    """Settings of sections ``retrain``, ``detectors`` and ``drift``."""

    hours: float = 24.0
    accuracy_drop: float = 0.05
    alarm_factor: float = 5.0
    detection_loss: float = 0.25
    false_alarms_per_day: float = 2.0
    min_labels: int = 20

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
        )


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


def decide(tally: Tally, *, passed_h: float, has_shadow: bool, policy: ProbationPolicy) -> Decision:
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

    Examples
    --------
    >>> decide(Tally(60, 1, 1, 28, 20, 22), passed_h=4, has_shadow=True, policy=ProbationPolicy()).verdict
    'watching'
    >>> decide(Tally(60, 1, 1, 28, 10, 22), passed_h=4, has_shadow=True, policy=ProbationPolicy()).reason
    'finds 36 % of the injected anomalies, the version before it 79 %'
    """
    wrong = _too_loud(tally, has_shadow, policy)
    if has_shadow:
        wrong = wrong or _deaf(tally, policy) or _less_right(tally, policy)
        if wrong:
            return Decision("rolled_back", wrong)
    elif wrong:
        return Decision("alone", f"{wrong}; there is no version to go back to")
    if passed_h >= policy.hours:
        return Decision("settled", f"{policy.hours:g} hours on probation, and nothing speaks against it")
    return Decision("watching")


def _too_loud(tally: Tally, has_shadow: bool, policy: ProbationPolicy) -> str:
    most = policy.alarm_factor * policy.false_alarms_per_day * tally.days
    if tally.alarms <= most or (has_shadow and tally.alarms <= policy.alarm_factor * tally.shadow_alarms):
        return ""
    said = f"{tally.alarms / tally.days:.1f} alarms a day that no other detector shares, at most "
    said += f"{most / tally.days:g} allowed"
    return said + (f"; the version before it {tally.shadow_alarms / tally.days:.1f}" if has_shadow else "")


def _deaf(tally: Tally, policy: ProbationPolicy) -> str:
    lost = tally.shadow_found - tally.found
    if tally.injected < LEAST_INJECTED or lost <= policy.detection_loss * tally.injected:
        return ""
    new, old = 100 * tally.found / tally.injected, 100 * tally.shadow_found / tally.injected
    return f"finds {new:.0f} % of the injected anomalies, the version before it {old:.0f} %"


def _less_right(tally: Tally, policy: ProbationPolicy) -> str:
    lost = tally.shadow_right - tally.right
    if tally.labels < policy.min_labels or lost < LEAST_LOST or lost <= policy.accuracy_drop * tally.labels:
        return ""
    new, old = 100 * tally.right / tally.labels, 100 * tally.shadow_right / tally.labels
    return f"agrees with {new:.0f} % of {tally.labels} labels, the version before it with {old:.0f} %"


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
