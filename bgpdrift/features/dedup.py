"""Recognizes messages that a server sends again after a reconnect, by the source's message id.

The id of RIS Live is ``<peer>-<12 hex: ms epoch><4 hex: counter>``. It grows with every message of a peer, unless the clock of
the collector goes back. An id among the latest of its peer is a repetition. A smaller id is a repetition only after a
reconnect, until the collector sends the first new message; and not if it is much smaller although the message is newer than the
reconnect, because the clock was wrong before. Ids of older recordings have no order; the latest 50,000 of a
collector are remembered.
"""

from collections import OrderedDict, deque
from typing import Any

from bgpdrift.bgp.messages import Message

_SUFFIX_CHARACTERS = 17  # "-" and 16 hexadecimal digits
_RECENT_IDS = 64
_MAX_UNORDERED_IDS = 50_000
_MAX_PEERS = 4_096
_CLOCK_STEP_MS = 60_000
"""An id made by so much less of the clock is of another clock, if its message is newer than the reconnect."""


class Duplicates:
    """Remembers the message ids of one collector.

    Examples
    --------
    >>> seen = Duplicates()
    >>> [seen.is_duplicate(Message(1.0, peer="p", id=f"p-000000000001000{n}")) for n in (1, 3, 2, 3, 1)]
    [False, False, False, True, True]
    """

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._rings: dict[str, deque[str]] = {}
        self._unordered: OrderedDict[str, None] = OrderedDict()
        self._expects_repetitions = False
        self._reconnected_at: float | None = None

    def expect_repetitions(self, arrived_at: float | None = None) -> None:
        """Record a reconnect: the server may begin with messages from before it.

        Parameters
        ----------
        arrived_at : float, optional
            Wall time of arrival of the last message before it, epoch seconds.
        """
        self._expects_repetitions = True
        self._reconnected_at = arrived_at

    def is_duplicate(self, message: Message) -> bool:
        """Whether the message was seen before; remember it. A message without id is never a duplicate."""
        name, peer = message.id, message.peer
        if len(name) != len(peer) + _SUFFIX_CHARACTERS:
            return bool(name) and self._is_known_unordered(name)
        latest = self._latest.get(peer)
        if latest is None:
            if len(self._rings) >= _MAX_PEERS:
                self._forget_oldest_peers()
            self._latest[peer] = name
            self._rings[peer] = deque((name,), maxlen=_RECENT_IDS)
            return False
        ring = self._rings[peer]
        if name > latest:
            self._latest[peer] = name
            self._expects_repetitions = False
            ring.append(name)
            return False
        if name in ring:
            return True
        if len(ring) == _RECENT_IDS and name < min(ring):
            if self._expects_repetitions and not self._is_of_another_clock(message, latest):
                return True
            # Without a reconnect nothing is sent again: the clock that made the ids has gone back.
            self._latest[peer] = name
        ring.append(name)
        return False

    def _forget_oldest_peers(self) -> None:
        """Forget the half of the peers whose latest id is oldest by its own time."""
        kept = sorted(self._latest, key=lambda peer: self._latest[peer][-16:])[len(self._latest) // 2 :]
        self._latest = {peer: self._latest[peer] for peer in kept}
        self._rings = {peer: self._rings[peer] for peer in kept}

    def _is_of_another_clock(self, message: Message, latest: str) -> bool:
        """Whether a message is newer than the reconnect, although its id is much smaller than the latest one."""
        if self._reconnected_at is None or message.timestamp <= self._reconnected_at:
            return False
        try:
            return int(latest[-16:-4], 16) - int(message.id[-16:-4], 16) > _CLOCK_STEP_MS
        except ValueError:
            return False

    def _is_known_unordered(self, name: str) -> bool:
        if name in self._unordered:
            return True
        self._unordered[name] = None
        if len(self._unordered) > _MAX_UNORDERED_IDS:
            self._unordered.popitem(last=False)
        return False

    def save(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        rings = [[peer, self._latest[peer], list(ring)] for peer, ring in self._rings.items()]
        return {
            "rings": rings,
            "unordered": list(self._unordered),
            "expects": self._expects_repetitions,
            "reconnected_at": self._reconnected_at,
        }

    @classmethod
    def restore(cls, saved: dict[str, Any]) -> "Duplicates":
        """Rebuild from the result of `save`."""
        seen = cls()
        for peer, latest, ring in saved["rings"]:
            seen._latest[peer] = latest
            seen._rings[peer] = deque(ring, maxlen=_RECENT_IDS)
        seen._expects_repetitions = bool(saved["expects"])
        seen._reconnected_at = saved["reconnected_at"]
        seen._unordered = OrderedDict.fromkeys(saved["unordered"])
        return seen
