"""Collects frames from RIS Live into the spool, and reports the state of both.

This module loads neither numpy nor the database. The collector must start at once, stay small, and continue while later
services are stopped. It is ready as soon as the spool is open, even if the feed cannot be reached. The status line and
``state/collector.json`` give the state of the feed; `doctor`, `status` and the demo read the file.
"""

import asyncio
import contextlib
import dataclasses
import os
import random
from pathlib import Path
from typing import Any, Final

import msgspec

from bgpdrift import logs
from bgpdrift.bgp.messages import Timestamp
from bgpdrift.bgp.ris_client import RisClient
from bgpdrift.bgp.ris_figures import FeedFigures
from bgpdrift.bgp.spool_writer import SpoolFigures, SpoolWriter
from bgpdrift.clock import Clock
from bgpdrift.process.durable import replace_file, set_aside
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.settings import Settings

STATE_FILE: Final = "collector.json"
STATE_INTERVAL_S: Final = 2.0
REPORT_INTERVAL_S: Final = 0.5
DISK_RETRY_S: Final = 2.0
MAX_AWAY_S: Final = 60.0
"""The collector is degraded after so long without a message; a reconnect takes seconds."""

log = logs.get_logger()


class _LastState(msgspec.Struct):
    last_event_time: Timestamp | None = None


class LiveCollection:
    """The client, its spool, and the reports of their state.

    Parameters
    ----------
    settings : Settings
        Feed, spool and state directory.
    clock : Clock
        Wall time for records, monotonic time for limits.
    notifier : Notifier
        Receives readiness, status and progress.
    """

    def __init__(self, settings: Settings, clock: Clock, notifier: Notifier) -> None:
        self._settings, self._clock, self._notifier = settings, clock, notifier
        self._state_file = settings.state_path / STATE_FILE

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop`` is set, then finish the segment; errors of the spool are raised."""
        spool = await self._open_spool(stop)
        if spool is None:
            return
        last_event_time = read_last_event_time(self._state_file)
        client = RisClient(self._settings.feed, spool, self._clock, random.Random(), last_event_time=last_event_time)
        self._notifier.report_ready(client.status())
        log.info("service.ready", pid=os.getpid(), status=client.status())
        feed = asyncio.create_task(client.run(stop))
        try:
            await self._report_until_done(client, spool, feed)
        finally:
            self._notifier.report_stopping()
            stop.set()
            await asyncio.wait([feed])
            await asyncio.to_thread(spool.close)
            self._write_state(client, spool)
        feed.result()  # raises an error of the spool

    async def _open_spool(self, stop: asyncio.Event) -> SpoolWriter | None:
        """Open the spool; while the disk fails, report it and try again. None if a stop is requested first."""
        path = self._settings.spool_path
        while not stop.is_set():
            try:
                return SpoolWriter(
                    self._settings.spool,
                    path,
                    self._clock,
                    buffer_bytes=self._settings.feed.buffer_bytes,
                    reserve_bytes=self._settings.store.reserve_bytes,
                )
            except OSError as error:
                log.error("spool.cannot_open", path=str(path), error=str(error), retry_in_s=DISK_RETRY_S)
                self._notifier.send(STATUS=f"the spool cannot be opened: {error}", WATCHDOG="1")
                await asyncio.sleep(DISK_RETRY_S)
        return None

    async def _report_until_done(self, client: RisClient, spool: SpoolWriter, feed: "asyncio.Task[None]") -> None:
        """Report the state until the task of the feed ends."""
        next_state = self._clock.monotonic()
        watch = FeedWatch(self._settings.feed.is_filtered, next_state)
        silent: list[str] = []
        while not feed.done():
            now = self._clock.monotonic()
            written = spool.figures()
            problem = written.problem
            self._notifier.report_degraded(watch.describe_degradation(problem, client.figures, now))
            self._notifier.send(STATUS=client.status() + describe_spool(written), WATCHDOG="1")
            if now >= next_state:
                next_state = now + STATE_INTERVAL_S
                self._write_state(client, spool)
                silent = _log_silent(silent, client.figures.silent_collectors(now))
            await asyncio.wait([feed], timeout=REPORT_INTERVAL_S)

    def _write_state(self, client: RisClient, spool: SpoolWriter) -> None:
        """Replace the state file; a failing disk is logged here and reported by the spool."""
        figures = client.figures.as_fields(self._clock.now(), self._clock.monotonic())
        fields: dict[str, Any] = figures | {
            "state": client.state.value,
            "spool": dataclasses.asdict(spool.figures()),
        }
        try:
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(self._state_file, sync=False) as file:
                file.write(msgspec.json.format(msgspec.json.encode(fields), indent=1))
        except OSError as error:
            log.warning("state.not_written", path=str(self._state_file), error=str(error))


def describe_spool(figures: SpoolFigures) -> str:
    """Describe what is wrong with the spool, as the end of a status line; empty if nothing is.

    Examples
    --------
    >>> describe_spool(SpoolFigures(problem="No space left on device", removed_directories=1))
    '; disk: No space left on device; the spool directory was removed 1 times'
    """
    problem = f"; disk: {figures.problem}" if figures.problem else ""
    removed = figures.removed_directories
    return problem + (f"; the spool directory was removed {removed} times" if removed else "")


class FeedWatch:
    """Decides from when on the collector is degraded, and until when.

    A socket that is open is no feed: a server may accept every connection and send nothing. Only a message ends the state.
    A filtered feed can be quiet for hours; there an open socket is enough.

    Parameters
    ----------
    is_filtered : bool
        Whether only some messages are subscribed to.
    started_at : float
        Monotonic time of the start.
    """

    def __init__(self, is_filtered: bool, started_at: float) -> None:
        self._is_filtered, self._alive_at = is_filtered, started_at

    def describe_degradation(self, disk_problem: str, figures: FeedFigures, now: float) -> str:
        """Describe why the collector is degraded; empty if it is not.

        Parameters
        ----------
        disk_problem : str
            Why the disk fails; empty if it does not.
        figures : FeedFigures
            State of the feed.
        now : float
            Monotonic time.

        Examples
        --------
        >>> watch, figures = FeedWatch(False, 0.0), FeedFigures("ws://x")
        >>> watch.describe_degradation("No space left on device", figures, 1.0)
        'disk: No space left on device'
        >>> watch.describe_degradation("", figures, 59.0), watch.describe_degradation("", figures, 75.0)
        ('', 'no feed for 1 min')
        """
        self._alive_at = max(self._alive_at, figures.last_message_at or 0.0)
        if self._is_filtered and figures.connected:
            self._alive_at = now
        if disk_problem:
            return f"disk: {disk_problem}"
        away_s = now - self._alive_at
        if away_s < MAX_AWAY_S:
            return ""
        cause = "connected, but no message" if figures.connected else "no feed"
        return f"{cause} for {away_s // 60:.0f} min"


def read_last_event_time(path: Path) -> float | None:
    """Read the event time (epoch s) of the last run from its state file; None if there is none.

    A file that cannot be used is set aside with its reason in the log: it must not end this and every later start.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=_LastState).last_event_time
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("state.set_aside", path=str(path), reason=str(error)[:200])
    with contextlib.suppress(OSError):  # it is replaced at the next report
        set_aside(path)
    return None


def _log_silent(before: list[str], now: list[str]) -> list[str]:
    for name in now:
        if name not in before:
            log.warning("feed.collector_silent", collector=name)
    for name in before:
        if name not in now:
            log.info("feed.collector_back", collector=name)
    return now
