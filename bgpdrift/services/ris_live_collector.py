"""The service ris_live_collector: collects frames from RIS Live into the spool.

It waits on a socket, and therefore has an event loop instead of the polling loop of `bgpdrift.services.runtime`.
"""

import asyncio
import sys
from typing import Final

from bgpdrift import logs
from bgpdrift.bgp.live_collection import LiveCollection
from bgpdrift.clock import SystemClock
from bgpdrift.errors import BgpdriftError, SettingsError
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.process.signals import StopSignal
from bgpdrift.services.runtime import EXIT_INTERNAL, EXIT_OK, EXIT_USAGE, prepare
from bgpdrift.settings import Settings

NAME: Final = "ris_live_collector"

log = logs.get_logger()


def main() -> None:
    """Run until a stop is requested, then finish the segment and exit 0."""
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
    stop, requested, loop = asyncio.Event(), StopSignal(), asyncio.get_running_loop()

    def request_stop() -> None:
        loop.remove_reader(requested.descriptor)  # it stays readable
        stop.set()

    loop.add_reader(requested.descriptor, request_stop)
    await LiveCollection(settings, SystemClock(), Notifier()).run(stop)


if __name__ == "__main__":
    main()
