"""The requests of the control socket and their replies. Protocol: docs/supervisor-control.md.

A request is checked as a whole before anything is done. `supervisor.operations` carries it out. Only ``wait`` takes time, so
that no command blocks another.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bgpdrift.clock import Clock
from bgpdrift.errors import SettingsError
from supervisor.control import RefusedError
from supervisor.lifecycle import UP, State
from supervisor.operations import Operations
from supervisor.sequencer import Sequencer
from supervisor.status import Status
from supervisor.supervised import SupervisedService

PROTOCOL = 1
MAX_WAIT_S = 600.0
MAX_WAITS = 24
"""Clients in a ``wait`` at once; fewer than `supervisor.control.MAX_CLIENTS`, so that others always have room."""
_PROBLEM_LINES = 5
_COMMANDS = "status, start, stop, restart, reload or wait"


class Commands:
    """Replies to requests.

    Parameters
    ----------
    operations : Operations
        Carries the requests out.
    units : mapping of str to SupervisedService
        All services.
    sequencer : Sequencer
        Shutdown and rolling restart.
    take_snapshot : callable
        Returns the status document.
    read_last_lines : callable
        Returns the newest lines of output of a service, by its name and their number.
    clock : Clock
        Monotonic.
    """

    def __init__(
        self,
        operations: Operations,
        units: Mapping[str, SupervisedService],
        sequencer: Sequencer,
        take_snapshot: Callable[[], Status],
        read_last_lines: Callable[[str, int], list[str]],
        clock: Clock,
    ) -> None:
        self._operations, self._units, self._sequencer = operations, units, sequencer
        self._take_snapshot, self._read_last_lines, self._clock = take_snapshot, read_last_lines, clock
        self._waiting: list[asyncio.Event] = []

    def wake(self) -> None:
        """Let every ``wait`` check the states again."""
        for changed in self._waiting:
            changed.set()

    async def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request.

        Raises
        ------
        RefusedError
            The request is unknown or cannot be carried out now; the message states the reason.
        """
        match request:
            case {"command": "status"}:
                return {"protocol": PROTOCOL, "status": msgspec.to_builtins(self._take_snapshot())}
            case {"command": "stop", "name": str() as name}:
                self._set_desired(name, self._operations.stop_service)
                return {}
            case {"command": "stop", **rest}:
                self._operations.stop_all("command", now=rest.get("now") is True)
                return {"pid": os.getpid()}
            case {"command": "start", "name": str() as name}:
                self._set_desired(name, self._operations.start_service)
                return {}
            case {"command": "restart", **rest}:
                return self._restart(rest.get("name"))
            case {"command": "reload"}:
                return self._reload()
            case {"command": "wait", "timeout_s": int() | float() as timeout_s, **rest}:
                # The limit comes before the conversion: an integer may be too large for a float.
                return await self._wait(float(min(timeout_s, MAX_WAIT_S)), rest.get("name"))
            case _:
                raise RefusedError(f"unknown request {str(request)[:200]}; expected command {_COMMANDS}")

    def _find_unit(self, name: object) -> SupervisedService:
        unit = self._units.get(str(name))
        if unit is None:
            raise RefusedError(f"no service {name!r}; expected one of {', '.join(self._units)}")
        return unit

    def _refuse_while_stopping(self) -> None:
        if self._operations.is_stopping:
            raise RefusedError("all services are being stopped")

    def _set_desired(self, name: str, operation: Callable[[str], None]) -> None:
        self._refuse_while_stopping()
        self._find_unit(name)
        try:
            operation(name)
        except OSError as error:
            raise RefusedError(f"the desired state cannot be stored: {error}") from error

    def _restart(self, name: object) -> dict[str, Any]:
        self._refuse_while_stopping()
        names = [self._find_unit(name).name] if name is not None else list(self._units)
        try:
            self._operations.restart(names)
        except (SettingsError, OSError) as error:
            raise RefusedError(str(error), "settings") from error
        return {}

    def _reload(self) -> dict[str, Any]:
        self._refuse_while_stopping()
        try:
            changed, concerned = self._operations.reload()
        except (SettingsError, OSError) as error:
            raise RefusedError(str(error), "settings") from error
        return {"changed": changed, "restarting": concerned}

    async def _wait(self, timeout_s: float, name: object) -> dict[str, Any]:
        """Reply when the services concerned are up or have failed for now, or when the time is over."""
        units = list(self._units.values()) if name is None else [self._find_unit(name)]
        if len(self._waiting) >= MAX_WAITS:
            raise RefusedError(f"{MAX_WAITS} clients wait already; ask for the status instead")
        changed = asyncio.Event()
        self._waiting.append(changed)
        give_up_at = self._clock.monotonic() + timeout_s
        try:
            while not self._operations.is_stopping:
                left_s = give_up_at - self._clock.monotonic()
                if left_s <= 0 or (self._sequencer.is_idle and all(_is_decided(unit) for unit in units)):
                    break
                changed.clear()
                try:
                    await asyncio.wait_for(changed.wait(), left_s)
                except TimeoutError:
                    break
        finally:
            self._waiting.remove(changed)
        return self._report(units)

    def _report(self, units: list[SupervisedService]) -> dict[str, Any]:
        problems = [
            {
                "name": unit.name,
                "state": str(unit.state),
                "message": unit.message(),
                "log": self._read_last_lines(unit.name, _PROBLEM_LINES),
            }
            for unit in units
            if unit.state not in UP and unit.state is not State.STOPPED
        ]
        return {
            "ready": not problems and not self._operations.is_stopping,
            "problems": problems,
            "not_restarted": self._sequencer.not_restarted,
            "status": msgspec.to_builtins(self._take_snapshot()),
        }


def _is_decided(unit: SupervisedService) -> bool:
    return unit.state in UP or unit.state in {State.CRASHLOOP, State.STOPPED}
