"""A replay server as a program: its address, its speed, and running until a signal.

Shared by `bgpdrift replay` and `bgpdrift simulate`, so that both read the same options alike.
"""

import asyncio
import math
import signal
from collections.abc import Callable

from bgpdrift.bgp.replay_server import ReplayServer
from bgpdrift.errors import InputError


def parse_speed(text: str) -> float | None:
    """Read a speed: seconds of event time a second; None for ``max``.

    Raises
    ------
    InputError
        It is neither ``max`` nor a number above 0.

    Examples
    --------
    >>> parse_speed("60"), parse_speed("max")
    (60.0, None)
    >>> parse_speed("fast")
    Traceback (most recent call last):
    bgpdrift.errors.InputError: --speed 'fast': expected a number above 0 or `max`
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0.0 < speed < math.inf:
        raise InputError(f"--speed {text!r}: expected a number above 0 or `max`")
    return speed


def parse_address(text: str) -> tuple[str, int]:
    """Read ``ADDRESS:PORT``.

    Raises
    ------
    InputError
        It is not of that form.

    Examples
    --------
    >>> parse_address("127.0.0.1:0"), parse_address("[::1]:8765")
    (('127.0.0.1', 0), ('::1', 8765))
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen {text!r}: expected ADDRESS:PORT, e.g. 127.0.0.1:8765")
    return host.strip("[]"), int(port)


def serve(server: ReplayServer, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until TERM, INT or the server's own end; ``announce`` gets the URL once it can be connected to."""
    asyncio.run(_serve(server, host, port, announce))


async def _serve(server: ReplayServer, host: str, port: int, announce: Callable[[str], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    announce(await server.start(host, port))
    await server.serve()
