"""Figures of the feed for a status line, `doctor` and the demo.

This module decides which collector counts as silent, which is no reason to reconnect, and formats the state.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from bgpdrift.bgp.messages import collector_name
from bgpdrift.bgp.names import is_collector
from bgpdrift.formatting import escape_control

COLLECTOR_SILENT_S: Final = 300.0
"""A collector without a message for so long, after an earlier one, is reported."""


COLLECTOR_EXPIRE_S: Final = 3600.0
"""A collector that is silent for so long gives its place to another when there is none left."""
MAX_COLLECTORS: Final = 256
MAX_OTHER_TYPES: Final = 64
"""Names come from the feed, which must not make the state grow without bound."""


@dataclass
class FeedFigures:
    """Counts since the start of the process, and the latest values.

    Attributes
    ----------
    url : str
        The feed.
    connected : bool
        Whether the WebSocket is open.
    frames, bytes, dropped : int
        Frames forwarded, their size, and frames that the spool could not accept.
    unreadable : int
        Frames that are not a JSON object with a type; they are spooled too.
    others : Counter
        Frames of unknown types, by type.
    unanswered_pings : int
        Pings without a pong, because the server reads nothing.
    connections : int
        Number of WebSockets opened.
    rate : float
        Frames per second, over about the last second.
    last_event_time : float or None
        Timestamp (epoch s) of the latest message of the middle collector, so that no single wrong time decides the lag.
    last_message_at : float or None
        Monotonic time at which the latest message arrived; error messages of the server are none.
    last_error : str
        Why the last connection ended, or the error message of the server.
    collectors : dict
        Monotonic time of the latest message, by collector.
    named : frozenset of str
        Collectors of the settings, which always have a place in `collectors`.
    unlisted : int
        Samples of messages of collectors without a place.
    """

    url: str
    connected: bool = False
    frames: int = 0
    bytes: int = 0
    dropped: int = 0
    unreadable: int = 0
    others: Counter[str] = field(default_factory=Counter)
    unanswered_pings: int = 0
    connections: int = 0
    rate: float = 0.0
    last_event_time: float | None = None
    last_message_at: float | None = None
    last_error: str = ""
    collectors: dict[str, float] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    unlisted: int = 0
    _ticked: tuple[float, int] | None = None

    def note_collector(self, host: str, now: float) -> None:
        """Note a message of a collector (monotonic ``now``); an invalid name is left out, and one too many is counted."""
        name = collector_name(host)
        if name in self.collectors or (is_collector(name) and self._has_place(name, now)):
            self.collectors[name] = now

    def _has_place(self, name: str, now: float) -> bool:
        """Whether a new collector is listed; one of the settings always is, another takes the place of a silent one."""
        if name in self.named or len(self.collectors) < MAX_COLLECTORS:
            return True
        unnamed = self.collectors.keys() - self.named
        oldest = min(unnamed, key=lambda known: (self.collectors[known], known), default=None)
        if oldest is None or now - self.collectors[oldest] < COLLECTOR_EXPIRE_S:
            self.unlisted += 1
            return False
        del self.collectors[oldest]
        return True

    def note_other(self, kind: str) -> None:
        """Count a frame of an unknown type; rare types of a feed that sends too many are counted together."""
        name = escape_control(kind[:32])
        self.others[name if name in self.others or len(self.others) < MAX_OTHER_TYPES else "more types"] += 1

    def update_rate(self, now: float) -> None:
        """Compute the rate, at most once per second (monotonic ``now``)."""
        since, frames = self._ticked or (now, self.frames)
        if self._ticked is None or now - since >= 1.0:
            self.rate = (self.frames - frames) / (now - since) if now > since else 0.0
            self._ticked = now, self.frames

    def has_overdue(self, now: float, after_s: float) -> bool:
        """Whether some collector has not been seen for ``after_s``, so that every frame must be searched for its host."""
        return bool(self.collectors) and now - min(self.collectors.values()) > after_s

    def silent_collectors(self, now: float) -> list[str]:
        """Return the collectors without a message for `COLLECTOR_SILENT_S` although others send.

        Examples
        --------
        >>> FeedFigures("ws://x", connected=True, collectors={"rrc00": 390.0, "rrc05": 80.0}).silent_collectors(now=400.0)
        ['rrc05']
        """
        is_alive = self.connected and any(now - seen < COLLECTOR_SILENT_S for seen in self.collectors.values())
        return sorted(name for name, seen in self.collectors.items() if is_alive and now - seen >= COLLECTOR_SILENT_S)

    def summary(self, state: str, wall: float, now: float, next_try_s: float, replay_lag_s: float) -> str:
        """Summarize the state of the feed in one line.

        Examples
        --------
        >>> FeedFigures("ws://x", last_error="connection refused").summary("waiting", 0.0, 0.0, 12.3, 86_400.0)
        'cannot reach ws://x: connection refused; next try in 12 s'
        """
        if state == "waiting" and self.last_error:
            return f"cannot reach {self.url}: {self.last_error}; next try in {next_try_s:.0f} s"
        if not self.connected:
            return f"connecting to {self.url}"
        parts = [f"connected to {self.url}", f"{self.rate:,.0f} frames/s"]
        lag_s = None if self.last_event_time is None else wall - self.last_event_time
        if lag_s is None or state == "subscribing":
            parts.append("no frame yet")
        elif lag_s > replay_lag_s or lag_s < -replay_lag_s:
            at = datetime.fromtimestamp(self.last_event_time or 0.0, UTC)
            parts.append(f"replaying {at:%Y-%m-%d %H:%M:%S}")
        else:
            parts.append(f"lag {lag_s:.1f} s")
        if state == "silent":
            parts.append("quiet")
        silent = self.silent_collectors(now)
        if silent:
            parts.append(f"silent: {' '.join(silent)}")
        if self.unlisted:
            parts.append(f"more than {MAX_COLLECTORS} collectors")
        if self.dropped:
            parts.append(f"{self.dropped:,} dropped")
        return ", ".join(parts)

    def as_fields(self, wall: float, now: float) -> dict[str, Any]:
        """Return all values as plain data; times are wall time (epoch s)."""
        lag_s = None if self.last_event_time is None else round(wall - self.last_event_time, 3)
        last_frame_at = None if self.last_message_at is None else round(wall - (now - self.last_message_at), 3)
        return {
            "at": wall,
            "url": self.url,
            "connected": self.connected,
            "frames": self.frames,
            "bytes": self.bytes,
            "rate": round(self.rate, 1),
            "lag_s": lag_s,
            "last_event_time": self.last_event_time,
            "last_frame_at": last_frame_at,
            "dropped": self.dropped,
            "unreadable": self.unreadable,
            "others": dict(self.others),
            "unanswered_pings": self.unanswered_pings,
            "unlisted": self.unlisted,
            "connections": self.connections,
            "reconnects": max(0, self.connections - 1),
            "last_error": self.last_error,
            "collectors": {name: round(wall - (now - seen), 1) for name, seen in sorted(self.collectors.items())},
            "silent_collectors": self.silent_collectors(now),
        }
