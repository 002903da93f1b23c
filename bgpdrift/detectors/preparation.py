"""Preparation of windows for the trained detectors: signals in units of the collector's own spread.

Each signal is smoothed at several causal time scales, then centred and scaled by the baseline of this collector **at the
time of training**. The baseline is fixed: a rolling one would contain a worm of ten hours after three, and no detector
could rank it. A persistent change therefore causes alarms until the drift monitor retrains the model. Missing, incomplete
and reset minutes are holes: a filter takes the weighted mean of the minutes that exist. A value that stays unknown has
`known == False` and is never read as 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import (
    DROPPED,
    FEED_GAP,
    INCOMPLETE,
    MINUTE_S,
    PEER_RESET,
    UNKNOWN_COLLECTOR,
    WARMING,
    BoolArray,
    FloatArray,
    IntArray,
    WindowFrame,
)
from bgpdrift.detectors.signals import SIGNAL_BY_NAME, Signal, available_signals
from bgpdrift.detectors.smoothing import FILTER_LENGTHS, SCALES_MIN, MinuteGrid, smooth_all_scales
from bgpdrift.errors import ArtifactError, InputError, NotEnoughDataError

HOUR, QUARTER = SCALES_MIN.index(60), SCALES_MIN.index(15)
MAX_HOUR_TO_QUARTER = 1.5
"""The mean of an hour may deviate from the baseline this many times as far as that of the last quarter of an hour."""
MIN_BASELINE_MINUTES = 180
"""Clean minutes of a group below which it has no baseline."""
MIN_KNOWN_SHARE = 0.5
"""Share of known channels below which the detector abstains on a minute."""
_HOLES = (INCOMPLETE, FEED_GAP, DROPPED, PEER_RESET)


def group_key(frame: WindowFrame) -> str:
    """Name the collector, or the peer at a collector, that a baseline belongs to.

    Examples
    --------
    >>> group_key(WindowFrame("rrc00", "192.0.2.1", np.zeros(0, np.int64), {}, {}))
    'rrc00/192.0.2.1'
    """
    return f"{frame.collector}/{frame.peer}" if frame.peer else frame.collector


@dataclass(frozen=True, slots=True)
class Prepared:
    """The minutes of a frame from its first row to score on, without gaps.

    Attributes
    ----------
    z : ndarray of float, shape (n_minutes, n_channels)
        Values in spreads from the baseline; 0, the baseline itself, where unknown. Channel ``scale * n_signals + signal``.
    known : ndarray of bool, shape (n_minutes, n_channels)
        Where `z` is known.
    row_of : ndarray of int, shape (n_rows_to_score,)
        Row of `z` of each window to score.
    lead : int
        Rows of `z` before the first window to score.
    """

    z: FloatArray
    known: BoolArray
    row_of: IntArray
    lead: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """Baselines of all groups that a model was trained on.

    Attributes
    ----------
    signals : tuple of Signal
        The signals that the model reads.
    groups : tuple of str
        See `group_key`.
    centre, spread : ndarray of float, shape (n_groups, n_scales, n_signals)
        Median and robust spread, on the signals' own scales.
    """

    signals: tuple[Signal, ...]
    groups: tuple[str, ...]
    centre: FloatArray
    spread: FloatArray

    @property
    def channels(self) -> int:
        """Number of channels: signals times time scales."""
        return len(self.signals) * len(SCALES_MIN)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns of a window that the signals need."""
        return tuple(dict.fromkeys(name for signal in self.signals for name in signal.needs))

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its prepared values depend on."""
        return SCALES_MIN[-1] * FILTER_LENGTHS

    def channel(self, index: int) -> tuple[Signal, int]:
        """Signal of a channel, and its time scale in minutes."""
        return self.signals[index % len(self.signals)], SCALES_MIN[index // len(self.signals)]

    @classmethod
    def fit(cls, frames: Sequence[WindowFrame], signals: Iterable[Signal] | None = None) -> "Preparation":
        """Learn the baselines from the clean windows of each group.

        Raises
        ------
        NotEnoughDataError
            No group has `MIN_BASELINE_MINUTES` clean windows.
        """
        columns = set.intersection(*(set(frame.features) for frame in frames)) if frames else set()
        chosen = tuple(signals) if signals is not None else available_signals(columns)
        groups: dict[str, list[FloatArray]] = {}
        for frame in frames:
            clean = frame.clean
            if clean.any():
                smoothed, grid = _smoothed(frame, chosen, training=True)
                groups.setdefault(group_key(frame), []).append(smoothed[:, :, grid.row_of[clean]])
        names, centres, spreads = [], [], []
        min_spread = np.array([signal.min_spread for signal in chosen])
        most = 0
        for name, parts in sorted(groups.items()):
            values = np.concatenate(parts, axis=2)
            most = max(most, values.shape[2])
            if values.shape[2] < MIN_BASELINE_MINUTES:
                continue
            centre, spread = _learn_baseline(values, min_spread)
            limited = _limit_hour(values - centre[:, :, None])
            spread[HOUR] = _learn_baseline(limited[HOUR:], min_spread)[1][0]
            names.append(name)
            centres.append(centre)
            spreads.append(spread)
        if not names or not chosen:
            raise NotEnoughDataError(
                f"preparation: expected {MIN_BASELINE_MINUTES} clean windows of a collector, found {most}"
            )
        # A signal that a collector never showed, such as IPv6, carries no weight there. A file may not hold a NaN.
        centre, spread = np.stack(centres), np.stack(spreads)
        unknown = ~np.isfinite(centre)
        return cls(chosen, tuple(names), np.where(unknown, 0.0, centre), np.where(unknown, 1e6, spread))

    def prepare(self, frame: WindowFrame, lead: int = 0, training: bool = False) -> Prepared | None:
        """Prepare a frame, from ``lead`` minutes before the first window to score on.

        With ``training``, the windows that a trainer excluded are holes.

        Returns
        -------
        Prepared or None
            None for a group that the model was not trained on.

        Raises
        ------
        InputError
            A column that the model was trained on is missing.
        """
        missing = [name for name in self.feature_names if name not in frame.features]
        if missing:
            raise InputError(
                f"{group_key(frame)}: windows without {', '.join(missing)}; the model needs all "
                f"{len(self.feature_names)} columns that it was trained on"
            )
        key = group_key(frame)
        if key not in self.groups:
            return None
        group = self.groups.index(key)
        begin = int((frame.window_start[frame.first] - frame.window_start[0]) // MINUTE_S) - lead
        pad = max(0, -begin)
        smoothed, grid = _smoothed(frame, self.signals, training, max(begin, 0))
        values = _limit_hour(smoothed - self.centre[group][:, :, None]) / self.spread[group][:, :, None]
        z = values.reshape(self.channels, -1).T
        if pad:
            z = np.concatenate([np.full((pad, self.channels), np.nan), z])
        known = np.isfinite(z)
        return Prepared(np.where(known, z, 0.0), known, grid.row_of[frame.first :] - begin, lead)

    def baseline_value(self, frame: WindowFrame, channel: int) -> float:
        """Baseline of a channel for a frame's group, in the unit of the signal's column."""
        scale, index = divmod(channel, len(self.signals))
        signal = self.signals[index]
        return signal.to_unit(float(self.centre[self.groups.index(group_key(frame)), scale, index]))

    def present_value(self, frame: WindowFrame, channel: int, z: float) -> float:
        """Value of a channel from its prepared value, in the unit of the signal's column."""
        scale, index = divmod(channel, len(self.signals))
        signal = self.signals[index]
        group = self.groups.index(group_key(frame))
        return signal.to_unit(float(self.centre[group, scale, index] + z * self.spread[group, scale, index]))

    def as_arrays(self) -> dict[str, FloatArray]:
        """Return the arrays for an artifact."""
        return {"prepare.centre": self.centre, "prepare.spread": self.spread}

    def as_parameters(self) -> dict[str, Any]:
        """Return the names for the metadata of an artifact."""
        return {
            "signals": [signal.name for signal in self.signals],
            "groups": list(self.groups),
            "scales_min": list(SCALES_MIN),
        }

    @classmethod
    def from_content(cls, arrays: Mapping[str, Any], parameters: Mapping[str, Any], model: str) -> "Preparation":
        """Read the preparation; raises `ArtifactError` for signals or scales that this program does not have."""
        names, groups = parameters.get("signals", []), parameters.get("groups", [])
        unknown = [str(name) for name in names if name not in SIGNAL_BY_NAME]
        if unknown:
            raise ArtifactError(f"{model}: unknown signals {', '.join(unknown)}")
        if tuple(parameters.get("scales_min", ())) != SCALES_MIN:
            raise ArtifactError(f"{model}: expected time scales {SCALES_MIN}, found others")
        shape = (len(groups), len(SCALES_MIN), len(names))
        found = []
        for name in ("prepare.centre", "prepare.spread"):
            array = np.asarray(arrays.get(name, np.zeros(0)), np.float64)
            if array.shape != shape or not array.size or not np.isfinite(array).all():
                raise ArtifactError(
                    f"{model}: {name}: expected finite numbers of shape {shape}, found shape {array.shape}"
                )
            found.append(array)
        if not (found[1] > 0).all():
            raise ArtifactError(f"{model}: prepare.spread must be above 0")
        return cls(tuple(SIGNAL_BY_NAME[name] for name in names), tuple(map(str, groups)), *found)


