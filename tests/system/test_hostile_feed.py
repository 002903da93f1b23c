"""A hostile server beside honest collectors: every window of the honest ones is the same as without it.

Client, spool and aggregator run in this process, over a real socket, files and database. `benchmarks.bench_hostile_feed` runs
the same attacks for ten minutes against the real services.
"""

import asyncio
import random
from pathlib import Path

import pytest

from benchmarks.hostile_server import PER_PEER, HostileServer, build_expected, compare_windows
from bgpdrift.bgp.ris_client import RisClient
from bgpdrift.bgp.spool_writer import SpoolWriter
from bgpdrift.clock import SystemClock
from bgpdrift.features.spool_aggregation import SpoolAggregation
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.settings import FeedSettings, Settings, SpoolSettings, WindowSettings
from bgpdrift.store import migrate, open_store
from helpers.until import until_async

LIMIT_S = 90.0
MINUTES = 6
SEED = random.SystemRandom().randrange(2**32)
"""A new one for each run; a failure prints it."""


async def collect(server: HostileServer, settings: Settings) -> list[str]:
    """Collect from the server until it has sent everything, and build the windows; return the errors of the client."""
    spool = SpoolWriter(settings.spool, settings.spool_path, SystemClock())
    stop = asyncio.Event()
    async with server.listening() as url:
        feed = FeedSettings(
            url=url, backoff_max_s=0.05, silence_s=5.0, connect_timeout_s=5.0, collectors=["rrc00", "rrc01"]
        )
        client = RisClient(feed, spool, SystemClock(), random.Random(1))
        running = asyncio.create_task(client.run(stop))
        await until_async(lambda: server.done.is_set() or running.done(), LIMIT_S, "the server has sent everything")
        stop.set()
        await running
    spool.close()
    with open_store(settings.store_url) as store:
        aggregation = SpoolAggregation(settings, store, SystemClock())
        while aggregation.step():
            pass
    return sorted(client.figures.collectors)


# Without ids of their own, the new seed would give each of several test processes another list of tests.
@pytest.mark.parametrize("seed", [20_261_128, SEED], ids=["fixed", "new"])
def test_no_attack_changes_a_window_of_an_honest_collector_or_peer(tmp_path: Path, seed: int) -> None:
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        spool=SpoolSettings(segment_s=0.05),
        windows=WindowSettings(per_peer=PER_PEER),
    )
    migrate(settings.store_url)
    frames = list(Simulation(Scenario(duration_s=MINUTES * 60, rate=150, seed=7)).frames())
    server = HostileServer(frames, seed)

    asyncio.run(collect(server, settings))

    with open_store(settings.store_url) as store:
        stored = store.windows_between(0, 2**33)
    until = int(frames[-1].timestamp) // 60 * 60 - 60  # the last windows do not close without later messages
    compared, different = compare_windows(build_expected(frames), stored, until)
    assert different == [], f"seed {seed}: {dict(server.attacks)}"
    assert compared > 50
    assert sum(server.attacks.values()) > 100
