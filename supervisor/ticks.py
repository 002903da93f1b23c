"""Goes through all services in order: down when everything ends, around when all get new processes.

Which one's turn it is, `going_down` and `rolling` decide; here it is told, and told again while that makes way for others at
once. What is looked at is the state of each service, so that a round survives whatever happens to one of them.
"""

from collections.abc import Collection, Mapping, Sequence

from bgpdrift.clock import Clock
from supervisor.journal import Journal
from supervisor.lifecycle import UP, WITH_PROCESS, State
from supervisor.rolling import Rolling, next_round
from supervisor.services import Service
from supervisor.shutdown import GoingDown, is_over, to_tell
from supervisor.supervised import Supervised


class Rounds:
    """At most one round down and one around.

    Parameters
    ----------
    units : mapping of str to Supervised
        All services, in starting order.
    services : sequence of Service
        The same.
    journal, clock
        The supervisor's own.
    """

    def __init__(
        self, units: Mapping[str, Supervised], services: Sequence[Service], journal: Journal, clock: Clock
    ) -> None:
        self._units, self._services, self._journal, self._clock = units, services, journal, clock
        self._down: GoingDown | None = None
        self._rolling = Rolling(())
        self.left_out: list[str] = []
        """Services that kept their old process because one before them failed in the last round of restarts."""

    @property
    def is_settled(self) -> bool:
        """Whether no round is under way."""
        return self._down is None and self.is_around

    @property
    def is_around(self) -> bool:
        """Whether no round of restarts is under way."""
        return self._rolling.is_over

    def restart(self, names: Collection[str], anew: bool) -> None:
        """Begin a round of restarts (``anew``), or let these have their turn in the one under way too."""
        self.left_out = []
        now = "" if anew else self._rolling.now
        waiting = set(names) if anew else {*self._rolling.waiting, *names}
        self._rolling = Rolling(tuple(name for name in self._units if name in waiting), now)

    def go_down(self, at_once: bool = False) -> None:
        """Begin to end everything; ``at_once`` tells all of them now."""
        self._rolling = Rolling(())
        self._down = GoingDown(self._clock.monotonic(), frozenset(self._units if at_once else ()))
        if at_once:
            for unit in self._units.values():
                unit.stop()

    def advance(self, patience_s: float) -> None:
        """Tell whose turn it is; ``patience_s`` is how long the deaf are waited for on the way down, seconds."""
        self._go_on_down(patience_s)
        self._go_on_around()

    def deadline(self, patience_s: float) -> float | None:
        """Give the monotonic time at which to call `advance` even if nothing happens before."""
        if self._down is None or len(self._down.told) == len(self._units):
            return None
        return self._down.told_at + patience_s

    def _go_on_down(self, patience_s: float) -> None:
        while self._down is not None:
            now = self._clock.monotonic()
            names = to_tell(self._down, self._services, self._alive(), now, patience_s)
            for name in names:
                self._units[name].stop()
            if names:
                self._down = GoingDown(now, self._down.told | set(names))
            if is_over(self._down, self._services, self._alive()):
                self._down = None
            if not names or any(name in self._alive() for name in names):
                return

    def _go_on_around(self) -> None:
        while not self._rolling.is_over:
            after = next_round(self._rolling, {name: unit.state for name, unit in self._units.items()})
            if after == self._rolling:
                return
            failed = self._rolling.now
            if failed and self._units[failed].state not in UP | {State.STOPPED}:
                self.left_out = list(self._rolling.waiting)
                self._journal.log("error", "restart.broken_off", failed=failed, left_out=self.left_out)
            self._rolling = after
            if after.now:
                self._units[after.now].restart()
                return

    def _alive(self) -> set[str]:
        return {name for name, unit in self._units.items() if unit.state in WITH_PROCESS}
