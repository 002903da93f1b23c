"""Stops all services, or restarts several, one after the other.

`supervisor.shutdown` and `supervisor.rolling` decide which service is next. Both work from the states of the
services alone, so that a failure of one service does not block the rest.
"""

from collections.abc import Collection, Mapping, Sequence

from bgpdrift.clock import Clock
from supervisor.journal import Journal
from supervisor.lifecycle import UP, WITH_PROCESS, State
from supervisor.rolling import RollingRestart, advance_restart
from supervisor.services import Service
from supervisor.shutdown import Shutdown, choose_services_to_stop, is_complete
from supervisor.supervised import SupervisedService


class Sequencer:
    """At most one shutdown and one rolling restart.

    Parameters
    ----------
    units : mapping of str to SupervisedService
        All services, in starting order.
    services : sequence of Service
        Their definitions, in the same order.
    journal, clock
        The supervisor's.
    """

    def __init__(
        self, units: Mapping[str, SupervisedService], services: Sequence[Service], journal: Journal, clock: Clock
    ) -> None:
        self._units, self._services, self._journal, self._clock = units, services, journal, clock
        self._shutdown: Shutdown | None = None
        self._rolling = RollingRestart()
        self.not_restarted: list[str] = []
        """Services that kept their old process because one before them failed in the last rolling restart."""

    @property
    def is_idle(self) -> bool:
        """Whether neither a shutdown nor a rolling restart is in progress."""
        return self._shutdown is None and self.is_restart_over

    @property
    def is_restart_over(self) -> bool:
        """Whether no rolling restart is in progress."""
        return self._rolling.is_over

    def begin_restart(self, names: Collection[str]) -> None:
        """Begin a rolling restart of these services, in place of one in progress."""
        self._set_rolling(names, "")

    def add_to_restart(self, names: Collection[str]) -> None:
        """Add these services to the rolling restart in progress, or begin one."""
        self._set_rolling({*self._rolling.waiting, *names}, self._rolling.current)

    def begin_shutdown(self, at_once: bool = False) -> None:
        """Begin to stop all services; ``at_once`` stops all of them now."""
        self._rolling = RollingRestart()
        self._shutdown = Shutdown(self._clock.monotonic(), frozenset(self._units if at_once else ()))
        if at_once:
            for unit in self._units.values():
                unit.stop()

    def advance(self, patience_s: float) -> None:
        """Stop or restart the services that are next; see `choose_services_to_stop` for ``patience_s``."""
        self._advance_shutdown(patience_s)
        self._advance_restart()

    def deadline(self, patience_s: float) -> float | None:
        """Return the monotonic time at which `advance` must be called if nothing happens before; None for never."""
        if self._shutdown is None or len(self._shutdown.stopped) == len(self._units):
            return None
        return self._shutdown.stopped_at + patience_s

    def _set_rolling(self, names: Collection[str], current: str) -> None:
        self.not_restarted = []
        self._rolling = RollingRestart(tuple(name for name in self._units if name in names), current)

    def _advance_shutdown(self, patience_s: float) -> None:
        while self._shutdown is not None:
            now = self._clock.monotonic()
            names = choose_services_to_stop(self._shutdown, self._services, self._alive(), now, patience_s)
            for name in names:
                self._units[name].stop()
            if names:
                self._shutdown = Shutdown(now, self._shutdown.stopped | set(names))
            if is_complete(self._shutdown, self._services, self._alive()):
                self._shutdown = None
            if not names or any(name in self._alive() for name in names):
                return

    def _advance_restart(self) -> None:
        while not self._rolling.is_over:
            after = advance_restart(self._rolling, {name: unit.state for name, unit in self._units.items()})
            if after == self._rolling:
                return
            before = self._rolling.current
            if before and self._units[before].state not in UP | {State.STOPPED}:
                self.not_restarted = list(self._rolling.waiting)
                self._journal.log("error", "restart.aborted", failed=before, not_restarted=self.not_restarted)
            self._rolling = after
            if after.current:
                self._units[after.current].restart()
                return

    def _alive(self) -> set[str]:
        return {name for name, unit in self._units.items() if unit.state in WITH_PROCESS}
