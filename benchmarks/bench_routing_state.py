"""Measures the routing state of one collector at its limit: eviction, a lost peer, checkpoint, restore; CPU and peak memory.

The state is filled with full tables of many peers, until its limit is reached; seven prefixes share a path, as in real tables.
Then new routes arrive, so that old ones are evicted. The largest duration of one call bounds how long the aggregator does
nothing else.

    python -m benchmarks.bench_routing_state [--bytes N]
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.bgp.messages import AsPath
from bgpdrift.features import checkpoint, transitions
from bgpdrift.features.routes import RouteState
from bgpdrift.process import procfs
from bgpdrift.settings import WindowSettings

BATCH = 20_000
PREFIXES = 1_000_000
PREFIXES_PER_PATH = 7
CHURN_BATCHES = 150


class Peak:
    """Largest resident memory of this process within a block, bytes."""

    def __enter__(self) -> "Peak":
        self.bytes = procfs.read_rss_bytes(os.getpid())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.bytes = max(self.bytes, procfs.read_rss_bytes(os.getpid()))

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.bytes = max(self.bytes, procfs.read_rss_bytes(os.getpid()))


class Feed:
    """Announcements of peers with full tables, in batches."""

    def __init__(self, state: RouteState) -> None:
        self._state = state
        self._tick = 0

    def announce(self, peer: int, begin: int, path_of: int) -> None:
        """Announce `BATCH` prefixes of one peer, with one path for seven of them."""
        state = self._state
        self._tick += 1
        numbers = np.arange(begin, begin + BATCH, dtype=np.uint64)
        keys = numbers << np.uint64(20) | np.uint64(24)
        rows, _ = state.prefixes.rows(keys, self._tick // 100)
        groups = (np.arange(begin, begin + BATCH) // PREFIXES_PER_PATH).tolist()
        distinct = dict.fromkeys(groups)
        paths: list[AsPath] = [(3000 + peer, 1299 + path_of, 5000 + group % 5000, 20_000 + group) for group in distinct]
        row_of = dict(zip(distinct, state.paths.intern_many(paths), strict=True))
        elements = transitions.Elements(
            rows,
            np.full(BATCH, peer, dtype=np.int64),
            np.ones(BATCH, dtype=np.bool_),
            np.array([row_of[group] for group in groups], dtype=np.int32),
        )
        changed = transitions.classify_transitions(elements, state)
        state.prefixes.update_means(np.unique(rows[changed.visibility != 0]), self._tick // 100)
        state.prefixes["peers"][rows] = np.clip(
            state.prefixes["peers"][rows].astype(np.int64) + changed.visibility, 0, 65_535
        )

    def tables(self) -> Iterator[int]:
        """Announce the tables of one peer after the other; yield after each batch."""
        peer = 0
        while True:
            for begin in range(0, PREFIXES, BATCH):
                self.announce(peer, begin, 0)
                yield peer
            peer += 1


def run(max_bytes: int | None = None) -> list[dict[str, Any]]:
    """Measure; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    limit = max_bytes or WindowSettings().max_state_bytes
    before = procfs.read_rss_bytes(os.getpid())
    state = RouteState(limit)
    feed = Feed(state)
    rows: list[dict[str, Any]] = []

    fill: list[float] = []
    tables = feed.tables()
    with Peak() as peak:
        while not state.evicted:
            peer = next(tables)
            fill.append(_cpu(state.enforce_limit))
    rows += [
        _row("routing state at its limit: routes", state.routes + state.evicted, "routes"),
        _row("memory per route", state.nbytes / (state.routes + state.evicted), "B"),
        _row("filling: largest call", max(fill), "CPU s"),
        _row("filling: peak memory", (peak.bytes - before) / limit, "x limit"),
    ]
    evicting: list[float] = []
    with Peak() as peak:
        for number in range(CHURN_BATCHES):
            begin = number * BATCH % PREFIXES
            evicting.append(_cpu(lambda: feed.announce(peer + 1 + number * BATCH // PREFIXES, begin, number)))  # noqa: B023
            evicting.append(_cpu(state.enforce_limit))
    rows += [
        _row(f"{CHURN_BATCHES} batches of new routes at the limit", sum(evicting), "CPU s"),
        _row("eviction: largest call", max(evicting[1::2]), "CPU s"),
        _row("eviction: evicted", state.evicted, "routes"),
        _row("eviction: peak memory", (peak.bytes - before) / limit, "x limit"),
        _row("forgetting a peer", _cpu(lambda: state.forget_peer(1)), "CPU s"),
    ]
    rows += _measure_checkpoint(state, limit, before)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows.append(_row("whole process: peak memory", own / 1e6, "MB"))
    return rows


def _measure_checkpoint(state: RouteState, limit: int, before: int) -> list[dict[str, Any]]:
    routes = state.routes
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint"
        with Peak() as saving:
            begin = time.monotonic()
            cpu = _cpu(lambda: checkpoint.save(file, state.arrays(), {"numbers": state.numbers()}))
            elapsed = time.monotonic() - begin
        size = file.stat().st_size
        restored: list[RouteState] = []

        def restore() -> None:
            arrays, values = checkpoint.load(file)
            restored.append(RouteState.restore(limit, arrays, values["numbers"]))

        with Peak() as loading:
            restoring = _cpu(restore)
        assert restored[0].routes == routes
    return [
        _row("checkpoint: size", size / 1e6, "MB"),
        _row("checkpoint: saving", cpu, "CPU s"),
        _row("checkpoint: saving, elapsed", elapsed, "s"),
        _row("checkpoint: peak memory", (saving.bytes - before) / limit, "x limit"),
        _row("restoring", restoring, "CPU s"),
        _row("restoring: peak memory beside another state", (loading.bytes - before) / limit, "x limit"),
    ]


def _cpu(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio_to": None, "ratio": None}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=None, help="limit of the state (default: that of the settings)")
    options = parser.parse_args()
    for row in run(options.bytes):
        print(f"{row['name']:<55} {row['value']:>14,.2f} {row['unit']}", flush=True)


if __name__ == "__main__":
    main()
