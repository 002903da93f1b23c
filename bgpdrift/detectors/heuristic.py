"""The heuristic detector: every rule compares a minute with what is usual for this very collector.

A rule's exceedance is the smallest of three numbers, each 1 at its threshold: how many spreads from usual against the
learned number of spreads; by what factor, against the factor that matters; how much in all, against the size that
matters. So nothing fires that is merely rare, or merely large. The score of a minute is the 4-norm of the exceedances over
rules and time scales: continuous, monotone, at least 1 where a rule fired, and defined below the thresholds too, where
several rules that rise together say more than one.

What is usual was learned with the thresholds, for collectors of the training span (`Yardstick`); for any other it is the
last hours of that collector, so that the packaged default serves a collector nobody has trained on. The learned yardstick
is the better one: a rolling one calls a worm usual after three hours, and its end a silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import (
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
from bgpdrift.detectors.preparation import SCALES_MIN, span_minutes
from bgpdrift.detectors.prepared import group_key
from bgpdrift.detectors.rule_evidence import Evidence, against_learned, against_recent, chosen, exceedance, look, scaled
from bgpdrift.detectors.rules import BY_NAME, RULES, Rule
from bgpdrift.detectors.splitting import joined, parts_of
from bgpdrift.errors import ArtifactError

NAME = "heuristic"
TOGETHER = 4
"""Exponent of the sum over rules: the largest decides, and several that rise together say more than one."""
NEARLY_FIRED = 0.9
"""Exceedance of a rule from which on a minute may be an alarm: it fired or is about to. The top features name it."""
LOWEST_EXCEEDANCE = -10.0
WHISPER = 6
"""Power to which rules other than the storms are raised below their threshold."""
ON_ITS_SIDE = 0.75
"""What is sudden must also be so far from the learned usual, as a share (log) of the factor that matters: or the calm after
a worm were a silence."""
TOP_FEATURES = 5
_ABSTAIN = {INCOMPLETE: INCOMPLETE, FEED_GAP: FEED_GAP, "dropped": INCOMPLETE, WARMING: WARMING}
_BLIND = -np.inf


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What was usual for the collectors of the training span.

    Attributes
    ----------
    groups : tuple of str
        See `bgpdrift.detectors.prepared.group_key`.
    levels : ndarray, shape (n_groups, 3, n_rules, n_scales)
        Median, spread above and spread below on each rule's own scale; spread 0 where the group never showed it.
    thresholds : ndarray, shape (n_rules, n_scales)
        Spreads from this usual at which each rule fires.
    """

    groups: tuple[str, ...]
    levels: FloatArray
    thresholds: FloatArray

    def of(self, frame: WindowFrame) -> FloatArray | None:
        """Levels of a frame's group, shape (3, n_rules, n_scales); None if it was not trained on."""
        key = group_key(frame)
        return self.levels[self.groups.index(key)] if key in self.groups else None


