"""The drift rule: what one window against one reference says, and what all of them say together.

`compare` decides the verdict of one comparison: like with like, one p-value for all measures, it must matter and it must be
steady. `decide` splits alpha over comparisons and detectors (Holm) and gives the report. That a verdict must last before
anything is done, which hours are left out and what is done, others decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from bgpdrift.drift import measures as figures
from bgpdrift.drift.between_day_variance import BetweenDayVariance
from bgpdrift.drift.chance import MEASURES, NullDistribution, ShareBasis, two_sided
from bgpdrift.drift.change_point import change_point
from bgpdrift.drift.dependence import Scatter, scatter
from bgpdrift.drift.effect import matters
from bgpdrift.drift.histogram import middle_of
from bgpdrift.drift.hours import HOUR_S, FloatArray, Hours, merge_hours
from bgpdrift.drift.policies import ANOMALY_RATE_SHIFT, conclude
from bgpdrift.drift.report import Comparison, DriftReport, LeftOut, Measure, Verdict
from bgpdrift.drift.reversion import MAX_REVERTED_SHARE, compute_reverted_share
from bgpdrift.drift.season import Matched, match
from bgpdrift.drift.severity import rank_severity
from bgpdrift.drift.smallest_shift import smallest_shift
from bgpdrift.drift.stability import compute_stable_p, fading
from bgpdrift.settings_sections import DriftSettings

STEADY_P = 0.05
"""What is left without the most telling hours must stay below this."""
DRAWS = 2_000
GLANCE_DRAWS = 200
_DAY_H = 24
_UNITS = {"ks": "share", "psi": "nats", "location": "rank", "tail_95": "share", "tail_99": "share"}
_SPOKEN = {
    "ks": "their distribution",
    "psi": "their distribution",
    "location": "their level",
    "tail_95": "the share of high scores",
    "tail_99": "the share of very high scores",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    matched: Matched
    scatter: Scatter
    yardstick: ShareBasis
    chance: NullDistribution
    sizes: FloatArray
    p_values: FloatArray
    by_chance: FloatArray
    p_value: float

    @property
    def alarming(self) -> str:
        return MEASURES[int(np.argmin(self.p_values))]


def compare(
    current: Mapping[str, Hours],
    reference: Mapping[str, Hours],
    *,
    window: str,
    reference_kind: Literal["rolling", "pinned"],
    current_span: tuple[int, int],
    reference_span: tuple[int, int],
    settings: DriftSettings,
    alpha: float,
    left_out: Sequence[LeftOut] = (),
    recent: Mapping[str, Hours] | None = None,
    between_day_variance: BetweenDayVariance | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Hold a current window against one reference.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector; incident hours and hours of another model version are gone already. Only hours inside the spans count.
    window : str
        Its name in the report, e.g. ``24h/7d``.
    current_span, reference_span : tuple of int
        Epoch seconds, UTC: start and exclusive end.
    alpha : float
        False alarms allowed to this comparison. With `decide` to follow give ``settings.alpha``: it does the splitting.
    left_out : sequence of LeftOut
        Hours the caller left out, to be reported.
    recent : mapping of str to Hours, optional
        Hours between reference and current window, where a change may have begun. Only those.
    wander : BetweenDayVariance, optional
        How the level of whole days wanders, learned from a history longer than the reference.
    draws, seed : int
        Of the null. The same give the same answer.
    """
    now = {name: hours.between(*current_span) for name, hours in sorted(current.items())}
    before = {name: hours.between(*reference_span) for name, hours in sorted(reference.items())}
    matched = match(now, before)
    bare = Comparison(
        window,
        reference_kind,
        *current_span,
        *reference_span,
        n_current=matched.n_current if matched else 0,
        n_reference=matched.n_reference if matched else 0,
        verdict="not_enough_data",
        left_out=(*left_out, *(matched.left_out if matched else ())),
    )
    missing = _missing(matched, before, current_span[1], settings)
    if matched is None or missing:
        return replace(bare, reason=missing)
    evidence = _evidence(matched, draws, seed, between_day_variance)
    critical = evidence.chance.family_critical(alpha)
    verdict = _verdict(evidence, critical, alpha, settings)
    if verdict == "drift" and fading(now, before):
        verdict = "incident"
    since, back = None, 0.0
    if verdict == "drift":
        since = change_point(now, before if recent is None else {**before, **_both(before, recent)}, reference_span[0])
        back = compute_reverted_share(now, before, current_span[0] if since is None else since)
    if back > MAX_REVERTED_SHARE:
        verdict, since = "incident", None
    return replace(
        bare,
        verdict=verdict,
        p_value=evidence.p_value,
        measures=(*_tested(evidence, settings), *_described(evidence)),
        alarming=evidence.alarming if evidence.p_value <= alpha else "",
        smallest_shift=smallest_shift(matched, evidence.yardstick, evidence.chance, critical, settings),
        change_point=since,
        effective_n=_effective_n(evidence),
        reason=_reason(verdict, evidence, window, since, back),
    )


