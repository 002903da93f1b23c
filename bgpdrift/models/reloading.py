"""Decides when a detector tries to load a new model, and on which thread.

`PollingReloader` tries when it is called, on the caller's thread, for tests and tools. `WatchingReloader` is for services:
its thread waits for a change of the folder or for a second to pass, loads and verifies beside the scoring, and passes the
result through a queue and an eventfd, so that a sleeping service wakes at once. `ModelSource` decides which file is loaded.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.models.folder_watch import FolderWatch, Observer, system_observer
from bgpdrift.models.loading import LoadAttempt, LoadedModel, ModelSource

POLL_S = 1.0
SLOW_LOAD_S = 5.0
"""A longer load is reported as a problem."""
MAX_YIELD_S = 0.02
"""Longest pause of a busy detector between two batches while a model is loaded."""
JOIN_S = 1.0


class ModelReloader(Protocol):
    """Loads the models of a detector service."""

    def take(self) -> LoadAttempt | None:
        """Return the next attempt since the last call, or None; never waits."""
        ...

    def yield_to_load(self) -> None:
        """Leave the processor for a moment to a model that is being loaded."""
        ...

    def report_failure(self, loaded: LoadedModel, reason: str, *, has_other: bool) -> None:
        """Report that a model failed on live windows."""
        ...

    @property
    def problem(self) -> str:
        """Why changes are noticed late; empty if they are not."""
        ...

    @property
    def wake_fd(self) -> int | None:
        """A descriptor that is readable when there is an attempt to take."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


class PollingReloader:
    """Tries every `POLL_S` seconds, when it is called."""

    def __init__(self, source: ModelSource, clock: Clock, poll_s: float = POLL_S) -> None:
        self._source, self._clock, self._poll_s = source, clock, poll_s
        self._next_try = clock.monotonic()

    def take(self) -> LoadAttempt | None:
        """Try, if it is time to."""
        if self._clock.monotonic() < self._next_try:
            return None
        self._next_try = self._clock.monotonic() + self._poll_s
        return self._source.try_load()

    def yield_to_load(self) -> None:
        """Do nothing: no other thread loads."""

    def report_failure(self, loaded: LoadedModel, reason: str, *, has_other: bool) -> None:
        """Try again at the next call."""
        self._source.report_failure(loaded, reason, has_other=has_other)
        self._next_try = self._clock.monotonic()

    @property
    def problem(self) -> str:
        """Always empty."""
        return ""

    @property
    def wake_fd(self) -> int | None:
        """Always None."""
        return None

    def close(self) -> None:
        """Do nothing: nothing is open."""


class WatchingReloader:
    """Tries on its own thread, at once after a change of the folder and every second in any case.

    The first attempt is made on the caller's thread, so that a service that reports readiness has its model.
    """

    def __init__(
        self,
        source: ModelSource,
        clock: Clock,
        poll_s: float = POLL_S,
        make: Callable[[], Observer] = system_observer,
    ) -> None:
        self._source, self._clock, self._poll_s = source, clock, poll_s
        self._loading_since: float | None = None
        self._attempts: deque[LoadAttempt] = deque([source.try_load()])
        self._changed, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._closing = False
        self._last_problem = ""
        self._wake = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watch = FolderWatch(source.path, self._handle_change, clock, make)
        self._watch.ensure_watched()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def take(self) -> LoadAttempt | None:
        """Return the next attempt, the oldest first."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        if not self._attempts:
            return None
        attempt = self._attempts.popleft()
        if self._attempts:  # one read cleared the wake-ups of all attempts
            os.eventfd_write(self._wake, 1)
        return attempt

    def yield_to_load(self) -> None:
        """Wait until the current load is done, at most `MAX_YIELD_S`."""
        self._idle.wait(MAX_YIELD_S)

    def report_failure(self, loaded: LoadedModel, reason: str, *, has_other: bool) -> None:
        """Pass the failure to the loading thread."""
        self._source.report_failure(loaded, reason, has_other=has_other)
        self._changed.set()

    @property
    def problem(self) -> str:
        """Why there are no events, or that a load takes long."""
        since = self._loading_since
        if since is not None and (seconds := self._clock.monotonic() - since) > SLOW_LOAD_S:
            return f"{self._source.path.name} has been loading for {seconds:.0f} s"
        problem = self._watch.problem
        return f"new models are noticed by polling only: {problem}" if problem else ""

    @property
    def wake_fd(self) -> int | None:
        """An eventfd."""
        return self._wake

    def close(self) -> None:
        """End the thread and the watch; attempts that were not taken are dropped."""
        self._closing = True
        self._changed.set()
        self._thread.join(JOIN_S)
        self._watch.close()
        if not self._thread.is_alive():
            os.close(self._wake)

    def _handle_change(self) -> None:
        if self._source.has_changed:
            self._idle.clear()
        self._changed.set()

    def _run(self) -> None:
        while not self._closing:
            self._changed.wait(min(self._poll_s, self._source.retry_in_s))
            self._changed.clear()
            if self._closing:
                break
            try:
                self._watch.ensure_watched()
                self._loading_since = self._clock.monotonic()
                attempt = self._source.try_load()
            except Exception as error:
                # Scoring continues whatever the error is, and the next attempt comes in a second.
                attempt = LoadAttempt(problem=f"the attempt to load a model failed: {type(error).__name__}: {error}")
                logs.get_logger().error("model.load_failed", error=str(error), exc_info=True)
            self._loading_since = None
            if not self._changed.is_set():
                self._idle.set()
            if attempt.loaded is not None or attempt.refused or attempt.problem != self._last_problem:
                self._last_problem = attempt.problem
                self._attempts.append(attempt)
                os.eventfd_write(self._wake, 1)
