"""What a detector service waits for, read from the store for its status line at most every few seconds.

`bgpdrift.models.waiting` words it, `bgpdrift.monitor.first_training_requests` decides about the first training.
"""

from collections.abc import Iterator

from bgpdrift.clock import Clock
from bgpdrift.errors import TransientError
from bgpdrift.models.waiting import describe_first_training, describe_warming
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import FirstTrainingState, first_training_cursor

READ_INTERVAL_S = 5.0
"""A status line is written after every step; what a detector waits for changes once a minute at most."""
MINUTE_S, HOUR_S = 60, 3_600


class DetectorWaiting:
    """Reads and describes it.

    Parameters
    ----------
    store, clock
        Store and clock of the service.
    model : str
        Model of the detector.
    warming_minutes : int
        Setting ``windows.warming_minutes``.
    """

    def __init__(self, store: Store, clock: Clock, model: str, warming_minutes: int) -> None:
        self._store, self._clock, self._model, self._warming_s = store, clock, model, warming_minutes * MINUTE_S
        self._next_at = clock.monotonic()
        self._warming, self._first_training = "", ""

    def describe(self, *, has_model: bool) -> Iterator[str]:
        """Describe what the detector waits for, shortest part first; nothing if it waits for nothing."""
        if self._clock.monotonic() >= self._next_at:
            self._next_at = self._clock.monotonic() + READ_INTERVAL_S
            try:
                self._read()
            except TransientError:
                self._warming = self._first_training = ""  # the step that follows reports the store
        yield from filter(None, (self._warming, "" if has_model else self._first_training))

    def _read(self) -> None:
        newest = self._store.latest_window_start()
        if newest is None:
            return
        since = self._store.warming_since(newest, self._warming_s)
        until = {collector: start + self._warming_s for collector, start in since.items()}
        current = sum(not peer for _, peer, _ in self._store.window_groups(newest - HOUR_S, newest + MINUTE_S))
        self._warming = describe_warming(until, current, newest)
        cursor = self._store.read_state(first_training_cursor(self._model), FirstTrainingState)
        state = cursor.state if cursor else None
        self._first_training = (
            describe_first_training(state.phase, state.expected_at, state.reason, newest) if state else ""
        )
