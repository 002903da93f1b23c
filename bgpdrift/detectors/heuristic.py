"""The heuristic detector: every rule compares a minute with the baseline of its own collector.

The exceedance of a rule is the smallest of three numbers, each 1 at its threshold: the distance from the baseline in
spreads, the factor from the baseline, and the size. A rule therefore never fires on a value that is only rare or only
large. The score of a minute is the 4-norm of the exceedances over rules and time scales. It is continuous, at least 1
where a rule fired, and also defined below the thresholds, where several rules that rise together score more than one.

The baseline is learned with the thresholds for the collectors of the training span (`LearnedBaseline`). For any other
collector it is the rolling baseline of the last hours, so that the packaged default serves a collector that no model was
trained on. The learned baseline is better: after three hours of a worm, a rolling baseline contains the worm, and reports
its end as silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import (
    DROPPED,
    FEED_GAP,
    INCOMPLETE,
    PEER_RESET,
    WARMING,
    FloatArray,
    IntArray,
    ModelContent,
    Scores,
    WindowFrame,
)
from bgpdrift.detectors.preparation import group_key
from bgpdrift.detectors.rule_evidence import (
    Evidence,
    compare_with_learned,
    compare_with_recent,
    compute_exceedance,
    measure_rules,
    scale_value,
    select_evidence,
)
from bgpdrift.detectors.rules import BY_NAME, RULES, Rule
from bgpdrift.detectors.smoothing import SCALES_MIN, span_minutes
from bgpdrift.errors import ArtifactError

NAME = "heuristic"
NORM_EXPONENT = 4
"""Exponent of the norm over rules: the largest exceedance decides, and several that rise together score more than one."""
MIN_ALARM_EXCEEDANCE = 0.9
"""Exceedance of a rule from which a minute may be an alarm: the rule fired, or nearly. The top features name the rule."""
MIN_EXCEEDANCE = -10.0
DAMPING_EXPONENT = 6
"""Power that damps the exceedance of rules other than the storms below their threshold."""
MIN_SAME_SIDE_FACTOR = 0.75
"""A sudden deviation must also lie this far on the same side of the learned baseline, as a share (log) of the factor that
matters; otherwise the calm after a worm would be a silence."""
TOP_FEATURES = 5
_ABSTENTIONS = {INCOMPLETE: INCOMPLETE, FEED_GAP: FEED_GAP, DROPPED: INCOMPLETE, WARMING: WARMING}
_UNKNOWN = -np.inf


@dataclass(frozen=True, slots=True)
class LearnedBaseline:
    """The baselines of the collectors of the training span.

    Attributes
    ----------
    groups : tuple of str
        See `bgpdrift.detectors.preparation.group_key`.
    levels : ndarray of float, shape (n_groups, 3, n_rules, n_scales)
        Median, spread above and spread below on each rule's own scale; spread 0 where the group never showed the signal.
    thresholds : ndarray of float, shape (n_rules, n_scales)
        Spreads from this baseline at which each rule fires.
    """

    groups: tuple[str, ...]
    levels: FloatArray
    thresholds: FloatArray

    def levels_of(self, frame: WindowFrame) -> FloatArray | None:
        """Levels of a frame's group, shape (3, n_rules, n_scales); None if the model was not trained on the group."""
        key = group_key(frame)
        return self.levels[self.groups.index(key)] if key in self.groups else None


