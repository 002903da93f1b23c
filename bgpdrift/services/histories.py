"""The minutes before a window, for every collector and peer: kept as columns in memory, read again where they do not fit.

Decides when memory may be trusted: only if the new windows follow what is known, and it reaches as far back as the model
in force looks. What is remembered is bounded in bytes; groups unused for longest go first and are read again when they
come up. Nothing is remembered before `keep`: a batch that could not be written is as if it had never been seen.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, WindowFrame
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

COLUMNS: tuple[str, ...] = ("window_start", *FEATURE_NAMES, *QUALITY_NAMES)
"""What a window is reduced to; rows are in this order."""
LIMIT_BYTES = 12_000_000
"""Some fifty collectors with six hours each."""

Group = tuple[str, str]
"""Collector and peer."""
Read = Callable[[Group, int, int], Sequence[tuple[Any, ...]]]
"""Windows of a group that start in ``[start, end)``, as rows of `COLUMNS` in order of time."""
BoolArray = npt.NDArray[np.bool_]


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
        self._known: OrderedDict[Group, tuple[int, FloatArray]] = OrderedDict()
        self._pending: dict[Group, tuple[int, FloatArray] | None] = {}
        self._bytes = 0

    def frame(self, group: Group, rows: Sequence[tuple[Any, ...]], minutes: int) -> tuple[WindowFrame, BoolArray]:
        """Put new windows behind their history.

        Parameters
        ----------
        group : tuple of str
            Collector and peer.
        rows : sequence of tuple
            New windows by `COLUMNS`, in any order; a minute that comes twice keeps its last row.
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
        follows = known is not None and known[0] >= minutes and (not known[1].size or known[1][0, -1] < first)
        if known is not None and follows:
            history = known[1]
            matrix = np.concatenate([history[:, np.searchsorted(history[0], begin) :], new], axis=1)
        else:
            found = self._read(group, begin, last + MINUTE_S)
            stored = np.array(found, np.float64).T if len(found) else new[:, :0]
            matrix = _by_time(np.concatenate([stored, new], axis=1))
        is_late = known is not None and known[1].size > 0 and known[1][0, -1] > last
        oldest = np.searchsorted(matrix[0], last - minutes * MINUTE_S, side="right")
        self._pending[group] = None if is_late else (minutes, matrix[:, oldest:].copy())
        at = int(np.searchsorted(matrix[0], first))
        return _frame(group, matrix, at), np.isin(matrix[0, at:], new[0])

    def keep(self) -> None:
        """Remember what the frames made since the last call showed."""
        for group, found in self._pending.items():
            gone = self._known.pop(group, None)
            self._bytes -= gone[1].nbytes if gone else 0
            if found is not None:
                self._known[group] = found
                self._bytes += found[1].nbytes
        self._pending.clear()
        while self._bytes > self._limit and len(self._known) > 1:
            _, (_, matrix) = self._known.popitem(last=False)
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


def _frame(group: Group, matrix: FloatArray, first: int) -> WindowFrame:
    columns = dict(zip(COLUMNS, matrix, strict=True))
    return WindowFrame(
        group[0],
        group[1],
        matrix[0].astype(np.int64),
        {name: columns[name] for name in FEATURE_NAMES},
        {name: columns[name] for name in QUALITY_NAMES},
        first,
    )
