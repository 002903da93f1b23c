"""Which messages came before: after a reconnect a server may send again what it had sent.

Decides by the source's message id. Today's RIS Live id is ``<peer>-<12 hex: ms epoch><4 hex: counter>``: it grows with
every message of a peer, so the largest one and a short memory per peer are enough for ever. Older recordings have ids
without order; of those the latest 50,000 of a collector are remembered.
"""

from collections import OrderedDict, deque
from typing import Any

from bgpdrift.bgp.messages import Message

_SUFFIX = 17  # "-" and 16 hexadecimal digits
_RING = 64
_UNORDERED = 50_000


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

    def is_duplicate(self, message: Message) -> bool:
        """Whether the message came before; remembers it. A message without id is always new."""
        name, peer = message.id, message.peer
        if len(name) != len(peer) + _SUFFIX:
            return bool(name) and self._is_known(name)
        latest = self._latest.get(peer)
        if latest is None:
            self._latest[peer] = name
            self._rings[peer] = deque((name,), maxlen=_RING)
            return False
        ring = self._rings[peer]
        if name > latest:
            self._latest[peer] = name
            ring.append(name)
            return False
        # Behind the latest: either a repetition, or two messages that changed places on the way.
        if name in ring or (len(ring) == _RING and name < ring[0]):
            return True
        ring.append(name)
        return False

    def _is_known(self, name: str) -> bool:
        if name in self._unordered:
            return True
        self._unordered[name] = None
        if len(self._unordered) > _UNORDERED:
            self._unordered.popitem(last=False)
        return False

    def save(self) -> dict[str, Any]:
        """Give plain values for a checkpoint."""
        rings = [[peer, self._latest[peer], list(ring)] for peer, ring in self._rings.items()]
        return {"rings": rings, "unordered": list(self._unordered)}

    @classmethod
    def restore(cls, saved: dict[str, Any]) -> "Duplicates":
        """Rebuild from `save`."""
        seen = cls()
        for peer, latest, ring in saved["rings"]:
            seen._latest[peer] = latest
            seen._rings[peer] = deque(ring, maxlen=_RING)
        seen._unordered = OrderedDict.fromkeys(saved["unordered"])
        return seen