class Heuristic:
    """Rules with learned thresholds.

    Parameters
    ----------
    thresholds : ndarray of float, shape (n_rules, n_scales)
        Spreads from the rolling baseline at which each rule fires at each time scale.
    rules : sequence of Rule
        In the order of the thresholds.
    history_minutes : int
        Length of the rolling baseline; setting ``detectors.history_minutes``.
    baseline : LearnedBaseline, optional
        The baselines of the collectors that the model was trained on.

    Raises
    ------
    ArtifactError
        An array has the wrong shape or holds an impossible number.
    """

    def __init__(
        self,
        thresholds: FloatArray,
        rules: Iterable[Rule] = RULES,
        *,
        history_minutes: int,
        baseline: LearnedBaseline | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.thresholds = np.asarray(thresholds, np.float64)
        self.baseline_minutes = history_minutes
        self.baseline = baseline
        expected = (len(self.rules), len(SCALES_MIN))
        if self.thresholds.shape != expected:
            raise ArtifactError(f"heuristic: expected thresholds of shape {expected}, found {self.thresholds.shape}")
        _check_thresholds(self.thresholds)
        if baseline is not None:
            _check_baseline(baseline, expected)

    @classmethod
    def from_content(cls, content: ModelContent, *, history_minutes: int) -> "Heuristic":
        """Build the detector; raises `ArtifactError` for rules that this program does not have."""
        names = content.hyper_parameters.get("rules", [])
        unknown = [name for name in names if name not in BY_NAME]
        if unknown:
            raise ArtifactError(f"heuristic: unknown rules {', '.join(map(str, unknown))}")
        if tuple(content.hyper_parameters.get("scales_min", ())) != SCALES_MIN:
            raise ArtifactError(f"heuristic: expected time scales {SCALES_MIN}, found others")
        if "thresholds" not in content.arrays:
            raise ArtifactError("heuristic: no array `thresholds`")
        baseline, groups = None, tuple(map(str, content.hyper_parameters.get("groups", ())))
        if groups:
            arrays = [content.arrays.get(name) for name in ("baseline", "baseline_thresholds")]
            if any(array is None for array in arrays):
                raise ArtifactError("heuristic: groups without arrays `baseline` and `baseline_thresholds`")
            baseline = LearnedBaseline(groups, *(np.asarray(array, np.float64) for array in arrays))
        rules = (BY_NAME[name] for name in names)
        return cls(content.arrays["thresholds"], rules, history_minutes=history_minutes, baseline=baseline)

    @property
    def name(self) -> str:
        """``heuristic``."""
        return NAME

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its score depends on."""
        return span_minutes(self.baseline_minutes)

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on."""
        return Scores.join([self._score_part(part) for part in windows.split_at_gaps(self.history_minutes)])

    def _score_part(self, frame: WindowFrame) -> Scores:
        evidence, thresholds, exceedance = self._compare(frame)
        exceedance = np.where(evidence.known, np.maximum(exceedance, MIN_EXCEEDANCE), _UNKNOWN)
        reset = frame.mark(PEER_RESET)[frame.first :]
        explained = np.array([rule.reset_explains for rule in self.rules])[:, None] & reset
        scale = exceedance.argmax(axis=1)
        best = np.take_along_axis(exceedance, scale[:, None, :], axis=1)[:, 0, :]
        strongest = np.where(explained, _UNKNOWN, best).max(axis=0, initial=_UNKNOWN)
        parts = np.where(explained[:, None, :], 0.0, np.maximum(self._damp(exceedance), 0.0))
        norm = np.sum(parts**NORM_EXPONENT, axis=(0, 1)) ** (1.0 / NORM_EXPONENT)
        score = np.where(np.isfinite(strongest), norm, _UNKNOWN)
        abstained = _abstentions(frame, score)
        score = np.where([bool(reason) for reason in abstained], 0.0, score)
        fired: list[list[dict[str, Any]]] = [[] for _ in abstained]
        order = np.argsort(-best, axis=0)
        for row in np.flatnonzero((best >= 1.0).any(axis=0)).tolist():
            if abstained[row] not in (INCOMPLETE, FEED_GAP):
                fired[row] = [
                    self._describe_fired(
                        rule, int(scale[rule, row]), row, evidence, thresholds, bool(explained[rule, row])
                    )
                    for rule in order[:, row].tolist()
                    if best[rule, row] >= 1.0
                ]
        top = self._top_features(best, scale, order[:TOP_FEATURES], evidence)
        return Scores(frame.to_score, score, abstained, tuple(fired), top, actionable=strongest >= MIN_ALARM_EXCEEDANCE)

    def _compare(self, frame: WindowFrame) -> tuple[Evidence, FloatArray, FloatArray]:
        """Compare with the learned baseline if there is one, and always with the rolling baseline.

        A sudden deviation fires against the rolling baseline, and only on the side of the learned baseline that is a
        finding: the calm after a worm is not a silence. Below the thresholds the learned baseline alone ranks, since a worm
        enters the rolling baseline.

        Returns
        -------
        evidence, thresholds, exceedance
            Each array of shape (n_rules, n_scales, n_rows).
        """
        minutes = measure_rules(frame, self.rules)
        recent = compare_with_recent(minutes, self.baseline_minutes)
        recent_thresholds = np.broadcast_to(self.thresholds[:, :, None], recent.spreads.shape)
        recent_exceedance = compute_exceedance(recent, recent_thresholds)
        levels = self.baseline.levels_of(frame) if self.baseline else None
        if self.baseline is None or levels is None:
            return recent, recent_thresholds, recent_exceedance
        learned = compare_with_learned(minutes, levels)
        thresholds = np.broadcast_to(self.baseline.thresholds[:, :, None], learned.spreads.shape)
        exceedance = compute_exceedance(learned, thresholds)
        is_sudden = (
            (recent_exceedance >= MIN_ALARM_EXCEEDANCE)
            & (recent_exceedance > exceedance)
            & ((learned.factor >= MIN_SAME_SIDE_FACTOR) | ~learned.known)
        )
        if not is_sudden.any():
            return learned, thresholds, exceedance
        return (
            select_evidence(is_sudden, recent, learned),
            np.where(is_sudden, recent_thresholds, thresholds),
            np.where(is_sudden, recent_exceedance, exceedance),
        )

    def _damp(self, exceedance: FloatArray) -> FloatArray:
        """Damp the exceedance of rules other than the storms below their threshold.

        A slight and persistent excess is how a storm begins and ends, so it ranks minutes. A slight lull or a slightly
        longer path occurs every night: without damping, the calm variation of a dozen rules hides the slight excess of
        one.
        """
        is_storm = np.array([rule.form == "volume" and rule.direction > 0 for rule in self.rules])[:, None, None]
        damped = np.sign(exceedance) * np.abs(exceedance) ** DAMPING_EXPONENT
        return np.where(is_storm | (exceedance >= 1.0) | ~np.isfinite(exceedance), exceedance, damped)

    def _describe_fired(
        self, index: int, scale: int, row: int, evidence: Evidence, thresholds: FloatArray, explained: bool
    ) -> dict[str, Any]:
        rule, at = self.rules[index], (index, scale, row)
        fired: dict[str, Any] = {
            "rule": rule.name,
            "value": _to_unit(rule, evidence.present[at]),
            "threshold": _to_unit(rule, self._threshold(index, scale, row, evidence, thresholds)),
            "baseline": _to_unit(rule, evidence.baseline[at]),
            "minutes": SCALES_MIN[scale],
            "unit": rule.unit,
            "sufficient": rule.sufficient,
            "meaning": rule.meaning,
        }
        if explained:
            fired["explained_by"] = PEER_RESET
        return fired

    def _threshold(self, index: int, scale: int, row: int, evidence: Evidence, thresholds: FloatArray) -> float:
        """Value, on the rule's own scale, from which the rule would have fired on this row."""
        rule, at = self.rules[index], (index, scale, row)
        baseline = float(evidence.baseline[at])
        deviation = evidence.present[at] - evidence.baseline[at]
        spread = abs(deviation / evidence.spreads[at]) if evidence.spreads[at] else 0.0
        distance = max(float(thresholds[at]) * spread, float(np.log(rule.min_factor)))
        if rule.direction < 0:
            return float(baseline - distance)
        return float(max(baseline + distance, scale_value(rule, rule.min_size)))

    def _top_features(
        self, best: FloatArray, scale: IntArray, strongest: IntArray, evidence: Evidence
    ) -> tuple[list[dict[str, Any]], ...]:
        """Rules with the largest exceedance of each row, for all rows at once, since most minutes have some."""
        rows = np.arange(best.shape[1])
        at = (strongest, np.take_along_axis(scale, strongest, 0), rows)
        is_level = np.array([rule.form == "level" for rule in self.rules])[strongest]
        weight = np.take_along_axis(best, strongest, 0)
        with np.errstate(over="ignore"):
            baseline, present = (
                np.maximum(np.where(is_level, np.exp(values[at]), np.expm1(values[at])), 0.0)
                for values in (evidence.baseline, evidence.present)
            )
        columns = (part.T.tolist() for part in (strongest, baseline, present, weight))
        return tuple(
            [
                {
                    "feature": self.rules[rule].name,
                    "baseline": _round_4_digits(before),
                    "present": _round_4_digits(now),
                    "weight": round(exceedance, 3),
                }
                for rule, before, now, exceedance in zip(*row, strict=True)
                if exceedance > 0.0
            ]
            for row in zip(*columns, strict=True)
        )


def build(content: ModelContent, *, history_minutes: int) -> Heuristic:
    """Build the detector; the registry names this function."""
    return Heuristic.from_content(content, history_minutes=history_minutes)


def _to_unit(rule: Rule, scaled: float) -> float:
    """Convert a figure of a rule to its unit for people. A count from 1 on is rounded, because prefixes are whole."""
    value = max(float(np.exp(scaled) if rule.form == "level" else np.expm1(scaled)), 0.0)
    return _round_4_digits(value) if rule.form == "level" or value < 1.0 else float(round(value))


def _round_4_digits(value: float) -> float:
    return float(f"{value:.4g}")


def _abstentions(frame: WindowFrame, score: FloatArray) -> tuple[str, ...]:
    """Reason for which each row has no vote: its quality mark, or `warming` if no rule has enough history."""
    reasons = np.where(np.isfinite(score), "", WARMING).astype(object)
    reset = frame.mark(PEER_RESET)[frame.first :]
    reasons[reset & ~np.isfinite(score)] = PEER_RESET
    for mark, reason in reversed(_ABSTENTIONS.items()):
        reasons[frame.mark(mark)[frame.first :]] = reason
    return tuple(reasons.tolist())


def _check_thresholds(thresholds: FloatArray) -> None:
    if not (np.isfinite(thresholds).all() and (thresholds > 0).all()):
        raise ArtifactError("heuristic: thresholds must be finite and above 0")


def _check_baseline(baseline: LearnedBaseline, shape: tuple[int, ...]) -> None:
    expected = (len(baseline.groups), 3, *shape)
    if baseline.levels.shape != expected or baseline.thresholds.shape != shape:
        raise ArtifactError(f"heuristic: expected a baseline of shape {expected}, found {baseline.levels.shape}")
    if not (np.isfinite(baseline.levels).all() and (baseline.levels[:, 1:] >= 0).all()):
        raise ArtifactError("heuristic: the baseline must be finite and its spreads not below 0")
    _check_thresholds(baseline.thresholds)
