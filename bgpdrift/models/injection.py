"""Synthetic anomalies injected into clean windows, to compare models without labels.

Each kind changes the columns that the real anomaly changes, by factors relative to the level of the collector, so that a
small collector gets a small storm. The strengths rise in even steps from hard to detect to obvious, because strengths that
all models detect, or none, do not distinguish models. Each anomaly has a frame of its own with the clean history before it,
because in one frame the effect of one anomaly would count as the detection of the next. Missing columns stay missing. The
callers score the frames and judge the scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, IntArray, WindowFrame

LENGTH_MINUTES = 12
PER_KIND = 8
"""Anomalies of each kind."""
WEAKEST, STRONGEST = 1.4, 16.0
"""Factors relative to the level of the collector."""

Columns = dict[str, FloatArray]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Injected:
    """One anomaly: all rows to score of ``frame``; the rows before are its clean history."""

    kind: str
    factor: float
    frame: WindowFrame


def inject(
    frames: Sequence[WindowFrame],
    seed: int,
    history_minutes: int,
    kinds: Sequence[str] = (),
    per_kind: int = PER_KIND,
    factors: Sequence[float] = (),
) -> tuple[Injected, ...]:
    """Inject anomalies of every kind into rows to score; few or none if there is no clean stretch.

    Parameters
    ----------
    frames : sequence of WindowFrame
        Rows from ``first`` on may be changed. Every minute of an anomaly must exist and be clean. Whole collectors are
        preferred to single peers.
    seed : int
        Equal seeds give equal anomalies.
    history_minutes : int
        History before each anomaly; the longest that any detector needs.
    kinds : sequence of str
        Names in `KINDS`; all of them by default.
    per_kind : int
        Anomalies of each kind.
    factors : sequence of float
        Strengths of each kind; by default ``per_kind`` steps from `WEAKEST` to `STRONGEST`.
    """
    rng = np.random.default_rng(seed)
    usable = [(frame, rows) for frame in frames if len(rows := _find_start_rows(frame))]
    whole = [entry for entry in usable if not entry[0].peer] or usable
    if not whole:
        return ()
    levels = [_levels(frame) for frame, _ in whole]
    strengths = np.asarray(factors, np.float64) if len(factors) else compute_strengths(per_kind)
    injected = []
    for kind in kinds or KINDS:
        for factor in strengths.tolist():
            number = int(rng.integers(len(whole)))
            frame, rows = whole[number]
            begin = int(rng.choice(rows))
            injected.append(
                Injected(kind, factor, _inject_one(frame, begin, history_minutes, kind, factor, levels[number], rng))
            )
    return tuple(injected)


def compute_strengths(number: int) -> FloatArray:
    """Return strengths in even steps from `WEAKEST` to `STRONGEST`.

    Examples
    --------
    >>> compute_strengths(3).round(2).tolist()
    [1.4, 4.73, 16.0]
    """
    return np.exp(np.linspace(np.log(WEAKEST), np.log(STRONGEST), number))


def _inject_one(
    frame: WindowFrame,
    begin: int,
    history_minutes: int,
    kind: str,
    factor: float,
    level: dict[str, float],
    rng: np.random.Generator,
) -> WindowFrame:
    starts = frame.window_start
    horizon = int(np.searchsorted(starts, starts[begin] - history_minutes * MINUTE_S))
    cut = frame.rows(horizon, begin + LENGTH_MINUTES, begin - horizon)
    columns: Columns = {name: values.copy() for name, values in cut.features.items()}
    KINDS[kind](_Stretch(columns, level, slice(cut.first, len(cut)), factor, rng))
    return replace(cut, features=columns)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The minutes of one anomaly in all columns, and the ways to change them."""

    columns: Columns
    level: dict[str, float]
    at: slice
    factor: float
    rng: np.random.Generator

    def grow(self, *names: str, by: float | None = None, least: float = 0.0) -> None:
        """Multiply counts, starting at least from the level of the collector, or from ``least`` events if the level is 0."""
        for name in names:
            if name in self.columns:
                now = self.columns[name][self.at]
                scatter = self.rng.lognormal(0.0, 0.2, len(now))
                base = np.maximum(now, max(self.level[name], least))
                self.columns[name][self.at] = np.round(base * (by or self.factor) * scatter)

    def shrink(self, *names: str, to: float) -> None:
        """Keep a share of the counts."""
        for name in names:
            if name in self.columns:
                now = self.columns[name][self.at]
                self.columns[name][self.at] = self.rng.binomial(np.maximum(now, 0).astype(np.int64), to)

    def add(self, *names: str, number: float) -> None:
        """Add events."""
        for name in names:
            if name in self.columns:
                self.columns[name][self.at] += self.rng.poisson(number, self.at.stop - self.at.start)

    def raise_by(self, name: str, difference: float) -> None:
        """Add to a level such as an entropy or a maximum; never below 0."""
        if name in self.columns:
            self.columns[name][self.at] = np.maximum(self.columns[name][self.at] + difference, 0.0)


