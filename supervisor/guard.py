"""Guards supervision against an exception in one of its steps: the step is logged and counted, and repeated later.

A machine that is short of descriptors, memory or disk space makes almost any call fail. Such a failure, or a bug, must not
end a task of the supervisor or leave a service without supervision. The caller decides when the step is
repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec

from supervisor.journal import Journal

P = ParamSpec("P")


class Guard:
    """Runs steps and counts those that failed."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.failures = 0
        """Number of steps that failed since the supervisor started."""

    def run(self, step: str, action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Run a step; False if it failed. ``step`` names it in the log."""
        try:
            action(*args, **kwargs)
        except Exception as error:
            self.count(step, error)
            return False
        return True

    async def run_async(self, step: str, action: Callable[[], Awaitable[None]]) -> bool:
        """Do the same for a step that waits."""
        try:
            await action()
        except Exception as error:
            self.count(step, error)
            return False
        return True

    async def repeat(self, every_s: float, step: str, action: Callable[[], object]) -> None:
        """Run a step at an interval, for ever."""
        while True:
            self.run(step, action)
            await asyncio.sleep(every_s)

    def count(self, step: str, error: BaseException | None) -> None:
        """Log and count a step that failed."""
        self.failures += 1
        self._journal.log("error", "supervisor.step_failed", step=step, error=repr(error), failures=self.failures)
