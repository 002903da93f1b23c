"""From ``start`` to a running supervisor: lock, sweep, prepare the store, become a daemon or stay, wait until ready.

In this order, so that two starts at once cannot both prepare, and no leftover of a killed run still writes to the store
that is being upgraded. Nothing of the services is known here.
"""

import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bgpdrift.errors import BgpdriftError
from bgpdrift.process.child import run_command
from bgpdrift.settings import Settings
from supervisor.client import ControlClient
from supervisor.daemon import listens, split
from supervisor.instance_lock import LOCK_NAME, InstanceLock
from supervisor.journal import OWN_LOG
from supervisor.log_reading import last_lines
from supervisor.orphans import end_leftovers, was_killed
from supervisor.policies import require_known_names
from supervisor.services import System

_PREPARE_LIMIT_S = 600.0
_LISTEN_LIMIT_S = 15.0


def patience_s(settings: Settings) -> float:
    """How long ``start`` waits for the services: each had its time to become ready, and the order took some."""
    return settings.supervisor.ready_timeout_s + 5.0


def start_foreground(settings: Settings, system: System) -> int:
    """Supervise in this process until told to stop; for systemd, containers and other managers."""
    # As process 1 of a container TERM is ignored unless somebody listens; preparing may take minutes.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    lock, killed = _prepare(settings, system)
    # What our own manager left open is not for the services.
    for descriptor in _open_descriptors():
        with contextlib.suppress(OSError):
            os.set_inheritable(descriptor, False)
    try:
        return _supervise(settings, system, lock, foreground=True, killed=killed)
    finally:
        lock.close()


def start_background(settings: Settings, system: System) -> dict[str, Any]:
    """Supervise in a daemon; give its answer once the services are ready or have shown that they will not be.

    Raises
    ------
    AlreadyRunningError
        Somebody does already.
    BgpdriftError
        The store cannot be prepared, or the daemon ended.
    """
    lock, killed = _prepare(settings, system)
    log = settings.logs_path / OWN_LOG
    is_daemon, pipe = split(log)
    if is_daemon:
        _daemon(settings, system, lock, killed, pipe)
    lock.close()
    if not listens(pipe, _LISTEN_LIMIT_S):
        raise BgpdriftError("\n    ".join(["the supervisor did not come up; its last words:", *last_lines(log, 15)]))
    with ControlClient(settings.data_path / "run") as client:
        wait_s = patience_s(settings)
        return client.ask("wait", wait_s=wait_s, timeout_s=wait_s)


def _prepare(settings: Settings, system: System) -> tuple[InstanceLock, bool]:
    """Take the lock, end what a killed predecessor left, prepare the store; whether there was such a one."""
    require_known_names(settings, system.names)
    for directory in (settings.data_path / "run", settings.logs_path):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BgpdriftError(f"{directory}: cannot be made: {error.strerror}; set data_dir") from error
    run_dir = settings.data_path / "run"
    lock = InstanceLock(run_dir / LOCK_NAME, time.time())
    killed = was_killed(run_dir / "children.json")
    if ended := end_leftovers(run_dir / "children.json"):
        print(f"ended {len(ended)} processes that a killed supervisor had left: {ended}")
    if system.prepare:
        _run_to_end(system.prepare)
    return lock, killed


def _run_to_end(command: tuple[str, ...]) -> None:
    try:
        result = run_command(command, _PREPARE_LIMIT_S)
    except OSError as error:
        raise BgpdriftError(f"the store cannot be prepared: {error}") from error
    if result.exit_code != 0:
        said = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        raise BgpdriftError(f"the store cannot be prepared: {said[-1] if said else f'exit {result.exit_code}'}")
    sys.stderr.write(result.stderr)  # what had to be put right


def _daemon(settings: Settings, system: System, lock: InstanceLock, killed: bool, pipe: int) -> None:
    """Be the daemon; never returns."""
    code = 1
    try:
        lock.name_holder(time.time())

        def listening() -> None:
            os.write(pipe, b"1")
            os.close(pipe)

        code = _supervise(settings, system, lock, foreground=False, killed=killed, listening=listening)
    except BaseException:
        import traceback

        traceback.print_exc()  # into supervisor.log, where `start` reads it
    finally:
        os._exit(code)


def _supervise(
    settings: Settings,
    system: System,
    lock: InstanceLock,
    foreground: bool,
    killed: bool,
    listening: Callable[[], None] = lambda: None,
) -> int:
    from supervisor.loop import Supervisor

    run = secrets.token_hex(8)
    return Supervisor(
        system, settings, run, foreground, listening=listening, after_a_kill=killed, keep_lock=lock.restore
    ).run()


def _open_descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir() if int(entry.name) > 2]
