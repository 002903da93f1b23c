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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import (
    EXCLUDED,
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
from bgpdrift.detectors.preparation import (
    SCALES_MIN,
    BoolArray,
    MinuteGrid,
    Usual,
    smooth,
    span_minutes,
    split_at_gaps,
    usual,
)
from bgpdrift.detectors.prepared import group_key
from bgpdrift.detectors.rules import BY_NAME, RULES, Rule
from bgpdrift.detectors.splitting import joined
from bgpdrift.detectors.tail import fit_tail
from bgpdrift.errors import ArtifactError

NAME = "heuristic"
LEAST_HISTORY_MIN = 60
"""Clean minutes before a rule has an opinion."""
LEAST_SPREADS, MOST_SPREADS = 3.0, 60.0
"""Bounds of a learned threshold: below 3 spreads nothing is unusual, and no calm sample may switch a rule off."""
LEAST_BEYOND, FURTHEST_BEYOND = 1.2, 1.5
"""A learned threshold lies between these multiples of the largest calm value."""
STILL_THERE = 1.5
"""An hour's mean may be this many times as far from usual (log scale) as the last quarter of an hour."""
TOGETHER = 4
"""Exponent of the sum over rules: the largest decides, and several that rise together say more than one."""
NEARLY_FIRED = 0.9
"""Exceedance of a rule from which on a minute may be an alarm: it fired or is about to. The top features name it."""
LEAST_PINNED_MIN = 360
"""Clean minutes of a collector from which its usual is learned."""
SMALLEST_PINNED = 1e-9
"""Spread of a rule that never moved; the counting noise of `_least_spread` takes its place."""
LOWEST_EXCEEDANCE = -10.0
LEAST_SPREAD_LEVEL, LEAST_SPREAD_VOLUME, LEAST_SPREAD_EVENTS = 0.03, 0.05, 0.5
"""Smallest spreads on the log scale: 3 % of a path length, 5 % of a volume, half an event over none."""
WHISPER = 6
"""Power to which rules other than the storms are raised below their threshold."""
TOP_FEATURES = 5
_ABSTAIN = {INCOMPLETE: INCOMPLETE, FEED_GAP: FEED_GAP, "dropped": INCOMPLETE, WARMING: WARMING}
_BLIND = -np.inf


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every rule at every time scale for the rows to be scored; all arrays have shape (n_rules, n_scales, n_rows).

    ``present`` and ``usual`` are on the rule's own scale (log), ``spreads`` is signed so that positive is a finding.
    """

    present: FloatArray
    usual: FloatArray
    spreads: FloatArray
    factor: FloatArray
    size: FloatArray
    known: npt.NDArray[np.bool_]


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
        history_minutes: int = 360,
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
    def from_content(cls, content: ModelContent, history_minutes: int = 360) -> "Heuristic":
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
        return cls(content.arrays["thresholds"], (BY_NAME[name] for name in names), history_minutes, yardstick)

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
        return joined([self._score_part(part) for part in split_at_gaps(windows, self.usual_minutes)])

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
        sudden = measure(frame, self.rules, self.usual_minutes)
        recent = np.broadcast_to(self.thresholds[:, :, None], sudden.spreads.shape)
        exceeds = _exceedance(sudden, recent)
        levels = self.yardstick.of(frame) if self.yardstick else None
        if self.yardstick is None or levels is None:
            return sudden, recent, exceeds
        lasting = measure(frame, self.rules, self.usual_minutes, levels)
        pinned = np.broadcast_to(self.yardstick.thresholds[:, :, None], lasting.spreads.shape)
        learned = _exceedance(lasting, pinned)
        fires = (exceeds >= NEARLY_FIRED) & (exceeds > learned) & ((lasting.spreads > 0) | ~lasting.known)
        return _chosen(fires, sudden, lasting), np.where(fires, recent, pinned), np.where(fires, exceeds, learned)

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
        return float(max(usual_value + distance, _scaled(rule, rule.minimum)))

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


def measure(
    frame: WindowFrame,
    rules: Iterable[Rule] = RULES,
    history_minutes: int = 360,
    pinned: FloatArray | None = None,
) -> Evidence:
    """Compare every rule with its usual, for the rows to be scored; no threshold is applied.

    The usual is ``pinned`` of shape (3, n_rules, n_scales) where it is known, else the history before each row.

    Minutes that are warming, incomplete or without a feed are holes in the history. A table transfer is one for the
    rules it explains, and is measured itself as a bare minute, for the record.
    """
    table = tuple(rules)
    grid = MinuteGrid.of(frame.window_start)
    rows = grid.row_of[frame.first :]
    raw = np.full((len(table), grid.length), np.nan)
    bad = frame.mark(INCOMPLETE) | frame.mark(FEED_GAP) | frame.mark("dropped")
    warming, reset = frame.mark(WARMING), frame.mark(PEER_RESET)
    as_it_is = np.full((len(table), len(rows)), np.nan)
    for index, rule in enumerate(table):
        if any(name not in frame.features for name in rule.needs):
            continue
        values = _on_scale(rule, rule.value(frame.features))
        as_it_is[index] = values[frame.first :]
        hole = bad | (reset & rule.reset_explains) | (warming & (rule.form == "events"))
        raw[index] = grid.spread(np.where(hole, np.nan, values))
    events = np.array([rule.form == "events" for rule in table])
    levels = np.array([rule.form == "level" for rule in table])
    shape = (len(table), len(SCALES_MIN), len(rows))
    present, median, away, spread = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape), np.ones(shape)
    known = np.zeros(shape, bool)
    as_it_is[events] = np.log1p(as_it_is[events])
    direction = np.array([rule.direction for rule in table])[:, None]
    every = _at_scales(raw, events)
    if pinned is None:
        level = usual(every, rows, grid.first_minute, history_minutes)
        # A short history does not yet know how far calm minutes stray: twice as far after an hour, a sixth after six.
        young = 1.0 + LEAST_HISTORY_MIN / np.maximum(level.count, 1)
    else:
        level = _pinned(pinned, len(rows))
        young = np.ones(level.median.shape)
    for scale, minutes in enumerate(SCALES_MIN):
        of_scale = slice(scale * len(table), (scale + 1) * len(table))
        now, middle = every[of_scale][:, rows], level.median[of_scale]
        if minutes == 1:
            now = np.where(np.isfinite(now), now, as_it_is)
        floor = _least_spread(levels, events, middle, minutes)
        present[:, scale], median[:, scale] = now, middle
        away[:, scale] = direction * (now - middle)
        beside = np.where(direction > 0, level.above[of_scale], level.below[of_scale])
        spread[:, scale] = np.maximum(beside, floor) * young[of_scale]
        known[:, scale] = np.isfinite(now) & (level.count[of_scale] >= LEAST_HISTORY_MIN)
    factor = np.array([np.log(rule.factor) for rule in table])[:, None, None]
    minimum = np.array([_scaled(rule, rule.minimum) for rule in table])[:, None, None]
    upward = np.array([rule.direction > 0 for rule in table])[:, None, None]
    level_rule = levels[:, None, None]
    # A level's minimum lies at any place of the log scale, so that it is a difference there; a count's is a share.
    reached = np.where(upward, present, median)
    size = np.where(level_rule, 1.0 + reached - minimum, reached / np.where(level_rule, 1.0, minimum))
    with np.errstate(invalid="ignore"):
        return Evidence(present, median, away / spread, away / factor, size, known)


def _exceedance(evidence: Evidence, thresholds: FloatArray) -> FloatArray:
    """Smallest of the three numbers; over an hour only as far as the last quarter of an hour agrees.

    An hour's mean forgets slowly: without this a storm would go on firing for an hour after its end.
    """
    found = np.minimum(np.minimum(evidence.spreads / thresholds, evidence.factor), evidence.size)
    hour, quarter = SCALES_MIN.index(60), SCALES_MIN.index(15)
    with np.errstate(invalid="ignore", divide="ignore"):
        going_on = STILL_THERE * np.maximum(evidence.factor[:, quarter], 0.0) / evidence.factor[:, hour]
    share = np.where(np.isfinite(going_on), np.clip(going_on, 0.0, 1.0), 1.0)
    found[:, hour] = np.where(found[:, hour] > 0, found[:, hour] * share, found[:, hour])
    return np.asarray(found)


def _chosen(first: BoolArray, one: Evidence, other: Evidence) -> Evidence:
    """Evidence of one where ``first``, else of the other."""
    names = ("present", "usual", "spreads", "factor", "size", "known")
    return Evidence(*(np.where(first, getattr(one, name), getattr(other, name)) for name in names))


def _at_scales(raw: FloatArray, events: npt.NDArray[np.bool_]) -> FloatArray:
    """Smooth rules at every time scale, shape (n_scales · n_rules, n_minutes), events on their log scale."""
    every = np.concatenate([smooth(raw, minutes, total=events) for minutes in SCALES_MIN])
    of_events = np.tile(events, len(SCALES_MIN))
    every[of_events] = np.log1p(every[of_events])
    return every


def _pinned(levels: FloatArray, rows: int) -> Usual:
    median, above, below = (np.repeat(part.T.reshape(-1, 1), rows, axis=1) for part in levels)
    known = (above > 0) | (below > 0)
    count = np.where(known, LEAST_HISTORY_MIN, 0)
    return Usual(np.where(known, median, np.nan), above, below, count)


def learn(
    frames: Iterable[WindowFrame],
    history_minutes: int = 360,
    false_alarms_per_day: float = 0.02,
    pin: bool = False,
) -> ModelContent:
    """Learn thresholds from calm windows, and with ``pin`` what is usual for each collector among them.

    Windows that a mark keeps out of training set no threshold: an incident in the span must not become the yardstick of
    the next one.

    Parameters
    ----------
    frames : iterable of WindowFrame
        Windows without incidents, one frame a (collector, peer).
    history_minutes : int
        What the usual rests on, as later in scoring.
    false_alarms_per_day : float
        Budget of one rule at one time scale. Far below a detector's budget, since some fifty of them share it.
    pin : bool
        Also learn the usual of each group.
    """
    given = [_with_holes(frame) for frame in frames]
    parts = [part for frame in given for part in split_at_gaps(frame, history_minutes)]
    arrays: dict[str, FloatArray] = {}
    groups, levels = _levels(given) if pin else ((), np.zeros(0))
    if groups:
        pinned = [
            (measure(part, RULES, history_minutes, levels[groups.index(group_key(part))]), part.clean[part.first :])
            for part in parts
            if group_key(part) in groups
        ]
        arrays |= {"usual": levels, "usual_thresholds": _thresholds(pinned, false_alarms_per_day)}
    evidence = [(measure(part, RULES, history_minutes), part.clean[part.first :]) for part in parts]
    arrays["thresholds"] = _thresholds(evidence, false_alarms_per_day)
    columns = dict.fromkeys(name for rule in RULES for name in rule.needs)
    return ModelContent(
        model=NAME,
        feature_names=tuple(columns),
        arrays=arrays,
        hyper_parameters={
            "rules": [rule.name for rule in RULES],
            "scales_min": list(SCALES_MIN),
            "groups": list(groups),
            "history_minutes": history_minutes,
            "false_alarms_per_day_of_a_rule": false_alarms_per_day,
        },
    )


def _with_holes(frame: WindowFrame) -> WindowFrame:
    """Make holes of what a trainer left out, so that not even its echo in smoothed minutes teaches."""
    holes = frame.mark(INCOMPLETE) | frame.mark(EXCLUDED)
    return replace(frame, quality={**frame.quality, INCOMPLETE: holes.astype(np.float64)})


def _levels(frames: Iterable[WindowFrame]) -> tuple[tuple[str, ...], FloatArray]:
    """Median and both spreads of every rule at every scale, for each group with enough clean windows."""
    events = np.array([rule.form == "events" for rule in RULES])
    series: dict[str, list[FloatArray]] = {}
    for frame in frames:
        if not frame.clean.any():
            continue
        grid = MinuteGrid.of(frame.window_start)
        raw = np.full((len(RULES), grid.length), np.nan)
        for index, rule in enumerate(RULES):
            if all(name in frame.features for name in rule.needs):
                values = _on_scale(rule, rule.value(frame.features))
                raw[index] = grid.spread(np.where(frame.clean, values, np.nan))
        series.setdefault(group_key(frame), []).append(_at_scales(raw, events))
    groups, levels = [], []
    for key, parts in sorted(series.items()):
        values = np.concatenate(parts, axis=1)
        if np.isfinite(values).any(axis=0).sum() < LEAST_PINNED_MIN:
            continue
        found = np.zeros((3, len(SCALES_MIN) * len(RULES)))
        for at, row in enumerate(values):
            known = row[np.isfinite(row)]
            if len(known) >= LEAST_PINNED_MIN // 2:
                q = np.quantile(known, [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95])
                above = max((q[4] - q[3]) / 0.6745, (q[5] - q[3]) / 1.2816, (q[6] - q[3]) / 1.6449)
                below = max((q[3] - q[2]) / 0.6745, (q[3] - q[1]) / 1.2816, (q[3] - q[0]) / 1.6449)
                found[:, at] = q[3], max(above, SMALLEST_PINNED), max(below, SMALLEST_PINNED)
        groups.append(key)
        levels.append(found.reshape(3, len(SCALES_MIN), len(RULES)).transpose(0, 2, 1))
    return tuple(groups), np.stack(levels) if levels else np.zeros((0, 3, len(RULES), len(SCALES_MIN)))


def _thresholds(evidence: Sequence[tuple[Evidence, BoolArray]], false_alarms_per_day: float) -> FloatArray:
    thresholds = np.full((len(RULES), len(SCALES_MIN)), LEAST_SPREADS)
    for index in range(len(RULES)):
        for scale in range(len(SCALES_MIN)):
            spreads = np.concatenate(
                [part.spreads[index, scale][part.known[index, scale] & clean] for part, clean in evidence]
                or [np.zeros(0)]
            )
            if len(spreads) >= 1_000:
                limit = fit_tail(spreads, 0.01).quantile(false_alarms_per_day / 1440.0)
                # Smoothed minutes come in clusters, which mislead the tail: always some way beyond what a calm minute
                # reached, since other calm worlds reach further, and never far beyond it.
                most = float(spreads.max())
                limit = float(np.clip(limit, LEAST_BEYOND * most, FURTHEST_BEYOND * most))
                thresholds[index, scale] = np.clip(limit, LEAST_SPREADS, MOST_SPREADS)
    return thresholds


def _on_scale(rule: Rule, values: FloatArray) -> FloatArray:
    """Values as a rule compares them before smoothing: events stay counts until they are totalled."""
    if rule.form == "events":
        return values
    if rule.form == "volume":
        return np.log1p(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def _scaled(rule: Rule, value: float) -> float:
    return float(np.log(value) if rule.form == "level" else np.log1p(value))


def _readable(rule: Rule, scaled: float) -> float:
    value = np.exp(scaled) if rule.form == "level" else np.expm1(scaled)
    return _short(max(float(value), 0.0))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _least_spread(
    levels: npt.NDArray[np.bool_], events: npt.NDArray[np.bool_], median: FloatArray, minutes: int
) -> FloatArray:
    """Spread that counting alone causes: a collector with no scatter at all is just too quiet to show it."""
    count = np.exp(np.where(levels[:, None] | np.isnan(median), 0.0, median))  # usual + 1
    independent = 1.0 if minutes == 1 else 2.0 * minutes
    volume = np.maximum(LEAST_SPREAD_VOLUME, 1.0 / np.sqrt(count * independent))
    rare = LEAST_SPREAD_EVENTS / np.sqrt(count)
    return np.where(levels[:, None], LEAST_SPREAD_LEVEL, np.where(events[:, None], rare, volume))


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
