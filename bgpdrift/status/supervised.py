"""The supervisor's state, asked over its control socket (docs/supervisor-control.md).

This module decides how long to wait for the answer. A supervisor that hangs, starts or is gone is a result, not an
error.
"""

import os
import socket
from contextlib import closing
from pathlib import Path

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
    services: tuple[str, ...] = ()
    """All services, by name."""
    stopped: tuple[str, ...] = ()
    """Services that were stopped on purpose, the drift monitor included."""

    @property
    def is_changing(self) -> bool:
        """Whether the supervisor runs and is not ready: it starts, stops, or a service is being restarted."""
        return self.supervisor not in ("ready", "stopped", "no_answer")


class _Service(msgspec.Struct):
    name: str
    state: str
    message: str = ""
    pid: int | None = None
    uptime_s: float | None = None


class _Supervisor(msgspec.Struct):
    state: str
    remarks: tuple[str, ...] = ()


class _Document(msgspec.Struct):
    supervisor: _Supervisor
    services: tuple[_Service, ...]


class _Reply(msgspec.Struct):
    status: _Document


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
        return convert(msgspec.json.decode(reply, type=_Reply).status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Supervised("no_answer", "no_answer", "the supervisor's answer cannot be read")


def convert(status: object) -> Supervised:
    """Convert the supervisor's status document, an object with its attributes, or the decoded JSON of it."""
    document = msgspec.convert(status, _Document, from_attributes=True)
    services = {service.name: service for service in document.services}
    monitor = services.get(SERVICE)
    supervised = Supervised(
        document.supervisor.state,
        others_down=tuple(name for name, one in services.items() if one.state != "ready" and name != SERVICE),
        failing=tuple(name for name, one in services.items() if one.state in FAILING_STATES),
        remarks=document.supervisor.remarks,
        services=tuple(services),
        stopped=tuple(name for name, one in services.items() if one.state == "stopped"),
    )
    if monitor is None:
        return supervised
    return msgspec.structs.replace(
        supervised, state=monitor.state, message=monitor.message, pid=monitor.pid, uptime_s=monitor.uptime_s
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
