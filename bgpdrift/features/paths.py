"""Stores each AS path once; the properties of a path (length, origin, flags) are computed when it is added.

Hops lie in one pool of 32-bit numbers; a path of five hops needs about 63 B in total. The row and the hops of a removed path
are used again for a path of the same length, so that paths come and go without a copy of the table. An AS_SET is hop 0 in the
pool (AS 0 is reserved, RFC 7607). Its members are kept separately, because only one path in a thousand has one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.messages import AsPath
from bgpdrift.features.hashing import I64, MAX_LOAD, BoolArray, FreeRows, SlotTable, grown_size, is_marked, resized

AS_SET, PREPENDED, LOOP, BOGON_ASN = 1, 2, 4, 8
UNKNOWN = -1
_MAX_CACHED_PATHS = 16_384
_MASK = (1 << 64) - 1
_MAX_LENGTH = 65_535
"""Longest path whose length the table holds; the hops of a longer one are not used again."""
_HOPS_PER_PATH = 6

# AS numbers that must not occur on the public Internet: RFC 7607 (0), RFC 6793 (23456), RFC 5398 (documentation),
# RFC 6996 (private use), RFC 7300 (last numbers), and the block reserved by IANA.
_BOGON_RANGES = ((0, 0), (23456, 23456), (64496, 131071), (4200000000, 4294967295))


def is_bogon_asn(asn: int) -> bool:
    """Whether an AS number is reserved, for private use or for documentation.

    Examples
    --------
    >>> is_bogon_asn(64512), is_bogon_asn(3333), is_bogon_asn(23456)
    (True, False, True)
    """
    return any(low <= asn <= high for low, high in _BOGON_RANGES)


def describe(path: AsPath) -> tuple[int, int, int, int]:
    """Compute hops, hops without consecutive repeats, origin AS and flags of a path.

    The origin of a path that ends in an AS_SET is its smallest member; of an empty path, 0.

    Examples
    --------
    >>> describe((3333, 1103, 1103, 12654)) == (4, 3, 12654, PREPENDED)
    True
    >>> describe((2497, 6453, (13340,))) == (3, 3, 13340, AS_SET)
    True
    """
    flags = 0
    unique = 0
    previous: int | tuple[int, ...] | None = None
    seen: set[int | tuple[int, ...]] = set()
    for hop in path:
        if hop == previous:
            flags |= PREPENDED
            continue
        unique += 1
        if hop in seen:
            flags |= LOOP
        seen.add(hop)
        previous = hop
        if isinstance(hop, tuple):
            flags |= AS_SET
            if any(is_bogon_asn(member) for member in hop):
                flags |= BOGON_ASN
        elif (hop > 64495 and is_bogon_asn(hop)) or hop in (0, 23456):
            flags |= BOGON_ASN
    last = path[-1] if path else 0
    origin = min(last, default=0) if isinstance(last, tuple) else last
    return len(path), unique, origin, flags


def describe_many(hops: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute the same as `describe` for many paths without AS_SETs, concatenated.

    Returns
    -------
    ndarray of int64, shape (n, 4)
        Hops, hops without consecutive repeats, origin AS, flags.

    Examples
    --------
    >>> paths = [(1, 2, 2, 3), (7, 8, 7), (), (64512,)]
    >>> hops, lengths = np.concatenate(paths).astype(np.uint32), np.array([4, 3, 0, 1])
    >>> describe_many(hops, lengths).tolist() == [list(describe(path)) for path in paths]
    True
    """
    count = lengths.size
    owner = np.repeat(np.arange(count), lengths)
    repeat = np.zeros(hops.size, dtype=np.bool_)
    repeat[1:] = (hops[1:] == hops[:-1]) & (owner[1:] == owner[:-1])
    single = owner[~repeat]
    unique = np.bincount(single, minlength=count)
    distinct = np.unique(single << 32 | hops[~repeat])
    bogon = np.zeros(hops.size, dtype=np.bool_)
    for low, high in _BOGON_RANGES:
        bogon |= (hops >= low) & (hops <= high)
    figures = np.zeros((count, 4), dtype=np.int64)
    figures[:, 0], figures[:, 1] = lengths, unique
    ends = np.cumsum(lengths)[lengths > 0] - 1
    figures[lengths > 0, 2] = hops[ends]
    figures[:, 3] = np.where(lengths > unique, PREPENDED, 0)
    figures[:, 3] |= np.where(np.bincount(distinct >> 32, minlength=count) < unique, LOOP, 0)
    figures[:, 3] |= np.where(np.bincount(owner[bogon], minlength=count) > 0, BOGON_ASN, 0)
    return figures


