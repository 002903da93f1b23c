"""Folding: what scores and windows add to the hourly histograms. Pure.

This module decides the names of the series. A window with a quality mark, and its scores, are not counted. A value that is not
a number is reported and not counted: a detector that outputs NaN must be noticed and must not stop the monitor.
`bgpdrift.monitor.monitor_worker` reads the rows and writes the increments.

===========================  ============  =================================================  ==========================
series                       version       one value                                          ``alarms``
===========================  ============  =================================================  ==========================
``score:<model>``            of the model  a window's score                                   windows that alarmed
``rule:<rule>``              of the rules  1 where the rule fired, 0 where it did not         firings
``embedding:<model>:<i>``    of the model  latent coordinate, one of 50 values in −1 … 1      0
``projection:<model>:<j>``   of the model  the same for a fixed random direction              0
``feature:<name>``           none          a window's feature                                 0
``quality:lag``              none          95th percentile of a window's lag, seconds         windows with a quality mark
===========================  ============  =================================================  ==========================
"""

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import msgspec
import numpy as np

from bgpdrift.detector_registry import DETECTORS
from bgpdrift.drift.exact_values import ExactValues, HourCounts, add_counts, decode_counts
from bgpdrift.drift.histogram import Histogram, bins_of
from bgpdrift.drift.hours import FloatArray, IntArray
from bgpdrift.store.window_columns import FEATURE_NAMES

HOUR_S = 3600
MARKS = ("incomplete", "feed_gap", "peer_reset", "dropped", "warming")
LAG = "lag_p95"
QUALITY = "quality:lag"
WINDOW_COLUMNS = ("id", "collector", "peer", "window_start", *MARKS, LAG, *FEATURE_NAMES)
SCORE_COLUMNS = (
    "id",
    "collector",
    "peer",
    "window_start",
    "model",
    "model_version",
    "score",
    "is_alarm",
    "abstained",
    "rules_fired",
    "embedding",
)
_FIRST_FEATURE = WINDOW_COLUMNS.index(FEATURE_NAMES[0])
CELLS = 50
"""Values to which a latent coordinate is rounded. Embedding drift is customarily measured over 50 bins."""
PROJECTIONS = 8
MAX_COORDINATES = 64

Key = tuple[str, str, str, int]
"""(series, model_version, collector, hour_start)"""
Window = tuple[str, int]
"""(collector, window_start)"""


@dataclass(frozen=True, slots=True)
class Folded:
    """Increments of some rows.

    Attributes
    ----------
    added : mapping of Key to (HourCounts, int)
        Values and alarms to add to the stored ones.
    unusable : Counter of str
        Values that could not be counted, by problem.
    """

    added: dict[Key, tuple[HourCounts, int]] = field(default_factory=dict)
    unusable: "Counter[str]" = field(default_factory=Counter)


def fold_windows(rows: Sequence[Sequence[Any]]) -> Folded:
    """Fold the features of whole collectors by hour, without windows that carry a quality mark.

    Parameters
    ----------
    rows : sequence of sequence
        Columns `WINDOW_COLUMNS`, in that order.
    """
    folded = Folded()
    for (collector, hour), group in _group(row for row in rows if not row[2]).items():
        clean = [row for row in group if not _is_marked(row)]
        lag, _ = _to_numbers([[row[4 + len(MARKS)]] for row in group])
        folded.added[QUALITY, "", collector, hour] = (_build_histogram(lag[:, 0]), len(group) - len(clean))
        if not clean:
            continue
        values, bad = _to_numbers([row[_FIRST_FEATURE:] for row in clean])
        if bad:
            folded.unusable["a feature that is not a number"] += bad
        bins = bins_of(np.where(np.isfinite(values), values, 0.0))
        for i, name in enumerate(FEATURE_NAMES):
            folded.added[f"feature:{name}", "", collector, hour] = (_build_histogram(values[:, i], bins[:, i]), 0)
    return folded


