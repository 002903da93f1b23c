"""Anomalies laid over calm windows: a yardstick for two models where nobody has labelled anything.

Each kind changes the columns that the real thing changes, by factors relative to what this collector shows, so that a
small collector gets a small storm. The strengths go in even steps from what is hard to see to what is plain: two models
that both find all, or none, could not be told apart. Each anomaly comes in a frame of its own, with the calm history
before it: laid into one stretch, the echo of one would be taken for the finding of the next. Columns a source does not
have stay absent. Decides what is injected and where; scoring and judging are the callers'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, IntArray, WindowFrame

LENGTH_MIN = 12
A_KIND = 8
"""Anomalies of each kind."""
WEAKEST, STRONGEST = 1.4, 16.0
"""Factors over the usual level of the collector."""

Columns = dict[str, FloatArray]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Injected:
    """One anomaly: the rows of ``frame`` that are to be scored, all of them; the calm history lies before."""

    kind: str
    factor: float
    frame: WindowFrame


def inject(
    frames: Sequence[WindowFrame],
    seed: int,
    history_minutes: int,
    kinds: Sequence[str] = (),
    a_kind: int = A_KIND,
    factors: Sequence[float] = (),
) -> tuple[Injected, ...]:
    """Lay anomalies of every kind over rows to be scored; few or none where there is no calm stretch.

    Parameters
    ----------
    frames : sequence of WindowFrame
        Rows from ``first`` on may be changed. An anomaly lies only where every minute is there and clean. Whole
        collectors are preferred to single peers.
    seed : int
        The same seed gives the same anomalies.
    history_minutes : int
        Kept before each, as the most demanding detector needs.
    kinds : sequence of str
        Names in `KINDS`; all of them by default.
    a_kind : int
        How many of each.
    factors : sequence of float
        Strengths of each kind; by default ``a_kind`` of them from weak to strong.
    """
    rng = np.random.default_rng(seed)
    found = [(frame, places) for frame in frames if len(places := _places(frame))]
    whole = [entry for entry in found if not entry[0].peer] or found
    if not whole:
        return ()
    levels = [_levels(frame) for frame, _ in whole]
    strengths = np.asarray(factors, np.float64) if len(factors) else steps(a_kind)
    injected = []
    for kind in kinds or KINDS:
        for factor in strengths.tolist():
            number = int(rng.integers(len(whole)))
            frame, places = whole[number]
            begin = int(rng.choice(places))
            injected.append(
                Injected(kind, factor, _laid(frame, begin, history_minutes, kind, factor, levels[number], rng))
            )
    return tuple(injected)


def steps(number: int) -> FloatArray:
    """Strengths in even steps from what is hard to see to what is plain.

    Examples
    --------
    >>> steps(3).round(2).tolist()
    [1.4, 4.73, 16.0]
    """
    return np.exp(np.linspace(np.log(WEAKEST), np.log(STRONGEST), number))


def _laid(
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
    cut = frame.rows(horizon, begin + LENGTH_MIN, begin - horizon)
    columns: Columns = {name: values.copy() for name, values in cut.features.items()}
    KINDS[kind](_Place(columns, level, slice(cut.first, len(cut)), factor, rng))
    return replace(cut, features=columns)


@dataclass(frozen=True, slots=True)
class _Place:
    """Some minutes of all columns, and how to change them."""

    columns: Columns
    level: dict[str, float]
    at: slice
    factor: float
    rng: np.random.Generator

    def grow(self, *names: str, by: float | None = None, least: float = 0.0) -> None:
        """Multiply counts, at least from the collector's usual level; ``least`` events where the level is 0."""
        for name in names:
            if name in self.columns:
                now = self.columns[name][self.at]
                scatter = self.rng.lognormal(0.0, 0.2, len(now))
                base = np.maximum(now, max(self.level[name], least))
                self.columns[name][self.at] = np.round(base * (by or self.factor) * scatter)

    def shrink(self, *names: str, to: float) -> None:
        """Leave a share of counts."""
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