class PathTable:
    """Paths by row number.

    Examples
    --------
    >>> paths = PathTable()
    >>> (row,) = paths.intern_many([(3333, 12654)])
    >>> paths.intern_many([(3333, 12654)]) == [row], paths.hops_of(np.array([row])), int(paths.origin[row])
    (True, {0: (3333, 12654)}, 12654)
    """

    # name: dtype
    _COLUMNS: dict[str, Any] = {  # noqa: RUF012 - never written
        "key": np.uint64,  # 0: the row is free
        "offset": np.uint32,
        "length": np.uint16,
        "unique": np.uint16,
        "origin": np.uint32,
        "flags": np.uint8,
        "edge_day": np.uint16,
    }

    def __init__(self) -> None:
        self._index = SlotTable({"row": np.int32}, capacity=1024)
        self._rows: dict[str, NDArray[Any]] = {
            name: np.zeros(256, dtype=dtype) for name, dtype in self._COLUMNS.items()
        }
        self._pool: NDArray[np.uint32] = np.zeros(2048, dtype=np.uint32)
        self._pool_used = 0
        self.count = 0  # of rows, the free ones included
        self._free: dict[int, FreeRows] = {}  # by number of hops
        self._with_sets: dict[int, AsPath] = {}
        self._young: dict[AsPath, int] = {}
        self._old: dict[AsPath, int] = {}

    @property
    def length(self) -> NDArray[np.uint16]:
        """Hops with prepends, by row."""
        return self._rows["length"]

    @property
    def unique(self) -> NDArray[np.uint16]:
        """Hops with consecutive repeats counted once, by row."""
        return self._rows["unique"]

    @property
    def origin(self) -> NDArray[np.uint32]:
        """Origin AS, by row."""
        return self._rows["origin"]

    @property
    def flags(self) -> NDArray[np.uint8]:
        """`AS_SET` | `PREPENDED` | `LOOP` | `BOGON_ASN`, by row."""
        return self._rows["flags"]

    @property
    def edge_day(self) -> NDArray[np.uint16]:
        """Day (plus one) on which the AS pairs of the path were last added, by row."""
        return self._rows["edge_day"]

    @property
    def nbytes(self) -> int:
        """Bytes of the tables, without the bounded cache of recent paths."""
        return self._index.nbytes + self._pool.nbytes + sum(column.nbytes for column in self._rows.values())

    @property
    def used(self) -> int:
        """Number of paths."""
        return self.count - sum(rows.count for rows in self._free.values())

    @property
    def slots(self) -> int:
        """Number of slots of the index, used or free."""
        return self._index.capacity

    def growth_bytes(self, more: int) -> int:
        """Return the bytes that so many more paths would need; 0 while there is room."""
        have, needed = self._rows["key"].size, self.used + more
        rows = grown_size(have, needed) - have if needed > have else 0
        slots = self._index.grown_capacity(more) - self._index.capacity if self._index.needs_growth(more) else 0
        row_bytes = sum(column.itemsize for column in self._rows.values()) + _HOPS_PER_PATH * self._pool.itemsize
        return rows * row_bytes + slots * self._index.slot_bytes

    @property
    def cache(self) -> dict[AsPath, int]:
        """Rows of recent paths, for the fast look-up of the caller; call `intern_many` on a miss."""
        return self._young

    def intern_many(self, paths: list[AsPath]) -> list[int]:
        """Return the rows of distinct paths; add the paths that are new."""
        rows = [self._old.get(path, UNKNOWN) for path in paths]
        missing = [at for at, row in enumerate(rows) if row < 0]
        if missing:
            for at, row in zip(missing, self._find_or_add([paths[at] for at in missing]), strict=True):
                rows[at] = row
        if len(self._young) + len(paths) > _MAX_CACHED_PATHS:
            # Two generations bound the memory and keep the paths in use. The dict object stays the same, because callers
            # hold a reference to it.
            self._old = dict(self._young)
            self._young.clear()
        self._young.update(zip(paths, rows, strict=True))
        return rows

    def _find_or_add(self, paths: list[AsPath]) -> list[int]:
        # Python's hash of a tuple of numbers is the same in every process and uses all 64 bits. Among ten million paths,
        # two share a hash with probability 3e-6.
        keys = np.array([hash(path) & _MASK or 1 for path in paths], dtype=np.uint64)
        distinct, first, back = np.unique(keys, return_index=True, return_inverse=True)
        slots, is_new = self._index.find_or_add(distinct)
        added = first[is_new]
        new_rows = self._store(keys[added], [paths[at] for at in added.tolist()])
        self._index.columns["row"][slots[is_new]] = new_rows
        rows: list[int] = self._index.columns["row"][slots][back].tolist()
        return rows

    def _store(self, keys: NDArray[np.uint64], paths: list[AsPath]) -> I64:
        """Store new paths; return their rows."""
        hops: list[int] = []
        with_sets: list[int] = []
        for at, path in enumerate(paths):
            if tuple in map(type, path):
                with_sets.append(at)
                hops += [0 if isinstance(hop, tuple) else hop for hop in path]
            else:
                hops += path  # type: ignore[arg-type]  # without AS_SET every hop is a number
        lengths = np.fromiter(map(len, paths), dtype=np.int64, count=len(paths))
        flat = np.array(hops, dtype=np.uint32)
        figures = describe_many(flat, lengths)
        for at in with_sets:
            figures[at] = describe(paths[at])
        rows = self._assign_rows(lengths)
        begins = self._rows["offset"][rows].astype(np.int64)
        self._pool[_spread(begins, lengths)] = flat
        columns = {"origin": figures[:, 2], "flags": figures[:, 3], "edge_day": 0, "key": keys}
        columns |= {"length": np.minimum(lengths, _MAX_LENGTH), "unique": np.minimum(figures[:, 1], _MAX_LENGTH)}
        for name, values in columns.items():
            self._rows[name][rows] = values
        self._with_sets.update((int(rows[at]), paths[at]) for at in with_sets)
        return rows

    def _assign_rows(self, lengths: NDArray[np.int64]) -> I64:
        """Return a row for each path, with hops in the pool: a free one of its length, or a new one."""
        rows = np.full(lengths.size, UNKNOWN, dtype=np.int64)
        for length in np.unique(lengths).tolist() if self._free else ():
            free = self._free.get(length)
            if free is not None and free.count:
                own = np.flatnonzero(lengths == length)
                reused = free.take(own.size)
                rows[own[: reused.size]] = reused
        new = np.flatnonzero(rows < 0)
        count, pool_used = self.count + new.size, self._pool_used + int(lengths[new].sum())
        for name, column in self._rows.items():
            self._rows[name] = resized(column, count, self.count)
        self._pool = resized(self._pool, pool_used, self._pool_used)
        rows[new] = np.arange(self.count, count)
        self._rows["offset"][rows[new]] = self._pool_used + np.cumsum(lengths[new]) - lengths[new]
        self._pool_used, self.count = pool_used, count
        return rows

    def hops_of(self, rows: NDArray[np.int64]) -> dict[int, AsPath]:
        """Return the hops of several distinct paths, by row."""
        starts = self._rows["offset"][rows].astype(np.int64)
        ends = starts + self.length[rows]
        pool = self._pool
        spans = zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
        hops: dict[int, AsPath] = {row: tuple(pool[start:end].tolist()) for row, start, end in spans}
        if self._with_sets:
            hops.update((row, path) for row, path in self._with_sets.items() if row in hops)
        return hops

    def flat_hops_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Return the hops of several paths in one array, an AS_SET as 0, and the number of hops of each path.

        Examples
        --------
        >>> paths = PathTable()
        >>> rows = np.array(paths.intern_many([(7, 8), (9, (1, 2))]))
        >>> [part.tolist() for part in paths.flat_hops_of(rows)]
        [[7, 8, 9, 0], [2, 2]]
        """
        lengths = self.length[rows].astype(np.int64)
        ends = np.cumsum(lengths)
        shift = self._rows["offset"][rows].astype(np.int64) - (ends - lengths)
        return self._pool[np.arange(lengths.sum()) + np.repeat(shift, lengths)], lengths

    def edges_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the neighbouring AS pairs of paths, without repeats of one AS and without AS_SETs.

        Returns
        -------
        pairs : ndarray of uint64
            ``left << 32 | right``, in order of the paths.
        owner : ndarray of int64
            Index into ``rows`` of the path of each pair.
        """
        lengths = self.length[rows].astype(np.int64)
        ends = np.cumsum(lengths)
        shift = self._rows["offset"][rows].astype(np.int64) - (ends - lengths)
        owner = np.repeat(np.arange(rows.size), lengths)
        hops = self._pool[np.arange(owner.size) + shift[owner]].astype(np.uint64)
        left, right = hops[:-1], hops[1:]
        good = (owner[:-1] == owner[1:]) & (left != right) & (left != 0) & (right != 0)
        return (left << np.uint64(32) | right)[good], owner[:-1][good]

    def sweep(self, begin: int, count: int, in_use: BoolArray) -> int:
        """Remove the paths of a part of the table whose rows are not marked; `SlotTable.sweep` defines the part.

        Parameters
        ----------
        begin, count : int
            First slot and number of slots.
        in_use : ndarray of bool
            Mark by row; a row without a mark is newer than the marks and stays.

        Returns
        -------
        int
            Begin of the next part.
        """
        removed: list[I64] = []

        def select(slots: I64) -> BoolArray:
            rows = self._index.columns["row"][slots].astype(np.int64)
            stays = is_marked(in_use, rows)
            removed.append(rows[~stays])
            return stays

        end = self._index.sweep(begin, count, select)
        rows = np.sort(np.concatenate(removed))  # the order of slots is another one after a restart
        if rows.size:
            self._rows["key"][rows] = 0
            lengths = self.length[rows]
            for length in np.unique(lengths[lengths < _MAX_LENGTH]).tolist():
                self._free.setdefault(length, FreeRows()).add(rows[lengths == length])
            for row in set(rows.tolist()).intersection(self._with_sets):
                del self._with_sets[row]
            self._young.clear()  # callers hold a reference to it
            self._old = {}
        return end

    def keep(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Remove all paths but those in ``rows``, and number the remaining ones in their old order.

        Parameters
        ----------
        rows : ndarray of int64, sorted, distinct

        Returns
        -------
        ndarray of int32, shape (old count,)
            New row by old row; -1 for a removed path.
        """
        renumbered = np.full(self.count, -1, dtype=np.int32)
        renumbered[rows] = np.arange(rows.size, dtype=np.int32)
        lengths = self.length[rows].astype(np.int64)
        starts = self._rows["offset"][rows].astype(np.int64)
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if rows.size else 0
        self._pool = self._pool[_spread(starts, lengths)] if total else np.zeros(64, dtype=np.uint32)
        self._pool_used = total
        self._rows = {name: column[rows] if rows.size else column[:1] for name, column in self._rows.items()}
        self._rows["offset"][: rows.size] = (ends - lengths).astype(np.uint32)
        self._with_sets = {int(renumbered[row]): path for row, path in self._with_sets.items() if renumbered[row] >= 0}
        self.count = rows.size
        self._free = {}
        self._young.clear()
        self._old = {}
        self._reindex()
        return renumbered

    def _reindex(self, slots: int = 0) -> None:
        rows = np.flatnonzero(self._rows["key"][: self.count])
        self._index = SlotTable({"row": np.int32}, capacity=max(slots, int(rows.size / MAX_LOAD) + 1024))
        self._index.add_all(self._rows["key"][rows], "row", rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        saved: dict[str, NDArray[Any]] = {name: column[: self.count] for name, column in self._rows.items()}
        saved["pool"] = self._pool[: self._pool_used]
        free = [rows.array() for _, rows in sorted(self._free.items())]
        saved["free"] = np.concatenate(free) if free else np.zeros(0, dtype=np.int32)
        return saved

    def sizes(self) -> list[int]:
        """Return the rows, hops and slots with room for growth: a restored table grows at the same moments."""
        return [self._rows["key"].size, self._pool.size, self._index.capacity]

    def sets(self) -> list[tuple[int, list[Any]]]:
        """Return the paths that contain an AS_SET, by row."""
        return [
            (row, [list(hop) if isinstance(hop, tuple) else hop for hop in path])
            for row, path in self._with_sets.items()
        ]

    @classmethod
    def restore(
        cls, arrays: dict[str, NDArray[Any]], sets: list[tuple[int, list[Any]]], sizes: list[int]
    ) -> "PathTable":
        """Rebuild a table from the results of `arrays`, which is emptied, `sets` and `sizes`."""
        table = cls()
        size, pool_size, slots = sizes
        table.count, table._pool_used = int(arrays["key"].size), int(arrays["pool"].size)
        table._pool = resized(arrays.pop("pool"), pool_size, table._pool_used, 0.0)[:pool_size]
        free = arrays.pop("free")
        table._rows = {name: resized(arrays.pop(name), size, table.count, 0.0)[:size] for name in cls._COLUMNS}
        lengths = table.length[free]
        table._free = {length: FreeRows(free[lengths == length]) for length in np.unique(lengths).tolist()}
        table._with_sets = {
            int(row): tuple(tuple(hop) if isinstance(hop, list) else hop for hop in path) for row, path in sets
        }
        table._reindex(slots)
        return table


def _spread(begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the hops of paths, one path after the other.

    Examples
    --------
    >>> _spread(np.array([10, 3]), np.array([2, 3])).tolist()
    [10, 11, 3, 4, 5]
    """
    ends = np.cumsum(lengths)
    return np.repeat(begins - (ends - lengths), lengths) + np.arange(ends[-1] if ends.size else 0)