class Heuristic:
    """Rules with learned thresholds.

    Parameters
    ----------
    thresholds : ndarray, shape (n_rules, n_scales)
        Spreads from the rolling usual at which each rule fires at each time scale.
    rules : sequence of Rule
        In the order of the thresholds.
    history_minutes : int
        Windows that make up the rolling usual.
    yardstick : Yardstick, optional
        What is usual for the collectors it was trained on.
    """

    def __init__(
        self,
        thresholds: FloatArray,
        rules: Iterable[Rule] = RULES,
        *,
        history_minutes: int,
        yardstick: Yardstick | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.thresholds = np.asarray(thresholds, np.float64)
        self.usual_minutes = history_minutes
        self.yardstick = yardstick
        if self.thresholds.shape != (len(self.rules), len(SCALES_MIN)):
            raise ArtifactError(
                f"heuristic: thresholds of shape {self.thresholds.shape}, ({len(self.rules)}, {len(SCALES_MIN)}) expected"
            )
        if not (np.isfinite(self.thresholds).all() and (self.thresholds > 0).all()):
            raise ArtifactError("heuristic: thresholds must be finite and above 0")
        if yardstick is not None:
            _check_yardstick(yardstick, self.thresholds.shape)

    @classmethod
    def from_content(cls, content: ModelContent, *, history_minutes: int) -> "Heuristic":
        """Build the detector from what was learned; raises `ArtifactError` for rules this program does not know."""
        names = content.hyper_parameters.get("rules", [])
        unknown = [name for name in names if name not in BY_NAME]
        if unknown:
            raise ArtifactError(f"heuristic: unknown rules {', '.join(map(str, unknown))}")
        if tuple(content.hyper_parameters.get("scales_min", ())) != SCALES_MIN:
            raise ArtifactError(f"heuristic: time scales {SCALES_MIN} expected")
        if "thresholds" not in content.arrays:
            raise ArtifactError("heuristic: no array `thresholds`")
        yardstick, groups = None, tuple(map(str, content.hyper_parameters.get("groups", ())))
        if groups:
            found = [content.arrays.get(name) for name in ("usual", "usual_thresholds")]
            if any(array is None for array in found):
                raise ArtifactError("heuristic: groups without arrays `usual` and `usual_thresholds`")
            yardstick = Yardstick(groups, *(np.asarray(array, np.float64) for array in found))
        rules = (BY_NAME[name] for name in names)
        return cls(content.arrays["thresholds"], rules, history_minutes=history_minutes, yardstick=yardstick)

    @property
    def name(self) -> str:
        """``heuristic``."""
        return NAME

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its score depends on."""
        return span_minutes(self.usual_minutes)

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on."""
        return joined([self._score_part(part) for part in parts_of(windows, self.history_minutes)])

    def _score_part(self, frame: WindowFrame) -> Scores:
        evidence, thresholds, exceedance = self._compare(frame)
        exceedance = np.where(evidence.known, np.maximum(exceedance, LOWEST_EXCEEDANCE), _BLIND)
        reset = frame.mark(PEER_RESET)[frame.first :]
        explained = np.array([rule.reset_explains for rule in self.rules])[:, None] & reset
        scale = exceedance.argmax(axis=1)
        best = np.take_along_axis(exceedance, scale[:, None, :], axis=1)[:, 0, :]
        strongest = np.where(explained, _BLIND, best).max(axis=0, initial=_BLIND)
        heard = np.where(explained[:, None, :], 0.0, np.maximum(self._whispered(exceedance), 0.0))
        score = np.where(np.isfinite(strongest), np.sum(heard**TOGETHER, axis=(0, 1)) ** (1.0 / TOGETHER), _BLIND)
        abstained = _reasons(frame, score)
        score = np.where([bool(reason) for reason in abstained], 0.0, score)
        fired: list[list[dict[str, Any]]] = [[] for _ in abstained]
        order = np.argsort(-best, axis=0)
        for row in np.flatnonzero((best >= 1.0).any(axis=0)).tolist():
            if abstained[row] not in (INCOMPLETE, FEED_GAP):
                fired[row] = [
                    self._fired(rule, int(scale[rule, row]), row, evidence, thresholds, bool(explained[rule, row]))
                    for rule in order[:, row].tolist()
                    if best[rule, row] >= 1.0
                ]
        top = self._top_features(best, scale, order[:TOP_FEATURES], evidence)
        return Scores(frame.to_score, score, abstained, tuple(fired), top, actionable=strongest >= NEARLY_FIRED)

    def _compare(self, frame: WindowFrame) -> tuple[Evidence, FloatArray, FloatArray]:
        """Compare with the learned usual where there is one, and in any case with the last hours.

        What is sudden fires against the last hours, and only on the side of the learned usual that is a finding: the
        calm after a worm is no silence. Below that the learned usual alone ranks, since a worm becomes the last hours.
        Gives evidence, thresholds and exceedance, each of shape (n_rules, n_scales, n_rows).
        """
        minutes = look(frame, self.rules)
        sudden = against_recent(minutes, self.usual_minutes)
        recent = np.broadcast_to(self.thresholds[:, :, None], sudden.spreads.shape)
        exceeds = exceedance(sudden, recent)
        levels = self.yardstick.of(frame) if self.yardstick else None
        if self.yardstick is None or levels is None:
            return sudden, recent, exceeds
        lasting = against_learned(minutes, levels)
        pinned = np.broadcast_to(self.yardstick.thresholds[:, :, None], lasting.spreads.shape)
        learned = exceedance(lasting, pinned)
        fires = (exceeds >= NEARLY_FIRED) & (exceeds > learned) & ((lasting.factor >= ON_ITS_SIDE) | ~lasting.known)
        if not fires.any():
            return lasting, pinned, learned
        return chosen(fires, sudden, lasting), np.where(fires, recent, pinned), np.where(fires, exceeds, learned)

    def _whispered(self, exceedance: FloatArray) -> FloatArray:
        """Let rules other than the storms speak up only near their threshold.

        A slight excess that lasts is how a storm begins and fades, and ranks minutes; a slight lull, or a path a little
        longer, is every night's. Without this the calm swings of a dozen rules drown the slight excess of one.
        """
        loud = np.array([rule.form == "volume" and rule.direction > 0 for rule in self.rules])[:, None, None]
        quiet = np.sign(exceedance) * np.abs(exceedance) ** WHISPER
        return np.where(loud | (exceedance >= 1.0) | ~np.isfinite(exceedance), exceedance, quiet)

    def _fired(
        self, index: int, scale: int, row: int, evidence: Evidence, thresholds: FloatArray, explained: bool
    ) -> dict[str, Any]:
        rule, at = self.rules[index], (index, scale, row)
        fired: dict[str, Any] = {
            "rule": rule.name,
            "value": _readable(rule, evidence.present[at]),
            "threshold": _readable(rule, self._threshold(index, scale, row, evidence, thresholds)),
            "usual": _readable(rule, evidence.usual[at]),
            "minutes": SCALES_MIN[scale],
            "unit": rule.unit,
            "sufficient": rule.sufficient,
            "meaning": rule.meaning,
        }
        if explained:
            fired["explained_by"] = PEER_RESET
        return fired

    def _threshold(self, index: int, scale: int, row: int, evidence: Evidence, thresholds: FloatArray) -> float:
        """Value, on the rule's own scale, from which on it would have fired here."""
        rule, at = self.rules[index], (index, scale, row)
        away = evidence.present[at] - evidence.usual[at]
        spread = abs(away / evidence.spreads[at]) if evidence.spreads[at] else 0.0
        distance = max(float(thresholds[at]) * spread, float(np.log(rule.factor)))
        usual_value = float(evidence.usual[at])
        if rule.direction < 0:
            return float(usual_value - distance)
        return float(max(usual_value + distance, scaled(rule, rule.minimum)))

    def _top_features(
        self, best: FloatArray, scale: IntArray, strongest: IntArray, evidence: Evidence
    ) -> tuple[list[dict[str, Any]], ...]:
        """What spoke most for each row; all rows at once, since most minutes have some."""
        rows = np.arange(best.shape[1])
        at = (strongest, np.take_along_axis(scale, strongest, 0), rows)
        levels = np.array([rule.form == "level" for rule in self.rules])[strongest]
        weight = np.take_along_axis(best, strongest, 0)
        with np.errstate(over="ignore"):
            usual, present = (
                np.maximum(np.where(levels, np.exp(values[at]), np.expm1(values[at])), 0.0)
                for values in (evidence.usual, evidence.present)
            )
        columns = (part.T.tolist() for part in (strongest, usual, present, weight))
        return tuple(
            [
                {
                    "feature": self.rules[rule].name,
                    "usual": _short(was),
                    "present": _short(now),
                    "weight": round(speaks, 3),
                }
                for rule, was, now, speaks in zip(*row, strict=True)
                if speaks > 0.0
            ]
            for row in zip(*columns, strict=True)
        )


def build(content: ModelContent, *, history_minutes: int) -> Heuristic:
    """Build the detector, as the registry asks for it."""
    return Heuristic.from_content(content, history_minutes=history_minutes)


def _readable(rule: Rule, scaled: float) -> float:
    value = np.exp(scaled) if rule.form == "level" else np.expm1(scaled)
    return _short(max(float(value), 0.0))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _reasons(frame: WindowFrame, score: FloatArray) -> tuple[str, ...]:
    """Why each row has no opinion; a quality mark names itself, and no rule with enough history is `warming`."""
    reasons = np.where(np.isfinite(score), "", WARMING).astype(object)
    reset = frame.mark(PEER_RESET)[frame.first :]
    reasons[reset & ~np.isfinite(score)] = PEER_RESET
    for mark, reason in reversed(_ABSTAIN.items()):
        reasons[frame.mark(mark)[frame.first :]] = reason
    return tuple(reasons.tolist())


def _check_yardstick(yardstick: Yardstick, shape: tuple[int, ...]) -> None:
    expected = (len(yardstick.groups), 3, *shape)
    if yardstick.levels.shape != expected or yardstick.thresholds.shape != shape:
        raise ArtifactError(f"heuristic: usual of shape {yardstick.levels.shape}, {expected} expected")
    if not (np.isfinite(yardstick.levels).all() and (yardstick.levels[:, 1:] >= 0).all()):
        raise ArtifactError("heuristic: usual must be finite and its spreads not below 0")
    if not (np.isfinite(yardstick.thresholds).all() and (yardstick.thresholds > 0).all()):
        raise ArtifactError("heuristic: thresholds must be finite and above 0")