def screen(
    current: Mapping[str, Hours],
    reference: Mapping[str, Hours],
    *,
    window: str,
    current_span: tuple[int, int],
    reference_span: tuple[int, int],
    settings: DriftSettings,
    alpha: float,
) -> Comparison:
    """Hold a window against a rolling reference as `compare` does, but only for PSI, p-value and verdict.

    For many series that tell why, and decide nothing: few draws of the null, no smallest shift, no change point, and of the
    descriptive measures none. The p-value agrees with that of `compare` within what so few draws scatter.

    Parameters
    ----------
    current, reference, window, current_span, reference_span, settings, alpha
        As in `compare`.
    """
    now = {name: hours.between(*current_span) for name, hours in sorted(current.items())}
    before = {name: hours.between(*reference_span) for name, hours in sorted(reference.items())}
    matched = match(now, before)
    bare = Comparison(
        window,
        "rolling",
        *current_span,
        *reference_span,
        n_current=matched.n_current if matched else 0,
        n_reference=matched.n_reference if matched else 0,
        verdict="not_enough_data",
    )
    missing = _missing(matched, before, current_span[1], settings)
    if matched is None or missing:
        return replace(bare, reason=missing)
    evidence = _evidence(matched, GLANCE_DRAWS, 0)
    verdict = _verdict(evidence, None, alpha, settings)
    if verdict == "drift" and fading(now, before):
        verdict = "incident"
    return replace(
        bare,
        verdict=verdict,
        p_value=evidence.p_value,
        measures=tuple(_tested(evidence, settings)),
        alarming=evidence.alarming if evidence.p_value <= alpha else "",
        reason=_reason(verdict, evidence, window, None),
    )


def decide(
    comparisons: Sequence[Comparison],
    *,
    model: str,
    model_version: str,
    at: int,
    settings: DriftSettings,
    detectors: int = 1,
    signals: Sequence[Measure] = (),
    anomaly_rate_shift: float = ANOMALY_RATE_SHIFT,
) -> DriftReport:
    """Put the comparisons of one check together.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Each made with ``alpha=settings.alpha``.
    at : int
        Event time of the check, epoch seconds UTC.
    detectors : int, default 1
        How many detectors are checked at the same time: they share alpha.
    signals : sequence of Measure
        Measures of other kinds, to be reported.
    anomaly_rate_shift : float
        Setting ``detectors.<name>.anomaly_rate_shift``, for policy ``score_shift``.

    Examples
    --------
    >>> decide([], model="lstm", model_version="v1", at=0, settings=DriftSettings()).verdict
    'not_enough_data'
    """
    shared = _holm([c for c in comparisons if c.p_value is not None], detectors)
    ranked = sorted(comparisons, key=lambda c: _rank(c, shared, settings.alpha))
    first = ranked[0] if ranked else None
    p_value = min(shared.values(), default=None)
    verdict: Verdict = "not_enough_data"
    reason = "Nothing to compare yet: no clean scores."
    if first is not None:
        verdict, reason = first.verdict, first.reason
        if first.p_value is not None and shared[id(first)] > settings.alpha and verdict != "none":
            verdict = "none"
            reason = (
                f"No drift: what {first.window} shows (p {first.p_value:.2g}) is usual among "
                f"{len(shared) * detectors} comparisons of one check."
            )
    severity = rank_severity(p_value, _psi_excess(first), settings) if verdict == "drift" else "none"
    if verdict == "drift" and severity in ("none", "low"):
        severity = "medium"
    report = DriftReport(
        model,
        model_version,
        at,
        verdict,
        severity,
        reason,
        p_value=p_value,
        comparisons=tuple(ranked),
        signals=tuple(signals),
        smallest_shift=first.smallest_shift if first else None,
        change_point=first.change_point if first and verdict == "drift" else None,
    )
    accuracy = next((signal for signal in signals if signal.name == "accuracy"), None)
    return conclude(report, settings.policy, settings, accuracy, anomaly_rate_shift=anomaly_rate_shift)


