"""The life cycle of a connection to RIS Live as pure functions: states, health, back-off, and subscription requests.

This module decides when a feed is silent or lags, and when to try again; `ris_client` owns the socket. Public clients of
RIS Live have met these cases: a socket that is open but silent for days, a backend that is tens of minutes behind until the
client reconnects, and a close without a reason. Durations are monotonic seconds, never differences of the wall clock.
"""

import enum
import itertools
import random
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final

from bgpdrift.process.transitions import TransitionTable
from bgpdrift.settings import FeedSettings

FIRST_BACKOFF_S: Final = 1.0
"""Limit of the first wait; it doubles with each failed attempt."""


class State(enum.StrEnum):
    """State of a connection."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    STREAMING = "streaming"
    SILENT = "silent"
    LAGGING = "lagging"
    STOPPED = "stopped"


class Event(enum.StrEnum):
    """Event that changes the state."""

    TRY = "the wait is over"
    OPENED = "the WebSocket is open"
    SUBSCRIBED = "every subscription is acknowledged, or a frame has arrived"
    FRAME = "a frame after a quiet time"
    QUIET = "no frame for half of the silence limit"
    LAG = "the newest message is too old"
    LOST = "the socket is closed, by either side"
    STOP = "a stop is requested"


_OPEN: Final = (State.SUBSCRIBING, State.STREAMING, State.SILENT, State.LAGGING)

CONNECTION_LIFECYCLE: Final[TransitionTable[State, Event]] = TransitionTable(
    "RIS Live connection",
    State,
    Event,
    {
        (State.WAITING, Event.TRY): State.CONNECTING,
        (State.CONNECTING, Event.OPENED): State.SUBSCRIBING,
        (State.CONNECTING, Event.LOST): State.WAITING,
        (State.SUBSCRIBING, Event.SUBSCRIBED): State.STREAMING,
        (State.SUBSCRIBING, Event.QUIET): State.SILENT,
        (State.STREAMING, Event.QUIET): State.SILENT,
        (State.STREAMING, Event.LAG): State.LAGGING,
        (State.SILENT, Event.FRAME): State.STREAMING,
        **{(state, Event.LOST): State.WAITING for state in _OPEN},
        **{(state, Event.STOP): State.STOPPED for state in State if state is not State.STOPPED},
    },
    initial=State.WAITING,
)


class Health(enum.Enum):
    """Health of an open connection."""

    HEALTHY = "healthy"
    QUIET = "quiet"
    SILENT = "silent"
    LAGGING = "lagging"


def assess_health(
    quiet_s: float, open_s: float, lag_s: float | None, settings: FeedSettings, lag_reconnects: int = 0
) -> Health:
    """Assess the health of an open connection.

    Parameters
    ----------
    quiet_s : float
        Time since the last frame of any collector, or since the connection was opened.
    open_s : float
        Time since the connection was opened.
    lag_s : float or None
        Wall time minus the newest message's timestamp; None before the first message.
    settings : FeedSettings
        ``silence_s``, ``max_lag_s`` (0: off), ``replay_lag_s``.
    lag_reconnects : int
        Consecutive reconnects because of lag. Each doubles the time until the next one: if all backends lag, or this
        process is slow, a reconnect does not help and only loses frames.

    Examples
    --------
    >>> feed = FeedSettings(silence_s=30.0, max_lag_s=180.0)
    >>> [assess_health(quiet_s, 100.0, 1.0, feed).value for quiet_s in (1.0, 15.0, 30.0)]
    ['healthy', 'quiet', 'silent']
    >>> assess_health(0.1, 100.0, 1200.0, feed), assess_health(0.1, 100.0, 13 * 365 * 86_400.0, feed)
    (<Health.LAGGING: 'lagging'>, <Health.HEALTHY: 'healthy'>)
    """
    if quiet_s >= settings.silence_s:
        return Health.SILENT
    lags = lag_s is not None and 0 < settings.max_lag_s < lag_s < settings.replay_lag_s
    # The lag counts only after a while, because the first frames may be a backlog that the server is about to send.
    if lags and open_s >= settings.silence_s * 2.0 ** min(lag_reconnects, 10):
        return Health.LAGGING
    return Health.QUIET if quiet_s >= settings.silence_s / 2 else Health.HEALTHY


def backoff_s(failures: int, max_s: float, rng: random.Random) -> float:
    """Draw the wait before the next attempt: full jitter below an exponential limit.

    Parameters
    ----------
    failures : int
        Consecutive failed attempts, at least 1.
    max_s : float
        Longest wait, seconds.

    Examples
    --------
    >>> 0.0 <= backoff_s(3, 60.0, random.Random(1)) <= 4.0
    True
    """
    return rng.uniform(0.0, min(max_s, FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 30)))


def subscription_requests(settings: FeedSettings) -> list[dict[str, Any]]:
    """List the ``data`` of the ``ris_subscribe`` requests for the settings, one for each combination.

    Examples
    --------
    >>> subscription_requests(FeedSettings(collectors=["rrc00"], prefixes=["10.0.0.0/8", "192.0.2.0/24"]))[0]
    {'host': 'rrc00', 'prefix': ['10.0.0.0/8', '192.0.2.0/24'], 'moreSpecific': True, 'socketOptions': {'acknowledge': True}}
    >>> len(subscription_requests(FeedSettings(collectors=["rrc00", "rrc01"], paths=["3356", "174"])))
    4
    """
    requests = []
    hosts: Sequence[str | None] = settings.collectors or [None]
    kinds: Sequence[str | None] = [*settings.types] or [None]
    paths: Sequence[str | None] = settings.paths or [None]
    peers: Sequence[str | None] = settings.peers or [None]
    combinations = itertools.product(hosts, kinds, paths, peers)
    for host, kind, path, peer in combinations:
        fields = {"host": host, "type": kind, "path": path, "peer": peer, "prefix": settings.prefixes or None}
        request: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
        if settings.prefixes:
            request["moreSpecific"] = True
        requests.append(request | {"socketOptions": {"acknowledge": True}})
    return requests


def connection_url(settings: FeedSettings) -> str:
    """Add the client name, which RIPE NCC asks for, to the URL unless it has one.

    Examples
    --------
    >>> connection_url(FeedSettings(client="noc@example.net"))
    'wss://ris-live.ripe.net/v1/ws/?client=noc%40example.net'
    """
    parts = urllib.parse.urlsplit(settings.url)
    if "client" in urllib.parse.parse_qs(parts.query):
        return settings.url
    query = "&".join(filter(None, [parts.query, urllib.parse.urlencode({"client": settings.client})]))
    return urllib.parse.urlunsplit(parts._replace(query=query))
