"""The form of a log line: one event ``noun.verb`` for each decision, with fields and a UTC time.

JSON lines are for programs, the console form for people. The level names who must act: ``info`` nobody, ``warning`` a person
tomorrow, ``error`` a person now. Lines go to standard output by default; the supervisor captures and rotates them.
"""

import logging
import sys
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

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


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
        Where lines go; default standard output. A command whose output is data passes standard error.
    """
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
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
