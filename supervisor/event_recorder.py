"""Runs the program that writes ``logs/events.ndjson`` into the store, and decides when.

The supervisor loads no database library, and no service may be the only one that can report a crash. A separate program
therefore runs to its end when there are new events. Several events share one run; an urgent event does not wait for it.
"""

import asyncio
from collections.abc import Callable, Mapping

from bgpdrift.clock import Clock
from supervisor.journal import Journal
from supervisor.log_capture import LineWriter
from supervisor.process_control import ProcessControl
from supervisor.services import Service

RECORDER = "record_events"
"""The name of the program among the supervisor's children; it is not a service."""
GATHER_S = 5.0
"""Seconds from an event to the run that records it."""
MIN_INTERVAL_S = 30.0
"""Least seconds between two runs, also after a failed one; an urgent event waits only `GATHER_S`."""
LIMIT_S = 60.0
"""A run that takes longer is killed; seconds."""


class RecordSchedule:
    """Decides when a run begins and when it is killed, by the monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_at: float | None = None
        self._not_before = 0.0
        self._running_since: float | None = None

    def add_event(self, urgent: bool = False) -> None:
        """Record that a new event waits."""
        soon = self._clock.monotonic() + GATHER_S
        due_at = soon if urgent else max(soon, self._not_before)
        self._due_at = due_at if self._due_at is None else min(self._due_at, due_at)

    def deadline(self) -> float | None:
        """Return the monotonic time at which a run must begin or be killed; None while there is nothing to do."""
        return self._due_at if self._running_since is None else self._running_since + LIMIT_S

    def is_due(self) -> bool:
        """Whether a run must begin now."""
        return self._running_since is None and self._due_at is not None and self._clock.monotonic() >= self._due_at

    def is_overdue(self) -> bool:
        """Whether the present run takes too long."""
        return self._running_since is not None and self._clock.monotonic() >= self._running_since + LIMIT_S

    def begin_run(self) -> None:
        """Record the beginning of a run; the next run handles later events."""
        self._running_since, self._due_at = self._clock.monotonic(), None

    def end_run(self, succeeded: bool) -> None:
        """Record the end of a run; a failed run is repeated."""
        self._running_since, self._not_before = None, self._clock.monotonic() + MIN_INTERVAL_S
        if not succeeded:
            self._due_at = self._not_before


class EventRecorder:
    """Runs the program, at most once at a time.

    Parameters
    ----------
    command : tuple of str
        The program; with an empty one nothing ever runs.
    control, writer, journal, clock
        The supervisor's.
    build_variables : callable
        Returns the environment variables of a run, when it begins.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        control: ProcessControl,
        writer: LineWriter,
        journal: Journal,
        clock: Clock,
        build_variables: Callable[[], Mapping[str, str]],
    ) -> None:
        self._command, self._control, self._writer, self._journal = command, control, writer, journal
        self._schedule, self._build_variables = RecordSchedule(clock), build_variables
        self._loop = asyncio.get_running_loop()

    def add_event(self, urgent: bool) -> None:
        """Record that a new event waits; the log writer has its line."""
        self._schedule.add_event(urgent)

    def deadline(self) -> float | None:
        """Return the monotonic time at which `advance` must be called; None while there is nothing to do."""
        return self._schedule.deadline() if self._command else None

    def advance(self) -> None:
        """Kill a run that takes too long; begin one that is due, after the lines of its events are in the file."""
        if self._schedule.is_overdue():
            self._control.kill(RECORDER)
        if not self._command or not self._schedule.is_due():
            return
        self._schedule.begin_run()
        self._writer.call(self._request_spawn)

    def handle_exit(self, status: str, reason: str) -> None:
        """Handle the end of a run; a failed run is repeated later."""
        succeeded = status == "exit 0"
        self._schedule.end_run(succeeded)
        if not succeeded:
            self._journal.log("warning", "events.not_recorded", error=reason)

    def _request_spawn(self) -> None:
        self._loop.call_soon_threadsafe(self._spawn)

    def _spawn(self) -> None:
        try:
            self._control.spawn(Service(RECORDER, self._command), **self._build_variables())
        except OSError as error:
            self._schedule.end_run(succeeded=False)
            self._journal.log("warning", "events.not_recorded", error=str(error))