def _burst(stretch: _Stretch) -> None:
    """Update storm: every route is announced many times."""
    stretch.grow("messages", "announced", "implicit_withdrawal", "duplicate", "readvertised_same", "max_per_second")
    stretch.grow("path_length_sum", "unique_path_length_sum", "edit_distance_sum", "origin_igp", "longer", "shorter")
    stretch.grow("announced_prefixes", "origins", by=stretch.factor**0.6)
    stretch.raise_by("path_length_max", 4.0)


def _withdrawal_storm(stretch: _Stretch) -> None:
    """Withdrawal storm: routes are withdrawn, and most are not announced again."""
    stretch.grow("withdrawn", by=2.0 * stretch.factor, least=1.0)
    stretch.grow("withdrawn_prefixes", "messages", least=1.0)
    stretch.grow("max_per_second", "readvertised_different", by=stretch.factor**0.5)
    stretch.add("visibility_loss", number=stretch.factor)


def _path_lengthening(stretch: _Stretch) -> None:
    """Path lengthening: longer paths and new neighbours at hardly more volume."""
    longer_by = 1.0 + 0.5 * np.log(stretch.factor) / np.log(STRONGEST)
    stretch.grow("path_length_sum", "unique_path_length_sum", by=longer_by)
    stretch.grow("longer", "edit_distance_sum", least=1.0)
    stretch.grow("announced", "implicit_withdrawal", "messages", by=1.3)
    stretch.add("edge_new", number=2.0 * stretch.factor)
    stretch.raise_by("path_length_max", 6.0)
    stretch.raise_by("edit_distance_max", 4.0)


def _silence(stretch: _Stretch) -> None:
    """Silence: all counts are far lower."""
    stretch.shrink(*_COUNTS, to=1.0 / (stretch.factor * 1.5))
    stretch.shrink("peers", to=1.0 / stretch.factor**0.7)
    stretch.raise_by("origin_entropy", -2.0)
    stretch.raise_by("peer_entropy", -1.0)


def _hijack(stretch: _Stretch) -> None:
    """Hijack: few messages, with a wrong origin."""
    stretch.add("moas_new", "subprefix_new", number=stretch.factor)
    stretch.add("origin_change", "announced", "messages", number=4.0 * stretch.factor)
    stretch.add("edge_new", number=1.0 + stretch.factor / 4.0)


def _flapping(stretch: _Stretch) -> None:
    """Flapping: a few prefixes are withdrawn and announced repeatedly."""
    stretch.grow("withdrawn", "readvertised_same", least=1.0)
    stretch.grow("announced", "messages", "path_length_sum", "unique_path_length_sum", by=stretch.factor**0.5)
    stretch.raise_by("peer_entropy", -0.5)


def _session_loss(stretch: _Stretch) -> None:
    """Session loss: some peers send nothing, and routes of others change."""
    stretch.add("session_down", number=1.0 + stretch.factor / 4.0)
    stretch.shrink("peers", to=max(0.2, 1.0 - stretch.factor / STRONGEST))
    stretch.add("visibility_loss", number=stretch.factor)
    stretch.grow("withdrawn", "implicit_withdrawal", by=stretch.factor**0.5, least=1.0)


KINDS: dict[str, Callable[[_Stretch], None]] = {
    "burst": _burst,
    "withdrawal_storm": _withdrawal_storm,
    "path_lengthening": _path_lengthening,
    "silence": _silence,
    "hijack": _hijack,
    "flapping": _flapping,
    "session_loss": _session_loss,
}
"""The kinds of anomalies, by name."""

_COUNTS = (
    *("messages", "announced", "withdrawn", "announced_prefixes", "withdrawn_prefixes", "origins", "new", "duplicate"),
    *("implicit_withdrawal", "readvertised_same", "readvertised_different", "longer", "shorter", "edit_distance_sum"),
    *(
        "path_length_sum",
        "unique_path_length_sum",
        "origin_igp",
        "origin_egp",
        "origin_incomplete",
        "ipv6",
        "prepended",
    ),
    *("as_set", "max_per_second", "duplicate_withdrawal", "unknown_withdrawal"),
)


def _levels(frame: WindowFrame) -> dict[str, float]:
    """Median of each column over clean windows."""
    clean = frame.clean
    return {name: float(np.median(values[clean])) for name, values in frame.features.items()}


def _find_start_rows(frame: WindowFrame) -> IntArray:
    """Find the rows from ``first`` on at which an anomaly can begin: all its minutes exist and are clean."""
    if len(frame) - frame.first < LENGTH_MINUTES:
        return np.zeros(0, np.int64)
    starts = frame.window_start
    last = np.arange(len(frame)) + LENGTH_MINUTES - 1
    inside = last < len(frame)
    last = np.minimum(last, len(frame) - 1)
    clean = np.concatenate([[0], np.cumsum(frame.clean)])
    whole = inside & (starts[last] - starts == (LENGTH_MINUTES - 1) * MINUTE_S)
    whole &= clean[last + 1] - clean[np.arange(len(frame))] == LENGTH_MINUTES
    rows = np.flatnonzero(whole)
    return rows[rows >= frame.first]
