"""Writes the frames of a simulation to a file or serves them, and writes the ground truth."""

import contextlib
import gzip
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bgpdrift.errors import InputError
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.mrt_records import mrt_records
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.lab.simulation.truth import encode_truth
from bgpdrift.process.durable import replace_file


def write(scenario: Scenario, out: str, form: str = "json", truth: str | None = None) -> None:
    """Write all frames of a scenario, one per line, or all MRT records."""
    simulation = Simulation(scenario)
    if truth:
        write_truth(simulation, truth)
    with _opened(out) as file:
        if form == "mrt":
            for record in mrt_records(simulation.records()):
                file.write(record)
        else:
            for frame in simulation.frames():
                file.write(frame.text)
                file.write(b"\n")
    if truth:
        write_truth(simulation, truth)


def serve(
    scenario: Scenario,
    listen: str,
    speed: str,
    truth: str | None = None,
    exit_when_done: bool = False,
    *,
    hold: bool = False,
) -> None:
    """Serve a scenario as RIS Live does, until interrupted. The first line on standard output holds the address.

    With `hold`, nothing is sent until standard input holds an event time, and then only older frames.
    """
    from bgpdrift.bgp.replay_run import parse_address, parse_speed
    from bgpdrift.bgp.replay_run import serve as serve_frames
    from bgpdrift.bgp.replay_server import ReplayServer

    (host, port), pace = parse_address(listen), parse_speed(speed)
    simulation = Simulation(scenario)
    if truth:
        write_truth(simulation, truth)
    server = ReplayServer(
        simulation.frames(),
        speed=pace,
        collectors=[f"{name}.ripe.net" for name in scenario.collectors],
        exit_when_done=exit_when_done,
        on_done=lambda _: write_truth(simulation, truth) if truth else None,
    )
    if hold:
        server.hold(-math.inf)
    holds = sys.stdin.buffer if hold else None
    serve_frames(server, host, port, lambda url: print(f"listening on {url}", flush=True), holds)
    if truth:
        write_truth(simulation, truth)


def write_truth(simulation: Simulation, path: str) -> None:
    """Write the current ground truth; a reader sees the old file or the new one."""
    try:
        with replace_file(Path(path), mode=0o666, sync=False) as file:  # less the umask, as for any file of the user
            file.write(encode_truth(simulation.truth()))
    except OSError as error:
        raise InputError(f"--truth {path}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _opened(out: str) -> Iterator[IO[bytes]]:
    if out == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        raw = Path(out).open("wb")  # noqa: SIM115 - closed below, together with what wraps it
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
    with raw:
        if out.endswith(".gz"):
            # Without a name and a time inside, equal scenarios give equal files.
            with gzip.GzipFile("", "wb", 4, raw, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        elif out.endswith(".zst"):
            import zstandard

            with zstandard.ZstdCompressor(level=3).stream_writer(raw) as stream:
                yield stream
        else:
            yield raw
