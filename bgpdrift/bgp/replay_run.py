"""Runs a replay server until a signal, and parses its address and speed.

`bgpdrift replay` and `bgpdrift simulate` share this module, so that their options have the same meaning.
"""

import asyncio
import math
import os
import signal
from collections.abc import Callable
from typing import IO

from bgpdrift.bgp.replay_server import ReplayServer
from bgpdrift.errors import InputError


def parse_speed(text: str) -> float | None:
    """Parse a speed in seconds of event time per second; None for ``max``.

    Raises
    ------
    InputError
        The text is neither ``max`` nor a number above 0.

    Examples
    --------
    >>> parse_speed("60"), parse_speed("max")
    (60.0, None)
    >>> parse_speed("fast")
    Traceback (most recent call last):
    bgpdrift.errors.InputError: --speed: expected a number above 0 or `max`, found 'fast'
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0.0 < speed < math.inf:
        raise InputError(f"--speed: expected a number above 0 or `max`, found {text!r}")
    return speed


def parse_address(text: str) -> tuple[str, int]:
    """Parse ``ADDRESS:PORT``.

    Raises
    ------
    InputError
        The text is not of that form.

    Examples
    --------
    >>> parse_address("127.0.0.1:0"), parse_address("[::1]:8765")
    (('127.0.0.1', 0), ('::1', 8765))
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen: expected ADDRESS:PORT, e.g. 127.0.0.1:8765, found {text!r}")
    return host.strip("[]"), int(port)


def serve(
    server: ReplayServer, host: str, port: int, announce: Callable[[str], None], holds: IO[bytes] | None = None
) -> None:
    """Serve until TERM, INT or the end of the server; call ``announce`` with the URL when it accepts connections.

    ``holds`` is a pipe with event times, one per line: frames of the last one and later wait.
    """
    asyncio.run(_serve(server, host, port, announce, holds))


async def _serve(
    server: ReplayServer, host: str, port: int, announce: Callable[[str], None], holds: IO[bytes] | None
) -> None:
    if holds is not None:
        asyncio.get_running_loop().add_reader(holds, _read_holds, server, holds, bytearray())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    announce(await server.start(host, port))
    await server.serve()


def _read_holds(server: ReplayServer, holds: IO[bytes], text: bytearray) -> None:
    received = os.read(holds.fileno(), 4096)
    text += received
    *lines, rest = text.split(b"\n")
    text[:] = rest
    try:
        for line in lines:
            server.hold(float(line))
    except ValueError:
        server.report_failure(
            InputError(f"--hold: expected an event time (epoch seconds) per line, found {bytes(line)!r}")
        )
    if not received:
        asyncio.get_running_loop().remove_reader(holds)
