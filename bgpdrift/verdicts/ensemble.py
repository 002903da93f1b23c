"""Combines the votes of the detectors on one window into one verdict, and applies the debounce.

The first line that applies decides. "Alarm" is a detector's p-value within its own budget. "Combined" is the result of
`combine`. "Limit" is the same combination of the detectors' alarm p-values, shifted by the ratio of a detector's budget
to that of the ensemble.

===========================  ====================================  =========
voting detectors             condition                             exceeds
===========================  ====================================  =========
none                         –                                     no
at least one                 an alarm with a sufficient rule       yes
two or more                  combined ≥ limit and two alarms       yes
one                          alarm and combined ≥ limit + 2        yes
any other case                                                     no
===========================  ====================================  =========

A single vote without a sufficient rule must be a hundred times less likely (two decades of p), because no other detector
can contradict it. A rule that a table transfer explains is never sufficient. If the alarm of a window rests on such rules
only, `Verdict.explained_by` names the reason. A detector without a vote is listed with its reason; it never counts as zero.

An anomaly needs k of the last n minutes (the debounce), unless a sufficient rule is confirmed: it fires at several
collectors, or several peers saw the routes change that fired it (`needs_no_debounce`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.rules import changes_of_rule
from bgpdrift.features.suspects import find_culprits
from bgpdrift.settings import Settings
from bgpdrift.store.evidence_records import RouteChange
from bgpdrift.verdicts.calibration import P_FLOOR, alarm_p

ABSENT, WAITING, STALE = "absent", "waiting for a model", "stale"
"""Reasons for an abstention that the ensemble determines itself; the detector supplies the others."""
SINGLE_VOTE_EXTRA_DECADES = 2.0
"""Decades of p by which a single vote must exceed the limit."""
AGREEMENT_SHARE = 2.0 / 3.0
"""Share of the combined surprisal taken from the level that two detectors reach; the rest is the weighted mean."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The vote of one detector on one window.

    Attributes
    ----------
    p_value : float
        Probability that a calm minute scores as high.
    is_alarm : bool
        The p-value is within the detector's own budget.
    abstained : str
        Reason for an abstention; empty for a vote. The other fields do not count if it is set.
    rules_fired, top_features : sequence of mapping
        As in the table ``scores``.
    alarm_p : float
        P-value up to which this detector alarms; 0 if unknown, and then minutes count as independent.
    """

    p_value: float = 1.0
    is_alarm: bool = False
    abstained: str = ""
    rules_fired: Sequence[Mapping[str, Any]] = ()
    top_features: Sequence[Mapping[str, Any]] = ()
    alarm_p: float = 0.0


@dataclass(frozen=True, slots=True)
class EnsemblePolicy:
    """Parameters of the ensemble.

    Attributes
    ----------
    weights : mapping of detector to float
        A weight of 0 removes a detector from the vote.
    false_alarms_per_day : float
        Alarm budget of the ensemble.
    detector_false_alarms_per_day : float
        Alarm budget of each detector.
    debounce_k, debounce_n : int
        So many of the last n minutes must exceed.
    """

    weights: Mapping[str, float]
    false_alarms_per_day: float = 2.0
    detector_false_alarms_per_day: float = 2.0
    debounce_k: int = 2
    debounce_n: int = 3


def ensemble_policy(settings: Settings) -> EnsemblePolicy:
    """Build the policy from the settings; the coordinator, the evaluation and the gate share this function."""
    ensemble = settings.ensemble
    return EnsemblePolicy(
        weights=settings.detectors.weights,
        false_alarms_per_day=ensemble.false_alarms_per_day,
        detector_false_alarms_per_day=settings.detectors.false_alarms_per_day,
        debounce_k=ensemble.debounce_k,
        debounce_n=ensemble.debounce_n,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one minute, before debounce; fields as in the table ``verdicts``."""

    combined: float
    p_values: Mapping[str, float]
    votes: Mapping[str, bool]
    abstaining: Mapping[str, str]
    majority: bool
    maximum: float
    exceeds: bool
    explained_by: str
    sufficient_rules: tuple[str, ...] = ()
    """Rules of an alarm that need no agreement; not a column of the table."""


