"""The feature aggregator: segments of the spool in, feature windows out, nothing lost and nothing twice.

Windows and the number of the last segment they came from are stored in one transaction. The routing state behind them is
saved every ``checkpoint_s``, and only segments that lie before the saved state are deleted: after a crash the state is
loaded, the segments since are read again, and the rows they give are the same rows.
"""

from pathlib import Path
from typing import Any

from bgpdrift import logs
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.ris_frames import FeedEvent, FrameDecoder, SegmentEnd
from bgpdrift.bgp.spool import Segment, SpoolReader
from bgpdrift.clock import Clock
from bgpdrift.errors import BgpdriftError, InputError, TransientError
from bgpdrift.features import checkpoint
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.process.locks import FileLock
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store, open_store

NAME = "feature_aggregator"
CHECKPOINT = "aggregator.checkpoint"
LOCK = "aggregator.lock"
_SEGMENTS_A_STEP = 8  # bounds a step, so that the watchdog hears from us
_SEGMENTS_A_CHECKPOINT = 200  # bounds the spool at replay speed


class FeatureAggregator:
    """Reads segments in order; see the module for what survives what."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._log = logs.get_logger()
        self._reader = SpoolReader(settings.spool_path)
        self._file = settings.state_path / CHECKPOINT
        self._lock = _lock_state(settings.state_path)
        self._aggregator = Aggregator(settings.windows)
        self._decoder = FrameDecoder()
        self._position = 0  # number of the last segment in the state
        self._saved_position = 0
        self._written_before = 0  # windows that start before this are in the store and stay as they are
        self._windows = 0
        self._next_checkpoint = clock.monotonic() + settings.windows.checkpoint_s
        self._quiet_since = clock.monotonic()
        self._idle_closed = True
        self._recover()

    def _recover(self) -> None:
        cursor = self._store.read_cursor(NAME)
        try:
            arrays, values = checkpoint.load(self._file)
        except FileNotFoundError:
            if cursor is not None:
                self._begin_without_state(cursor, "there is no checkpoint")
            else:
                self._warm_up()
                self._save()  # so that a crash before the next one begins again here, not without state
            return
        except InputError as error:
            self._begin_without_state(cursor, str(error))
            return
        self._aggregator.restore(arrays, values["aggregator"])
        self._position = self._saved_position = int(values["position"])
        self._log.info("state.loaded", segment=self._position, routes=self._aggregator.routes)

    def _begin_without_state(self, cursor: Cursor | None, reason: str) -> None:
        """Go on after what is stored: windows made without state must not replace better ones."""
        if cursor is not None:
            self._position = self._saved_position = cursor.position
            self._written_before = int(cursor.details.get("closed_before_s", 0))
        self._log.warning("state.lost", reason=reason, segment=self._position)

    def _warm_up(self) -> None:
        if self._settings.windows.warm_up_rib:
            from bgpdrift.bgp.sources import open_source

            routes = self._aggregator.warm_up(open_source(Path(self._settings.windows.warm_up_rib)))
            self._log.info("state.warmed_up", routes=routes, file=self._settings.windows.warm_up_rib)

    def step(self) -> bool:
        """Read a few segments, store the windows they closed, save the state when it is time."""
        segments = self._reader.segments_after(self._position)
        rows: list[dict[str, Any]] = []
        before = self._aggregator.messages
        for segment in segments[:_SEGMENTS_A_STEP]:
            if self._position and segment.sequence != self._position + 1:
                self._log.warning("spool.gap", expected=self._position + 1, found=segment.sequence)
                self._aggregator.skipped()
            rows += self._read(segment)
            self._position = segment.sequence
        now = self._clock.monotonic()
        if self._aggregator.messages > before:
            self._quiet_since, self._idle_closed = now, False
        elif not segments and not self._idle_closed and now - self._quiet_since >= self._settings.windows.idle_close_s:
            rows += self._aggregator.idle(now - self._quiet_since)
            self._idle_closed = True
        if segments or rows:
            self._write(rows)
        due = now >= self._next_checkpoint or self._position - self._saved_position >= _SEGMENTS_A_CHECKPOINT
        if due and self._position > self._saved_position:
            self._save()
        return len(segments) > _SEGMENTS_A_STEP

    def _read(self, segment: Segment) -> list[dict[str, Any]]:
        reading = self._reader.read_segment(segment)
        corrupt_before = self._decoder.counts.corrupt
        items = list(self._decoder.decode_many(reading))
        arrived_at = next((item.closed_at for item in reversed(items) if isinstance(item, SegmentEnd)), None)
        rows: list[dict[str, Any]] = []
        messages: list[Message] = []
        for item in items:
            if isinstance(item, Message):
                messages.append(item)
            elif isinstance(item, FeedEvent):
                rows += self._aggregator.add(messages, arrived_at)
                messages = []
                self._event(item)
        rows += self._aggregator.add(messages, arrived_at)
        self._aggregator.count_unreadable(self._decoder.counts.corrupt - corrupt_before)
        if reading.problem:
            self._log.warning("spool.damaged", segment=segment.sequence, problem=reading.problem)
            self._aggregator.skipped()
        return rows

    def _event(self, event: FeedEvent) -> None:
        if event.event == "connected":
            self._aggregator.connected()
        elif event.event in ("dropped", "segment_lost"):
            mark = "dropped" if event.event == "dropped" else "incomplete"
            self._aggregator.lost(event.earliest, event.latest, mark, event.frames)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        rows = [row for row in rows if row["window_start"] >= self._written_before]
        written_at = self._clock.now()
        for row in rows:
            row["written_at"] = written_at
        details: dict[str, Any] = {
            "closed_before_s": self._aggregator.closed_before_s,
            "messages": self._aggregator.messages,
        }
        details |= {"duplicates": self._aggregator.duplicates, "event_time": self._aggregator.now}
        self._store.write_windows(rows, Cursor(NAME, self._position, details))
        self._windows += len(rows)

    def _save(self) -> None:
        arrays, values = self._aggregator.save()
        began = self._clock.monotonic()
        try:
            size = checkpoint.save(self._file, arrays, {"position": self._position, "aggregator": values})
        except OSError as error:
            self._next_checkpoint = self._clock.monotonic() + self._settings.windows.checkpoint_s
            raise TransientError(f"{self._file}: state cannot be saved: {error.strerror}", retry_in_s=5.0) from error
        self._saved_position = self._position
        self._reader.remove_through(self._saved_position)
        self._next_checkpoint = self._clock.monotonic() + self._settings.windows.checkpoint_s
        self._log.info(
            "state.saved", segment=self._position, bytes=size, seconds=round(self._clock.monotonic() - began, 3)
        )

    def status(self) -> str:
        """Say how far the windows are."""
        if not self._aggregator.now:
            return "waiting for the first frame"
        waiting = len(self._reader.segments_after(self._position))
        behind = f", {waiting} segments waiting" if waiting > 1 else ""
        size = self._aggregator.state_bytes / 1e6
        return f"{self._windows} windows written, {self._aggregator.routes:,} routes in {size:.0f} MB{behind}"

    def close(self) -> None:
        """Save the state, so that the next start has nothing to read again."""
        try:
            if self._position > self._saved_position:
                self._save()
        finally:
            self._store.close()
            self._lock.close()


def _lock_state(folder: Path) -> FileLock:
    """Lock the state for this process: a second aggregator would delete segments that the first has not read."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path)
    if not lock.try_acquire():
        lock.close()
        raise BgpdriftError(f"{path}: another {NAME} works on this data directory; expected to be the only one")
    return lock


def build(settings: Settings, clock: Clock) -> FeatureAggregator:
    """Make the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    return FeatureAggregator(settings, store, clock)


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: min(0.2, settings.spool.segment_s / 2))
