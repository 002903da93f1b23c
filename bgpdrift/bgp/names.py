"""Decides which names in a message are valid: collector, peer and AS number come from outside and reach files and database.

Names become keys of state, rows and file content. A name of another form is not a route collector or an address; the whole
message is refused, because it cannot be attributed.
"""

import re

from bgpdrift.bgp.messages import MAX_NAME_CHARACTERS, Message

_MAX_KNOWN = 10_000
_is_host = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
_is_peer = re.compile(r"[A-Za-z0-9.:%_-]{1,64}").fullmatch


def is_collector(name: str) -> bool:
    """Whether a text can be the name of a route collector.

    Examples
    --------
    >>> is_collector("route-views.jinx"), is_collector("rrc00[/x]"), is_collector("rrc00" + chr(0)), is_collector("x" * 65)
    (True, False, False, False)
    """
    return _is_host(name) is not None


class NameCheck:
    """Checks the names of messages; valid ones are remembered, because few occur in many messages.

    Attributes
    ----------
    hosts, peers : set of str
        Valid names, and the empty one. A hot loop may look a name up itself and call `describe_invalid` only if it is new.

    Examples
    --------
    >>> check = NameCheck()
    >>> check.describe_invalid(Message(1.0, peer="192.0.2.1", host="rrc00")), "rrc00" in check.hosts
    ('', True)
    >>> check.describe_invalid(Message(1.0, peer="192.0.2.1", host="rrc 00"))
    'host: expected the name of a collector'
    """

    def __init__(self) -> None:
        self.hosts = {""}
        self.peers = {""}

    def describe_invalid(self, message: Message) -> str:
        """Describe the first invalid name of a message; empty if there is none."""
        if message.host not in self.hosts:
            if not is_collector(message.host):
                return "host: expected the name of a collector"
            _remember(self.hosts, message.host)
        if message.peer not in self.peers:
            if _is_peer(message.peer) is None:
                return f"peer: expected an address of at most {MAX_NAME_CHARACTERS} characters"
            _remember(self.peers, message.peer)
        return ""


def _remember(known: set[str], name: str) -> None:
    if len(known) >= _MAX_KNOWN:
        known.clear()
        known.add("")
    known.add(name)
