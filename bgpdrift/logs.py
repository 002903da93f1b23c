"""The form of a log line: one event ``noun.verb`` for each decision, with fields and a UTC time.

JSON lines are for programs, the console form for people. The level states the urgency: ``info`` needs no action,
``warning`` needs a person tomorrow, ``error`` needs a person now. Lines go to standard output by default; the supervisor
captures and rotates them.
"""

import logging
import sys
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, TextIO

if "rich" in sys.modules:
    import structlog
else:
    # structlog imports Rich if it is installed, to draw tracebacks. That costs each of eight services 15 MiB and 150 ms, and
    # none of them draws. A program that does has imported Rich before, or imports it later.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        del sys.modules["rich"]

from bgpdrift.clock import Clock, SystemClock

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

MAX_EQUAL_LINES, MAX_LINES_OF_EVENT = 5, 200
"""Lines within `PERIOD_S`: equal ones, and those of one event; more are counted instead of written."""
PERIOD_S = 10.0
_MAX_KEYS = 1000


class RepetitionLimit:
    """Decides which log lines are written: a flood of equal lines, or of one event, is counted instead.

    The next line of the same kind after the period carries the count as ``repeated``: "repeated n times".

    Parameters
    ----------
    clock : Clock
        Monotonic.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._periods: dict[Hashable, list[float]] = {}  # begin of the period, lines written, lines counted

    def admit(self, level: str, event: str, fields: str) -> int | None:
        """Return how many lines of this kind were counted since the last one written; None to count this one too."""
        with self._lock:
            if len(self._periods) > _MAX_KEYS:
                self._periods.clear()
            counted = [
                self._count((level, event), MAX_LINES_OF_EVENT),
                self._count((level, event, fields), MAX_EQUAL_LINES),
            ]
        return None if None in counted else max(count or 0 for count in counted)

    def __call__(self, logger: "WrappedLogger", name: str, line: "EventDict") -> "EventDict":  # noqa: ARG002
        """Admit a line of structlog, or drop it."""
        repeated = self.admit(str(line.get("level")), str(line.get("event")), repr(sorted(line.items(), key=str)))
        if repeated is None:
            raise structlog.DropEvent
        return {**line, "repeated": repeated} if repeated else line

    def _count(self, key: Hashable, limit: int) -> int | None:
        now = self._clock.monotonic()
        period = self._periods.get(key)
        if period is None or now - period[0] >= PERIOD_S:
            counted = int(period[2]) if period else 0
            self._periods[key] = [now, 1, 0]
            return counted
        if period[1] >= limit:
            period[2] += 1
            return None
        period[1] += 1
        return 0


def configure(
    level: str = "info", form: str = "json", service: str | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog for this process.

    Parameters
    ----------
    level : str
        Lowest level written: ``debug``, ``info``, ``warning`` or ``error``.
    form : str
        ``json`` for one object a line, ``console`` for people.
    service : str, optional
        Bound to every line as ``service``.
    stream : text file, optional
        Stream that lines are written to; default standard output. A command whose output is data passes standard error.
    """
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        RepetitionLimit(SystemClock()),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    if form == "json":
        processors.append(structlog.processors.JSONRenderer())
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=(stream or sys.stdout).isatty(), timestamp_key="at"))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    if service:
        structlog.contextvars.bind_contextvars(service=service)


def get_logger() -> "FilteringBoundLogger":
    """Return a logger; `configure` may be called later."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