def _burst(place: _Place) -> None:
    """Update storm: everything announced, many times over."""
    place.grow("messages", "announced", "implicit_withdrawal", "duplicate", "readvertised_same", "max_per_second")
    place.grow("path_length_sum", "unique_path_length_sum", "edit_distance_sum", "origin_igp", "longer", "shorter")
    place.grow("announced_prefixes", "origins", by=place.factor**0.6)
    place.raise_by("path_length_max", 4.0)


def _withdrawal_storm(place: _Place) -> None:
    """Routes are taken back, and most of them do not return."""
    place.grow("withdrawn", by=2.0 * place.factor, least=1.0)
    place.grow("withdrawn_prefixes", "messages", least=1.0)
    place.grow("max_per_second", "readvertised_different", by=place.factor**0.5)
    place.add("visibility_loss", number=place.factor)


def _path_lengthening(place: _Place) -> None:
    """The short way is gone: longer paths, new neighbours, at hardly more volume."""
    stretch = 1.0 + 0.5 * np.log(place.factor) / np.log(STRONGEST)
    place.grow("path_length_sum", "unique_path_length_sum", by=stretch)
    place.grow("longer", "edit_distance_sum", least=1.0)
    place.grow("announced", "implicit_withdrawal", "messages", by=1.3)
    place.add("edge_new", number=2.0 * place.factor)
    place.raise_by("path_length_max", 6.0)
    place.raise_by("edit_distance_max", 4.0)


def _silence(place: _Place) -> None:
    """Far less than usual of everything."""
    place.shrink(*_COUNTS, to=1.0 / (place.factor * 1.5))
    place.shrink("peers", to=1.0 / place.factor**0.7)
    place.raise_by("origin_entropy", -2.0)
    place.raise_by("peer_entropy", -1.0)


def _hijack(place: _Place) -> None:
    """Somebody else's prefixes: few messages, the wrong origin."""
    place.add("moas_new", "subprefix_new", number=place.factor)
    place.add("origin_change", "announced", "messages", number=4.0 * place.factor)
    place.add("edge_new", number=1.0 + place.factor / 4.0)


def _flapping(place: _Place) -> None:
    """The same few prefixes go and come, over and over."""
    place.grow("withdrawn", "readvertised_same", least=1.0)
    place.grow("announced", "messages", "path_length_sum", "unique_path_length_sum", by=place.factor**0.5)
    place.raise_by("peer_entropy", -0.5)


def _session_loss(place: _Place) -> None:
    """Peers lose their sessions: they fall silent, and the others move."""
    place.add("session_down", number=1.0 + place.factor / 4.0)
    place.shrink("peers", to=max(0.2, 1.0 - place.factor / STRONGEST))
    place.add("visibility_loss", number=place.factor)
    place.grow("withdrawn", "implicit_withdrawal", by=place.factor**0.5, least=1.0)


KINDS: dict[str, Callable[[_Place], None]] = {
    "burst": _burst,
    "withdrawal_storm": _withdrawal_storm,
    "path_lengthening": _path_lengthening,
    "silence": _silence,
    "hijack": _hijack,
    "flapping": _flapping,
    "session_loss": _session_loss,
}
"""What is injected, by name."""

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


def _places(frame: WindowFrame) -> IntArray:
    """Rows from ``first`` on where an anomaly can begin: every minute of it is there and clean."""
    if len(frame) - frame.first < LENGTH_MIN:
        return np.zeros(0, np.int64)
    starts = frame.window_start
    last = np.arange(len(frame)) + LENGTH_MIN - 1
    inside = last < len(frame)
    last = np.minimum(last, len(frame) - 1)
    clean = np.concatenate([[0], np.cumsum(frame.clean)])
    whole = inside & (starts[last] - starts == (LENGTH_MIN - 1) * MINUTE_S)
    whole &= clean[last + 1] - clean[np.arange(len(frame))] == LENGTH_MIN
    rows = np.flatnonzero(whole)
    return rows[rows >= frame.first]
