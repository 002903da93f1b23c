"""Writes records as RIS Live frames in the format of 2026.

Parts that do not change from frame to frame (heads of peers, prefixes of atoms, paths, communities) are rendered once and cached.
"""

from collections.abc import Iterator

from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.records import ANNOUNCED, WITHDREW, Record
from bgpdrift.lab.simulation.topology import Path
from bgpdrift.lab.simulation.world import Atom, Peer

_PATHS_KEPT = 200_000


class FrameWriter:
    """Turns records into frames."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[str, str]] = {}
        self._prefixes: dict[int, str] = {}
        self._withdrawn: dict[tuple[int, bool], str] = {}
        self._paths: dict[Path, str] = {}
        self._communities: dict[tuple[int, int], str] = {}

    def frames(self, records: Iterator[Record]) -> Iterator[Frame]:
        """Write each record."""
        encode = self.encode
        for record in records:
            yield Frame(record[0] / 1000, encode(record))

    def encode(self, record: Record) -> bytes:
        """Return the JSON object of one record."""
        at_ms, count, kind, peer, path, atoms, what, argument = record
        head = self._heads.get(peer.index)
        if head is None:
            head = self._heads[peer.index] = _head(peer)
        start = f"{head[0]}{at_ms:012x}{count & 0xFFFF:04x}{head[1]}"
        if kind == ANNOUNCED:
            atom = atoms[0]
            names = self._prefixes.get(atom.index)
            if names is None:
                names = self._prefixes[atom.index] = ",".join(f'"{name}"' for name in atom.prefixes)
            hops = self._paths.get(path)
            if hops is None:
                if len(self._paths) >= _PATHS_KEPT:
                    self._paths.clear()
                hops = self._paths[path] = ",".join(map(str, path))
            body = (
                f'UPDATE","path":[{hops}],"community":{self._community(peer, argument)},"origin":"{atom.attribute}",'
                f'"announcements":[{{"next_hop":"{peer.next_hop}","prefixes":[{names}]}}],"withdrawals":[]'
            )
        elif kind == WITHDREW:
            # Some servers write a withdrawn IPv6 prefix without "::", others with it; here the position of the peer decides.
            long = peer.family == 6 and peer.position % 2 == 1
            gone = ",".join([self._gone(atom, long) for atom in atoms])
            body = f'UPDATE","path":[],"community":[],"announcements":[],"withdrawals":[{gone}]'
        else:
            body = _session(peer, what, argument)
        return f'{{"type":"ris_message","data":{{"timestamp":{at_ms / 1000},{start}{body}}}}}'.encode()

    def _community(self, peer: Peer, argument: object) -> str:
        number = argument if isinstance(argument, int) else 0
        key = (peer.asn, number % 12)
        found = self._communities.get(key)
        if found is None:
            found = self._communities[key] = "[" + ",".join(f"[{a},{v}]" for a, v in communities(*key)) + "]"
        return found

    def _gone(self, atom: Atom, long: bool) -> str:
        key = (atom.index, long)
        found = self._withdrawn.get(key)
        if found is None:
            names = [_written_out(name) for name in atom.prefixes] if long else atom.prefixes
            found = self._withdrawn[key] = ",".join(f'"{name}"' for name in names)
        return found


def communities(asn: int, number: int) -> tuple[tuple[int, int], ...]:
    """Return the communities that a peer sets, in variant `number`.

    Examples
    --------
    >>> communities(3333, 2)
    ((3333, 102), (3333, 2000))
    """
    short = asn & 0xFFFF
    return ((short, 100 + number), *((short, 1_000 * n) for n in range(2, 1 + number % 4)))[: number % 5] or ()


def _head(peer: Peer) -> tuple[str, str]:
    return (
        f'"peer":"{peer.address}","peer_asn":"{peer.asn}","id":"{peer.address}-',
        f'","host":"{peer.collector}.ripe.net","type":"',
    )


def _session(peer: Peer, what: int, argument: object) -> str:
    if what == do.STATE:
        return f'STATE","state":"{argument}"'
    if what == do.KEEPALIVE:
        return 'KEEPALIVE"'
    if what == do.NOTIFICATION:
        assert isinstance(argument, tuple)
        return f'NOTIFICATION","notification":{{"code":{argument[0]},"subcode":{argument[1]},"data":""}}'
    return (
        f'OPEN","direction":"{argument}","version":4,"asn":{peer.asn if argument == "received" else 12654},"hold_time":180,'
        f'"router_id":"10.0.{peer.index >> 8}.{peer.index & 255}","capabilities":{{}}'
    )


def _written_out(prefix: str) -> str:
    """Write an IPv6 prefix without ``::``, as RIS Live does in withdrawals since 2022.

    Examples
    --------
    >>> _written_out("2605:de00:bb::/48")
    '2605:de00:bb:0:0:0:0:0/48'
    """
    address, _, length = prefix.partition("/")
    left, found, right = address.partition("::")
    if not found:
        return prefix
    heads, tails = left.split(":"), right.split(":") if right else []
    return ":".join([*heads, *["0"] * (8 - len(heads) - len(tails)), *tails]) + f"/{length}"
