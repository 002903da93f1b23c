"""What time it is in the data: the youngest message time that can be trusted.

Windows close by this time, never by the machine's clock, so that a replay at a thousand times the speed behaves like
life. Decides when a timestamp far ahead is believed: one router or collector with a wrong clock must not close every
window, but after an hour without a feed the whole stream jumps ahead, and that is true.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bgpdrift.bgp.messages import Message

CONFIRMATIONS = 50  # messages in a row that agree on a jump; a burst of one bad source is cut by the next good message


class EventTime:
    """Follows message time.

    Parameters
    ----------
    max_jump_s : float
        A step ahead up to this many seconds is believed at once.

    Examples
    --------
    >>> time = EventTime(max_jump_s=600)
    >>> [message.timestamp for message in time.follow([Message(1000.0), Message(99_000.0), Message(1001.0)])]
    [1000.0, 1001.0]
    >>> time.now, time.refused
    (1001.0, 1)
    """

    def __init__(self, max_jump_s: float) -> None:
        self._max_jump_s = max_jump_s
        self.now = 0.0
        self.refused = 0
        self._held: list[Message] = []

    def follow(self, messages: Iterable[Message]) -> list[Message]:
        """Give the messages whose time is believed, in order; keep back those that jump ahead unconfirmed.

        ``refused`` counts held messages that the stream then contradicted.
        """
        messages = list(messages)
        if self.now == 0.0:
            self.now = _beginning(messages, self._max_jump_s)
        believed: list[Message] = []
        now, held, limit = self.now, self._held, self._max_jump_s
        for message in messages:
            time = message.timestamp
            if 0 < time <= now + limit:
                if held:
                    self.refused += len(held)
                    held.clear()
                if time > now:
                    now = time
                believed.append(message)
            elif time > 0 and time < math.inf:
                held.append(message)
                times = [waiting.timestamp for waiting in held]
                if len(held) >= CONFIRMATIONS and max(times) - min(times) <= limit:
                    believed += held
                    now = max(times)
                    held.clear()
                elif len(held) >= CONFIRMATIONS:
                    held.pop(0)
                    self.refused += 1
            else:  # NaN, infinite or before 1970
                self.refused += 1
        self.now = now
        return believed

    def save(self) -> list[Any]:
        """Give the messages held back, as plain values for a checkpoint."""
        return [msgspec.to_builtins(message) for message in self._held]

    def restore(self, held: list[Any]) -> None:
        """Take over what `save` gave."""
        self._held = msgspec.convert(held, list[Message])


def _beginning(messages: Sequence[Message], limit_s: float) -> float:
    """Time of the earliest of the first messages that lies close to their median; 0 without any.

    The very first message may be the one with the wrong clock.
    """
    times = sorted(message.timestamp for message in messages[:CONFIRMATIONS] if 0 < message.timestamp < math.inf)
    if not times:
        return 0.0
    median = times[len(times) // 2]
    return next(time for time in times if time >= median - limit_s)
