"""The collector: from the RIS Live socket to the spool, and nothing else.

Decides nothing about routes, and loads neither numpy nor the database: it must start at once, stay small, and go on while
everything behind it is being mended. Ready as soon as it can spool, whether or not the feed can be reached; the status
line and ``state/collector.json`` say how the feed is.
"""

import asyncio
import dataclasses
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from bgpdrift import logs
from bgpdrift.bgp.ris_client import RisClient
from bgpdrift.bgp.spool_writer import SpoolWriter
from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import BgpdriftError, SettingsError
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.services.runtime import EXIT_INTERNAL, EXIT_OK, EXIT_USAGE, prepare
from bgpdrift.settings import Settings

NAME: Final = "ris_live_collector"
STATE_FILE: Final = "collector.json"
STATE_EVERY_S: Final = 2.0
_BEAT_S: Final = 0.5
_DISK_RETRY_S: Final = 2.0
AWAY_S: Final = 60.0
"""Without the feed for longer than this the collector says that it is degraded; a reconnect takes seconds."""

log = logs.get_logger()


def main() -> None:
    """Run until TERM or INT, then finish the segment and exit 0."""
    try:
        settings = prepare(NAME)
    except SettingsError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    try:
        asyncio.run(_collect(settings, SystemClock(), Notifier()))
    except BgpdriftError as error:
        log.error("service.failed", error=str(error), kind=type(error).__name__)
        sys.exit(EXIT_INTERNAL)
    log.info("service.stopped")
    sys.exit(EXIT_OK)


async def _collect(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _ask_to_stop, stop, number)
    state_file = settings.state_path / STATE_FILE
    spool = await _open_spool(settings, clock, notifier, stop)
    if spool is None:
        return
    last_event_time = _last_event_time(state_file)
    client = RisClient(settings.feed, spool, clock, random.Random(), last_event_time=last_event_time)
    notifier.report_ready(client.status())
    log.info("service.ready", pid=os.getpid(), status=client.status())
    feed = asyncio.create_task(client.run(stop))
    try:
        await _beat(client, spool, clock, notifier, state_file, feed)
    finally:
        notifier.report_stopping()
        stop.set()
        await asyncio.wait([feed])
        await asyncio.to_thread(spool.close)
        write_state(state_file, _fields(client, spool, clock))
    feed.result()  # an error of the spool ends the process


async def _beat(
    client: RisClient,
    spool: SpoolWriter,
    clock: Clock,
    notifier: Notifier,
    state_file: Path,
    feed: "asyncio.Task[None]",
) -> None:
    """Report progress until the feed's task ends."""
    next_state = clock.monotonic()
    silent: list[str] = []
    connected_at = clock.monotonic()
    while not feed.done():
        problem = spool.figures().problem
        if client.figures.connected:
            connected_at = clock.monotonic()
        notifier.report_degraded(hindrance(problem, clock.monotonic() - connected_at))
        notifier.send(STATUS=client.status() + (f"; disk: {problem}" if problem else ""), WATCHDOG="1")
        now = clock.monotonic()
        if now >= next_state:
            next_state = now + STATE_EVERY_S
            write_state(state_file, _fields(client, spool, clock))
            silent = _log_silent(silent, client.figures.silent_collectors(now))
        await asyncio.wait([feed], timeout=_BEAT_S)


def hindrance(disk_problem: str, away_s: float) -> str:
    """Say what keeps the collector from its work; empty if nothing does.

    Parameters
    ----------
    disk_problem : str
        Why the disk refuses; empty when it does not.
    away_s : float
        Seconds since the feed was last connected.

    Examples
    --------
    >>> hindrance("No space left on device", 0.0), hindrance("", 59.0), hindrance("", 75.0)
    ('disk: No space left on device', '', 'no feed for 1 min')
    """
    if disk_problem:
        return f"disk: {disk_problem}"
    return f"no feed for {away_s // 60:.0f} min" if away_s >= AWAY_S else ""


async def _open_spool(settings: Settings, clock: Clock, notifier: Notifier, stop: asyncio.Event) -> SpoolWriter | None:
    """Open the spool; while the disk refuses even that, wait and say so."""
    while not stop.is_set():
        try:
            return SpoolWriter(
                settings.spool,
                settings.spool_path,
                clock,
                buffer_bytes=settings.feed.buffer_bytes,
                reserve_bytes=settings.store.reserve_bytes,
            )
        except OSError as error:
            log.error("spool.cannot_open", path=str(settings.spool_path), error=str(error), retry_in_s=_DISK_RETRY_S)
            notifier.send(STATUS=f"cannot spool: {error}", WATCHDOG="1")
            await asyncio.sleep(_DISK_RETRY_S)
    return None


def write_state(path: Path, fields: dict[str, Any]) -> None:
    """Replace the state file, which `doctor`, status and demo read; a disk that refuses is the spool's to report."""
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(fields), indent=1))
        temporary.replace(path)
    except OSError as error:
        log.warning("state.not_written", path=str(path), error=str(error))


def _last_event_time(path: Path) -> float | None:
    try:
        value = msgspec.json.decode(path.read_bytes())["last_event_time"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def _fields(client: RisClient, spool: SpoolWriter, clock: Clock) -> dict[str, Any]:
    figures = client.figures.as_fields(clock.now(), clock.monotonic())
    return figures | {"state": client.state.value, "spool": dataclasses.asdict(spool.figures())}


def _log_silent(before: list[str], now: list[str]) -> list[str]:
    for name in now:
        if name not in before:
            log.warning("feed.collector_silent", collector=name)
    for name in before:
        if name not in now:
            log.info("feed.collector_back", collector=name)
    return now


def _ask_to_stop(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


if __name__ == "__main__":
    main()
