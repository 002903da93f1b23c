"""Starts a supervisor: takes the lock, ends leftovers, prepares the store, becomes a daemon, waits for the services.

The order matters: two starts at once cannot both prepare the store, and no leftover of a killed supervisor writes to the
store while it is upgraded.
"""

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from bgpdrift.errors import BgpdriftError
from bgpdrift.formatting import escape_control, escape_lines
from bgpdrift.process.child import run_command
from bgpdrift.process.signals import ignore_unknown_signals
from bgpdrift.settings import Settings
from supervisor.client import ControlClient, NoAnswerError, NotRunningError
from supervisor.daemon import fork_daemon, list_inherited_descriptors, wait_until_listening
from supervisor.instance_lock import LOCK_NAME, InstanceLock
from supervisor.journal import OWN_LOG
from supervisor.log_reading import read_last_lines
from supervisor.orphans import RECORD_NAME, end_leftovers, was_killed
from supervisor.policies import check_service_names
from supervisor.preparation import EXIT_TEMPORARY
from supervisor.services import System

_PREPARE_LIMIT_S = 600.0
_LISTEN_LIMIT_S = 15.0


def start_timeout_s(settings: Settings) -> float:
    """Return how long ``start`` waits for the services: the time to become ready, and some for the order."""
    return settings.supervisor.ready_timeout_s + 5.0


def start_foreground(settings: Settings, system: System) -> int:
    """Supervise in this process until stopped; for systemd, containers and other managers."""
    # Process 1 of a container ignores TERM without a handler, and preparing the store may take minutes.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    lock, predecessor_killed, unprepared = _prepare(settings, system)
    # Descriptors that the manager left open are not for the services.
    for descriptor in list_inherited_descriptors():
        os.set_inheritable(descriptor, False)
    try:
        return _supervise(
            settings, system, lock, foreground=True, predecessor_killed=predecessor_killed, unprepared=unprepared
        )
    finally:
        lock.close()


def start_background(settings: Settings, system: System) -> dict[str, Any]:
    """Supervise in a daemon; returns its reply to ``wait``, when the services are ready or have failed for now.

    Raises
    ------
    AlreadyRunningError
        A supervisor runs already.
    BgpdriftError
        The store cannot be prepared, or the daemon ended.
    """
    lock, predecessor_killed, unprepared = _prepare(settings, system)
    log = settings.logs_path / OWN_LOG
    is_daemon, pipe = fork_daemon(log)
    if is_daemon:
        _run_daemon(settings, system, lock, predecessor_killed, pipe, unprepared)
    lock.close()
    if not wait_until_listening(pipe, _LISTEN_LIMIT_S):
        raise BgpdriftError("\n    ".join(["the supervisor did not start; its last lines:", *read_last_lines(log, 15)]))
    try:
        with ControlClient(settings.data_path / "run") as client:
            wait_s = start_timeout_s(settings)
            return client.ask("wait", wait_s=wait_s, timeout_s=wait_s)
    except (NotRunningError, NoAnswerError) as error:
        raise BgpdriftError(f"stopped before all services were ready: {error}") from error


def _prepare(settings: Settings, system: System) -> tuple[InstanceLock, bool, str]:
    """Take the lock, end leftovers and prepare the store.

    Returns
    -------
    (InstanceLock, bool, str)
        The lock, whether the predecessor was killed, and why the store is not prepared yet ("" if it is).
    """
    ignore_unknown_signals()
    check_service_names(settings, system.names)
    run_dir = settings.data_path / "run"
    for directory in (run_dir, settings.logs_path):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BgpdriftError(f"{directory}: cannot be created: {error.strerror}; set data_dir") from error
    lock = InstanceLock(run_dir / LOCK_NAME, time.time())
    predecessor_killed = was_killed(run_dir / RECORD_NAME)
    if pids := end_leftovers(run_dir / RECORD_NAME):
        print(f"ended {len(pids)} processes that a killed supervisor had left: {pids}")
    unprepared = _run_prepare(system.prepare) if system.prepare else ""
    if unprepared:
        print(
            escape_control(f"the store cannot be prepared yet: {unprepared}; the supervisor tries again"),
            file=sys.stderr,
        )
    return lock, predecessor_killed, unprepared


def _run_prepare(command: tuple[str, ...]) -> str:
    """Return why the store cannot be prepared yet, or "" if it is."""
    try:
        result = run_command(command, _PREPARE_LIMIT_S)
    except OSError as error:
        raise BgpdriftError(f"the store cannot be prepared: {error}") from error
    if result.exit_code != 0:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit {result.exit_code}"
        if result.exit_code == EXIT_TEMPORARY:
            return reason
        raise BgpdriftError(f"the store cannot be prepared: {reason}")
    sys.stderr.write(escape_lines(result.stderr))  # what was repaired
    return ""


def _run_daemon(
    settings: Settings, system: System, lock: InstanceLock, predecessor_killed: bool, pipe: int, unprepared: str
) -> None:
    """Supervise in the daemon; never returns."""
    code = 1
    try:
        lock.name_holder(time.time())

        def report_listening() -> None:
            os.write(pipe, b"1")
            os.close(pipe)

        code = _supervise(
            settings,
            system,
            lock,
            foreground=False,
            predecessor_killed=predecessor_killed,
            unprepared=unprepared,
            on_listening=report_listening,
        )
    except BaseException:
        import traceback

        traceback.print_exc()  # into supervisor.log, from which `start` reads it
    finally:
        os._exit(code)


def _supervise(
    settings: Settings,
    system: System,
    lock: InstanceLock,
    foreground: bool,
    predecessor_killed: bool,
    unprepared: str,
    on_listening: Callable[[], None] = lambda: None,
) -> int:
    from supervisor.loop import Supervisor

    return Supervisor(
        system,
        settings,
        run=secrets.token_hex(8),
        foreground=foreground,
        on_listening=on_listening,
        predecessor_killed=predecessor_killed,
        unprepared=unprepared,
        restore_lock=lock.restore,
    ).run()
