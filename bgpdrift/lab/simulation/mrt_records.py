"""Writes records as MRT. One file holds all collectors of a scenario, because MRT has no field for the collector."""

from collections.abc import Iterable, Iterator

from bgpdrift.bgp import mrt_writer
from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.frames import communities
from bgpdrift.lab.simulation.records import ANNOUNCED, WITHDREW, Record
from bgpdrift.lab.simulation.world import Atom

_WITHDRAWN_AT_ONCE = 200


def mrt_records(records: Iterable[Record]) -> Iterator[bytes]:
    """Turn records into MRT; OPEN and NOTIFICATION messages are left out, state changes are not."""
    packed: dict[int, list[bytes]] = {}

    def prefixes(atom: Atom) -> list[bytes]:
        found = packed.get(atom.index)
        if found is None:
            found = packed[atom.index] = [mrt_writer.encode_prefix(name) for name in atom.prefixes]
        return found

    for at_ms, _, kind, peer, path, atoms, what, argument in records:
        if kind == ANNOUNCED:
            number = argument if isinstance(argument, int) else 0
            body = mrt_writer.announcement(
                path,
                peer.next_hop.split(","),
                prefixes(atoms[0]),
                atoms[0].attribute,
                communities(peer.asn, number % 12),
            )
            yield mrt_writer.message_record(at_ms, peer.address, peer.asn, body)
        elif kind == WITHDREW:
            gone = [prefix for atom in atoms for prefix in prefixes(atom)]
            for start in range(0, len(gone), _WITHDRAWN_AT_ONCE):
                body = mrt_writer.withdrawal(gone[start : start + _WITHDRAWN_AT_ONCE], peer.family)
                yield mrt_writer.message_record(at_ms, peer.address, peer.asn, body)
        elif what == do.STATE:
            yield mrt_writer.state_record(at_ms, peer.address, peer.asn, str(argument))
        elif what == do.KEEPALIVE:
            yield mrt_writer.message_record(at_ms, peer.address, peer.asn, b"", kind=4)
