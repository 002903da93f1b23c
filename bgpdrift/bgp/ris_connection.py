"""The life of a connection to RIS Live, as values: its states, what ends it, how long to wait, what to ask for.

Decides when a feed is silent or lags and when to try again; `ris_client` holds the socket and asks. Every public client
met these: a socket open and silent for days, a backend tens of minutes behind until one reconnects, a close without a
word. Durations are monotonic seconds, never differences of the wall clock.
"""

import enum
import itertools
import random
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final

from bgpdrift.errors import BgpdriftError
from bgpdrift.settings import FeedSettings

FIRST_BACKOFF_S: Final = 1.0
"""Upper end of the first wait; it doubles with each attempt that fails."""


class State(enum.Enum):
    """Where a connection stands."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    STREAMING = "streaming"
    SILENT = "silent"
    LAGGING = "lagging"
    STOPPED = "stopped"


class Event(enum.Enum):
    """What happens to it."""

    TRY = "the wait is over"
    OPENED = "the WebSocket is open"
    SUBSCRIBED = "every subscription is acknowledged, or frames come"
    FRAME = "a frame after a quiet time"
    QUIET = "no frame for half the time allowed"
    LAG = "the newest message is too old"
    LOST = "the socket is closed, by either side"
    STOP = "asked to stop"


_OPEN: Final = (State.SUBSCRIBING, State.STREAMING, State.SILENT, State.LAGGING)

MOVES: Final[dict[tuple[State, Event], State]] = {
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
}
"""Every legal move; any other is a bug."""


class IllegalMoveError(BgpdriftError):
    """An event came in a state in which it cannot."""


def move(state: State, event: Event) -> State:
    """Give the state after an event.

    Examples
    --------
    >>> move(State.SILENT, Event.LOST)
    <State.WAITING: 'waiting'>
    >>> move(State.WAITING, Event.FRAME)
    Traceback (most recent call last):
    bgpdrift.bgp.ris_connection.IllegalMoveError: waiting: 'a frame after a quiet time' cannot happen here
    """
    try:
        return MOVES[state, event]
    except KeyError:
        raise IllegalMoveError(f"{state.value}: {event.value!r} cannot happen here") from None


class Health(enum.Enum):
    """What the times of an open connection say about it."""

    FINE = "fine"
    QUIET = "quiet"
    SILENT = "silent"
    LAGGING = "lagging"


def judge(
    quiet_s: float, open_s: float, lag_s: float | None, settings: FeedSettings, lag_reconnects: int = 0
) -> Health:
    """Judge an open connection.

    Parameters
    ----------
    quiet_s : float
        Since the last frame of any collector, or since it was opened.
    open_s : float
        Since it was opened.
    lag_s : float or None
        Wall time less the newest message's timestamp; None before the first.
    settings : FeedSettings
        ``silence_s``, ``max_lag_s`` (0: off), ``replay_lag_s``.
    lag_reconnects : int
        How often in a row lag was the reason to reconnect. Each doubles the patience with the next connection: when
        all backends lag, or we are slow ourselves, reconnecting does not help and only loses frames.

    Examples
    --------
    >>> feed = FeedSettings(silence_s=30.0, max_lag_s=180.0)
    >>> [judge(quiet_s, 100.0, 1.0, feed).value for quiet_s in (1.0, 15.0, 30.0)]
    ['fine', 'quiet', 'silent']
    >>> judge(0.1, 100.0, 1200.0, feed), judge(0.1, 100.0, 13 * 365 * 86_400.0, feed)
    (<Health.LAGGING: 'lagging'>, <Health.FINE: 'fine'>)
    """
    if quiet_s >= settings.silence_s:
        return Health.SILENT
    lags = lag_s is not None and 0 < settings.max_lag_s < lag_s < settings.replay_lag_s
    # A connection needs a moment to show its lag: the first frames may be a backlog it is about to work off.
    if lags and open_s >= settings.silence_s * 2.0 ** min(lag_reconnects, 10):
        return Health.LAGGING
    return Health.QUIET if quiet_s >= settings.silence_s / 2 else Health.FINE


def backoff_s(failures: int, longest_s: float, rng: random.Random) -> float:
    """Draw the wait before the next attempt: full jitter below an exponential limit.

    Parameters
    ----------
    failures : int
        Attempts that failed in a row, at least 1.
    longest_s : float
        No wait is longer.

    Examples
    --------
    >>> 0.0 <= backoff_s(3, 60.0, random.Random(1)) <= 4.0
    True
    """
    return rng.uniform(0.0, min(longest_s, FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 30)))


def subscriptions(settings: FeedSettings) -> list[dict[str, Any]]:
    """List the ``data`` of the ``ris_subscribe`` requests that the settings amount to: one for each combination.

    Examples
    --------
    >>> subscriptions(FeedSettings(collectors=["rrc00"], prefixes=["10.0.0.0/8", "192.0.2.0/24"]))[0]
    {'host': 'rrc00', 'prefix': ['10.0.0.0/8', '192.0.2.0/24'], 'moreSpecific': True, 'socketOptions': {'acknowledge': True}}
    >>> len(subscriptions(FeedSettings(collectors=["rrc00", "rrc01"], paths=["3356", "174"])))
    4
    """
    wanted = []
    hosts: Sequence[str | None] = settings.collectors or [None]
    kinds: Sequence[str | None] = [*settings.types] or [None]
    paths: Sequence[str | None] = settings.paths or [None]
    peers: Sequence[str | None] = settings.peers or [None]
    combinations = itertools.product(hosts, kinds, paths, peers)
    for host, kind, path, peer in combinations:
        fields = {"host": host, "type": kind, "path": path, "peer": peer, "prefix": settings.prefixes or None}
        asked: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
        if settings.prefixes:
            asked["moreSpecific"] = True
        wanted.append(asked | {"socketOptions": {"acknowledge": True}})
    return wanted


def connection_url(settings: FeedSettings) -> str:
    """Add our name to the URL, which RIPE NCC asks for, unless it has one.

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
