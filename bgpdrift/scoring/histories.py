"""The minutes before a window, for every collector and peer: kept as columns in memory, read again where they do not fit.

Decides when memory may be trusted: only if the new windows follow what is known, and it reaches as far back and holds the
columns that the model in force looks at. What is remembered is bounded in bytes; groups unused for longest go first and
are read again when they come up. Nothing is remembered before `keep`: a batch that could not be written is as if it had
never been seen.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, WindowFrame
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

LIMIT_BYTES = 8_000_000
"""Some forty collectors with ten hours of forty columns each."""

Group = tuple[str, str]
"""Collector and peer."""
Columns = tuple[str, ...]
Read = Callable[[Columns, Group, int, int], Sequence[tuple[Any, ...]]]
"""Columns of a group's windows that start in ``[start, end)``, in order of time."""
BoolArray = npt.NDArray[np.bool_]


def columns_for(*features: Iterable[str]) -> Columns:
    """What a window is reduced to for models that read these features: its start, the features, every quality mark.

    Examples
    --------
    >>> columns_for(["withdrawn", "messages"], ["messages"])[:3]
    ('window_start', 'messages', 'withdrawn')
    """
    wanted = {name for names in features for name in names}
    return ("window_start", *(name for name in FEATURE_NAMES if name in wanted), *QUALITY_NAMES)


class Histories:
    """The last windows of each group.

    Parameters
    ----------
    read : callable
        Gives what is not remembered.
    limit_bytes : int
        Bound of what is remembered; the group in use is always kept.
    """

    def __init__(self, read: Read, limit_bytes: int = LIMIT_BYTES) -> None:
        self._read, self._limit = read, limit_bytes
        self._known: OrderedDict[Group, tuple[int, Columns, FloatArray]] = OrderedDict()
        self._pending: dict[Group, tuple[int, Columns, FloatArray] | None] = {}
        self._bytes = 0

    def frame(
        self, group: Group, columns: Columns, rows: Sequence[tuple[Any, ...]], minutes: int
    ) -> tuple[WindowFrame, BoolArray]:
        """Put new windows behind their history.

        Parameters
        ----------
        group : tuple of str
            Collector and peer.
        columns : tuple of str
            As `columns_for` gives them.
        rows : sequence of tuple
            New windows by those columns, in any order; a minute that comes twice keeps its last row.
        minutes : int
            How far the model looks back.

        Returns
        -------
        frame : WindowFrame
            What to score.
        wanted : ndarray of bool
            Which of the scored windows are new: a late one may have others, scored long ago, after it.
        """
        new = _by_time(np.array(rows, np.float64).T)
        begin, first, last = int(new[0, 0]) - minutes * MINUTE_S, int(new[0, 0]), int(new[0, -1])
        known = self._known.get(group)
        reached = int(known[2][0, -1]) if known is not None and known[2].size else -1
        if known is not None and known[0] >= minutes and known[1] == columns and reached < first:
            history = known[2]
            matrix = np.concatenate([history[:, np.searchsorted(history[0], begin) :], new], axis=1)
        else:
            found = self._read(columns, group, begin, last + MINUTE_S)
            stored = np.array(found, np.float64).T if len(found) else new[:, :0]
            matrix = _by_time(np.concatenate([stored, new], axis=1))
        oldest = np.searchsorted(matrix[0], last - minutes * MINUTE_S, side="right")
        self._pending[group] = None if reached > last else (minutes, columns, matrix[:, oldest:].copy())
        at = int(np.searchsorted(matrix[0], first))
        return _frame(group, columns, matrix, at), np.isin(matrix[0, at:], new[0])

    def keep(self) -> None:
        """Remember what the frames made since the last call showed."""
        for group, found in self._pending.items():
            gone = self._known.pop(group, None)
            self._bytes -= gone[2].nbytes if gone else 0
            if found is not None:
                self._known[group] = found
                self._bytes += found[2].nbytes
        self._pending.clear()
        while self._bytes > self._limit and len(self._known) > 1:
            _, (_, _, matrix) = self._known.popitem(last=False)
            self._bytes -= matrix.nbytes

    def forget(self) -> None:
        """Drop what was not kept: the batch is done again."""
        self._pending.clear()


def _by_time(matrix: FloatArray) -> FloatArray:
    """Columns in order of time, the last of each minute."""
    starts = matrix[0]
    if (np.diff(starts) > 0).all():
        return np.ascontiguousarray(matrix)
    order = np.argsort(starts, kind="stable")
    ordered = starts[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)
    return np.ascontiguousarray(matrix[:, order[is_last]])


def _frame(group: Group, columns: Columns, matrix: FloatArray, first: int) -> WindowFrame:
    values = dict(zip(columns, matrix, strict=True))
    return WindowFrame(
        group[0],
        group[1],
        matrix[0].astype(np.int64),
        {name: values[name] for name in FEATURE_NAMES if name in values},
        {name: values[name] for name in QUALITY_NAMES},
        first,
    )
