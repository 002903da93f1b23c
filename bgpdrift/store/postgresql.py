"""The connection to PostgreSQL: a wait for the server's answer is reported as progress and has a limit.

The driver waits for an answer in slices of a tenth of a second. A wait for the lock of another writer, or for a server that is
paused, is therefore no hang of the service. The limit is for a server that never answers; ``lock_timeout`` ends the wait for a
lock before that.
"""

import importlib
import time
from collections.abc import Callable, Generator
from functools import cache
from typing import Any, Final, TypeVar

from bgpdrift.process.waiting import report_wait

ANSWER_LIMIT_S: Final = 30.0
"""Longest wait for an answer beyond the wait for locks; seconds."""

R = TypeVar("R")
Progress = Generator[Any, Any, R]
"""How the driver waits: the generator yields what it waits for, and receives what is ready, or 0 after each slice."""


class NoAnswerError(Exception):
    """The server did not answer within the limit."""


def report_waits(progress: Progress[R], limit_s: float, monotonic: Callable[[], float] = time.monotonic) -> Progress[R]:
    """Pass on what a generator of the driver yields and receives, and report each slice without an answer.

    Parameters
    ----------
    progress : generator
        The generator of the driver.
    limit_s : float
        Longest wait, seconds.
    monotonic : callable
        Monotonic time, seconds.

    Raises
    ------
    NoAnswerError
        The wait has lasted longer.
    """
    began = monotonic()
    try:
        awaited = next(progress)
        while True:
            ready = yield awaited
            if not ready:
                report_wait()
                if monotonic() - began > limit_s:
                    raise NoAnswerError(f"no answer for {limit_s:.0f} s")
            awaited = progress.send(ready)
    except StopIteration as end:
        result: R = end.value
        return result


def connect(limit_s: float, *arguments: Any, **options: Any) -> Any:
    """Open a connection whose waits are reported and end after a limit; other arguments as for ``psycopg.connect``."""
    connection = _connection_class().connect(*arguments, **options)
    connection.answer_limit_s = limit_s
    return connection


@cache
def _connection_class() -> Any:
    # Loaded only for PostgreSQL, because the driver is optional.
    psycopg = importlib.import_module("psycopg")

    class Connection(psycopg.Connection):  # type: ignore[misc, name-defined]
        answer_limit_s = ANSWER_LIMIT_S

        def wait(self, gen: Progress[R], *arguments: Any, **options: Any) -> R:
            try:
                answer: R = super().wait(report_waits(gen, self.answer_limit_s), *arguments, **options)
            except NoAnswerError as error:
                self.pgconn.finish()
                raise psycopg.OperationalError(str(error)) from error
            return answer

    return Connection
