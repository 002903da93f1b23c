"""What each announced or withdrawn prefix means, given what its peer said last (Labovitz et al. 1997).

A whole batch at once: elements are sorted by route, so that the word before each is its neighbour, and only the first of
a route asks the table. Decides the category of every element, in features.md's terms, and what it does to the number of
peers that have the prefix. Counting by minute is `window`'s affair.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import I64, BoolArray
from bgpdrift.features.routes import ANNOUNCED, NOTHING, WITHDRAWN, RouteState

NEW, DUPLICATE, IMPLICIT_WITHDRAWAL, READVERTISED_SAME, READVERTISED_DIFFERENT = 0, 1, 2, 3, 4
WITHDRAWAL, DUPLICATE_WITHDRAWAL, UNKNOWN_WITHDRAWAL = 5, 6, 7


class Elements(NamedTuple):
    """Announced and withdrawn prefixes of a batch, in order of arrival; all arrays of shape (n,)."""

    row: I64  # of the prefix
    peer: NDArray[np.int64]
    announced: BoolArray  # else withdrawn
    path: NDArray[np.int32]  # row of the AS path; -1 for a withdrawal


class Transitions(NamedTuple):
    """What a batch did, aligned with its elements."""

    category: NDArray[np.uint8]
    old_path: NDArray[np.int32]  # row of the path known before, -1 if none
    visibility: NDArray[np.int8]  # +1: one more peer has the prefix, -1: one fewer


def segment_starts(ordered: NDArray[np.generic]) -> BoolArray:
    """Mark where a sorted array changes.

    Examples
    --------
    >>> segment_starts(np.array([3, 3, 5])).tolist()
    [True, False, True]
    """
    starts = np.empty(ordered.size, dtype=np.bool_)
    starts[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    return starts


def apply(elements: Elements, state: RouteState) -> Transitions:
    """Classify all elements of a batch and leave their last words in the state.

    The result does not depend on where a stream is cut into batches.
    """
    count = elements.row.size
    keys = state.keys(elements.peer, elements.row)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = segment_starts(ordered)
    first = np.flatnonzero(starts)
    segment = np.cumsum(starts) - 1
    known_kind, known_path = state.last(ordered[first])

    announced = elements.announced[order]
    path = elements.path[order]
    kind = np.where(announced, ANNOUNCED, WITHDRAWN).astype(np.uint8)
    before = np.empty(count, dtype=np.uint8)
    before[1:] = kind[:-1]
    before[first] = known_kind

    # The path before an element is that of the latest announcement of the same route, else the table's.
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
    visibility = (announced & (before != ANNOUNCED)).astype(np.int8) - (~announced & (before == ANNOUNCED)).astype(
        np.int8
    )

    last = np.append(first[1:], count) - 1
    final_path = np.where(latest[last] >= first, path[np.maximum(latest[last], 0)], known_path)
    state.remember(ordered[first], kind[last], final_path.astype(np.int32))

    back = np.empty(count, dtype=np.int64)
    back[order] = positions
    return Transitions(category[back], old_path[back], visibility[back])