def find_marked_windows(rows: Iterable[Sequence[Any]]) -> set[Window]:
    """Return the windows that carry a quality mark, from rows ``(collector, window_start, *MARKS)``."""
    return {(str(row[0]), int(row[1])) for row in rows if any(row[2:])}


def fold_scores(
    rows: Sequence[Sequence[Any]],
    marked: Collection[Window] = frozenset(),
    rules: Mapping[str, Sequence[str]] | None = None,
) -> Folded:
    """Fold scores, rules and embeddings of whole collectors by model version and hour; abstentions are not counted.

    Parameters
    ----------
    rows : sequence of sequence
        Columns `SCORE_COLUMNS`, in that order.
    marked : collection of Window
        Windows with a quality mark.
    rules : mapping of str to sequence of str, optional
        Rules of each model that reports any; windows in which they do not fire are counted too. Default: the detector
        registry.
    """
    folded = Folded()
    rules = list_rules() if rules is None else rules
    votes = (row for row in rows if not row[2] and not row[8] and (row[1], row[3]) not in marked)
    by_version: dict[tuple[str, str], list[Sequence[Any]]] = {}
    for row in votes:
        by_version.setdefault((str(row[4]), str(row[5])), []).append(row)
    for (model, version), version_rows in by_version.items():
        for (collector, hour), group in _group(version_rows).items():
            place = (version, collector, hour)
            scores, bad = _to_numbers([[row[6]] for row in group])
            usable = np.isfinite(scores[:, 0])
            if bad:
                folded.unusable[f"{model} {version}: a score that is not a number"] += bad
            kept = [row for row, good in zip(group, usable, strict=True) if good]
            if not kept:
                continue
            alarms = sum(bool(row[7]) for row in kept)
            folded.added[f"score:{model}", *place] = (ExactValues.of(scores[usable, 0].tolist()), alarms)
            if model in rules:
                _fold_rules(folded, kept, place, rules[model])
            _fold_embedding(folded, model, [_decode(row[10]) for row in kept if row[10] is not None], place)
    return folded


@cache
def list_rules() -> Mapping[str, Sequence[str]]:
    """Return the names of the rules of each registered detector that reports any."""
    return {record.name: record.load_rule_names() for record in DETECTORS if record.rule_names}


def get_projections(model: str, size: int) -> FloatArray:
    """Return fixed random directions in a model's latent space, seeded by its name; they show drift that is oblique to all axes.

    Returns
    -------
    ndarray of float, shape (size, PROJECTIONS)
        Columns whose absolute values sum to 1, so that a projection of coordinates within ±1 stays within ±1.

    Examples
    --------
    >>> directions = get_projections("lstm", 16)
    >>> directions.shape, bool(np.allclose(np.abs(directions).sum(axis=0), 1.0))
    ((16, 8), True)
    """
    return _projections(model, size)


@lru_cache(maxsize=8)
def _projections(model: str, size: int) -> FloatArray:
    drawn = np.random.default_rng(zlib.crc32(f"{model}:{size}".encode())).standard_normal((size, PROJECTIONS))
    return np.asarray(drawn / np.abs(drawn).sum(axis=0), float)


def _fold_rules(
    folded: Folded, group: Sequence[Sequence[Any]], place: tuple[str, str, int], rules: Sequence[str]
) -> None:
    fired: Counter[str] = Counter()
    for row in group:
        try:
            entries = _decode(row[9])
            fired.update({str(entry["rule"]) for entry in entries if not entry.get("explained_by")})
        except (TypeError, KeyError, AttributeError):
            folded.unusable["rules that cannot be decoded"] += 1
    for rule in {*rules, *fired}:
        count = fired[rule]
        values = Histogram.of([1.0])
        zeros = {0: len(group) - count} if len(group) > count else {}
        ones = dict.fromkeys(values.counts, count) if count else {}
        folded.added[f"rule:{rule}"[:96], *place] = (Histogram({**zeros, **ones}, float(count), float(count)), count)


