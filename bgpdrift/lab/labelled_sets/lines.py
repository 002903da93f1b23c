"""Labelled windows as lines of `bgpdrift features`, with a field ``label`` or with a ground truth in another file.

With a ground truth of `bgpdrift simulate --truth`, a window is anomalous if it overlaps an incident that its collector (or, in
windows of one peer, the peer) sees. Recovery after the end is not labelled. Lines without labels and without a ground truth
count as normal. A line with `NOT_KNOWN` in a column is a missing minute, and is counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bgpdrift.errors import InputError
from bgpdrift.lab.labelled_sets.windows import NOT_KNOWN, LabelledWindows
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

LENGTH_S = 60
_LABELS: Mapping[Any, bool] = {1: True, -1: False, 0: False}  # true and false are 1 and 0


class _TruthFile(msgspec.Struct):
    """The part of a ground truth that labels windows."""

    incidents: tuple[IncidentTruth, ...]


def mark_windows(
    incident: IncidentTruth, window_start: npt.NDArray[np.int64], collector: str, peer: str
) -> npt.NDArray[np.bool_]:
    """Mark the windows of a collector, or of one of its peers, that overlap an incident which they see.

    Examples
    --------
    >>> worm = IncidentTruth("worm", 90.0, 120.0, ("rrc00",), ())
    >>> mark_windows(worm, np.array([0, 60, 120]), "rrc00", "").tolist()
    [False, True, False]
    """
    sees_it = collector in incident.collectors and (not peer or not incident.peers or peer in incident.peers)
    return sees_it & (window_start < incident.end) & (window_start + LENGTH_S > incident.start)


def read_truth(raw: bytes, name: str) -> tuple[IncidentTruth, ...]:
    """Read the incidents of a ground truth that `bgpdrift simulate --truth` wrote.

    Raises
    ------
    InputError
        The content is not a ground truth.
    """
    expected = "expected the ground truth of `bgpdrift simulate --truth`"
    try:
        return msgspec.json.decode(raw, type=_TruthFile).incidents
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: {expected}, found `incidents` that cannot be read: {error}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{name}: {expected}, found no JSON: {error}") from error


def read_lines(
    lines: Iterable[bytes], name: str, truth: Sequence[IncidentTruth] | None = None
) -> list[LabelledWindows]:
    """Read windows, one result a (collector, peer), in the order of their names.

    Parameters
    ----------
    lines : iterable of bytes
        JSON objects; blank lines are skipped. A minute that comes twice keeps its last row.
    name : str
        Name of the file, for messages.
    truth : sequence of IncidentTruth, optional
        Takes the place of labels in the lines.

    Raises
    ------
    InputError
        With file and line: what was expected and what was found.

    Examples
    --------
    >>> lines = [b'{"window_start":60,"collector":"rrc00","announced":3,"label":1}']
    >>> [(w.collector, w.features["announced"].tolist(), w.truth.tolist()) for w in read_lines(lines, "a.ndjson")]
    [('rrc00', [3.0], [True])]
    """
    groups: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    columns: tuple[str, ...] = ()
    labelled: bool | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        row = _row(line, place)
        known = tuple(column for column in (*FEATURE_NAMES, *QUALITY_NAMES) if column in row)
        if columns and known != columns:
            odd = ", ".join(sorted(set(known) ^ set(columns)))
            raise InputError(f"{place}: expected the columns of the lines before, found others in {odd}")
        columns = known
        if truth is None:
            if labelled is not None and ("label" in row) != labelled:
                found = "one" if "label" in row else "none"
                raise InputError(f"{place}: expected a `label` on every line or on none, found {found} here")
            labelled = "label" in row
            row["label"] = _label(row.get("label", 0), place)
        groups.setdefault((row["collector"], row.get("peer", "")), {})[row["window_start"]] = row
    if not columns:
        raise InputError(f"{name}: expected lines of `bgpdrift features`, found no window")
    return [_windows(key, rows, columns, truth) for key, rows in sorted(groups.items())]


def read_windows(rows: Iterable[Mapping[str, Any]], truth: Sequence[IncidentTruth]) -> list[LabelledWindows]:
    """Label windows as the aggregator gives them, one result a (collector, peer), in the order of their names."""
    groups: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["collector"], row["peer"]), {})[row["window_start"]] = row
    return [_windows(key, found, (*FEATURE_NAMES, *QUALITY_NAMES), truth) for key, found in sorted(groups.items())]


def _row(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise InputError(f"{place}: expected a JSON object, found an error: {error}") from error
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected a JSON object, found {type(row).__name__}")
    start = row.get("window_start")
    if not isinstance(start, int) or isinstance(start, bool) or start % LENGTH_S:
        raise InputError(f"{place}: expected window_start in whole minutes of epoch seconds, found {start!r}")
    for name in ("collector", "peer"):
        if not isinstance(row.get(name, "" if name == "peer" else None), str):
            raise InputError(f"{place}: {name}: expected a text, found {row.get(name)!r}")
    if "announced" not in row:
        raise InputError(f"{place}: expected a window of `bgpdrift features`, found no `announced`")
    for name in (*FEATURE_NAMES, *QUALITY_NAMES):
        value = row.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{place}: {name}: expected a number, found {value!r}")
        if value < 0 and value != NOT_KNOWN:
            raise InputError(f"{place}: {name}: expected at least 0, or -1 if it is not known, found {value!r}")
    return row


def _label(value: Any, place: str) -> bool:
    if isinstance(value, int | float) and value in _LABELS:
        return _LABELS[value]
    raise InputError(f"{place}: label: expected 1 or true (anomaly), -1 or false (normal), found {value!r}")


def _windows(
    key: tuple[str, str],
    rows: Mapping[int, Mapping[str, Any]],
    columns: Sequence[str],
    truth: Sequence[IncidentTruth] | None,
) -> LabelledWindows:
    known = [start for start in sorted(rows) if not any(rows[start][name] == NOT_KNOWN for name in columns)]
    ordered, starts = [rows[start] for start in known], np.array(known, np.int64)

    def values(names: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
        return {name: np.array([row[name] for row in ordered], np.float64) for name in columns if name in names}

    if truth is None:
        labels = np.array([row["label"] for row in ordered], bool)
    else:
        labels = np.logical_or.reduce(
            [np.zeros(len(starts), bool), *(mark_windows(item, starts, *key) for item in truth)]
        )
    missing = len(rows) - len(known)
    return LabelledWindows(*key, starts, values(FEATURE_NAMES), values(QUALITY_NAMES), labels, missing)
