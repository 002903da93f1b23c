"""Ten minutes of a hostile feed against the real collector and the real aggregator; every honest window must be right.

``python -m benchmarks.bench_hostile_feed --minutes 10 --seed 7`` runs it alone; ``make bench`` runs it with a new seed. The seed
is printed, and a run with the same seed attacks in the same way. `benchmarks.hostile_server` has the attacks.
"""

import argparse
import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.hostile_server import PER_PEER, HostileServer, build_expected, compare_windows
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.store import Store, migrate, open_store

MINUTES = 10.0
SPEED = 6.0
"""Seconds of event time per second."""
RATE = 600.0
"""Honest messages per minute of event time."""
SETTLE_S = 60.0
SERVICES = ("ris_live_collector", "feature_aggregator")


def run(minutes: float | None = None, seed: int | None = None) -> list[dict[str, Any]]:
    """Attack for some minutes; return rows for the table.

    Raises
    ------
    RuntimeError
        A window of an honest peer or collector differs, or a service ended.
    """
    minutes = float(os.environ.get("BGPDRIFT_BENCH_HOSTILE_MIN", MINUTES)) if minutes is None else minutes
    seed = secrets.randbelow(2**32) if seed is None else seed
    print(f"hostile feed: seed {seed}, {minutes:g} min", file=sys.stderr, flush=True)
    frames = list(Simulation(Scenario(duration_s=minutes * 60 * SPEED, rate=RATE, seed=seed % 1_000)).frames())
    server = HostileServer(frames, seed, speed=SPEED)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bgpdrift.sqlite3"
        migrate(database)
        until = int(frames[-1].timestamp) // 60 * 60 - 60  # the last windows do not close without later messages
        with open_store(database, busy_timeout_s=60.0) as store:
            memory = asyncio.run(_attack(server, Path(folder), store, until - 60))
            stored = store.windows_between(0, 2**33)
    compared, different = compare_windows(build_expected(frames), stored, until)
    if different:
        raise RuntimeError(f"seed {seed}: {len(different)} values differ, the first: {'; '.join(different[:5])}")
    attacks = sum(server.attacks.values())
    return [
        {"name": f"hostile feed: attacks in {minutes:g} min (seed {seed})", "value": attacks, "unit": "attacks"},
        {"name": "hostile feed: honest windows compared", "value": compared, "unit": "windows"},
        {"name": "hostile feed: honest windows that differ", "value": len(different), "unit": "windows"},
        *(
            {"name": f"hostile feed: largest memory of {name}", "value": value, "unit": "MB"}
            for name, value in memory.items()
        ),
    ]


async def _attack(server: HostileServer, data: Path, store: Store, last_window: int) -> dict[str, float]:
    """Run both services until the server has sent everything and the last window is stored; return their memory in MB."""
    async with server.listening() as url:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BGPDRIFT_")},
            "BGPDRIFT_DATA_DIR": str(data),
            "BGPDRIFT_FEED__URL": url,
            "BGPDRIFT_FEED__BACKOFF_MAX_S": "0.2",
            "BGPDRIFT_FEED__COLLECTORS": "rrc00,rrc01",
            "BGPDRIFT_WINDOWS__PER_PEER": str(PER_PEER),
            # A pause while the client connects again must not look like the end of the feed.
            "BGPDRIFT_WINDOWS__IDLE_CLOSE_S": "240",
        }
        with ExitStack() as stack:
            services = {name: stack.enter_context(_running(name, environment, data)) for name in SERVICES}

            def check() -> None:
                ended = [name for name, process in services.items() if process.poll() is not None]
                if ended:
                    log = (data / f"{ended[0]}.out").read_text(errors="replace")
                    raise RuntimeError(f"{ended[0]} ended with {services[ended[0]].returncode}: {log[-2_000:]}")

            while not server.done.is_set():
                check()
                await asyncio.sleep(1.0)
            deadline = time.monotonic() + SETTLE_S
            while (store.latest_window_start() or 0) < last_window and time.monotonic() < deadline:
                check()
                await asyncio.sleep(1.0)
            return {name: _read_peak_mb(process.pid) for name, process in services.items()}


@contextmanager
def _running(name: str, environment: dict[str, str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{name}.out").open("wb") as log:
        command = [sys.executable, "-m", f"bgpdrift.services.{name}"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _read_peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1_000


def main() -> None:
    """Run the attacks alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="minutes of wall time")
    parser.add_argument("--seed", type=int, help="seed of the attacks; default: a new one")
    options = parser.parse_args()
    for row in run(options.minutes, options.seed):
        print(f"{row['name']}: {row['value']:,.0f} {row['unit']}")


if __name__ == "__main__":
    main()
