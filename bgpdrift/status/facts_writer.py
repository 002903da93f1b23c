"""Writes the facts of `bgpdrift.status.facts` every few seconds; a part of a step of the drift monitor."""

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.settings import Settings
from bgpdrift.status import files, records, view
from bgpdrift.status.facts import WRITE_EVERY_S, write_facts
from bgpdrift.store import Store

log = logs.get_logger()


class FactsWriter:
    """Reads the store and the artifact directory, and writes the file.

    Parameters
    ----------
    settings : Settings
        Directories and waiting times.
    store : Store
        Open; it is not closed.
    clock : Clock
        Wall-clock time of the facts; monotonic time of the interval.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._due = clock.monotonic()
        self._problem = ""

    def step(self) -> None:
        """Write the file if it is due. A disk that fails is logged once; readers then read the store."""
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + WRITE_EVERY_S
        settings = self._settings
        found = records.read_records(self._store, with_series=False)
        content = files.read_files(settings.artifacts_path, settings.logs_path)
        problem = ""
        try:
            write_facts(settings.state_path, view.build_facts(found, content, settings, self._clock.now()))
        except OSError as error:
            problem = error.strerror or str(error)
        if problem and problem != self._problem:
            log.warning("attention.not_written", path=str(settings.state_path), error=problem)
        self._problem = problem