def list_abstentions(frame: WindowFrame, prepared: Prepared | None) -> tuple[str, ...]:
    """List the reason for which the detector abstains on each window to score; "" where it does not.

    The reason is the quality mark, or `warming` if too little is known of the minutes before.
    """
    count = len(frame) - frame.first
    if prepared is None:
        return (UNKNOWN_COLLECTOR,) * count
    enough = prepared.known[prepared.row_of].mean(axis=1) >= MIN_KNOWN_SHARE
    found = np.where(enough, "", WARMING).astype(object)
    for mark, reason in ((WARMING, WARMING), (PEER_RESET, PEER_RESET), (DROPPED, INCOMPLETE)):
        found[frame.mark(mark)[frame.first :]] = reason
    for mark in (INCOMPLETE, FEED_GAP):
        found[frame.mark(mark)[frame.first :]] = mark
    return tuple(found.tolist())


def _smoothed(
    frame: WindowFrame, signals: Sequence[Signal], training: bool, begin: int = 0
) -> tuple[FloatArray, MinuteGrid]:
    """Signals at every time scale, from grid row ``begin`` on: shape (n_scales, n_signals, n_minutes − begin)."""
    grid = MinuteGrid.of(frame.window_start)
    hole = np.logical_or.reduce([frame.mark(name) for name in _HOLES]) if not training else ~frame.clean
    raw = np.full((len(signals), grid.length), np.nan)
    for index, signal in enumerate(signals):
        raw[index, grid.row_of] = np.where(hole, np.nan, signal.values(frame.features))
    return smooth_all_scales(raw, begin), grid


