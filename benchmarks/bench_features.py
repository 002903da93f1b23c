"""Measures the path from decoded messages to windows: messages per second, bytes per route, and memory at the limit.

The input is recorded frames if the captures are beside the checkout, else generated ones. The comparison is the simplest
design, one Python dict keyed by (peer, prefix) that holds the last path: it finds transitions, but none of the other columns
(41 in total).
"""

import gc
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.bgp.sources import read_in_time_order
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.settings import WindowSettings

SHARED = Path(__file__).parents[2] / "shared" / "data"
ROUTES_PEERS, ROUTES_PREFIXES = 10, 100_000


def run() -> list[dict[str, Any]]:
    """Measure; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    rows: list[dict[str, Any]] = []
    for name, messages in _streams():
        elements = sum(len(m.withdrawals) + sum(len(group.prefixes) for group in m.announcements) for m in messages)
        ours = min(_cpu(lambda messages=messages: _windows(messages)) for _ in range(3))  # type: ignore[misc]
        dicts = min(_cpu(lambda messages=messages: _dict_transitions(messages)) for _ in range(3))  # type: ignore[misc]
        rows.append(_row(f"windows, 41 columns: {name}", len(messages) / ours, "messages/s", "dict", dicts / ours))
        rows.append(_row(f"windows, elements: {name}", elements / ours, "elements/s"))
        rows.append(_row(f"dict, 5 transitions only: {name}", len(messages) / dicts, "messages/s"))
    ours_bytes, dict_bytes = _bytes_a_route(list(_table_transfer()))
    rows.append(_row("memory per route, 10 peers x 100,000", ours_bytes, "B", "dict", ours_bytes / dict_bytes))
    rows.append(_row("memory per route, dict keyed by (peer, prefix)", dict_bytes, "B"))
    rows.append(_row("resident memory, spread over an hour at the limit", 100 * _spread_at_cap(), "%"))
    return rows


def _bytes_a_route(messages: list[Message]) -> tuple[float, float]:
    aggregator = Aggregator(WindowSettings(), deduplicate=False)
    aggregator.add(messages)
    dict_bytes = _traced(lambda: _dict_transitions(messages))
    return aggregator.state_bytes / aggregator.routes, dict_bytes / (ROUTES_PEERS * ROUTES_PREFIXES)


def _streams() -> Iterator[tuple[str, list[Message]]]:
    if SHARED.is_dir():
        yield "RIS 2013, MRT", list(read_in_time_order(sorted((SHARED / "mrt").glob("gobgpdump-*"))))
        frames = list(read_in_time_order(sorted((SHARED / "ris_live").glob("ris-live-*"))))
        updates = [frame for frame in frames if frame.type == "UPDATE"]
        # The 0.12 s of 2019 a hundred times, each half a second later: the rate of the whole of RIS, with repetitions.
        shifted = [(updates, 0.5 * n) for n in range(100)]
        yield (
            "RIS Live 2019, repeated",
            [msgspec.structs.replace(m, timestamp=m.timestamp + by) for part, by in shifted for m in part],
        )
    else:
        yield "generated", list(_churn(100_000))


def _windows(messages: list[Message]) -> None:
    aggregator = Aggregator(WindowSettings(), deduplicate=False)
    for begin in range(0, len(messages), 20_000):
        aggregator.add(messages[begin : begin + 20_000])
    aggregator.flush()


def _dict_transitions(messages: list[Message]) -> dict[tuple[str, str], Any]:
    last: dict[tuple[str, str], Any] = {}
    new = same = other = withdrawn = unknown = 0
    for message in messages:
        for prefix in message.withdrawals:
            if last.get((message.peer, prefix)) is None:
                unknown += 1
            withdrawn += 1
            last[message.peer, prefix] = ()
        for group in message.announcements:
            for prefix in group.prefixes:
                before = last.get((message.peer, prefix))
                if not before:
                    new += 1
                elif before == message.path:
                    same += 1
                else:
                    other += 1
                last[message.peer, prefix] = message.path
    return last


def _table_transfer() -> Iterator[Message]:
    """Generate full tables of ten peers; seven prefixes share a path, as in real tables."""
    for peer in range(ROUTES_PEERS):
        for at in range(0, ROUTES_PREFIXES, 7):
            prefixes = [
                f"{11 + n // 65_536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(at, min(at + 7, ROUTES_PREFIXES))
            ]
            yield Message(
                1.7e9 + at * 1e-4,
                peer=f"192.0.2.{peer}",
                host="rrc00",
                type="UPDATE",
                path=(3000 + peer, 1000 + at % 97, 1299, 5000 + at % 5000, 20_000 + at),
                origin="IGP",
                announcements=[Announcement("192.0.2.1", prefixes)],
            )


def _churn(count: int, prefixes: int = 20_000, seed: int = 1) -> Iterator[Message]:
    rng = random.Random(seed)
    for number in range(count):
        prefix = int(rng.random() ** 3 * prefixes)
        peer = rng.randrange(35)
        texts = [f"{11 + prefix // 65_536}.{prefix // 256 % 256}.{prefix % 256}.0/24"]
        announced = rng.random() < 0.85
        yield Message(
            1.7e9 + number * 0.05,
            peer=f"192.0.2.{peer}",
            host="rrc00",
            type="UPDATE",
            path=(3000 + peer, 1299 + rng.randrange(3), 20_000 + prefix) if announced else (),
            origin="IGP",
            announcements=[Announcement("192.0.2.1", texts)] if announced else [],
            withdrawals=[] if announced else texts,
        )


def _spread_at_cap() -> float:
    """Return (most - least) / least resident memory over an hour of new routes, after the limit of 24 MB is reached."""
    aggregator = Aggregator(WindowSettings(max_state_bytes=24_000_000), deduplicate=False)
    resident: list[int] = []
    full_at = 0.0
    messages = _churn(60 * 1_200 * 20, prefixes=3_000_000)
    for minute in range(60 * 20):
        chunk = [next(messages) for _ in range(1_200)]
        aggregator.add(chunk)
        if aggregator.state_bytes > 0.6 * 24_000_000 and not full_at:
            full_at = minute
        if full_at and minute % 20 == 0:
            resident.append(_resident())
    half = resident[len(resident) // 4 :]
    return (max(half) - min(half)) / min(half)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _traced(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    kept = call()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return size


def _cpu(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def _row(name: str, value: float, unit: str, ratio_to: str | None = None, ratio: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio_to": ratio_to, "ratio": ratio}


def main() -> None:
    """Print the figures."""
    for row in run():
        print(f"{row['name']:<55} {row['value']:>12,.1f} {row['unit']}  {row['ratio'] or ''}")


if __name__ == "__main__":
    main()
