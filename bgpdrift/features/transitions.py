"""Classifies each announced or withdrawn prefix by the last element of its route (Labovitz et al. 1997).

A whole batch is classified at once. Elements are sorted by route, so that the previous element is the neighbour, and only the
first element of a route needs the table. This module decides the category of every element, in the terms of features.md, and
its effect on the number of peers that have the prefix. `bgpdrift.features.window` counts by minute.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import I64, BoolArray
from bgpdrift.features.routes import ANNOUNCED, NOTHING, WITHDRAWN, RouteState

NEW, DUPLICATE, IMPLICIT_WITHDRAWAL, READVERTISED_SAME, READVERTISED_DIFFERENT = 0, 1, 2, 3, 4
WITHDRAWAL, DUPLICATE_WITHDRAWAL, UNKNOWN_WITHDRAWAL = 5, 6, 7


class Elements(NamedTuple):
    """Announced and withdrawn prefixes of a batch, in order of arrival; arrays of shape (n,)."""

    row: I64  # row of the prefix
    peer: NDArray[np.int64]
    announced: BoolArray  # False: withdrawn
    path: NDArray[np.int32]  # row of the AS path; -1 for a withdrawal


class Transitions(NamedTuple):
    """Transitions of a batch, aligned with its elements."""

    category: NDArray[np.uint8]
    old_path: NDArray[np.int32]  # row of the previous path; -1 if there is none
    visibility: NDArray[np.int8]  # +1: one more peer has the prefix; -1: one fewer


def segment_starts(ordered: NDArray[np.generic]) -> BoolArray:
    """Mark the positions where a sorted array changes.

    Examples
    --------
    >>> segment_starts(np.array([3, 3, 5])).tolist()
    [True, False, True]
    """
    starts = np.empty(ordered.size, dtype=np.bool_)
    starts[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    return starts


def classify_transitions(elements: Elements, state: RouteState) -> Transitions:
    """Classify all elements of a batch and store the last element of each route in the state.

    The result does not depend on where a stream is divided into batches.
    """
    count = elements.row.size
    keys = state.keys(elements.peer, elements.row)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = segment_starts(ordered)
    first = np.flatnonzero(starts)
    segment = np.cumsum(starts) - 1
    known_kind, known_path = state.find(ordered[first])

    announced = elements.announced[order]
    path = elements.path[order]
    kind = np.where(announced, ANNOUNCED, WITHDRAWN).astype(np.uint8)
    before = np.empty(count, dtype=np.uint8)
    before[1:] = kind[:-1]
    before[first] = known_kind

    # The previous path is that of the latest earlier announcement of the same route in the batch, else of the table.
    positions = np.arange(count)
    latest = np.maximum.accumulate(np.where(announced, positions, -1))
    earlier = np.empty(count, dtype=np.int64)
    earlier[:1] = -1
    earlier[1:] = latest[:-1]
    within = earlier >= first[segment]
    old_path = np.where(within, path[np.maximum(earlier, 0)], known_path[segment]).astype(np.int32)

    same = old_path == path
    category = np.select(
        [
            announced & (before == NOTHING),
            announced & (before == ANNOUNCED) & same,
            announced & (before == ANNOUNCED),
            announced & same,
            announced,
            before == ANNOUNCED,
            before == WITHDRAWN,
        ],
        [
            NEW,
            DUPLICATE,
            IMPLICIT_WITHDRAWAL,
            READVERTISED_SAME,
            READVERTISED_DIFFERENT,
            WITHDRAWAL,
            DUPLICATE_WITHDRAWAL,
        ],
        default=UNKNOWN_WITHDRAWAL,
    ).astype(np.uint8)
    appears, disappears = announced & (before != ANNOUNCED), ~announced & (before == ANNOUNCED)
    visibility = appears.astype(np.int8) - disappears.astype(np.int8)

    last = np.append(first[1:], count) - 1
    final_path = np.where(latest[last] >= first, path[np.maximum(latest[last], 0)], known_path)
    state.update(ordered[first], kind[last], final_path.astype(np.int32))

    back = np.empty(count, dtype=np.int64)
    back[order] = positions
    return Transitions(category[back], old_path[back], visibility[back])
