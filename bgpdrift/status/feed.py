"""The state of the feed: what the collector receives, and what the aggregator found out about its clocks.

This module decides which figures of both services belong to the report, and gathers them for each collector. `bgpdrift feed`
and `bgpdrift doctor` show it. The collector writes its figures to ``state/collector.json``, the aggregator to its cursor.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bgpdrift.errors import BgpdriftError
from bgpdrift.settings import Settings
from bgpdrift.store import open_store
from bgpdrift.store.cursor_states import AggregatorState, CollectorClock

COLLECTOR_FILE = "collector.json"
AGGREGATOR_CURSOR = "feature_aggregator"
MAX_WAIT_S = 2.0
MAX_REPORT_AGE_S = 60.0
"""The collector writes its figures every two seconds; older ones are those of a stopped service."""


class ReceivedFrames(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the collector; a field that is missing in its file has the default."""

    at: float = 0.0
    """Wall-clock time of the report, epoch seconds."""
    url: str = ""
    state: str = ""
    """``streaming``, ``silent``, ``waiting`` …, as in `bgpdrift.bgp.ris_connection`."""
    connected: bool = False
    frames: int = 0
    rate: float = 0.0
    """Frames per second."""
    lag_s: float | None = None
    """Wall-clock time minus event time; negative if the feed is ahead. None before the first frame."""
    last_event_time: float | None = None
    last_frame_at: float | None = None
    """Wall-clock time of the last frame."""
    dropped: int = 0
    unreadable: int = 0
    reconnects: int = 0
    last_error: str = ""
    collectors: dict[str, float] = msgspec.field(default_factory=dict)
    """Wall-clock time of the last frame by collector."""
    silent_collectors: list[str] = msgspec.field(default_factory=list)


class CollectorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One route collector."""

    collector: str
    last_frame_at: float | None = None
    is_silent: bool = False
    clock: CollectorClock | None = None
    """None if the aggregator has no message of it."""


class FeedReport(msgspec.Struct, frozen=True, kw_only=True):
    """The document of ``bgpdrift feed --json``; times are epoch seconds, UTC."""

    schema: int = 1
    at: float = 0.0
    """Wall-clock time at which the report was made."""
    problem: str = ""
    """Why figures are missing or old; empty if they are not."""
    received: ReceivedFrames | None = None
    """None if no collector service ran here."""
    event_time: float | None = None
    """Event time of the middle collector, as the aggregator has it."""
    aggregated_at: float | None = None
    """Wall-clock time at which the aggregator last wrote."""
    held: int = 0
    released: dict[str, int] = msgspec.field(default_factory=dict)
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """Messages held back, and those released or refused by reason, over all collectors since their state began."""
    collectors: tuple[CollectorReport, ...] = ()


def read_feed(settings: Settings, now: float) -> FeedReport:
    """Read the figures of both services; what cannot be read is named in ``problem``."""
    received, problem = read_received(settings.state_path / COLLECTOR_FILE)
    problems = [problem] if problem else []
    if received is not None and now - received.at > MAX_REPORT_AGE_S:
        problems.append(f"the collector last reported {now - received.at:,.0f} s ago")
    state, written_at = AggregatorState(), None
    try:
        with open_store(settings.store_url, busy_timeout_s=MAX_WAIT_S) as store:
            cursor = store.read_state(AGGREGATOR_CURSOR, AggregatorState)
    except BgpdriftError as error:
        problems.append(str(error))
    else:
        if cursor is None:
            problems.append("the aggregator has not written yet")
        else:
            state, written_at = cursor.state, cursor.written_at
    return build_report(received, state, written_at, "; ".join(problems), now)


def build_report(
    received: ReceivedFrames | None, state: AggregatorState, written_at: float | None, problem: str, now: float
) -> FeedReport:
    """Join the figures of both services. Pure."""
    seen = received.collectors if received is not None else {}
    silent = received.silent_collectors if received is not None else []
    names = sorted({*seen, *state.clocks})
    return FeedReport(
        at=now,
        problem=problem,
        received=received,
        event_time=state.event_time or None,
        aggregated_at=written_at,
        held=sum(clock.held for clock in state.clocks.values()),
        released=_sum_by_reason(clock.released for clock in state.clocks.values()),
        refused=_sum_by_reason(clock.refused for clock in state.clocks.values()),
        collectors=tuple(
            CollectorReport(
                collector=name, last_frame_at=seen.get(name), is_silent=name in silent, clock=state.clocks.get(name)
            )
            for name in names
        ),
    )


def read_received(path: Path) -> tuple[ReceivedFrames | None, str]:
    """Read the file of the collector; return its figures, or the reason why there are none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ReceivedFrames), ""
    except FileNotFoundError:
        return None, f"no collector has run here ({path} does not exist)"
    except OSError as error:
        return None, f"{path}: cannot be read: {error.strerror}"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return None, f"{path} is damaged: {error}"


def _sum_by_reason(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for reason, number in count.items():
            total[reason] = total.get(reason, 0) + number
    return total
