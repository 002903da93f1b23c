"""Keeps the routes that change in one window, from which `bgpdrift.features.causes` finds what they have in common.

This module decides which elements are kept, and how many. A duplicate changes no route and is not kept. Above `MAX_CHANGES`,
only the routes of a share of the prefixes are kept, chosen by a hash of the prefix, so that all peers of a prefix stay and the
choice does not depend on how a stream is divided into batches.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features import transitions
from bgpdrift.features.checkpoint import take_arrays
from bgpdrift.features.classification import ClassifiedElements
from bgpdrift.features.hashing import I64, U64, BoolArray, mix
from bgpdrift.features.paths import PathTable

MAX_CHANGES = 10_000
"""Changes of routes kept for a window."""
MAX_NEW_ORIGINS = 1_000
"""Announcements with a new origin kept for a window."""
WAS_ANNOUNCED, LOST_HALF, RESERVED, TOO_SPECIFIC = 1, 2, 4, 8
"""Flags of a change: the route existed before; fewer than half of the peers have the prefix now; marks of the announcement."""
NO_PATH = -1
_IS_CHANGE = np.zeros(8, dtype=np.bool_)
_IS_CHANGE[
    [
        transitions.NEW,
        transitions.IMPLICIT_WITHDRAWAL,
        transitions.READVERTISED_SAME,
        transitions.READVERTISED_DIFFERENT,
        transitions.WITHDRAWAL,
    ]
] = True
_HASH_SHIFT = np.uint64(40)


class Changes(NamedTuple):
    """Changes of routes in order of arrival; arrays of shape (n,). Paths are numbers of `PathList`."""

    key: U64
    peer: NDArray[np.int32]
    old: NDArray[np.int32]  # path before, also of a withdrawn route; NO_PATH if unknown
    new: NDArray[np.int32]  # path after; NO_PATH for a withdrawal
    flags: NDArray[np.uint8]

    def select(self, mask: BoolArray) -> "Changes":
        """Return the changes where a mask is true."""
        return Changes._make(column[mask] for column in self)


class NewOrigins(NamedTuple):
    """Announcements of a prefix by another AS than before, or of a part of the prefix of another AS; shape (n,)."""

    key: U64
    peer: NDArray[np.int32]
    path: NDArray[np.int32]
    origin: NDArray[np.uint32]
    rival: NDArray[np.uint32]  # the AS before, or the AS of the covering prefix
    cover: U64  # key of the covering prefix; 0 if the prefix itself was known


class PathList:
    """The paths of the changes of one window. A path may occur more than once.

    They are copied from the table of the routing state, which may remove a path while the window is open.
    """

    def __init__(self) -> None:
        self._hops: list[NDArray[np.uint32]] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._origins: list[NDArray[np.uint32]] = []
        self.count = 0

    def add(self, rows: NDArray[np.int32], paths: PathTable) -> NDArray[np.int32]:
        """Copy the paths of some rows, NO_PATH included; return their numbers."""
        known = rows >= 0
        distinct, back = np.unique(rows[known], return_inverse=True)
        numbers = np.full(rows.size, NO_PATH, dtype=np.int32)
        numbers[known] = self.count + back
        hops, lengths = paths.flat_hops_of(distinct.astype(np.int64))
        self._append(hops, lengths, paths.origin[distinct].copy())
        return numbers

    def _append(self, hops: NDArray[np.uint32], lengths: NDArray[np.int64], origins: NDArray[np.uint32]) -> None:
        self._hops.append(hops)
        self._lengths.append(lengths)
        self._origins.append(origins)
        self.count += lengths.size

    def _joined(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
        if len(self._hops) != 1:
            self._hops = [np.concatenate([np.zeros(0, np.uint32), *self._hops])]
            self._lengths = [np.concatenate([np.zeros(0, np.int64), *self._lengths])]
            self._origins = [np.concatenate([np.zeros(0, np.uint32), *self._origins])]
        return self._hops[0], self._lengths[0], self._origins[0]

    @property
    def origins(self) -> NDArray[np.uint32]:
        """Origin of each path; of an AS_SET its smallest member."""
        return self._joined()[2]

    def first_hops(self, numbers: I64) -> NDArray[np.uint32]:
        """Return the first AS of each path, that of the peer; 0 for an empty path."""
        hops, lengths, _ = self._joined()
        begins = (np.cumsum(lengths) - lengths)[numbers]
        return np.where(lengths[numbers] > 0, np.append(hops, np.uint32(0))[begins], 0).astype(np.uint32)

    def members_of(self, numbers: I64) -> tuple[NDArray[np.uint32], I64]:
        """Return the distinct ASes of each path without AS_SETs, and the index into ``numbers`` of the path of each."""
        hops, lengths, _ = self._joined()
        own = lengths[numbers]
        begins = (np.cumsum(lengths) - lengths)[numbers]
        ends = np.cumsum(own)
        owner = np.repeat(np.arange(numbers.size), own)
        of_path = hops[np.arange(own.sum()) + np.repeat(begins - (ends - own), own)]
        distinct = np.unique(owner[of_path > 0] << 32 | of_path[of_path > 0].astype(np.int64))
        return (distinct & 0xFFFFFFFF).astype(np.uint32), distinct >> 32

    def edges_of(self, numbers: I64) -> tuple[I64, I64]:
        """Return the neighbouring AS pairs of each path as ``left << 32 | right``, and the index of the path of each."""
        hops, lengths, _ = self._joined()
        own = lengths[numbers]
        begins = (np.cumsum(lengths) - lengths)[numbers]
        ends = np.cumsum(own)
        owner = np.repeat(np.arange(numbers.size), own)
        of_path = hops[np.arange(own.sum()) + np.repeat(begins - (ends - own), own)].astype(np.int64)
        left, right = of_path[:-1], of_path[1:]
        good = (owner[:-1] == owner[1:]) & (left != right) & (left > 0) & (right > 0)
        return left[good] << 32 | right[good], owner[:-1][good]

    def hops_of(self, number: int) -> tuple[int, ...]:
        """Return one path, an AS_SET as 0; empty for NO_PATH."""
        if number < 0:
            return ()
        hops, lengths, _ = self._joined()
        begin = int(lengths[:number].sum())
        return tuple(hops[begin : begin + int(lengths[number])].tolist())

    def save(self) -> dict[str, NDArray[Any]]:
        """Return arrays for a checkpoint."""
        hops, lengths, origins = self._joined()
        return {"hops": hops, "lengths": lengths, "origins": origins}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]]) -> "PathList":
        """Rebuild from the result of `save`."""
        paths = cls()
        paths._append(arrays["hops"], arrays["lengths"], arrays["origins"])
        return paths


class RouteChanges:
    """The changes of one window.

    Attributes
    ----------
    paths : PathList
        The paths of the changes.
    shift : int
        The routes of one prefix of ``2**shift`` are kept.
    through : dict of int to int, or None
        Routes of the collector through some ASes, and neighbouring pairs ``left << 32 | right``, at the end of the minute; None
        before it was counted.
    """

    def __init__(self) -> None:
        self.paths = PathList()
        self.shift = 0
        self.through: dict[int, int] | None = None
        self._parts: list[Changes] = []
        self._new_origins: list[NewOrigins] = []
        self._count = self._n_new_origins = 0

    def __len__(self) -> int:
        """Return the number of changes and new origins kept."""
        return self._count + self._n_new_origins

    def add(self, elements: ClassifiedElements, paths: PathTable) -> None:
        """Add the elements of a batch that change a route."""
        is_new_origin = elements.moas_new | elements.subprefix_new
        if is_new_origin.any():
            self._add_new_origins(elements, np.flatnonzero(is_new_origin), paths)
        mask = _IS_CHANGE[elements.category]
        if self.shift:
            mask &= self._is_kept(elements.key)
        at = np.flatnonzero(mask)
        if not at.size:
            return
        category = elements.category[at]
        flags = (category == transitions.IMPLICIT_WITHDRAWAL) | (category == transitions.WITHDRAWAL)
        flags = flags * np.uint8(WAS_ANNOUNCED) | elements.visibility_loss[at] * np.uint8(LOST_HALF)
        flags |= elements.bogon[at] * np.uint8(RESERVED) | elements.too_specific[at] * np.uint8(TOO_SPECIFIC)
        rows = self.paths.add(np.concatenate([elements.old_path[at], elements.path[at]]), paths)
        peer = elements.peer[at].astype(np.int32)
        self._parts.append(Changes(elements.key[at], peer, rows[: at.size], rows[at.size :], flags.astype(np.uint8)))
        self._count += at.size
        while self._count > MAX_CHANGES:
            self.shift += 1
            changes = self.changes()
            self._parts = [changes.select(self._is_kept(changes.key))]
            self._count = self._parts[0].key.size

    def _add_new_origins(self, elements: ClassifiedElements, at: I64, paths: PathTable) -> None:
        at = at[: MAX_NEW_ORIGINS - self._n_new_origins]
        if at.size:
            path = self.paths.add(elements.path[at], paths)
            peer = elements.peer[at].astype(np.int32)
            columns = (elements.origin[at], elements.rival[at], elements.cover[at])
            self._new_origins.append(NewOrigins(elements.key[at], peer, path, *columns))
            self._n_new_origins += at.size

    def _is_kept(self, keys: U64) -> BoolArray:
        return np.asarray(((mix(keys) >> _HASH_SHIFT) & np.uint64((1 << self.shift) - 1)) == 0)

    def changes(self) -> Changes:
        """Return all changes in order of arrival."""
        if len(self._parts) != 1:
            dtypes = (np.uint64, np.int32, np.int32, np.int32, np.uint8)
            columns = zip(*self._parts, strict=True) if self._parts else [()] * len(dtypes)
            joined = (np.concatenate([np.zeros(0, t), *c]) for t, c in zip(dtypes, columns, strict=True))
            self._parts = [Changes._make(joined)]
        return self._parts[0]

    def new_origins(self) -> NewOrigins:
        """Return the announcements with a new origin in order of arrival."""
        if len(self._new_origins) != 1:
            dtypes = (np.uint64, np.int32, np.int32, np.uint32, np.uint32, np.uint64)
            columns = zip(*self._new_origins, strict=True) if self._new_origins else [()] * len(dtypes)
            joined = (np.concatenate([np.zeros(0, t), *c]) for t, c in zip(dtypes, columns, strict=True))
            self._new_origins = [NewOrigins._make(joined)]
        return self._new_origins[0]

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and plain values for a checkpoint."""
        arrays = {f"paths.{name}": array for name, array in self.paths.save().items()}
        arrays |= {f"changes.{name}": array for name, array in self.changes()._asdict().items()}
        arrays |= {f"origins.{name}": array for name, array in self.new_origins()._asdict().items()}
        through = None if self.through is None else [list(pair) for pair in self.through.items()]
        return arrays, {"shift": self.shift, "through": through}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> "RouteChanges":
        """Rebuild from the result of `save`."""
        changes = cls()
        changes.paths = PathList.restore(take_arrays(arrays, "paths."))
        changes._parts = [Changes(**take_arrays(arrays, "changes."))]
        changes._new_origins = [NewOrigins(**take_arrays(arrays, "origins."))]
        changes._count = changes._parts[0].key.size
        changes._n_new_origins = changes._new_origins[0].key.size
        changes.shift = int(values["shift"])
        changes.through = None if values["through"] is None else dict(values["through"])
        return changes
