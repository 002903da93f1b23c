"""A simulated feed with hostile frames between the honest ones, served as RIS Live does.

``python -m benchmarks.hostile_feed SCENARIO.json --speed 10`` prints ``listening on ws://…`` and serves until it is
terminated. Every tenth frame is hostile: damaged JSON, invalid names and times, records of the spool's own format, valid
messages of invented collectors with wrong clocks. None of them is a valid message of an honest collector, so no window of
an honest collector may differ from one of a feed without them.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.bgp.replay_run import serve
from bgpdrift.bgp.replay_server import ReplayServer
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Scenario

HONEST_BETWEEN = 9
"""Honest frames between two hostile ones."""
INVENTED = tuple(f"invented{number:02d}" for number in range(12))
"""Names of the collectors that do not exist. Few, because their number is another test."""
WRONG_BY_S = (0.0, -7_200.0, -600.0, 45.0, 300.0, 86_400.0, 400 * 86_400.0)
"""Errors of the clocks of invented collectors, seconds."""
HOSTILE_NAMES = ("rrc00[/x]", "rrc00\x1b[2J", "rrc00\x00", "\u202errc00", "=1+1", "../../rrc00", "x" * 65, "", "\ud800")


def interleave(frames: Iterable[Frame], seed: int, honest_between: int = HONEST_BETWEEN) -> Iterator[Frame]:
    """Yield the frames with a hostile one after every ``honest_between``; equal seeds give equal frames."""
    rng = random.Random(seed)
    for number, frame in enumerate(frames, start=1):
        yield frame
        if number % honest_between == 0:
            kind = rng.choice(KINDS)
            yield Frame(frame.timestamp, kind(rng, frame.timestamp, frame.text))


def _encode(kind: Any, data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data}).encode()


def invent_message(rng: random.Random, at: float, **changes: Any) -> bytes:
    """Encode a valid message of an invented collector, or one with changed fields."""
    prefixes = [f"10.{rng.randrange(256)}.{rng.randrange(256)}.0/24" for _ in range(3)]
    data = {
        "timestamp": at,
        "peer": f"192.0.2.{rng.randrange(1, 20)}",
        "peer_asn": "64500",
        "host": rng.choice(INVENTED),
        "type": "UPDATE",
        "path": [64500, rng.randrange(1, 2**32)],
        "announcements": [{"next_hop": "192.0.2.1", "prefixes": prefixes}],
    }
    return _encode("ris_message", data | changes)


def _invent_collector(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001 - common form
    return invent_message(rng, at + rng.choice(WRONG_BY_S))


def _break_time(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    times = (at * 1000, -1.0, 2.0**40, 1e308, "now", None, [at], "9" * 400)
    return invent_message(rng, at, timestamp=rng.choice(times), host="rrc00")


def _break_name(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    return invent_message(rng, at, **{rng.choice(("host", "peer")): rng.choice(HOSTILE_NAMES)})


def _break_type(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    return invent_message(rng, at, type=rng.choice(("x" * 500, 7, None, f"kind{rng.randrange(10**9)}")))


def _damage(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    """Cut or overwrite the part of an honest frame before its collector, so that it is no JSON of any collector."""
    raw = bytearray(text[: max(2, text.find(b'"host"'))])
    match rng.randrange(3):
        case 0:
            return bytes(raw[: rng.randrange(1, len(raw))])
        case 1:
            raw[0] = rng.randrange(1, 32)
            return bytes(raw)
    return rng.randbytes(rng.randrange(1, 200)).replace(b"\n", b" ")


def _nest(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    depth = rng.choice((100, 2_000, 20_000))
    return b'{"type":"ris_message","data":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


def _forge_record(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    event = rng.choice(("dropped", "connected", "lost", "gap"))
    return _encode("bgpdrift_feed", {"event": event, "from": 0, "to": 1e18, "frames": 10**9, "reason": "\x1b[2J"})


def _report_error(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    return _encode("ris_error", {"message": f"\x1b[31m[bold]{rng.randrange(10**9)}" + "x" * rng.randrange(2_000)})


def _send_much(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    return invent_message(rng, at, community=[[64500, number % 65_536] for number in range(rng.randrange(20_000))])


def _break_field(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    """Give one field of a message a value of another type, size or character set."""
    fields = (
        "peer",
        "peer_asn",
        "host",
        "id",
        "path",
        "announcements",
        "withdrawals",
        "origin",
        "med",
        "aggregator",
        "state",
    )
    values: tuple[Any, ...] = (
        None,
        True,
        -1,
        10**400,
        1e308,
        [],
        {},
        [None, {"a": [1]}],
        [[[[[]]]]] * 50,
        {"next_hop": 7, "prefixes": "10.0.0.0/8"},
        [{"next_hop": "\x1b[31m", "prefixes": ["10.0.0.0/999", "\x00", 7, None, "eor"]}],
        "\x1b[2J\x00\u202e",
        "x" * 100_000,
    )
    return invent_message(rng, at, **{rng.choice(fields): rng.choice(values)})


def _send_unknown(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001
    kinds = ("pong", "ris_rrc_list", "ris_subscribe_ok", "ris_message", "bgpdrift_segment_end", "", "\x1b[2J", 7, None)
    data: tuple[Any, ...] = (None, [], {}, "x", 7, ["rrc00"] * 1_000, {"message": {"message": []}})
    return _encode(rng.choice(kinds), rng.choice(data))


KINDS: tuple[Callable[[random.Random, float, bytes], bytes], ...] = (
    _invent_collector,
    _break_time,
    _break_name,
    _break_type,
    _damage,
    _nest,
    _forge_record,
    _report_error,
    _send_much,
    _break_field,
    _send_unknown,
)


def main() -> None:
    """Serve a scenario with hostile frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", type=Path, help="JSON file with fields of a scenario")
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of event time per second")
    parser.add_argument("--seed", type=int, default=1, help="seed of the hostile frames")
    options = parser.parse_args()
    scenario = Scenario(**json.loads(options.scenario.read_text()))
    server = ReplayServer(
        interleave(Simulation(scenario).frames(), options.seed),
        speed=options.speed,
        collectors=[f"{name}.ripe.net" for name in scenario.collectors],
    )
    serve(server, "127.0.0.1", 0, lambda url: print(f"listening on {url}", flush=True))


if __name__ == "__main__":
    main()
