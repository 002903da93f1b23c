"""The routing state within its limit: eviction in small steps, rows that are used again, checkpoints in the middle of a pass."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bgpdrift.bgp.messages import AsPath
from bgpdrift.features import checkpoint
from bgpdrift.features.hashing import SlotTable
from bgpdrift.features.routes import ANNOUNCED, NOTHING, WITHDRAWN, RouteState
from bgpdrift.features.transitions import Elements, classify_transitions

BATCH = 5_000
LIMIT = 8_000_000


class Feed:
    """Random routes, and what a dict of every route holds."""

    def __init__(self, state: RouteState, seed: int = 1) -> None:
        self.state, self._rng = state, np.random.default_rng(seed)
        self.routes: dict[tuple[int, int], tuple[int, AsPath]] = {}  # (prefix key, peer) -> kind, path

    def send(self, n_prefixes: int = 400_000, count: int = BATCH) -> None:
        """Announce and withdraw random prefixes of random peers."""
        rng, state = self._rng, self.state
        prefix = rng.integers(1, n_prefixes, count)
        peer = rng.integers(0, 4, count)
        is_announced = rng.random(count) < 0.9
        paths: list[AsPath] = [
            (*range(1, 3 + int(p) % 5), int(p) % 5_000 + int(q))
            for p, q in zip(prefix, rng.integers(0, 50, count), strict=True)
        ]
        state.enforce_limit()
        rows, _ = state.prefixes.rows(prefix.astype(np.uint64), 0)
        distinct = list(dict.fromkeys(paths))
        row_of = dict(zip(distinct, state.paths.intern_many(distinct), strict=True))
        path_rows = np.array([row_of[path] for path in paths], dtype=np.int32)
        elements = Elements(rows, peer, is_announced, np.where(is_announced, path_rows, -1).astype(np.int32))
        change = classify_transitions(elements, state)
        np.add.at(state.prefixes["peers"], rows, change.visibility.astype(np.int64).astype(np.uint16))
        for at in range(count):
            key = int(prefix[at]), int(peer[at])
            if is_announced[at]:
                self.routes[key] = ANNOUNCED, paths[at]
            else:
                self.routes[key] = WITHDRAWN, self.routes[key][1] if key in self.routes else ()

    def known(self) -> dict[tuple[int, int], tuple[int, AsPath]]:
        """The routes that the state holds, of those ever sent."""
        pairs = np.array(list(self.routes), dtype=np.int64)
        rows = self.state.prefixes.find(pairs[:, 0].astype(np.uint64))
        keys = self.state.keys(pairs[:, 1], np.maximum(rows, 0))
        kind, path = self.state.find(keys)
        kind = np.where(rows >= 0, kind, NOTHING)
        hops = self.state.paths.hops_of(np.unique(path[path >= 0]).astype(np.int64))
        return {
            (int(p), int(q)): (int(k), hops[int(r)] if r >= 0 else ())
            for (p, q), k, r in zip(pairs, kind, path, strict=True)
            if k != NOTHING
        }


@pytest.fixture
def full() -> Feed:
    feed = Feed(RouteState(LIMIT))
    while not feed.state.evicted:
        feed.send()
    return feed


def test_a_full_state_holds_a_part_of_the_routes_and_holds_it_correctly(full: Feed) -> None:
    for _ in range(40):
        full.send()
        assert full.state.nbytes <= 1.1 * LIMIT

    known = full.known()
    assert len(known) > 0.5 * full.state.routes
    differing = [key for key, route in known.items() if route[0] != full.routes[key][0]]
    assert differing == []
    assert all(route[1] == full.routes[key][1] for key, route in known.items() if route[0] == ANNOUNCED)


def test_the_number_of_peers_of_a_prefix_is_that_of_its_announced_routes(full: Feed) -> None:
    for _ in range(25):
        full.send()

    expected: dict[int, int] = {}
    for (prefix, _), (kind, _) in full.known().items():
        expected[prefix] = expected.get(prefix, 0) + (kind == ANNOUNCED)
    rows = full.state.prefixes.find(np.array(list(expected), dtype=np.uint64))
    assert full.state.prefixes["peers"][rows].tolist() == list(expected.values())


def test_old_routes_are_evicted_before_young_ones() -> None:
    feed = Feed(RouteState(LIMIT))
    feed.send()
    first = set(feed.routes)
    while feed.state.evicted < 20_000:
        feed.send()

    known = feed.known()
    recent = list(feed.routes)[-20_000:]
    assert sum(key in known for key in first) < 0.5 * len(first)
    assert sum(key in known for key in recent) == len(recent)


def test_a_pass_evicts_a_part_of_the_routes_in_small_steps() -> None:
    state = RouteState(3 * LIMIT)
    feed = Feed(state)
    while not state.evicted:
        feed.send(2_000_000, 20_000 if state.nbytes < 0.8 * state.max_bytes else 1_000)
    evicted, routes = [0, state.evicted], state.routes
    while evicted[-1] < 0.2 * routes or evicted[-1] > evicted[-2]:  # until the pass has ended
        feed.send(2_000_000, 1_000)
        evicted.append(state.evicted)

    assert np.diff(evicted).max() < 0.15 * routes
    assert evicted[-1] < 0.35 * routes


def test_routes_that_all_have_the_same_age_are_evicted_by_a_quarter() -> None:
    state = RouteState(LIMIT)

    def withdraw(prefix: int, count: int = BATCH) -> None:
        state.enforce_limit()
        rows, _ = state.prefixes.rows(np.arange(prefix, prefix + count, dtype=np.uint64), 0)
        keys = state.keys(np.zeros(count, dtype=np.int64), rows)
        state.update(keys, np.full(count, WITHDRAWN, dtype=np.uint8), np.full(count, -1, dtype=np.int32))

    number = 1
    while number < 100_000:
        withdraw(number)
        number += BATCH
    routes = state.routes
    for _ in range(1_000):  # the same routes again and again, until the others all have the greatest age
        withdraw(1, 2_000)
    while not state.evicted and number < 1_000_000:
        withdraw(number)
        number += BATCH
    for _ in range(3):
        withdraw(number)
        number += BATCH

    assert 0.1 * routes < state.evicted < 0.5 * (state.routes + state.evicted)


@pytest.mark.parametrize("n_batches", [0, 1, 2, 5, 20])
def test_a_state_restored_in_the_middle_of_a_pass_continues_as_the_other(
    full: Feed, tmp_path: Path, n_batches: int
) -> None:
    for _ in range(n_batches):
        full.send()
    file = tmp_path / "state"
    checkpoint.save(file, full.state.arrays(), {"numbers": full.state.numbers()})
    arrays, values = checkpoint.load(file)
    other = RouteState.restore(LIMIT, arrays, values["numbers"])
    assert (other.routes, other.nbytes) == (full.state.routes, full.state.nbytes)

    twin = Feed(other, seed=9)
    twin.routes, full_again = dict(full.routes), Feed(full.state, seed=9)
    full_again.routes = full.routes
    for _ in range(30):
        twin.send()
        full_again.send()
        assert (twin.state.evicted, twin.state.nbytes) == (full_again.state.evicted, full_again.state.nbytes)
    assert twin.known() == full_again.known()


def test_neither_checkpoint_nor_restore_needs_the_memory_of_two_more_states(full: Feed, tmp_path: Path) -> None:
    file, limit, own = tmp_path / "state", full.state.max_bytes, full.state.nbytes
    tracemalloc.start()
    checkpoint.save(file, full.state.arrays(), {"numbers": full.state.numbers()})
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    arrays, values = checkpoint.load(file)
    restored = RouteState.restore(limit, arrays, values["numbers"])
    loading = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert restored.nbytes == own
    assert saving < 0.1 * own
    assert loading < 2 * own


def test_a_limit_that_becomes_much_lower_is_met_and_the_youngest_routes_stay(full: Feed) -> None:
    recent = list(full.routes)[-5_000:]
    full.state.max_bytes = LIMIT // 4

    full.state.enforce_limit()

    assert full.state.nbytes <= LIMIT // 4
    known = full.known()
    assert sum(key in known for key in recent) > 0.9 * len(recent)
    assert all(route[0] == full.routes[key][0] for key, route in known.items())


def test_old_paths_of_a_state_of_constant_size_are_removed() -> None:
    feed = Feed(RouteState(100 * LIMIT))
    sizes = []
    for _ in range(100):
        feed.send(n_prefixes=2_000)
        sizes.append(feed.state.paths.count)

    assert max(sizes[50:]) <= 1.1 * max(sizes[:50])


def test_a_part_of_a_table_is_swept_without_losing_a_key() -> None:
    rng = np.random.default_rng(3)
    table = SlotTable({"value": np.int64}, capacity=1_000)
    kept: set[int] = set()
    place = 0
    for _ in range(300):
        fresh = np.unique(rng.integers(1, 2**63, 40).astype(np.uint64))
        slots, _ = table.find_or_add(fresh)
        table.columns["value"][slots] = (fresh >> np.uint64(3)).astype(np.int64)
        kept.update(fresh.tolist())

        def select(slots: np.ndarray) -> np.ndarray:
            stays = table.keys[slots] % np.uint64(3) != 0
            kept.difference_update(table.keys[slots[~stays]].tolist())
            return stays

        place = table.sweep(place, 100, select)
        place = 0 if place >= table.capacity else place
        keys = np.array(sorted(kept), dtype=np.uint64)
        found = table.find(keys)
        assert (found >= 0).all()
        assert (table.columns["value"][found] == (keys >> np.uint64(3)).astype(np.int64)).all()
        assert table.used == len(kept)
