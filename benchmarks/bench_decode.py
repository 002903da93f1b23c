"""Measures RIS Live frames decoded per second: json and orjson, which read everything, and the typed and the full decoder.

The input is the thousand recorded frames if the captures are beside the checkout (RIPE NCC, Routing Information Service),
else generated frames of the same form. The readers take turns, so that a busy machine slows all of them; the best turn
counts.
"""

import gzip
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson

from bgpdrift.bgp.frame_fields import frame_fields
from bgpdrift.bgp.ris_frames import FrameDecoder

SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "ris_live" / "ris-live-20190523-1000.jsonl.gz"
REPEATS, TURNS = 30, 5
_Lines = Sequence[bytes]


def run() -> list[dict[str, Any]]:
    """Measure; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    source, lines = _lines()
    readers: dict[str, Callable[[_Lines], object]] = {
        "json": _json,
        "orjson": _orjson,
        "bgpdrift, fields of windows": _lean,
        "bgpdrift, all fields (bgpdrift decode)": _full,
    }
    best = dict.fromkeys(readers, float("inf"))
    for _ in range(TURNS):
        for name, read in readers.items():
            start = time.process_time()
            read(lines)
            best[name] = min(best[name], time.process_time() - start)
    return [
        {
            "name": f"frames, {source}: {name}",
            "value": len(lines) / seconds,
            "unit": "frames/s",
            "ratio_to": None if name == "json" else "json",
            "ratio": None if name == "json" else best["json"] / seconds,
        }
        for name, seconds in best.items()
    ]


def _lines() -> tuple[str, list[bytes]]:
    if SAMPLE.is_file():
        return "real", gzip.decompress(SAMPLE.read_bytes()).splitlines() * REPEATS
    return "generated", [_generated(random.Random(number)) for number in range(1000)] * REPEATS


def _generated(chance: random.Random) -> bytes:
    """Generate a frame of about 345 bytes; three of four announce one or two prefixes."""
    prefixes = [f"{chance.randrange(1, 223)}.{chance.randrange(256)}.{chance.randrange(256)}.0/24" for _ in range(2)]
    data: dict[str, Any] = {
        "timestamp": 1_790_000_000 + chance.random(),
        "peer": f"192.0.2.{chance.randrange(256)}",
        "peer_asn": str(chance.randrange(1, 65_000)),
        "id": f"192.0.2.1-{chance.getrandbits(64):016x}",
        "host": "rrc00.ripe.net",
        "type": "UPDATE",
    }
    if chance.random() < 0.75:
        data |= {
            "path": [chance.randrange(1, 400_000) for _ in range(chance.randrange(2, 8))],
            "community": [[chance.randrange(65_536), chance.randrange(65_536)] for _ in range(4)],
            "origin": "IGP",
            "announcements": [{"next_hop": "192.0.2.1", "prefixes": prefixes}],
            "withdrawals": [],
        }
    else:
        data |= {"path": [], "announcements": [], "withdrawals": prefixes}
    return msgspec.json.encode({"type": "ris_message", "data": data})


def _json(lines: _Lines) -> None:
    for line in lines:
        json.loads(line)


def _orjson(lines: _Lines) -> None:
    for line in lines:
        orjson.loads(line)


def _lean(lines: _Lines) -> None:
    for _ in FrameDecoder().decode_many(lines):
        pass


def _full(lines: _Lines) -> None:
    decoder = FrameDecoder()
    for line in lines:
        frame_fields(*decoder.decode_full(line))


def main() -> None:
    """Print the figures."""
    for row in run():
        ratio = f"{row['ratio']:6.2f} x {row['ratio_to']}" if row["ratio"] else ""
        print(f"{row['name']:<60} {row['value']:>12,.0f} {row['unit']} {ratio}")


if __name__ == "__main__":
    main()
