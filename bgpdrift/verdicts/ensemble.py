"""How the detectors' opinions on one window become one verdict.

Decision table (first line that applies; "alarm" is a detector's p-value within its own budget, "combined" see `combine`,
"limit" the same over the detectors' alarm p-values, moved by the ratio of a detector's budget to the ensemble's):

===========================  ====================================  =========
who votes                    what they say                         exceeds
===========================  ====================================  =========
nobody                       –                                     no
somebody                     an alarm with a sufficient rule       yes
two or more                  combined ≥ limit and two alarms       yes
one                          alarm and combined ≥ limit + 2        yes
anything else                                                      no
===========================  ====================================  =========

A lone voice without a sufficient rule must be a hundred times surer (two decades of p), since nobody can contradict it. A rule
that a table transfer explains is never sufficient; a window whose alarm rests on such rules only is `explained_by`
it. A detector without an opinion is named with its reason and is never a zero. Debounce: k of the last n minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.verdicts.calibration import P_FLOOR, alarm_p

ABSENT, WAITING, STALE = "absent", "waiting for a model", "stale"
"""Reasons the ensemble itself finds for a detector's silence; others come from the detector."""
LONE_VOICE_DECADES = 2.0
AGREEMENT = 2.0 / 3.0
"""Share of the combined surprise that is what two detectors agree on; the rest is the weighted mean."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one detector says of one window; with ``abstained`` set, only that counts."""

    p_value: float = 1.0
    is_alarm: bool = False
    abstained: str = ""
    rules_fired: Sequence[Mapping[str, Any]] = ()
    top_features: Sequence[Mapping[str, Any]] = ()
    alarm_p: float = 0.0
    """P-value up to which this detector alarms; 0 where it is not known: then minutes count as independent."""


@dataclass(frozen=True, slots=True)
class EnsemblePolicy:
    """Weights by detector, budgets of the ensemble and of a detector, debounce."""

    weights: Mapping[str, float]
    false_alarms_per_day: float = 2.0
    detector_false_alarms_per_day: float = 2.0
    debounce_k: int = 2
    debounce_n: int = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """One minute's verdict, before debounce; fields as in the table ``verdicts``."""

    combined: float
    p_values: Mapping[str, float]
    votes: Mapping[str, bool]
    abstaining: Mapping[str, str]
    majority: bool
    maximum: float
    exceeds: bool
    explained_by: str


def decide(opinions: Mapping[str, Opinion], policy: EnsemblePolicy, peer_reset: bool = False) -> Verdict:
    """Combine opinions on one window.

    Parameters
    ----------
    opinions : mapping of detector to Opinion
        Also of those that abstain; all of ``policy.weights`` should be there.
    peer_reset : bool
        A table transfer falls into this minute.

    Examples
    --------
    >>> policy = EnsemblePolicy({"lstm": 0.4, "isolation_forest": 0.3, "heuristic": 0.3})
    >>> calm = {"lstm": Opinion(abstained=WAITING), "isolation_forest": Opinion(abstained=WAITING)}
    >>> alone = Opinion(p_value=1e-4, is_alarm=True)
    >>> decide({**calm, "heuristic": Opinion(p_value=1e-3, is_alarm=True)}, policy).exceeds  # 3.0 < 2.86 + 2
    False
    >>> decide({**calm, "heuristic": alone, "lstm": alone}, policy).exceeds
    True
    """
    heard = {name: opinion for name, opinion in opinions.items() if not opinion.abstained}
    # A weight of 0 takes a detector out of the vote; what it says stays on record.
    voting = {name: opinion for name, opinion in heard.items() if policy.weights.get(name, 0.0) > 0.0}
    surprise = {name: float(-np.log10(max(opinion.p_value, P_FLOOR))) for name, opinion in voting.items()}
    combined = combine(surprise, policy.weights)
    alarms = sum(opinion.is_alarm for opinion in voting.values())
    limit = _limit(voting, policy)
    fired = [rule for opinion in opinions.values() for rule in opinion.rules_fired]
    sufficient = any(
        opinion.is_alarm
        and any(rule.get("sufficient") and not rule.get("explained_by") for rule in opinion.rules_fired)
        for opinion in voting.values()
    )
    agreed = alarms >= 2 and combined >= limit
    lone = len(voting) == 1 and alarms == 1 and combined >= limit + LONE_VOICE_DECADES
    # Detectors without rules cannot know that a table transfer is what they see.
    unexplained = not peer_reset or any(not rule.get("explained_by") for rule in fired)
    exceeds = sufficient or ((agreed or lone) and unexplained)
    reasons = [str(rule["explained_by"]) for rule in fired if rule.get("explained_by")]
    if (agreed or lone) and not unexplained:
        reasons.append("peer_reset")
    return Verdict(
        combined=combined,
        p_values={name: opinion.p_value for name, opinion in heard.items()},
        votes={name: opinion.is_alarm for name, opinion in heard.items()},
        abstaining={name: opinion.abstained for name, opinion in opinions.items() if opinion.abstained},
        majority=bool(voting) and 2 * alarms > len(voting),
        maximum=max(surprise.values(), default=0.0),
        exceeds=exceeds,
        explained_by=reasons[0] if reasons and not exceeds else "",
    )


