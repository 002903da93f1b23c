"""File system events for one file in a folder.

This module decides when the folder must be watched again: it was replaced or came back, the watch ended, or the system
had no watch left a while ago. Events can get lost (a queue overflows, NFS sends none), so the caller also checks the file
every second (`bgpdrift.models.reloading`).
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bgpdrift.clock import Clock

RETRY_EVERY_S = 60.0
"""Time between two tries to watch after the system refused; its limits may be raised meanwhile."""
JOIN_S = 0.5
_RELEVANT_EVENTS = frozenset({"created", "modified", "moved", "closed", "attrib"})

FolderIdentity = tuple[int, int]


class Observer(Protocol):
    """The part of ``watchdog.observers.Observer`` that is used."""

    def schedule(self, event_handler: Any, path: str, *, recursive: bool = False) -> object:
        """Watch a folder."""
        ...

    def start(self) -> None:
        """Start; raises OSError if the system has no watch left."""
        ...

    def stop(self) -> None:
        """Stop."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has stopped."""
        ...

    def is_alive(self) -> bool:
        """Whether it still delivers events."""
        ...


def system_observer() -> Observer:
    """Make an observer of the system's events, inotify on Linux."""
    from watchdog.observers import Observer as WatchdogObserver

    observer: Observer = WatchdogObserver()
    return observer


class FolderWatch:
    """Calls a function when one file in a folder changes.

    Parameters
    ----------
    path : Path
        The file; its folder may be missing, a symbolic link, or replaced at any time.
    on_change : callable
        Called on a thread of the observer; must be quick.
    clock : Clock
        For the retries.
    make : callable
        Makes an `Observer`; raises OSError if the system has none left.
    """

    def __init__(
        self, path: Path, on_change: Callable[[], None], clock: Clock, make: Callable[[], Observer] = system_observer
    ) -> None:
        self._folder, self._name, self._on_change = path.parent, path.name, on_change
        self._clock, self._make = clock, make
        self._observer: Observer | None = None
        self._watched: FolderIdentity | None = None
        self._next_try = clock.monotonic()
        self.problem = ""
        """Why there are no events; empty while there are."""

    def ensure_watched(self) -> bool:
        """Watch the present folder if it is not watched; True if a watch was started."""
        folder = _identity(self._folder)
        if self._observer is not None and folder == self._watched and _all_alive(self._observer):
            return False
        if self._observer is not None:
            self._stop()
        elif self.problem and folder == self._watched and self._clock.monotonic() < self._next_try:
            return False
        self._watched = folder
        if folder is None:
            self.problem = "the folder is missing"
            return False
        return self._watch()

    def close(self) -> None:
        """Stop watching."""
        self._stop()

    def dispatch(self, event: Any) -> None:
        """Handle an event of the observer: a rename concerns the new name, any other event the name itself."""
        if event.event_type not in _RELEVANT_EVENTS:
            return
        path = event.dest_path if event.event_type == "moved" else event.src_path
        if os.path.basename(os.fsdecode(path)) == self._name:  # noqa: PTH119 - bytes or str, and quick
            self._on_change()

    def _watch(self) -> bool:
        observer: Observer | None = None
        try:
            observer = self._make()
            # A symbolic link is resolved first, because otherwise the link itself would be watched.
            observer.schedule(self, str(self._folder.resolve()), recursive=False)
            observer.start()
        except Exception as error:  # OSError for limits; polling continues whatever the library raises
            self.problem = f"{error.strerror or error}" if isinstance(error, OSError) else str(error)
            self._next_try = self._clock.monotonic() + RETRY_EVERY_S
            if observer is not None:
                with contextlib.suppress(Exception):
                    observer.stop()
            return False
        self._observer, self.problem = observer, ""
        return True

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            with contextlib.suppress(Exception):
                observer.stop()
                observer.join(JOIN_S)


def _identity(folder: Path) -> FolderIdentity | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _all_alive(observer: Observer) -> bool:
    emitters = getattr(observer, "emitters", ())
    return observer.is_alive() and all(emitter.is_alive() for emitter in emitters)