def decide(votes: Mapping[str, Vote], policy: EnsemblePolicy, peer_reset: bool = False) -> Verdict:
    """Combine the votes on one window.

    Parameters
    ----------
    votes : mapping of detector to Vote
        One entry for each detector of ``policy.weights``, abstentions included.
    policy : EnsemblePolicy
        Weights, budgets and debounce.
    peer_reset : bool
        A table transfer falls into this minute.

    Examples
    --------
    >>> policy = EnsemblePolicy({"lstm": 0.4, "isolation_forest": 0.3, "heuristic": 0.3})
    >>> abstentions = {"lstm": Vote(abstained=WAITING), "isolation_forest": Vote(abstained=WAITING)}
    >>> decide({**abstentions, "heuristic": Vote(p_value=1e-3, is_alarm=True)}, policy).exceeds  # 3.0 < 2.86 + 2
    False
    >>> alarm = Vote(p_value=1e-4, is_alarm=True)
    >>> decide({**abstentions, "heuristic": alarm, "lstm": alarm}, policy).exceeds
    True
    """
    cast = {name: vote for name, vote in votes.items() if not vote.abstained}
    # A weight of 0 removes a detector from the decision; its vote stays on record.
    counted = {name: vote for name, vote in cast.items() if policy.weights.get(name, 0.0) > 0.0}
    surprisal = {name: float(-np.log10(max(vote.p_value, P_FLOOR))) for name, vote in counted.items()}
    combined = combine(surprisal, policy.weights)
    alarms = sum(vote.is_alarm for vote in counted.values())
    limit = _limit(counted, policy)
    fired = [rule for vote in votes.values() for rule in vote.rules_fired]
    sufficient = tuple(
        str(rule["rule"])
        for vote in counted.values()
        if vote.is_alarm
        for rule in vote.rules_fired
        if rule.get("sufficient") and not rule.get("explained_by")
    )
    agrees = alarms >= 2 and combined >= limit
    is_single = len(counted) == 1 and alarms == 1 and combined >= limit + SINGLE_VOTE_EXTRA_DECADES
    # A detector without rules cannot tell a table transfer from an anomaly.
    is_unexplained = not peer_reset or any(not rule.get("explained_by") for rule in fired)
    exceeds = bool(sufficient) or ((agrees or is_single) and is_unexplained)
    reasons = [str(rule["explained_by"]) for rule in fired if rule.get("explained_by")]
    if (agrees or is_single) and not is_unexplained:
        reasons.append("peer_reset")
    return Verdict(
        combined=combined,
        p_values={name: vote.p_value for name, vote in cast.items()},
        votes={name: vote.is_alarm for name, vote in cast.items()},
        abstaining={name: vote.abstained for name, vote in votes.items() if vote.abstained},
        majority=bool(counted) and 2 * alarms > len(counted),
        maximum=max(surprisal.values(), default=0.0),
        exceeds=exceeds,
        explained_by=reasons[0] if reasons and not exceeds else "",
        sufficient_rules=sufficient,
    )


def _limit(votes: Mapping[str, Vote], policy: EnsemblePolicy) -> float:
    """Combined surprisal that the budget of the ensemble allows: the detectors' own limits combined, then shifted."""
    if not any(policy.weights.get(name, 0.0) > 0.0 for name in votes):
        return float(-np.log10(alarm_p(policy.false_alarms_per_day)))
    independent = alarm_p(policy.detector_false_alarms_per_day)
    limits = {name: -float(np.log10(vote.alarm_p or independent)) for name, vote in votes.items()}
    shift = float(np.log10(policy.detector_false_alarms_per_day / policy.false_alarms_per_day))
    return combine(limits, policy.weights) + shift


def combine(surprisal: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Combine the surprisals (−log10 p) of the voting detectors: ⅓ of their weighted mean plus ⅔ of the second largest.

    At least two detectors reach the second largest surprisal. A plain weighted mean follows the largest: on a labelled
    worm, the noise of one detector lowered the AUC of the ensemble by 0.01 although the other two agreed and were right.

    Examples
    --------
    >>> round(combine({"lstm": 6.0, "isolation_forest": 3.0, "heuristic": 3.0}, {"lstm": 0.4}), 3)
    4.0
    >>> combine({"heuristic": 5.0}, {"heuristic": 0.3})
    5.0
    """
    total = sum(weights.get(name, 0.0) for name in surprisal)
    if total <= 0.0:
        return 0.0
    mean = sum(weights.get(name, 0.0) * value for name, value in surprisal.items()) / total
    agreed = sorted(surprisal.values())[-2] if len(surprisal) > 1 else mean
    return (1.0 - AGREEMENT_SHARE) * mean + AGREEMENT_SHARE * agreed


def needs_no_debounce(
    rules: Iterable[str], collectors: Mapping[str, Collection[str]], changes: Iterable[RouteChange]
) -> bool:
    """Whether one of the sufficient rules of a minute is confirmed by another collector or by several peers.

    Parameters
    ----------
    rules : iterable of str
        Sufficient rules of the minute.
    collectors : mapping of rule to collection of str
        Collectors at which each rule was sufficient in the last minutes, this one included.
    changes : iterable of RouteChange
        The route changes that fired the rules.

    Examples
    --------
    >>> from bgpdrift.store.evidence_records import Suspect
    >>> needs_no_debounce(["silence"], {"silence": {"rrc00"}}, []), needs_no_debounce(["silence"], {"silence": "ab"}, [])
    (False, True)
    >>> hijack = RouteChange(change="second_origin", n_peers=2, suspects=(Suspect(64666, 9),))
    >>> needs_no_debounce(["moas_new"], {}, [hijack])
    True
    """
    names = list(rules)
    seen = {change.change for change in changes if change.n_peers > 1 and find_culprits(change)}
    return any(len(collectors.get(name, ())) > 1 or not seen.isdisjoint(changes_of_rule(name)) for name in names)


def passes_debounce(recent: Sequence[tuple[int, bool]], now: int, policy: EnsemblePolicy) -> bool:
    """Whether the present minute and k of the last n minutes exceed, in event time; a missing minute is calm.

    Parameters
    ----------
    recent : sequence of (window_start, exceeds)
        Minutes of one group, the present one included.
    now : int
        Start of the present window, epoch seconds.
    policy : EnsemblePolicy
        For k and n.

    Examples
    --------
    >>> policy = EnsemblePolicy({}, debounce_k=2, debounce_n=3)
    >>> passes_debounce([(0, True), (60, False), (120, True)], 120, policy)
    True
    >>> passes_debounce([(0, True), (60, True), (120, False)], 120, policy)  # the present minute must exceed
    False
    """
    begin = now - 60 * (policy.debounce_n - 1)
    exceeding = [start for start, exceeds in recent if exceeds and begin <= start <= now]
    return now in exceeding and len(exceeding) >= policy.debounce_k