def _fold_embedding(folded: Folded, model: str, cells: Sequence[Any], place: tuple[str, str, int]) -> None:
    by_size: dict[int, list[Any]] = {}
    for vector in cells:
        if isinstance(vector, list) and 0 < len(vector) <= MAX_COORDINATES and not _to_numbers([vector])[1]:
            by_size.setdefault(len(vector), []).append(vector)
        else:
            folded.unusable[f"{model} {place[0]}: an embedding that is not a vector"] += 1
    if not by_size:
        return
    # All vectors of a version have one length. The vectors of another length are damaged and are the minority.
    size = max(by_size, key=lambda length: len(by_size[length]))
    if len(by_size) > 1:
        folded.unusable[f"{model} {place[0]}: an embedding of another length"] += sum(
            len(vectors) for length, vectors in by_size.items() if length != size
        )
    vectors = np.clip(np.array(by_size[size], float), -1.0, 1.0)
    for kind, values in (("embedding", vectors), ("projection", vectors @ get_projections(model, size))):
        centres = (np.minimum(np.floor((values + 1) * CELLS / 2), CELLS - 1) + 0.5) * 2 / CELLS - 1
        bins = bins_of(centres)
        for i in range(values.shape[1]):
            folded.added[f"{kind}:{model}:{i}", *place] = (_build_histogram(centres[:, i], bins[:, i]), 0)


def _decode(cell: Any) -> Any:
    """Decode a JSON cell, which the driver may have decoded already; None if it cannot be decoded."""
    if not isinstance(cell, str | bytes):
        return cell
    if cell == "[]":
        return []
    try:
        return msgspec.json.decode(cell)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def build_merge(
    added: Mapping[Key, tuple[HourCounts, int]],
) -> Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]:
    """Return the function that adds the increments to the stored rows of ``hourly_histograms``.

    An unreadable row is replaced, so that one damaged hour does not stop all later ones.
    """

    def merge(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        stored = {(row["series"], row["model_version"], row["collector"], row["hour_start"]): row for row in rows}
        return [_build_row(key, counts, alarms, stored.get(key)) for key, (counts, alarms) in added.items()]

    return merge


def _build_row(key: Key, counts: HourCounts, alarms: int, before: Mapping[str, Any] | None) -> dict[str, Any]:
    if before is not None:
        try:
            stored = decode_counts(bytes(before["bins"]), before["value_sum"], before["value_sum_squares"])
            counts, alarms = add_counts(stored, counts), int(before["alarms"]) + alarms
        except ValueError:
            pass
    series, version, collector, hour = key
    return {
        "hour_start": hour,
        "series": series,
        "model_version": version,
        "collector": collector,
        "n": counts.n,
        "alarms": alarms,
        "value_sum": counts.total,
        "value_sum_squares": counts.squares,
        "bins": counts.to_bytes(),
    }


def _group(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, int], list[Sequence[Any]]]:
    groups: dict[tuple[str, int], list[Sequence[Any]]] = {}
    for row in rows:
        groups.setdefault((str(row[1]), int(row[3]) // HOUR_S * HOUR_S), []).append(row)
    return groups


def _is_marked(row: Sequence[Any]) -> bool:
    return any(row[4 : 4 + len(MARKS)])


def _to_numbers(cells: Sequence[Sequence[Any]]) -> tuple[FloatArray, int]:
    """Convert cells to numbers, NaN for other values and for those too large to square; also return the count of NaN."""
    try:
        values = np.array(cells, float)
    except (TypeError, ValueError):
        values = np.array([[_to_number(cell) for cell in row] for row in cells], float)
    values[~(np.abs(values) < 1e150)] = np.nan
    return values, int(np.isnan(values).sum())


def _to_number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _build_histogram(values: FloatArray, bins: IntArray | None = None) -> Histogram:
    good = np.isfinite(values)
    values = values[good]
    numbers = bins_of(values) if bins is None else bins[good]
    bins_used, counts = np.unique(numbers, return_counts=True)
    return Histogram(
        dict(zip(bins_used.tolist(), counts.tolist(), strict=True)), float(values.sum()), float(values @ values)
    )
