"""Event time: the latest message timestamp that can be trusted.

Windows close by event time, never by the clock of the machine, so that a replay at a thousand times the speed gives the same
windows. This module decides when a timestamp far ahead is accepted. A single router or collector with a wrong clock must not
close every window, but after an hour without a feed the whole stream jumps ahead.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bgpdrift.bgp.messages import Message

WINDOW_S = 60
"""A window covers ``[t, t + WINDOW_S)`` of event time."""
CONFIRMATIONS = 50
"""Consecutive messages that must agree on a jump; a message without the jump interrupts those of one wrong clock."""


class EventTime:
    """Follows the timestamps of messages.

    Parameters
    ----------
    max_jump_s : float
        A step ahead of at most so many seconds is accepted at once.

    Examples
    --------
    >>> time = EventTime(max_jump_s=600)
    >>> [message.timestamp for message in time.accept([Message(1000.0), Message(99_000.0), Message(1001.0)])]
    [1000.0, 1001.0]
    >>> time.now, time.rejected
    (1001.0, 1)
    """

    def __init__(self, max_jump_s: float) -> None:
        self._max_jump_s = max_jump_s
        self.now = 0.0
        self.rejected = 0
        self._held: list[Message] = []

    def accept(self, messages: Iterable[Message]) -> list[Message]:
        """Return the messages with an accepted timestamp, in order; hold back those with an unconfirmed jump.

        ``rejected`` counts held messages that the stream later contradicts.
        """
        messages = list(messages)
        if self.now == 0.0:
            self.now = _initial_time(messages, self._max_jump_s)
        accepted: list[Message] = []
        now, held, limit = self.now, self._held, self._max_jump_s
        for message in messages:
            time = message.timestamp
            if 0 < time <= now + limit:
                if held:
                    self.rejected += len(held)
                    held.clear()
                if time > now:
                    now = time
                accepted.append(message)
            elif time > 0 and time < math.inf:
                held.append(message)
                times = [waiting.timestamp for waiting in held]
                if len(held) >= CONFIRMATIONS and max(times) - min(times) <= limit:
                    accepted += held
                    now = max(times)
                    held.clear()
                elif len(held) >= CONFIRMATIONS:
                    held.pop(0)
                    self.rejected += 1
            else:  # NaN, infinite or before 1970
                self.rejected += 1
        self.now = now
        return accepted

    def save(self) -> list[Any]:
        """Return the held messages as plain values for a checkpoint."""
        return [msgspec.to_builtins(message) for message in self._held]

    def restore(self, held: list[Any]) -> None:
        """Restore the result of `save`."""
        self._held = msgspec.convert(held, list[Message])


def _initial_time(messages: Sequence[Message], limit_s: float) -> float:
    """Return the earliest of the first timestamps that is close to their median; 0 without any.

    The first message itself may have a wrong clock.
    """
    times = sorted(message.timestamp for message in messages[:CONFIRMATIONS] if 0 < message.timestamp < math.inf)
    if not times:
        return 0.0
    median = times[len(times) // 2]
    return next(time for time in times if time >= median - limit_s)
