"""Runs the program that carries events into the store; when it must run is decided by `supervisor.event_recorder`."""

import asyncio
from collections.abc import Callable, Mapping

from bgpdrift.clock import Clock
from supervisor.event_recorder import EventRecorder
from supervisor.journal import Journal
from supervisor.log_capture import LineWriter
from supervisor.process_control import Hands
from supervisor.services import Service

RECORDER = "record_events"
"""Name of that program among the supervisor's children; it is no service."""


class RecordRun:
    """At most one run at a time."""

    def __init__(
        self,
        command: tuple[str, ...],
        hands: Hands,
        writer: LineWriter,
        journal: Journal,
        clock: Clock,
        variables: Callable[[], Mapping[str, str]],
    ) -> None:
        """Prepare.

        Parameters
        ----------
        command : tuple of str
            The program; empty where a system has none, and nothing ever runs.
        hands, writer, journal, clock
            The supervisor's own.
        variables : callable
            Gives environment variables for a run, when it begins.
        """
        self._command, self._hands, self._writer, self._journal = command, hands, writer, journal
        self._when, self._variables = EventRecorder(clock), variables
        self._loop = asyncio.get_running_loop()

    def happened(self, urgent: bool) -> None:
        """Take note of an event, whose line is on its way to the file."""
        self._when.happened(urgent)

    def deadline(self) -> float | None:
        """Give the monotonic time at which to call `advance`; None while there is nothing to do."""
        return self._when.deadline() if self._command else None

    def advance(self) -> None:
        """End a run that takes too long; begin one that is due, once the lines for it have reached the file."""
        if self._when.is_late():
            self._hands.kill(RECORDER)
        if not self._command or not self._when.is_due():
            return
        self._when.began()

        def spawn() -> None:
            try:
                self._hands.spawn(Service(RECORDER, self._command), **self._variables())
            except OSError as error:
                self._when.ended(well=False)
                self._journal.log("warning", "events.not_recorded", error=str(error))

        def written() -> None:
            self._loop.call_soon_threadsafe(spawn)

        self._writer.call(written)

    def ended(self, how: str, text: str) -> None:
        """Note how a run ended; one that failed is repeated later."""
        well = how == "exit 0"
        self._when.ended(well)
        if not well:
            self._journal.log("warning", "events.not_recorded", error=text)
