"""Reads the segments of the spool and stores the windows they give, without loss and without duplicates.

Windows and the number of the last segment they came from are stored in one transaction. The routing state behind them is saved
every ``checkpoint_s``, and only segments before the saved state are deleted. After a crash the state is loaded, the later
segments are read again, and they give the same rows.

Segments change the routing state while they are read. Their rows are therefore kept until the store has accepted them: until
then no further segment is read, no state is saved and no segment is deleted.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift import logs
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.problems import ProblemReport, Problems
from bgpdrift.bgp.ris_frames import Corrupt, FeedEvent, FrameDecoder, SegmentEnd
from bgpdrift.bgp.sources import open_table
from bgpdrift.bgp.spool import Segment, SpoolReader
from bgpdrift.clock import Clock
from bgpdrift.errors import InputError, TransientError
from bgpdrift.features import checkpoint
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.features.clock_report import describe_clock
from bgpdrift.features.event_time import WINDOW_S
from bgpdrift.process.durable import set_aside
from bgpdrift.settings import Settings
from bgpdrift.store import StateCursor, Store
from bgpdrift.store.cursor_states import AggregatorState, CollectorClock

CURSOR = "feature_aggregator"
CHECKPOINT_FILE = "aggregator.checkpoint"
SEGMENTS_PER_STEP = 8
"""Bounds the duration of a step, within the interval of the watchdog."""
SEGMENTS_PER_CHECKPOINT = 200
"""Bounds the size of the spool at replay speed."""
MAX_SAVING_SHARE = 0.05
"""Share of the time for checkpoints; a larger state is saved less often, and the spool keeps more."""
SAVE_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step writes."""

    rows: list[dict[str, Any]]
    """Windows that closed."""
    cursor: StateCursor[AggregatorState]
    """Position behind the last segment that was read."""
    recounted: set[tuple[str, int]]
    """Collector and start of the windows that replace earlier ones, because event time went back."""


def pause_after(seconds: float) -> float:
    """Return the smallest time between two checkpoints, so that a large state is not saved all the time.

    Parameters
    ----------
    seconds : float
        Duration of the last one.

    Examples
    --------
    >>> pause_after(0.5), pause_after(12.0)
    (10.0, 240.0)
    """
    return seconds / MAX_SAVING_SHARE