def _limit_hour(deviation: FloatArray) -> FloatArray:
    """Limit the deviation of an hour's mean by that of the last quarter of an hour; shape (n_scales, …).

    The mean of an hour decays slowly, and would keep a detector in alarm for hours after the end of a storm.
    """
    hour, quarter = deviation[HOUR], MAX_HOUR_TO_QUARTER * deviation[QUARTER]
    low, high = np.minimum(quarter, 0.0), np.maximum(quarter, 0.0)
    limited = deviation.copy()
    # An unknown quarter of an hour limits nothing.
    limited[HOUR] = np.where(np.isfinite(quarter), np.clip(hour, low, high), hour)
    return limited


def _learn_baseline(values: FloatArray, min_spread: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median and spread over the last axis; the spread is the widest of three robust estimates, since bursts are normal.

    A channel that a group never showed, such as IPv6, is NaN.
    """
    shape = values.shape[:2]
    centre, spread = np.full(shape, np.nan), np.full(shape, np.nan)
    for at in np.ndindex(shape):
        series = values[at]
        series = series[np.isfinite(series)]
        if len(series) >= MIN_BASELINE_MINUTES // 2:
            q = np.quantile(series, [0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99])
            widest = max((q[4] - q[2]) / 1.349, (q[5] - q[1]) / 3.290, (q[6] - q[0]) / 4.653)
            centre[at], spread[at] = q[3], max(widest, min_spread[at[1]])
    return centre, spread
