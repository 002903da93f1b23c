"""The supervisor's state, asked over its control socket (docs/supervisor-control.md).

This module decides how long to wait for the answer. A supervisor that hangs, starts or is gone is a result, not an
error.
"""

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

SOCKET_NAME = "control.sock"
SERVICE = "drift_monitor"
MAX_WAIT_S = 2.0
FAILING_STATES = frozenset({"crashloop", "aborting", "backoff"})
_MAX_ANSWER_BYTES = 1_000_000


class Supervised(msgspec.Struct, frozen=True):
    """The supervisor, its drift monitor, and which other services are not ready."""

    supervisor: str = "stopped"
    """State of the supervisor; ``stopped`` if there is none, ``no_answer`` if it does not answer."""
    state: str = "not_running"
    """State of the drift monitor."""
    message: str = ""
    pid: int | None = None
    uptime_s: float | None = None
    others_down: tuple[str, ...] = ()
    """Other services that are not ready, by name."""
    failing: tuple[str, ...] = ()
    """Services, the drift monitor included, that end again and again."""
    remarks: tuple[str, ...] = ()
    """What the supervisor reports as not in order, the worst first."""


def ask(data_dir: Path, max_wait_s: float = MAX_WAIT_S) -> Supervised:
    """Ask the supervisor of a data directory for its state."""
    try:
        reply = _request(data_dir / "run", max_wait_s)
    except (FileNotFoundError, ConnectionRefusedError):
        return Supervised()
    except OSError as error:
        return Supervised("no_answer", "no_answer", f"the supervisor does not answer: {error.strerror or error}")
    return read(reply)


def read(reply: bytes) -> Supervised:
    """Decode the answer of the supervisor.

    Examples
    --------
    >>> read(b'{"ok": true, "status": {"supervisor": {"state": "ready"}, "services": []}}').state
    'not_running'
    >>> read(b"?").supervisor
    'no_answer'
    """
    try:
        status = msgspec.json.decode(reply, type=dict[str, Any])["status"]
        services = {str(row["name"]): row for row in status["services"]}
        supervisor = str(status["supervisor"]["state"])
        remarks = tuple(map(str, status["supervisor"].get("remarks", ())))
    except (msgspec.MsgspecError, KeyError, TypeError):
        return Supervised("no_answer", "no_answer", "the supervisor's answer cannot be read")
    down = tuple(name for name, row in services.items() if row["state"] != "ready" and name != SERVICE)
    failing = tuple(name for name, row in services.items() if row["state"] in FAILING_STATES)
    row = services.get(SERVICE)
    if row is None:
        return Supervised(supervisor, others_down=down, failing=failing, remarks=remarks)
    return Supervised(
        supervisor, str(row["state"]), str(row["message"]), row["pid"], row["uptime_s"], down, failing, remarks
    )


def _request(run_dir: Path, max_wait_s: float) -> bytes:
    # A socket address holds 108 bytes. Through a descriptor, a directory of any depth can be reached.
    directory = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)) as connection:
            connection.settimeout(max_wait_s)
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
            connection.sendall(b'{"command":"status"}\n')
            answer = b""
            while b"\n" not in answer and len(answer) < _MAX_ANSWER_BYTES:
                more = connection.recv(65_536)
                if not more:
                    break
                answer += more
            return answer
    finally:
        os.close(directory)
