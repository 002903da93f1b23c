"""The service ris_live_collector: collects frames from RIS Live into the spool.

It waits on a socket, and therefore has an event loop instead of the polling loop of `bgpdrift.services.runtime`.
"""

import asyncio
import os
import signal
import sys
from typing import Final

from bgpdrift import logs
from bgpdrift.bgp.live_collection import LiveCollection
from bgpdrift.clock import SystemClock
from bgpdrift.errors import BgpdriftError, SettingsError
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.services.runtime import EXIT_INTERNAL, EXIT_OK, EXIT_USAGE, prepare
from bgpdrift.settings import Settings

NAME: Final = "ris_live_collector"

log = logs.get_logger()


def main() -> None:
    """Run until TERM or INT, then finish the segment and exit 0."""
    try:
        settings = prepare(NAME)
    except SettingsError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    try:
        asyncio.run(_collect(settings))
    except BgpdriftError as error:
        log.error("service.failed", error=str(error), kind=type(error).__name__)
        sys.exit(EXIT_INTERNAL)
    log.info("service.stopped")
    sys.exit(EXIT_OK)


async def _collect(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _request_stop, stop, number)
    await LiveCollection(settings, SystemClock(), Notifier()).run(stop)


def _request_stop(stop: asyncio.Event, number: int) -> None:
    """Request a clean stop; a second signal ends the process at once."""
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


if __name__ == "__main__":
    main()
