"""Anomalies laid over calm windows: a yardstick for two models where nobody has labelled anything.

Each kind changes the columns that the real thing changes, by factors drawn from a seed and relative to what this
collector shows, so that a small collector gets a small storm. The strengths go from what is hard to see to what is
plain: two models that both find all, or none, could not be told apart. Columns a source does not have stay absent.
Decides what is injected and where; scoring and judging are the callers'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, WindowFrame

LENGTH_MIN = 12
REST_MIN = 48
"""Between two episodes: time for smoothed values to come down again, and for the usual to stay usual."""
WEAKEST, STRONGEST = 2.5, 16.0
"""Factors over the usual level of the collector."""

Columns = dict[str, FloatArray]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Episode:
    """An injected anomaly: rows ``begin`` to ``end`` (not included) of the frame."""

    kind: str
    begin: int
    end: int
    factor: float


@dataclass(frozen=True, slots=True)
class Injected:
    """A frame with anomalies in it, and where they are."""

    frame: WindowFrame
    episodes: tuple[Episode, ...]

    def rows_of(self, kind: str | None = None) -> BoolArray:
        """Rows inside an episode of a kind, or of any."""
        inside = np.zeros(len(self.frame), bool)
        for episode in self.episodes:
            if kind in (None, episode.kind):
                inside[episode.begin : episode.end] = True
        return inside

    def aftermath(self) -> BoolArray:
        """Rows after an episode that smoothing still colours: neither anomalous nor clean."""
        after = np.zeros(len(self.frame), bool)
        for episode in self.episodes:
            after[episode.end : episode.end + REST_MIN * 3 // 4] = True
        return after & ~self.rows_of()


def inject(frame: WindowFrame, seed: int, kinds: Sequence[str] = ()) -> Injected:
    """Lay anomalies of every kind, in turn, over the rows to be scored.

    Parameters
    ----------
    frame : WindowFrame
        Rows from ``first`` on are to be scored. An episode lies only where every minute is there and clean.
    seed : int
        The same seed gives the same anomalies.
    kinds : sequence of str
        Names in `KINDS`; all of them by default.
    """
    rng = np.random.default_rng(seed)
    columns: Columns = {name: values.copy() for name, values in frame.features.items()}
    level = {name: _level(values, frame.clean) for name, values in columns.items()}
    names = list(kinds or KINDS)
    episodes: list[Episode] = []
    order = [names[i] for i in rng.permutation(len(names))]
    for begin in _places(frame):
        kind = order[len(episodes) % len(order)]
        episode = Episode(
            kind, begin, begin + LENGTH_MIN, float(np.exp(rng.uniform(np.log(WEAKEST), np.log(STRONGEST))))
        )
        KINDS[kind](_Place(columns, level, slice(episode.begin, episode.end), episode.factor, rng))
        episodes.append(episode)
    return Injected(replace(frame, features=columns), tuple(episodes))


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
    place.shrink("peers", to=min(1.0, 2.0 / place.factor))
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


def _level(values: FloatArray, clean: BoolArray) -> float:
    known = values[clean] if clean.any() else values
    return float(np.median(known)) if len(known) else 0.0


def _places(frame: WindowFrame) -> list[int]:
    """First rows of episodes, from the rows to be scored on, each with its rest before the next."""
    starts, clean, found = frame.window_start, frame.clean, []
    at = frame.first + REST_MIN // 2
    while at + LENGTH_MIN <= len(frame):
        whole = starts[at + LENGTH_MIN - 1] - starts[at] == (LENGTH_MIN - 1) * MINUTE_S
        if whole and clean[at : at + LENGTH_MIN].all():
            found.append(at)
            at += LENGTH_MIN + REST_MIN
        else:
            at += LENGTH_MIN
    return found
