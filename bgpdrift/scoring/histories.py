"""Histories: the minutes before the windows to score, for each collector and peer, cached as columns.

The cached history of a group is valid only if the new windows follow it, it reaches back far enough and it holds the columns of
the active model; otherwise the history is read again from the store. The cache is bounded in bytes, and the least recently used
groups are removed first. A frame enters the cache only with `commit`, so that a batch that could not be written leaves no trace.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, WindowFrame
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

MAX_CACHE_BYTES = 8_000_000
"""About forty collectors with ten hours of forty columns each."""

Group = tuple[str, str]
"""Collector and peer."""
Columns = tuple[str, ...]
Read = Callable[[Columns, Group, int, int], Sequence[tuple[Any, ...]]]
"""Columns of a group's windows that start in ``[start, end)``, in order of time."""
BoolArray = npt.NDArray[np.bool_]


def select_columns(*features: Iterable[str]) -> Columns:
    """Return the columns that models with these features read: the start, the features, all quality marks.

    Examples
    --------
    >>> select_columns(["withdrawn", "messages"], ["messages"])[:3]
    ('window_start', 'messages', 'withdrawn')
    """
    names_read = {name for names in features for name in names}
    return ("window_start", *(name for name in FEATURE_NAMES if name in names_read), *QUALITY_NAMES)


class Histories:
    """Cache of the last windows of each group.

    Parameters
    ----------
    read : callable
        Reads windows that are not cached.
    max_bytes : int
        Size of the cache; the group in use is always kept.
    """

    def __init__(self, read: Read, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._read, self._max_bytes = read, max_bytes
        self._cache: OrderedDict[Group, tuple[int, Columns, FloatArray]] = OrderedDict()
        self._pending: dict[Group, tuple[int, Columns, FloatArray] | None] = {}
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes in the cache."""
        return self._bytes

    def build_frame(
        self, group: Group, columns: Columns, rows: Sequence[tuple[Any, ...]], minutes: int
    ) -> tuple[WindowFrame, BoolArray]:
        """Join new windows with their history.

        Parameters
        ----------
        group : tuple of str
            Collector and peer.
        columns : tuple of str
            As `select_columns` returns them.
        rows : sequence of tuple
            Values of those columns of new windows, in any order; of two rows for a minute the last one counts.
        minutes : int
            History that the model needs.

        Returns
        -------
        frame : WindowFrame
            Windows to score, with their history.
        is_new : ndarray of bool
            New windows among those to score; a late window can precede windows that were scored before.
        """
        new = _sort(np.array(rows, np.float64).T)
        begin, first, last = int(new[0, 0]) - minutes * MINUTE_S, int(new[0, 0]), int(new[0, -1])
        cached = self._cache.get(group)
        end = int(cached[2][0, -1]) if cached is not None and cached[2].size else -1
        if cached is not None and cached[0] >= minutes and cached[1] == columns and end < first:
            history = cached[2]
            matrix = np.concatenate([history[:, np.searchsorted(history[0], begin) :], new], axis=1)
        else:
            windows = self._read(columns, group, begin, last + MINUTE_S)
            stored = np.array(windows, np.float64).T if len(windows) else new[:, :0]
            matrix = _sort(np.concatenate([stored, new], axis=1))
        oldest = np.searchsorted(matrix[0], last - minutes * MINUTE_S, side="right")
        self._pending[group] = None if end > last else (minutes, columns, matrix[:, oldest:].copy())
        at = int(np.searchsorted(matrix[0], first))
        return _build_frame(group, columns, matrix, at), np.isin(matrix[0, at:], new[0])

    def commit(self) -> None:
        """Cache the frames that were built since the last call."""
        for group, entry in self._pending.items():
            removed = self._cache.pop(group, None)
            self._bytes -= removed[2].nbytes if removed else 0
            if entry is not None:
                self._cache[group] = entry
                self._bytes += entry[2].nbytes
        self._pending.clear()
        while self._bytes > self._max_bytes and len(self._cache) > 1:
            _, (_, _, matrix) = self._cache.popitem(last=False)
            self._bytes -= matrix.nbytes

    def discard(self) -> None:
        """Discard the frames that were not committed, because the batch is repeated."""
        self._pending.clear()


def _sort(matrix: FloatArray) -> FloatArray:
    """Sort the columns by time and keep the last one of each minute."""
    starts = matrix[0]
    if (np.diff(starts) > 0).all():
        return np.ascontiguousarray(matrix)
    order = np.argsort(starts, kind="stable")
    ordered = starts[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)
    return np.ascontiguousarray(matrix[:, order[is_last]])


def _build_frame(group: Group, columns: Columns, matrix: FloatArray, first: int) -> WindowFrame:
    values = dict(zip(columns, matrix, strict=True))
    return WindowFrame(
        group[0],
        group[1],
        matrix[0].astype(np.int64),
        {name: values[name] for name in FEATURE_NAMES if name in values},
        {name: values[name] for name in QUALITY_NAMES},
        first,
    )
