"""When a detector looks for a new model, and on which thread it is loaded.

`PollingReloader` looks when asked, on the caller's thread: for tests and tools. `WatchingReloader` is what services use: a
thread of its own waits for an event or a second to pass, loads and verifies beside the scoring, and hands the result
over through a queue and an eventfd, so that a service asleep wakes at once. Which file is loaded is `ModelSource`'s.
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
LONG_S = 5.0
"""A load that takes longer than this is told: the file asks for more than a model should."""
GIVE_WAY_S = 0.02
"""Longest pause a busy detector makes between two batches for a model that is being loaded."""
JOIN_S = 1.0


class ModelReloader(Protocol):
    """Where a scoring service gets its models from."""

    def take(self) -> LoadAttempt | None:
        """Give what was found since the last call, or nothing; never waits."""
        ...

    def give_way(self) -> None:
        """Leave the processor for a moment to a model that is being loaded."""
        ...

    def failed(self, loaded: LoadedModel, reason: str, *, holding: bool) -> None:
        """Say that a model failed on live windows."""
        ...

    @property
    def problem(self) -> str:
        """What makes changes be noticed late; empty if nothing does."""
        ...

    @property
    def wake_fd(self) -> int | None:
        """Becomes readable when there is something to take."""
        ...

    def close(self) -> None:
        """Stop looking."""
        ...


class PollingReloader:
    """Looks every `POLL_S` seconds, when asked."""

    def __init__(self, source: ModelSource, clock: Clock, poll_s: float = POLL_S) -> None:
        self._source, self._clock, self._poll_s = source, clock, poll_s
        self._next_look = clock.monotonic()

    def take(self) -> LoadAttempt | None:
        """LoadAttempt, if it is time to."""
        if self._clock.monotonic() < self._next_look:
            return None
        self._next_look = self._clock.monotonic() + self._poll_s
        return self._source.look()

    def give_way(self) -> None:
        """Nothing is loaded elsewhere."""

    def failed(self, loaded: LoadedModel, reason: str, *, holding: bool) -> None:
        """Look again at the next step."""
        self._source.failed(loaded, reason, holding=holding)
        self._next_look = self._clock.monotonic()

    @property
    def problem(self) -> str:
        """Polling is what it is for."""
        return ""

    @property
    def wake_fd(self) -> int | None:
        """Nothing wakes it."""
        return None

    def close(self) -> None:
        """Nothing is open."""


class WatchingReloader:
    """Looks on a thread of its own, at once when the folder says so and every second in any case.

    The first look is made here, on the caller's thread: a service that says it is ready has the model it can have.
    """

    def __init__(
        self,
        source: ModelSource,
        clock: Clock,
        poll_s: float = POLL_S,
        make: Callable[[], Observer] = system_observer,
    ) -> None:
        self._source, self._clock, self._poll_s = source, clock, poll_s
        self._looking_since: float | None = None
        self._found: deque[LoadAttempt] = deque([source.look()])
        self._changed, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._closing = False
        self._said = ""
        self._wake = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watch = FolderWatch(source.path, self._hear, clock, make)
        self._watch.tend()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def take(self) -> LoadAttempt | None:
        """Give the next finding, oldest first."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        if not self._found:
            return None
        look = self._found.popleft()
        if self._found:  # one read took the wakes of all of them
            os.eventfd_write(self._wake, 1)
        return look

    def give_way(self) -> None:
        """Wait until the load under way is done, `GIVE_WAY_S` at most."""
        self._idle.wait(GIVE_WAY_S)

    def failed(self, loaded: LoadedModel, reason: str, *, holding: bool) -> None:
        """Hand it to the thread that looks."""
        self._source.failed(loaded, reason, holding=holding)
        self._changed.set()

    @property
    def problem(self) -> str:
        """Why there are no events, or that a file takes very long."""
        since = self._looking_since
        if since is not None and (seconds := self._clock.monotonic() - since) > LONG_S:
            return f"{self._source.path.name} is being loaded for {seconds:.0f} s"
        hint = self._watch.problem
        return f"new models are noticed by polling alone: {hint}" if hint else ""

    @property
    def wake_fd(self) -> int | None:
        """An eventfd."""
        return self._wake

    def close(self) -> None:
        """End the thread and the watch; what was found and not taken is dropped."""
        self._closing = True
        self._changed.set()
        self._thread.join(JOIN_S)
        self._watch.close()
        if not self._thread.is_alive():
            os.close(self._wake)

    def _hear(self) -> None:
        # Reading a file makes no event that is asked for, and a second name for it none that matters.
        if self._source.has_changed:
            self._idle.clear()
        self._changed.set()

    def _run(self) -> None:
        while not self._closing:
            self._changed.wait(min(self._poll_s, self._source.settles_in_s))
            self._changed.clear()
            if self._closing:
                break
            try:
                self._watch.tend()
                self._looking_since = self._clock.monotonic()
                look = self._source.look()
            except Exception as error:
                # Whatever a file or a file system does to us, scoring goes on, and the next second is another chance.
                look = LoadAttempt(notice=f"looking for a model failed: {type(error).__name__}: {error}")
                logs.get_logger().error("model.look_failed", error=str(error), exc_info=True)
            self._looking_since = None
            if not self._changed.is_set():
                self._idle.set()
            if look.loaded is not None or look.refused or look.notice != self._said:
                self._said = look.notice
                self._found.append(look)
                os.eventfd_write(self._wake, 1)