def _evidence(
    matched: Matched, draws: int, seed: int, between_day_variance: BetweenDayVariance | None = None
) -> _Evidence:
    difference = matched.difference[:-1]
    yardstick = ShareBasis.of(matched.expected[:-1], matched.n_reference)
    found = scatter(matched, np.append(yardstick.linear[0], 0.0), between_day_variance)
    chance = NullDistribution.of(yardstick, found.covariance[:-1, :-1], found.freedom, draws=draws, seed=seed)
    sizes = yardstick.sizes(difference)
    p_values = chance.p_values(sizes)
    family = chance.family(float(p_values.min()))
    return _Evidence(matched, found, yardstick, chance, sizes, p_values, chance.by_chance(), family)


def _verdict(evidence: _Evidence, critical: FloatArray | None, alpha: float, settings: DriftSettings) -> Verdict:
    if evidence.p_value > alpha:
        return "none"
    tails, expected = evidence.yardstick.linear[1], evidence.matched.expected[:-1]
    tail = float(tails @ (expected + evidence.matched.difference[:-1]))
    if not matters(float(evidence.sizes[0] - evidence.by_chance[0]), tail, float(tails @ expected), settings):
        return "immaterial"
    # Any measure that would have raised the alarm by itself may show that it lasts.
    telling = {evidence.alarming}
    if critical is not None:
        telling |= {m for m, far in zip(MEASURES, evidence.sizes > critical, strict=True) if far}
    left = min(
        compute_stable_p(evidence.matched, name, evidence.yardstick, evidence.chance, settings.stability_hours)
        for name in telling
    )
    return "drift" if left < STEADY_P else "incident"


def _tested(evidence: _Evidence, settings: DriftSettings) -> list[Measure]:
    matched, found = evidence.matched, []
    shares = matched.expected[:-1]
    for k, name in enumerate(MEASURES):
        if name == "ks":
            value, usual = float(evidence.sizes[k]), float(evidence.by_chance[k])
            effect = value - usual
        elif name == "psi":
            value = figures.psi(
                np.bincount(matched.groups, matched.current_counts),
                np.bincount(matched.groups, matched.expected_counts),
            )
            usual = float(evidence.by_chance[k])
            effect = value - usual
        else:
            usual = float(evidence.yardstick.linear[k - 2] @ shares)
            effect = float(evidence.yardstick.linear[k - 2] @ matched.difference[:-1])
            value = usual + effect
        p_value = float(evidence.p_values[k])
        sure = max(p_value, evidence.p_value)
        severity = rank_severity(sure, effect if name == "psi" else None, settings)
        threshold = settings.psi_threshold if name == "psi" else None
        found.append(Measure(name, value, threshold, usual, p_value, effect, severity, _UNITS[name]))
    return found


def _described(evidence: _Evidence) -> list[Measure]:
    matched = evidence.matched
    now, before = matched.current_counts, matched.expected_counts
    middles = np.array([middle_of(number) for number in matched.bins.tolist()])
    rate, change = float(matched.expected[-1]), float(matched.difference[-1])
    deviation = float(np.sqrt(evidence.scatter.covariance[-1, -1]))
    groups = figures.group_bins(now, before)
    return [
        Measure("kl", figures.kl(*groups), unit="nats"),
        Measure("js", figures.js(*groups), unit="bits"),
        Measure("wasserstein", figures.wasserstein(now, before, middles), unit="score"),
        Measure("median_shift", figures.median_shift(now, before, middles), unit="IQR"),
        Measure(
            "anomaly_rate",
            rate + change,
            by_chance=rate,
            p_value=two_sided(change, deviation, evidence.scatter.freedom),
            effect=change,
            unit="share",
        ),
    ]