def _limit(voting: Mapping[str, Opinion], policy: EnsemblePolicy) -> float:
    """Combined score that the ensemble's budget allows: what the detectors' own limits combine to, made stricter."""
    independent = alarm_p(policy.detector_false_alarms_per_day)
    stricter = float(np.log10(policy.detector_false_alarms_per_day / policy.false_alarms_per_day))
    if not any(policy.weights.get(name, 0.0) > 0.0 for name in voting):
        return float(-np.log10(alarm_p(policy.false_alarms_per_day)))
    own = {name: -float(np.log10(opinion.alarm_p or independent)) for name, opinion in voting.items()}
    return combine(own, policy.weights) + stricter


def combine(surprise: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """One number from the −log10 p of those who vote: their weighted mean, drawn towards what two of them agree on.

    The second largest is the level that at least two reach. A plain mean ranks by the loudest: on a labelled worm one
    detector's noise cost the ensemble 0.01 of its AUC, which the other two, agreeing, had right.

    Examples
    --------
    >>> round(combine({"lstm": 6.0, "isolation_forest": 3.0, "heuristic": 3.0}, {"lstm": 0.4}), 3)
    4.0
    >>> combine({"heuristic": 5.0}, {"heuristic": 0.3})
    5.0
    """
    total = sum(weights.get(name, 0.0) for name in surprise)
    if total <= 0.0:
        return 0.0
    mean = sum(weights.get(name, 0.0) * value for name, value in surprise.items()) / total
    agreed = sorted(surprise.values())[-2] if len(surprise) > 1 else mean
    return (1.0 - AGREEMENT) * mean + AGREEMENT * agreed


def debounced(recent: Sequence[tuple[int, bool]], now: int, policy: EnsemblePolicy) -> bool:
    """Whether k of the last n minutes exceeded, counting by event time, so that a missing minute is a calm one.

    Parameters
    ----------
    recent : sequence of (window_start, exceeds)
        Of one group, the present window included.
    now : int
        Start of the present window.

    Examples
    --------
    >>> policy = EnsemblePolicy({}, debounce_k=2, debounce_n=3)
    >>> debounced([(0, True), (60, False), (120, True)], 120, policy)
    True
    >>> debounced([(0, True), (60, True), (120, False)], 120, policy)  # only a minute that exceeds is an anomaly
    False
    """
    begin = now - 60 * (policy.debounce_n - 1)
    exceeding = [start for start, exceeds in recent if exceeds and begin <= start <= now]
    return now in exceeding and len(exceeding) >= policy.debounce_k
