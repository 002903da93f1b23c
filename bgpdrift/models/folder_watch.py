"""Hear at once when a file in a folder changes, as long as the system can tell.

Decides when events have to be asked for anew: the folder was replaced or came back, the watch died, or the system had
run out of watches a while ago. Events are only ever a hint to look sooner: they get lost (a queue overflows, NFS sends
none), so that whoever uses this looks at the file every second anyway (`bgpdrift.models.reloading`).
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bgpdrift.clock import Clock

RETRY_EVERY_S = 60.0
"""How often events are asked for again after the system refused: limits are raised while services run."""
JOIN_S = 0.5
_TELLING = frozenset({"created", "modified", "moved", "closed", "attrib"})

FolderIdentity = tuple[int, int]


class Observer(Protocol):
    """What is used of ``watchdog.observers.Observer``."""

    def schedule(self, event_handler: Any, path: str, *, recursive: bool = False) -> object:
        """Watch a folder."""
        ...

    def start(self) -> None:
        """Begin; raises OSError when the system has no watch left."""
        ...

    def stop(self) -> None:
        """End."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        ...

    def is_alive(self) -> bool:
        """Whether events may still come."""
        ...


def system_observer() -> Observer:
    """The system's own events: inotify on Linux."""
    from watchdog.observers import Observer as WatchdogObserver

    observer: Observer = WatchdogObserver()
    return observer


class FolderWatch:
    """Calls back when a file of a name changes in a folder.

    Parameters
    ----------
    path : Path
        The file; its folder may be missing, a symbolic link, or replaced while we watch.
    on_change : callable
        Called on a thread of the observer's; must be quick.
    clock : Clock
        For the retries.
    make : callable
        Makes an `Observer`; raises OSError when the system has none left.
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

    def tend(self) -> bool:
        """See to it that the folder that lies there now is watched; True if one is watched that was not."""
        folder = _identity(self._folder)
        if self._observer is not None and folder == self._watched and _all_alive(self._observer):
            return False
        if self._observer is not None:
            self._let_go()
        elif self.problem and folder == self._watched and self._clock.monotonic() < self._next_try:
            return False
        self._watched = folder
        if folder is None:
            self.problem = "the folder is missing"
            return False
        return self._watch()

    def close(self) -> None:
        """Stop watching."""
        self._let_go()

    def dispatch(self, event: Any) -> None:
        """Take an event of the observer's: a rename tells its new name, everything else its own."""
        if event.event_type not in _TELLING:
            return
        named = event.dest_path if event.event_type == "moved" else event.src_path
        if os.path.basename(os.fsdecode(named)) == self._name:  # noqa: PTH119 - bytes or str, and quick
            self._on_change()

    def _watch(self) -> bool:
        observer: Observer | None = None
        try:
            observer = self._make()
            # A link in place of the folder is resolved: watched would be the link itself.
            observer.schedule(self, str(self._folder.resolve()), recursive=False)
            observer.start()
        except Exception as error:  # OSError for limits; whatever else a library does, polling goes on
            self.problem = f"{error.strerror or error}" if isinstance(error, OSError) else str(error)
            self._next_try = self._clock.monotonic() + RETRY_EVERY_S
            if observer is not None:
                with contextlib.suppress(Exception):
                    observer.stop()
            return False
        self._observer, self.problem = observer, ""
        return True

    def _let_go(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            with contextlib.suppress(Exception):
                observer.stop()
                observer.join(JOIN_S)


def _identity(folder: Path) -> FolderIdentity | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _all_alive(observer: Observer) -> bool:
    emitters = getattr(observer, "emitters", ())
    return observer.is_alive() and all(emitter.is_alive() for emitter in emitters)
