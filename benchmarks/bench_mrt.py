"""Measures MRT elements (announced or withdrawn prefixes) read per second, decompression included, compared with mrtparse.

The input is the archives beside the checkout (CSUNetSec, RIPE NCC), else a generated one. mrtparse reads only the smallest
archive, because it is slow; the ratio is that of the same file. Both readers stop at values: dictionaries of mrtparse,
messages of bgpdrift.
"""

import gzip
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mrtparse  # type: ignore[import-untyped]

from bgpdrift.bgp import mrt_writer
from bgpdrift.bgp.mrt import read_mrt

ARCHIVES = Path(__file__).parents[2] / "shared" / "data" / "mrt"
TURNS = 3


def run() -> list[dict[str, Any]]:
    """Measure; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    files = sorted(ARCHIVES.glob("gobgpdump-*.mrt.gz"))
    if files:
        return _compare("gobgpdump", files, files[-1])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "updates.gz"
        file.write_bytes(gzip.compress(_generated(20_000)))
        return _compare("generated", [file], file)


def _compare(source: str, files: Sequence[Path], small: Path) -> list[dict[str, Any]]:
    elements, seconds = _best(_ours, files, TURNS)
    small_elements, small_seconds = _best(_ours, [small], TURNS)
    theirs, their_seconds = _best(_theirs, [small], 1)
    if theirs != small_elements:
        raise AssertionError(f"{small.name}: {small_elements} elements by bgpdrift, {theirs} by mrtparse")
    rate = their_seconds / small_seconds
    return [
        _row(f"MRT, {source}, {elements:,} elements: bgpdrift", elements / seconds),
        _row(f"MRT, {small.name}: bgpdrift", small_elements / small_seconds, "mrtparse", rate),
        _row(f"MRT, {small.name}: mrtparse", theirs / their_seconds),
    ]


def _best(read: Callable[[Path], int], files: Sequence[Path], turns: int) -> tuple[int, float]:
    """Return the number of elements, and the CPU seconds of the best turn."""
    best = float("inf")
    elements = 0
    for _ in range(turns):
        start = time.process_time()
        elements = sum(read(file) for file in files)
        best = min(best, time.process_time() - start)
    return elements, best


def _ours(file: Path) -> int:
    elements = 0
    for message in read_mrt(file):
        elements += len(message.withdrawals)
        for group in message.announcements:
            elements += len(group.prefixes)
    return elements


def _theirs(file: Path) -> int:
    elements = 0
    for entry in mrtparse.Reader(str(file)):
        bgp = entry.data.get("bgp_message", {})
        elements += len(bgp.get("withdrawn_routes", ())) + len(bgp.get("nlri", ()))
        for attribute in bgp.get("path_attributes", ()):
            if 14 in attribute["type"]:
                elements += len(attribute["value"]["nlri"])
            elif 15 in attribute["type"]:
                elements += len(attribute["value"]["withdrawn_routes"])
    return elements


def _generated(records: int) -> bytes:
    """Generate an archive of updates of 30 peers with one to four prefixes each, like real ones."""
    chance = random.Random(7)
    parts = []
    for number in range(records):
        prefixes = [
            mrt_writer.encode_prefix(f"{chance.randrange(1, 223)}.{chance.randrange(64)}.{chance.randrange(64)}.0/24")
            for _ in range(chance.randrange(1, 5))
        ]
        if chance.random() < 0.9:
            path = [64_500, *(chance.randrange(1, 60_000) for _ in range(chance.randrange(1, 6)))]
            body = mrt_writer.announcement(path, ["192.0.2.1"], prefixes, communities=[(64_500, chance.randrange(99))])
        else:
            body = mrt_writer.withdrawal(prefixes, 4)
        parts.append(mrt_writer.message_record(10**12 + 50 * number, f"192.0.2.{chance.randrange(30)}", 64_500, body))
    return b"".join(parts)


def _row(name: str, value: float, ratio_to: str | None = None, ratio: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "elements/s", "ratio_to": ratio_to, "ratio": ratio}


def main() -> None:
    """Print the figures."""
    for row in run():
        ratio = f"{row['ratio']:6.2f} x {row['ratio_to']}" if row["ratio"] else ""
        print(f"{row['name']:<60} {row['value']:>12,.0f} {row['unit']} {ratio}")


if __name__ == "__main__":
    main()
