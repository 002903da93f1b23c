"""What an operator may ask over the control socket, and what the answers hold. Protocol: docs/supervisor-control.md.

A request is checked here as a whole before anything is done; how it is carried out is `supervisor.loop`. Nothing but
``wait`` takes time, so no command blocks another.
"""

import asyncio
import os
from typing import TYPE_CHECKING, Any

import msgspec

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import SettingsError
from supervisor.control import RefusedError
from supervisor.lifecycle import UP, State
from supervisor.supervised import Supervised

if TYPE_CHECKING:
    from supervisor.loop import Supervisor

PROTOCOL = 1
LONGEST_WAIT_S = 600.0
_PROBLEM_LINES = 5
_KNOWN = "status, start, stop, restart, reload or wait"


class Commands:
    """Answers requests to one supervisor."""

    def __init__(self, supervisor: "Supervisor", clock: Clock | None = None) -> None:
        self._supervisor, self._clock = supervisor, clock or SystemClock()

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request.

        Raises
        ------
        RefusedError
            It is unknown, or cannot be carried out now; the text says why.
        """
        supervisor = self._supervisor
        match request:
            case {"command": "status"}:
                return {"protocol": PROTOCOL, "status": msgspec.to_builtins(supervisor.status())}
            case {"command": "stop", "name": str() as name}:
                self._want(name, up=False)
                return {}
            case {"command": "stop", **rest}:
                supervisor.stop("command", now=rest.get("now") is True)
                return {"pid": os.getpid()}
            case {"command": "start", "name": str() as name}:
                self._want(name, up=True)
                return {}
            case {"command": "restart", **rest}:
                return self._restart(rest.get("name"))
            case {"command": "reload"}:
                return self._reload()
            case {"command": "wait", "timeout_s": int() | float() as timeout_s, **rest}:
                return await self._wait(float(timeout_s), rest.get("name"))
            case _:
                raise RefusedError(f"unknown request {str(request)[:200]}; expected command {_KNOWN}")

    def _unit(self, name: object) -> Supervised:
        unit = self._supervisor.units.get(str(name))
        if unit is None:
            raise RefusedError(f"no service {name!r}; there are {', '.join(self._supervisor.units)}")
        return unit

    def _refuse_while_stopping(self) -> None:
        if self._supervisor.stopping:
            raise RefusedError("everything is being stopped")

    def _want(self, name: str, up: bool) -> None:
        self._refuse_while_stopping()
        self._unit(name)
        try:
            self._supervisor.want(name, up)
        except OSError as error:
            raise RefusedError(f"the wish cannot be written down: {error}") from error

    def _restart(self, name: object) -> dict[str, Any]:
        self._refuse_while_stopping()
        names = [self._unit(name).name] if name is not None else list(self._supervisor.units)
        try:
            self._supervisor.restart(names)
        except (SettingsError, OSError) as error:
            raise RefusedError(str(error), "settings") from error
        return {}

    def _reload(self) -> dict[str, Any]:
        self._refuse_while_stopping()
        try:
            changed, concerned = self._supervisor.reload()
        except (SettingsError, OSError) as error:
            raise RefusedError(str(error), "settings") from error
        return {"changed": changed, "restarting": concerned}

    async def _wait(self, timeout_s: float, name: object) -> dict[str, Any]:
        """Answer once the services concerned are up, have turned out not to become so, or the time is over."""
        supervisor = self._supervisor
        units = list(supervisor.units.values()) if name is None else [self._unit(name)]
        woken = asyncio.Event()
        supervisor.waiters.append(woken)
        give_up_at = self._clock.monotonic() + min(timeout_s, LONGEST_WAIT_S)
        try:
            while not supervisor.stopping:
                left_s = give_up_at - self._clock.monotonic()
                if left_s <= 0 or (supervisor.rounds.is_settled and all(_is_decided(unit) for unit in units)):
                    break
                woken.clear()
                try:
                    await asyncio.wait_for(woken.wait(), left_s)
                except TimeoutError:
                    break
        finally:
            supervisor.waiters.remove(woken)
        return self._how_it_went(units)

    def _how_it_went(self, units: list[Supervised]) -> dict[str, Any]:
        problems = [
            {
                "name": unit.name,
                "state": str(unit.state),
                "message": unit.message(),
                "log": self._supervisor.hands.captures[unit.name].last_lines(_PROBLEM_LINES),
            }
            for unit in units
            if unit.state not in UP and unit.state is not State.STOPPED
        ]
        status = msgspec.to_builtins(self._supervisor.status())
        ready = not problems and not self._supervisor.stopping
        return {"ready": ready, "problems": problems, "left_out": self._supervisor.rounds.left_out, "status": status}


def _is_decided(unit: Supervised) -> bool:
    return unit.state in UP or unit.state in {State.CRASHLOOP, State.STOPPED}