def _missing(matched: Matched | None, before: Mapping[str, Hours], end: int, settings: DriftSettings) -> str:
    """Say what is missing and when it will be there, if hours go on without a gap; "" where there is enough."""
    known = len(np.unique(np.concatenate([np.zeros(0, np.int64), *(hours.starts for hours in before.values())])))
    lacking = _DAY_H * settings.min_reference_days - known
    if lacking > 0:
        return (
            f"Not enough data: the reference holds {known} clean hours, {_DAY_H * settings.min_reference_days} are needed; "
            f"{lacking} more, not before {_said(end + lacking * HOUR_S)}."
        )
    hours = 0 if matched is None else len(matched.starts)
    lacking = settings.min_current_h - hours
    if lacking > 0:
        return (
            f"Not enough data: the current window holds {hours} clean hours with a counterpart in the reference, "
            f"{settings.min_current_h} are needed; {lacking} more, not before {_said(end + lacking * HOUR_S)}."
        )
    return ""


def _effective_n(evidence: _Evidence) -> float | None:
    ranks, shares = evidence.yardstick.linear[0], evidence.matched.expected[:-1]
    alone = float(ranks @ evidence.scatter.current[:-1, :-1] @ ranks)
    one = float(shares @ ranks**2 - (shares @ ranks) ** 2)
    return min(one / alone, float(evidence.matched.n_current)) if one > 0 and alone > 0 else None


def _reason(verdict: Verdict, evidence: _Evidence, window: str, since: int | None, back: float = 0.0) -> str:
    k = MEASURES.index(evidence.alarming)
    size, usual, p_value = evidence.sizes[k], evidence.by_chance[k], evidence.p_value
    if evidence.alarming == "psi":
        size = size**2
    name = evidence.alarming.replace("_", " at ").upper() if evidence.alarming in ("ks", "psi") else ""
    figure = f"{name or 'it'} moved by {size:.3g} where chance gives {usual:.2g}"
    higher = "higher" if evidence.yardstick.signed(evidence.matched.difference[:-1])[0] > 0 else "lower"
    what = (
        f"scores of {window} lie {higher} than is usual at these hours: {_SPOKEN[evidence.alarming]}, {figure} "
        f"(p {p_value:.2g})"
    )
    if verdict == "drift":
        return f"Drift: {what}{'' if since is None else f', steadily since {_said(since)}'}."
    if verdict == "incident" and back > MAX_REVERTED_SHARE:
        return f"Incident, no drift: {what}, but in waves: {back:.0%} of the minutes are back at what was usual."
    if verdict == "incident":
        return f"Incident, no drift: {what}, but only in a few hours, or it is on its way back."
    if verdict == "immaterial":
        return f"Immaterial: {what}; too little to matter."
    return f"No drift: nothing in {window} that chance would not give (p {p_value:.2g})."


def _said(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _both(before: Mapping[str, Hours], recent: Mapping[str, Hours]) -> dict[str, Hours]:
    names = {*before, *recent}
    return {name: merge_hours([part[name] for part in (before, recent) if name in part]) for name in names}


def _holm(tested: Sequence[Comparison], detectors: int) -> dict[int, float]:
    """Holm's p-values by comparison; detectors count as so many more of the same [1]_."""
    shared: dict[int, float] = {}
    largest = 0.0
    ranked = sorted(tested, key=lambda c: c.p_value or 0.0)
    for place, comparison in enumerate(ranked):
        largest = max(largest, min((len(ranked) * detectors - place) * (comparison.p_value or 0.0), 1.0))
        shared[id(comparison)] = largest
    return shared


def _rank(comparison: Comparison, shared: Mapping[int, float], alpha: float) -> tuple[int, float]:
    """Order of comparisons: significant drift, incident, immaterial; then those without; then those not to be had."""
    if comparison.p_value is None:
        return (9, 0.0)
    significant = shared[id(comparison)] <= alpha
    order = ("drift", "incident", "immaterial").index(comparison.verdict) if comparison.verdict != "none" else 3
    return (order if significant else 4, comparison.p_value)


def _psi_excess(comparison: Comparison | None) -> float | None:
    if comparison is None:
        return None
    return next((measure.effect for measure in comparison.measures if measure.name == "psi"), None)
