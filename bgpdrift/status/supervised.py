"""What the supervisor says of the drift monitor, asked over its control socket (docs/operator-guide.md).

Decides how long a person waits for the answer. Who is asked may hang, start or be gone: each is an answer too.
"""

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

SOCKET_NAME = "control.sock"
SERVICE = "drift_monitor"
PATIENCE_S = 2.0
_MOST_BYTES = 1_000_000


class Supervised(msgspec.Struct, frozen=True):
    """The supervisor and its drift monitor."""

    supervisor: str = "stopped"
    """Its state; ``stopped`` if there is none, ``no_answer`` if it does not answer."""
    state: str = "not_running"
    """Of the drift monitor."""
    message: str = ""
    pid: int | None = None
    uptime_s: float | None = None
    others_down: tuple[str, ...] = ()
    """Other services that are not ready, by name."""


def ask(data_dir: Path, patience_s: float = PATIENCE_S) -> Supervised:
    """Ask the supervisor of a data directory."""
    try:
        reply = _request(data_dir / "run", patience_s)
    except (FileNotFoundError, ConnectionRefusedError):
        return Supervised()
    except OSError as error:
        return Supervised("no_answer", "no_answer", f"the supervisor does not answer: {error.strerror or error}")
    return read(reply)


def read(reply: bytes) -> Supervised:
    """Read its answer.

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
    except (msgspec.MsgspecError, KeyError, TypeError):
        return Supervised("no_answer", "no_answer", "the supervisor's answer cannot be read")
    down = tuple(name for name, row in services.items() if row["state"] != "ready" and name != SERVICE)
    row = services.get(SERVICE)
    if row is None:
        return Supervised(supervisor, others_down=down)
    return Supervised(supervisor, str(row["state"]), str(row["message"]), row["pid"], row["uptime_s"], down)


def _request(run_dir: Path, patience_s: float) -> bytes:
    # The name of a socket may have 108 bytes; through a descriptor a directory of any depth is reached.
    directory = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)) as connection:
            connection.settimeout(patience_s)
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
            connection.sendall(b'{"command":"status"}\n')
            answer = b""
            while b"\n" not in answer and len(answer) < _MOST_BYTES:
                more = connection.recv(65_536)
                if not more:
                    break
                answer += more
            return answer
    finally:
        os.close(directory)
