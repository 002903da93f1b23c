"""Converts messages into arrays; the only place where the feature code handles single messages in Python.

This module decides what counts as one announced or withdrawn prefix. A prefix that occurs twice in the announcements of a
message (IPv6 link-local group) is announced once. A prefix that is both withdrawn and announced in a message counts as
announced only (RFC 4271, section 4.3).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.messages import AsPath, Message
from bgpdrift.bgp.prefixes import NO_KEY, PrefixKeys
from bgpdrift.features.hashing import U64, BoolArray
from bgpdrift.features.paths import PathTable

IGP, EGP, INCOMPLETE, OTHER = 0, 1, 2, 3
_ORIGINS = {"IGP": IGP, "igp": IGP, "EGP": EGP, "egp": EGP, "INCOMPLETE": INCOMPLETE, "incomplete": INCOMPLETE}


class Batch(NamedTuple):
    """UPDATE messages of one collector, in order of arrival.

    Per message, shape (m,): ``timestamp`` (epoch seconds), ``peer``, ``attribute`` (origin attribute code), ``late``.
    Per element, shape (n,): ``message`` (index of its message), ``key`` (prefix key), ``announced``, ``path`` (row of the
    path, -1 for withdrawals).
    """

    timestamp: NDArray[np.float64]
    peer: NDArray[np.int64]
    attribute: NDArray[np.int8]
    late: BoolArray
    message: NDArray[np.int64]
    key: U64
    announced: BoolArray
    path: NDArray[np.int32]
    unreadable: int  # prefixes that could not be parsed


MAX_PEERS = 4_096
"""Ten times the peers of the largest collector; peer addresses in frames cannot make the state grow without limit."""
OTHER_PEER = "other"
EXPIRE_TICKS = 60
"""A peer that is silent for so many minutes gives its number to another when there is none left."""


class Peers:
    """Numbers of the peers of one collector, with their addresses and AS numbers.

    Parameters
    ----------
    forget : callable
        Called with a number before another peer gets it.

    Attributes
    ----------
    numbers : dict of str to int
        Number by address.
    addresses, asns : list of str
        Address and AS number by number.
    n_without_place : int
        Messages of peers for which there was no number; they share the one of `OTHER_PEER`.
    """

    def __init__(self, forget: Callable[[int], object] = lambda _: None) -> None:
        self.numbers: dict[str, int] = {}
        self.addresses: list[str] = []
        self.asns: list[str] = []
        self.n_without_place = 0
        self._forget = forget
        self._seen: NDArray[np.int64] = np.zeros(MAX_PEERS + 1, dtype=np.int64)  # minute of the last message, by number

    def numbers_of(self, messages: Sequence[Message]) -> list[int]:
        """Return the peer number of each message."""
        numbers = self.numbers
        try:
            return [numbers[message.peer] for message in messages]
        except KeyError:
            return [self.number(message) for message in messages]

    def number(self, message: Message) -> int:
        """Return the number of the peer that sent a message; a new peer gets the next number, or that of a silent one."""
        number = self.numbers.get(message.peer)
        if number is None:
            tick = int(message.timestamp // 60)
            number = len(self.asns)
            if number >= MAX_PEERS:
                number = int(self._seen[:MAX_PEERS].argmin())
                if tick - self._seen[number] < EXPIRE_TICKS:
                    self.n_without_place += 1
                    return self._other()
                self._forget(number)
                del self.numbers[self.addresses[number]]
            self._assign(number, message.peer, message.peer_asn)
            self._seen[number] = tick
        return number

    def _other(self) -> int:
        self._assign(MAX_PEERS, OTHER_PEER, "")
        return MAX_PEERS

    def _assign(self, number: int, address: str, asn: str) -> None:
        if number == len(self.asns):
            self.addresses.append("")
            self.asns.append("")
        self.numbers[address] = number
        self.addresses[number], self.asns[number] = address, asn if asn.isascii() and asn.isdigit() else ""

    def note_seen(self, numbers: NDArray[np.int64], tick: int) -> None:
        """Record that peers sent messages in a minute."""
        self._seen[numbers] = tick

    def save(self) -> list[list[Any]]:
        """Return plain values for a checkpoint."""
        return [list(peer) for peer in zip(self.addresses, self.asns, self._seen.tolist(), strict=False)]

    def restore(self, saved: list[list[Any]]) -> None:
        """Restore the result of `save`."""
        for number, (address, asn, seen) in enumerate(saved):
            self._assign(number, address, asn)
            self._seen[number] = seen


def flatten(
    messages: Sequence[Message], late: Sequence[bool], peers: Peers, paths: PathTable, prefixes: PrefixKeys
) -> Batch:
    """Convert UPDATE messages of one collector into arrays.

    Parameters
    ----------
    messages : sequence of Message
        Messages of type UPDATE.
    late : sequence of bool
        Whether the window of each message had closed when it arrived.
    peers, paths, prefixes
        Assign numbers to peers, AS paths and prefixes.
    """
    attributes: list[int] = []
    path_rows: list[int] = []
    withdrawn: list[int] = []
    announced: list[int] = []
    keys: list[int] = []
    known_key, lookup = prefixes.recent.get, prefixes.lookup
    known_path = paths.cache.get
    unknown_paths: dict[AsPath, int] = {}
    unreadable = 0
    for message in messages:
        gone = message.withdrawals
        groups = message.announcements
        if gone:
            gone_keys = [known_key(text) or lookup(text) for text in gone]
            if groups:
                kept = {known_key(text) or lookup(text) for group in groups for text in group.prefixes}
                gone_keys = [key for key in gone_keys if key not in kept or key == NO_KEY]
            keys += gone_keys
            withdrawn.append(len(gone_keys))
        else:
            withdrawn.append(0)
        if not groups:
            path_rows.append(-1)
            attributes.append(OTHER)
            announced.append(0)
            continue
        path = message.path
        row = known_path(path)
        # New paths are looked up together after the loop; until then they are numbered -2, -3, …
        path_rows.append(-2 - unknown_paths.setdefault(path, len(unknown_paths)) if row is None else row)
        attributes.append(_ORIGINS.get(message.origin, OTHER))
        texts = groups[0].prefixes if len(groups) == 1 else [text for group in groups for text in group.prefixes]
        if len(texts) == 1:
            keys.append(known_key(texts[0]) or lookup(texts[0]))
            announced.append(1)
        else:
            distinct = dict.fromkeys([known_key(text) or lookup(text) for text in texts])
            keys += distinct
            announced.append(len(distinct))
    timestamps = [message.timestamp for message in messages]
    peer_numbers = peers.numbers_of(messages)
    n_withdrawn, n_announced = np.array(withdrawn, dtype=np.int64), np.array(announced, dtype=np.int64)
    total = n_withdrawn + n_announced
    message_of = np.repeat(np.arange(total.size), total)
    rank = np.arange(message_of.size) - np.repeat(np.cumsum(total) - total, total)
    is_announced = rank >= n_withdrawn[message_of]
    path_row = np.array(path_rows, dtype=np.int32)
    if unknown_paths:
        new_rows = np.array(paths.intern_many(list(unknown_paths)), dtype=np.int32)
        path_row = np.where(path_row < -1, new_rows[np.clip(-2 - path_row, 0, new_rows.size - 1)], path_row)
    path_of = np.where(is_announced, path_row[message_of], -1).astype(np.int32)
    key = np.array(keys, dtype=np.uint64)
    if NO_KEY in keys:
        good = key != NO_KEY
        unreadable = int(key.size - np.count_nonzero(good))
        message_of, key, is_announced, path_of = message_of[good], key[good], is_announced[good], path_of[good]
    return Batch(
        timestamp=np.array(timestamps, dtype=np.float64),
        peer=np.array(peer_numbers, dtype=np.int64),
        attribute=np.array(attributes, dtype=np.int8),
        late=np.array(late, dtype=np.bool_),
        message=message_of,
        key=key,
        announced=is_announced,
        path=path_of,
        unreadable=unreadable,
    )