class SpoolAggregation:
    """Worker of the feature aggregator; the module docstring states what survives a crash.

    Parameters
    ----------
    settings : Settings
        Windows, spool and state directory.
    store : Store
        Receives the windows.
    clock : Clock
        Wall time for ``written_at``, monotonic time for checkpoints and the idle time.
    on_close : callable, optional
        Called at the end of `close`, e.g. to release a lock.
    """

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, on_close: Callable[[], None] = lambda: None
    ) -> None:
        self._settings, self._store, self._clock, self._on_close = settings, store, clock, on_close
        self._log = logs.get_logger()
        self._reader = SpoolReader(settings.spool_path)
        self._file = settings.state_path / CHECKPOINT_FILE
        self._aggregator = self._new_aggregator()
        self._decoder = FrameDecoder()
        self._position = 0  # number of the last segment in the state
        self._saved_position = 0
        self._written_before_s: dict[str, int] = {}  # collector -> its earlier windows are stored; not overwritten
        self._written_before_all_s = 0
        self._n_windows = 0
        self._n_damaged = 0
        self._n_gaps = 0
        self._uncounted = 0  # problems before the first window
        self._next_checkpoint = clock.monotonic() + settings.windows.checkpoint_s
        self._earliest_checkpoint = 0.0
        self._quiet_since = clock.monotonic()
        self._reported_clocks: dict[str, CollectorClock] = {}
        self._batch: Batch | None = None  # in memory, but not in the store
        self._is_whole = True  # the store holds all windows that the state in memory has closed
        self._recover()

    def _new_aggregator(self) -> Aggregator:
        return Aggregator(self._settings.windows, named=self._settings.feed.collectors)

    def _recover(self) -> None:
        cursor = self._store.read_state(CURSOR, AggregatorState)
        try:
            arrays, values = checkpoint.load(self._file)
            position = int(values["position"])
            self._aggregator.restore(arrays, values["aggregator"])
        except FileNotFoundError:
            if cursor is not None:
                self._begin_without_state(cursor, "there is no checkpoint")
            else:
                self._warm_up()
                self._save()  # a crash before the next checkpoint then starts here, with the state
            return
        except (InputError, msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            self._set_checkpoint_aside()
            self._aggregator = self._new_aggregator()
            self._begin_without_state(cursor, str(error) or type(error).__name__)
            return
        self._position = self._saved_position = position
        if cursor is not None and cursor.position < position:
            # An older copy took the place of the database: the segments of the windows it lacks are deleted.
            self._log.warning("store.older", stored_segment=cursor.position, segment=position)
            self._aggregator.note_lost_frames()
        self._log.info("state.loaded", segment=self._position, routes=self._aggregator.routes)

    def _begin_without_state(self, cursor: StateCursor[AggregatorState] | None, reason: str) -> None:
        """Continue after the stored windows: windows built without the state must not replace better ones."""
        if cursor is not None:
            self._position = self._saved_position = cursor.position
            self._written_before_s = cursor.state.closed_by_collector
            # A state of an earlier version has one time for all collectors.
            self._written_before_all_s = 0 if self._written_before_s else cursor.state.closed_before_s
        self._log.warning("state.lost", reason=reason, segment=self._position)

    def _set_checkpoint_aside(self) -> None:
        """Keep a checkpoint that cannot be used for a person; the next one must not replace the evidence."""
        with contextlib.suppress(OSError):
            self._log.warning("state.set_aside", path=str(set_aside(self._file)))

    def _warm_up(self) -> None:
        file = self._settings.windows.warm_up_rib
        if not file:
            return
        report = ProblemReport()
        problems = report.open(file)
        try:
            routes = self._aggregator.warm_up(open_table(Path(file), problems=problems), problems)
        except InputError as error:  # a wrong table must not end this and every later start
            self._aggregator = self._new_aggregator()
            self._log.error("state.not_warmed_up", file=file, reason=str(error))
            return
        for line in report.describe():
            self._log.warning("state.warm_up_damaged", problem=line)
        self._log.info("state.warmed_up", routes=routes, file=file)

    def step(self) -> bool:
        """Read some segments, store the windows that closed, and save the state if it is time; True if more wait."""
        self._is_whole = False  # until the rows are written
        self._store.check()  # no segment is read for a database that was removed or replaced
        if self._batch is None:
            self._batch, more = self._compute_batch()
        else:
            more = True
        self._commit()
        unsaved = self._position - self._saved_position
        now = self._clock.monotonic()
        is_long = unsaved >= SEGMENTS_PER_CHECKPOINT and now >= self._earliest_checkpoint
        if unsaved > 0 and (is_long or now >= self._next_checkpoint):
            self._save()
        return more

    def _compute_batch(self) -> tuple[Batch | None, bool]:
        """Read some segments; return what must be written, and whether more segments wait."""
        segments = self._find_segments()
        rows: list[dict[str, Any]] = []
        before = self._aggregator.messages
        for segment in segments[:SEGMENTS_PER_STEP]:
            if self._position and segment.sequence != self._position + 1:
                self._note_gap(segment.sequence)
            rows += self._read(segment)
            self._position = segment.sequence
        now = self._clock.monotonic()
        quiet_s = now - self._quiet_since
        if self._aggregator.messages > before:
            self._quiet_since = now
        elif not segments and quiet_s >= self._settings.windows.idle_close_s:
            rows += self._aggregator.close_idle(quiet_s)
        if segments:
            self._report_clocks()
        batch = self._build_batch(rows) if segments or rows else None
        return batch, len(segments) > SEGMENTS_PER_STEP

    def _find_segments(self) -> list[Segment]:
        """List the unread segments; if the numbers of the spool began again, continue with them."""
        segments, begins_again = self._reader.unread_segments(self._position)
        if begins_again:
            self._note_gap(segments[0].sequence)
            self._position = self._saved_position = segments[0].sequence - 1
        return segments

    def _note_gap(self, found: int) -> None:
        """Record that segments before the found number are lost; the minutes up to its first frame become ``incomplete``."""
        self._n_gaps += 1
        self._log.warning("spool.gap", expected=self._position + 1, found=found)
        self._aggregator.note_lost_frames()

    def _read(self, segment: Segment) -> list[dict[str, Any]]:
        reading = self._reader.read_segment(segment)
        items = list(self._decoder.decode_many(reading))
        arrived_at = next((item.closed_at for item in reversed(items) if isinstance(item, SegmentEnd)), None)
        problems = Problems(unit="line")
        rows: list[dict[str, Any]] = []
        messages: list[Message] = []
        uncounted, minute = self._uncounted, -1.0
        for number, item in enumerate(items, start=1):
            if isinstance(item, Message):
                if uncounted and item.timestamp // WINDOW_S != minute:
                    # The unreadable frames belong to the minute that ends here.
                    rows += self._aggregator.add(messages, arrived_at)
                    messages, uncounted = [], self._count(uncounted)
                minute = item.timestamp // WINDOW_S
                messages.append(item)
            elif isinstance(item, FeedEvent):
                rows += self._aggregator.add(messages, arrived_at)
                messages = []
                self._handle_event(item)
            elif isinstance(item, Corrupt):
                problems.add(number, item.reason.partition(":")[0])
                uncounted += 1
        rows += self._aggregator.add(messages, arrived_at)
        if reading.problem:
            problems.add(len(items) + 1, reading.problem)
            uncounted += 1
            self._log.warning("spool.damaged", segment=segment.sequence, problem=reading.problem)
            self._aggregator.note_lost_frames()
        self._uncounted = self._count(uncounted)
        self._n_damaged += problems.total
        for line in problems.describe(segment.path.name):
            self._log.warning("spool.unreadable", problem=line)
        return rows

    def _count(self, number: int) -> int:
        """Count problems in the youngest window; return the number left, which is not 0 before the first window."""
        return 0 if self._aggregator.count_parse_errors(number) else number

    def _handle_event(self, event: FeedEvent) -> None:
        if event.event == "connected":
            self._aggregator.note_reconnect()
        elif event.event == "dropped":
            self._aggregator.note_dropped(event.earliest, event.latest, event.frames)
        # A lost segment is marked where its number is missing: its record comes later, with times from frames.

    def _report_clocks(self) -> None:
        """Log each collector whose clock has shown another fault since the last report."""
        clocks = self._aggregator.clocks()
        for name, clock in clocks.items():
            before = self._reported_clocks.get(name, CollectorClock())
            if clock.is_wrong and _list_faults(clock) != _list_faults(before):
                self._log.warning("clock.wrong", collector=name, problem=describe_clock(name, clock))
        self._reported_clocks = clocks

    def _build_batch(self, rows: list[dict[str, Any]]) -> Batch:
        before, before_all = self._written_before_s, self._written_before_all_s
        rows = [row for row in rows if row["window_start"] >= before.get(row["collector"], before_all)]
        written_at = self._clock.now()
        for row in rows:
            row["written_at"] = written_at
        state = AggregatorState(
            closed_before_s=self._aggregator.closed_before_s,
            closed_by_collector=self._aggregator.closed_by_collector,
            messages=self._aggregator.messages,
            duplicates=self._aggregator.duplicates,
            event_time=self._aggregator.now,
            clocks=self._reported_clocks,
        )
        return Batch(rows, StateCursor(CURSOR, self._position, state), self._aggregator.select_recounted(rows))

    def _commit(self) -> None:
        """Write the batch; if the store refuses it, it is written in the next step before anything else is read."""
        if self._batch is not None:
            self._store.write_windows(self._batch.rows, self._batch.cursor, self._batch.recounted)
            self._n_windows += len(self._batch.rows)
            self._batch = None
        self._is_whole = True

    def _save(self) -> None:
        arrays, values = self._aggregator.save()
        began = self._clock.monotonic()
        self._next_checkpoint = began + self._settings.windows.checkpoint_s
        try:
            size = checkpoint.save(self._file, arrays, {"position": self._position, "aggregator": values})
        except OSError as error:
            message = f"{self._file}: the state cannot be saved: {error.strerror}"
            raise TransientError(message, retry_in_s=SAVE_RETRY_S) from error
        self._saved_position = self._position
        self._reader.remove_through(self._saved_position)
        seconds = self._clock.monotonic() - began
        self._earliest_checkpoint = began + pause_after(seconds)
        self._next_checkpoint = max(self._next_checkpoint, self._earliest_checkpoint)
        self._log.info("state.saved", segment=self._position, bytes=size, seconds=round(seconds, 3))

    def status(self) -> str:
        """Number of windows written, size of the state, and number of waiting segments."""
        if not self._aggregator.now:
            return "waiting for the first frame"
        waiting = len(self._reader.segments_after(self._position))
        backlog = f", {waiting} segments waiting" if waiting > 1 else ""
        if self._n_gaps:
            backlog += f", segments lost in {self._n_gaps} {'place' if self._n_gaps == 1 else 'places'}"
        n_other = self._aggregator.messages_without_place
        if n_other:
            backlog += f", {n_other:,} messages of too many collectors or peers counted as `other`"
        if self._n_damaged:
            backlog += f", {self._n_damaged:,} frames unreadable"
        size = self._aggregator.state_bytes / 1e6
        wrong = [name for name, clock in self._reported_clocks.items() if clock.is_wrong]
        clocks = f", wrong clocks: {', '.join(wrong)}" if wrong else ""
        held = sum(clock.held for clock in self._reported_clocks.values())
        clocks += f", {held:,} messages held back" if held else ""
        return (
            f"{self._n_windows} windows written, {self._aggregator.routes:,} routes in {size:.0f} MB{backlog}{clocks}"
        )

    def close(self) -> None:
        """Save the state, so that the next start reads no segment again, and close the store.

        A state whose windows the store has not accepted is not saved: the next start reads their segments again.
        """
        try:
            if self._is_whole and self._position > self._saved_position:
                self._save()
        finally:
            self._store.close()
            self._on_close()


def _list_faults(clock: CollectorClock) -> tuple[int, ...]:
    return clock.n_refused, clock.steps_back, clock.steps_ahead
