"""MRT records of every kind become messages."""

import bz2
import gzip
import io
import struct

import pytest
import zstandard

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.bgp.mrt import Problems, read_mrt, read_mrt_in_full
from bgpdrift.bgp.mrt_attributes import merge_as4_path
from bgpdrift.bgp.problems import OTHER_KINDS

AS_SET, AS_SEQUENCE, CONFED_SEQUENCE, CONFED_SET = 1, 2, 3, 4


def read(data):
    problems = Problems()
    messages = list(read_mrt(io.BytesIO(data), "rrc99", problems))
    assert problems.total == 0, problems.first
    return messages


def one(data):
    (message,) = read(data)
    return message


def one_in_full(data):
    ((_, found),) = read_mrt_in_full(io.BytesIO(data))
    return found


def test_an_announcement_becomes_a_message(mrt):
    assert one(mrt.announce("198.51.100.0/24", "10.0.0.0/8")) == Message(
        timestamp=1_000_000_000.0,
        peer="192.0.2.1",
        host="rrc99",
        type="UPDATE",
        peer_asn="64500",
        path=(64500, 64501),
        origin="IGP",
        announcements=[Announcement("192.0.2.1", ["198.51.100.0/24", "10.0.0.0/8"])],
    )


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, zstandard.compress])
def test_compression_is_detected_by_content(mrt, tmp_path, compress):
    file = tmp_path / "updates"
    file.write_bytes(compress(mrt.announce("198.51.100.0/24") * 1000))
    assert len(list(read_mrt(file))) == 1000


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zstandard.compress])
def test_concatenated_compressed_files_are_read_to_the_end(mrt, compress):
    assert len(read(compress(mrt.announce("198.51.100.0/24")) * 3)) == 3


def test_a_withdrawal_of_both_families(mrt):
    message = one(
        mrt.bgp4mp(
            mrt.update(withdrawn=mrt.prefixes("10.0.0.0/8"), attributes=mrt.unreach(mrt.prefixes("2001:db8::/32")))
        )
    )
    assert (message.withdrawals, message.announcements, message.path) == (["10.0.0.0/8", "2001:db8::/32"], [], ())


@pytest.mark.parametrize("next_hop", ["2001:db8::1", "2001:db8::1 fe80::1"])
def test_ipv6_is_announced_once_with_the_global_next_hop(mrt, next_hop):
    raw = b"".join(map(mrt.address, next_hop.split()))
    message = one(
        mrt.bgp4mp(
            mrt.update(attributes=mrt.path(1, 2) + mrt.reach(raw, mrt.prefixes("2001:db8:1::/48", "::/0"))),
            peer="2001:db8::9",
        )
    )
    assert message.announcements == [Announcement("2001:db8::1", ["2001:db8:1::/48", "::/0"])]
    assert message.peer == "2001:db8::9"


def test_both_families_in_one_message(mrt):
    attributes = mrt.attribute(3, mrt.address("192.0.2.9")) + mrt.reach(
        mrt.address("2001:db8::1"), mrt.prefixes("2001:db8::/32")
    )
    message = one(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), attributes)))
    assert [group.next_hop for group in message.announcements] == ["192.0.2.9", "2001:db8::1"]


def test_other_address_families_are_skipped_and_counted(mrt):
    problems = Problems()
    labelled = mrt.reach(bytes(12), b"\x70" + bytes(14), afi=1, safi=128) + mrt.unreach(b"\2\1x\3\2yz", afi=25, safi=70)
    (message,) = read_mrt(io.BytesIO(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), labelled))), "x", problems)
    assert message.announcements[0].prefixes == ["10.0.0.0/8"]
    assert problems.total == 0
    assert problems.skipped == {"AFI/SAFI 1/128": 1, "AFI/SAFI 25/70": 2}


def test_the_same_routes_of_another_family_count_each_time(mrt):
    """Attribute blocks are cached; what they pass over is not counted only once."""
    problems = Problems()
    other = mrt.reach(mrt.address("192.0.2.9"), b"\0\1\0\2ab" * 3, afi=16_388, safi=71)
    list(read_mrt(io.BytesIO(mrt.bgp4mp(mrt.update(b"", other)) * 4), "x", problems))
    assert problems.skipped == {"AFI/SAFI 16388/71": 12}


def test_a_message_that_only_ends_the_table_of_another_family_passes_nothing_over(mrt):
    problems = Problems()
    (message,) = read_mrt(io.BytesIO(mrt.bgp4mp(mrt.update(b"", mrt.unreach(b"", afi=1, safi=128)))), "x", problems)
    assert (message.withdrawals, problems.skipped) == ([], {})


@pytest.mark.parametrize("path_id", [0, 1, 65_537, 2**24 + 5, 2**32 - 1])
@pytest.mark.parametrize("ipv6", [False, True])
def test_path_identifiers_are_recognised_in_a_record_that_does_not_state_them(mrt, path_id, ipv6):
    texts = ["2001:db8::/32", "2a00:1450::/29"] if ipv6 else ["1.0.0.0/24", "193.0.0.0/21", "10.0.0.0/8"]
    nlri = mrt.prefixes(*texts, path_id=path_id)
    content = mrt.update(b"", mrt.reach(mrt.address("2001:db8::1"), nlri)) if ipv6 else mrt.update(nlri, mrt.path(1))
    problems = Problems()
    (message,) = read_mrt(io.BytesIO(mrt.bgp4mp(content)), "x", problems)
    assert message.announcements[0].prefixes == texts
    assert problems.total == 0
    assert problems.notes == {"read as add-path, which the record does not state": 1}


def test_what_looks_like_path_identifiers_and_cannot_be_read_as_such_is_refused(mrt):
    problems = Problems()
    assert list(read_mrt(io.BytesIO(mrt.bgp4mp(mrt.update(bytes(6), mrt.path(1)))), "x", problems)) == []
    assert problems.by_reason == {"prefixes look like those of add-path, and cannot be read as such": 1}


def test_a_default_route_among_other_prefixes_stays_one(mrt):
    message = one(mrt.announce("0.0.0.0/0", "10.0.0.0/8", "193.0.0.0/21"))
    assert message.announcements[0].prefixes == ["0.0.0.0/0", "10.0.0.0/8", "193.0.0.0/21"]


@pytest.mark.parametrize(("subtype", "width"), [(1, 4), (4, 2)])
def test_as_numbers_are_read_by_the_width_that_fits(mrt, subtype, width):
    problems = Problems()
    content = mrt.update(mrt.prefixes("10.0.0.0/8"), mrt.path(3333, 1103, 12_654, width=width))
    (message,) = read_mrt(io.BytesIO(mrt.bgp4mp(content, subtype=subtype)), "x", problems)
    assert message.path == (3333, 1103, 12_654)
    assert problems.total == 0
    assert sum(problems.notes.values()) == 1


def test_the_details_of_open_and_notification_are_read(mrt):
    four_octets = bytes((2, 6, 65, 4)) + struct.pack(">I", 70_000)
    opened = struct.pack(">BHH", 4, 23_456, 180) + mrt.address("192.0.2.7") + bytes((len(four_octets),)) + four_octets
    ended = bytes((6, 2, 3)) + b"bye"
    data = mrt.bgp4mp(mrt.bgp(1, opened)) + mrt.bgp4mp(mrt.bgp(3, ended))
    (_, first), (_, second) = read_mrt_in_full(io.BytesIO(data))
    assert first.session == {
        "version": 4,
        "asn": 70_000,
        "hold_time": 180,
        "router_id": "192.0.2.7",
        "capabilities": [{"code": 65, "value": "00011170"}],
    }
    assert (second.session["error"], second.session["communication"]) == ("Cease: Administrative Shutdown", "bye")


def test_a_generic_table_entry_of_unicast_is_read(mrt):
    entry = mrt.attribute(2, mrt.segment(2, 64500))
    body = bytes(4) + b"\0\2\1" + mrt.prefix("2001:db8::/32") + struct.pack(">H", 1)
    body += struct.pack(">HIH", 0, 0, len(entry)) + entry
    message = one(mrt.peer_index(("192.0.2.1", 64500)) + mrt.record(body, 13, 6))
    assert (message.path, message.announcements[0].prefixes) == ((64500,), ["2001:db8::/32"])


def test_microseconds_of_the_extended_form(mrt):
    assert one(mrt.announce("10.0.0.0/8", micro=250_000)).timestamp == 1_000_000_000.25


@pytest.mark.parametrize("subtype", [1, 4, 6, 7])
def test_as_numbers_of_two_and_four_bytes_and_local_messages(mrt, subtype):
    width = 4 if subtype in (4, 7) else 2
    content = mrt.update(mrt.prefixes("10.0.0.0/8"), mrt.path(64500, 3356, width=width))
    message = one(mrt.bgp4mp(content, subtype=subtype))
    assert (message.peer_asn, message.path) == ("64500", (64500, 3356))


@pytest.mark.parametrize("subtype", [8, 9, 10, 11])
def test_path_identifiers_are_skipped(mrt, subtype):
    attributes = (
        mrt.path(64500, width=4 if subtype in (9, 11) else 2)
        + mrt.reach(mrt.address("2001:db8::1"), mrt.prefixes("2001:db8::/32", path_id=7))
        + mrt.unreach(mrt.prefixes("2001:db8:1::/48", path_id=8))
    )
    content = mrt.update(
        mrt.prefixes("10.0.0.0/8", "10.0.0.0/8", path_id=2**31), attributes, mrt.prefixes("10.1.0.0/16", path_id=9)
    )
    message = one(mrt.bgp4mp(content, subtype=subtype))
    assert [group.prefixes for group in message.announcements] == [["10.0.0.0/8", "10.0.0.0/8"], ["2001:db8::/32"]]
    assert message.withdrawals == ["10.1.0.0/16", "2001:db8:1::/48"]


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        (5, 6, "up"),
        (6, 1, "down"),
        (6, 4, "down"),
        (3, 4, "connected"),
        (4, 5, "connected"),
        (1, 2, "connect"),
        (2, 3, "active"),
        (3, 1, "idle"),
        (6, 7, "down"),
        (7, 8, "idle"),
    ],
)
@pytest.mark.parametrize("subtype", [0, 5])
def test_state_changes(mrt, subtype, old, new, state):
    message = one(mrt.bgp4mp(struct.pack(">HH", old, new), subtype=subtype))
    assert (message.type, message.state, message.peer_asn) == ("STATE", state, "64500")


@pytest.mark.parametrize(("kind", "name"), [(1, "OPEN"), (3, "NOTIFICATION"), (4, "KEEPALIVE"), (5, "ROUTE-REFRESH")])
def test_other_bgp_messages_keep_their_type(mrt, kind, name):
    assert one(mrt.bgp4mp(mrt.bgp(kind, bytes(10)))).type == name


def test_all_attributes_are_read(mrt):
    attributes = (
        mrt.attribute(1, b"\2")
        + mrt.path(64500)
        + mrt.attribute(4, struct.pack(">I", 77), 0x80)
        + mrt.attribute(7, struct.pack(">I", 70_000) + mrt.address("192.0.2.5"), 0xC0)
        + mrt.attribute(8, struct.pack(">4H", 64500, 1, 65535, 666), 0xC0)
        + mrt.attribute(99, b"unknown", 0xC0)
    )
    found = one_in_full(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), attributes)))
    assert (found.origin, found.med, found.aggregator) == ("INCOMPLETE", 77, "70000:192.0.2.5")
    assert found.communities == ("64500:1", "65535:666")


def test_a_long_path_in_two_segments_is_one_path(mrt):
    asns = tuple(range(1, 301))
    value = mrt.segment(AS_SEQUENCE, *asns[:255]) + mrt.segment(AS_SEQUENCE, *asns[255:])
    assert one(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), mrt.attribute(2, value)))).path == asns


def test_sets_are_one_hop_and_confederations_are_kept(mrt):
    value = (
        mrt.segment(CONFED_SEQUENCE, 65001, 65002)
        + mrt.segment(CONFED_SET, 65003, 65004)
        + mrt.segment(AS_SEQUENCE, 174)
        + mrt.segment(AS_SET, 1, 2)
    )
    message = one(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), mrt.attribute(2, value))))
    assert message.path == (65001, 65002, (65003, 65004), 174, (1, 2))


@pytest.mark.parametrize(
    ("path", "path4", "merged"),
    [
        ([(2, (1, 23456, 23456))], [(2, (70_000, 70_001))], [(2, (1,)), (2, (70_000, 70_001))]),
        ([(2, (23456,))], [(2, (70_000,))], [(2, (70_000,))]),
        ([(2, (1,))], [(2, (70_000, 70_001))], [(2, (1,))]),  # AS4_PATH longer: it is ignored
        ([(2, (1, 2)), (1, (23456, 3))], [(1, (70_000, 3))], [(2, (1, 2)), (1, (70_000, 3))]),
        ([(3, (65001,)), (2, (1, 23456))], [(2, (70_000,))], [(3, (65001,)), (2, (1,)), (2, (70_000,))]),
        ([(2, (1, 23456))], [(3, (65001,)), (2, (70_000,))], [(2, (1,)), (2, (70_000,))]),
    ],
)
def test_as4_path_replaces_the_tail(path, path4, merged):
    assert merge_as4_path(path, path4) == merged


@pytest.mark.parametrize(
    ("aggregator", "aggregator4", "path", "shown"),
    [
        (None, None, (1, 70_000), None),
        (3255, None, (1, 70_000), "3255:192.0.2.5"),
        (23456, 70_000, (1, 70_000), "70000:192.0.2.6"),
        (3255, 70_000, (1, 23456), "3255:192.0.2.5"),  # aggregated again by a two-byte speaker: both AS4 are stale
    ],
)
def test_as4_attributes_are_merged_by_rfc_6793(mrt, aggregator, aggregator4, path, shown):
    attributes = mrt.path(1, 23456, width=2) + mrt.attribute(17, mrt.segment(2, 70_000), 0xC0)
    if aggregator:
        attributes += mrt.attribute(7, struct.pack(">H", aggregator) + mrt.address("192.0.2.5"), 0xC0)
    if aggregator4:
        attributes += mrt.attribute(18, struct.pack(">I", aggregator4) + mrt.address("192.0.2.6"), 0xC0)
    found = one_in_full(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), attributes), subtype=1))
    assert (found.path, found.aggregator) == (path, shown)


def test_as4_path_between_four_byte_speakers_is_discarded(mrt):
    attributes = mrt.path(1, 2) + mrt.attribute(17, mrt.segment(2, 70_000), 0xC0)
    assert one(mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), attributes))).path == (1, 2)


def test_bits_after_the_length_of_a_prefix_are_ignored(mrt):
    assert one(mrt.bgp4mp(mrt.update(b"\x0c\xac\x1f"))).announcements[0].prefixes == ["172.16.0.0/12"]


def test_a_table_dump_gives_one_message_per_route(mrt):
    short = mrt.attribute(14, bytes([16]) + mrt.address("2001:db8::1"), 0x80)
    long = mrt.reach(mrt.address("2001:db8::2"), b"")
    full = mrt.reach(mrt.address("2001:db8::3"), mrt.prefixes("2001:db8:2::/48"))
    dump = (
        mrt.peer_index(("192.0.2.1", 64500), ("2001:db8::9", 70_000))
        + mrt.rib(
            "10.0.0.0/8", [(0, mrt.path(64500, 1) + mrt.attribute(3, mrt.address("192.0.2.1"))), (1, mrt.path(70_000))]
        )
        + mrt.rib("2001:db8:2::/48", [(1, mrt.path(70_000, 2) + hop) for hop in (short, long, full)], subtype=4)
        + mrt.rib("10.1.0.0/16", [(1, 5, mrt.path(3)), (1, 6, mrt.path(4))], subtype=8)
        + mrt.rib("2001:db8:3::/48", [(0, 5, mrt.path(5))], subtype=10)
    )
    routes = [
        (m.peer, m.peer_asn, m.path, m.announcements[0].prefixes[0], m.announcements[0].next_hop) for m in read(dump)
    ]
    assert routes == [
        ("192.0.2.1", "64500", (64500, 1), "10.0.0.0/8", "192.0.2.1"),
        ("2001:db8::9", "70000", (70_000,), "10.0.0.0/8", ""),
        ("2001:db8::9", "70000", (70_000, 2), "2001:db8:2::/48", "2001:db8::1"),
        ("2001:db8::9", "70000", (70_000, 2), "2001:db8:2::/48", "2001:db8::2"),
        ("2001:db8::9", "70000", (70_000, 2), "2001:db8:2::/48", "2001:db8::3"),
        ("2001:db8::9", "70000", (3,), "10.1.0.0/16", ""),
        ("2001:db8::9", "70000", (4,), "10.1.0.0/16", ""),
        ("192.0.2.1", "64500", (5,), "2001:db8:3::/48", ""),
    ]


@pytest.mark.parametrize(
    ("subtype", "prefix", "peer"), [(1, "10.0.0.0/8", "192.0.2.1"), (2, "2001:db8::/32", "2001:db8::9")]
)
def test_a_table_dump_of_the_old_format(mrt, subtype, prefix, peer):
    address, _, length = prefix.partition("/")
    attributes = mrt.path(64500, 1, width=2)
    body = bytes(4) + mrt.address(address) + bytes([int(length), 1]) + bytes(4) + mrt.address(peer)
    message = one(mrt.record(body + struct.pack(">HH", 64500, len(attributes)) + attributes, 12, subtype))
    assert (message.peer, message.peer_asn, message.path) == (peer, "64500", (64500, 1))
    assert message.announcements[0].prefixes == [prefix]


def test_records_that_are_not_bgp_are_skipped_and_counted(mrt):
    problems = Problems()
    data = (
        mrt.record(bytes(20), 11, 0)
        + mrt.record(bytes(9), 16, 3)
        + mrt.record(bytes(4) + b"\0\1\x80" + bytes(9), 13, 6)
        + mrt.record(bytes(30), 5, 1)
        + mrt.announce("10.0.0.0/8")
    )
    assert len(list(read_mrt(io.BytesIO(data), "x", problems))) == 1
    assert problems.total == 0
    assert problems.skipped == {
        "MRT type 11 (OSPF)": 1,
        "BGP4MP subtype 3": 1,
        "RIB_GENERIC of AFI/SAFI 1/128": 1,
        "MRT type 5 (BGP)": 1,
    }


def test_invented_address_families_are_counted_together_beyond_the_first_two_hundred(mrt):
    problems = Problems()
    messages = [
        mrt.bgp4mp(mrt.update(b"", mrt.unreach(b"\2\1x", afi=1000 + number, safi=70))) for number in range(1_000)
    ]
    list(read_mrt(io.BytesIO(b"".join(messages)), "x", problems))
    assert len(problems.skipped) == 201
    assert sum(problems.skipped.values()) == problems.skipped[OTHER_KINDS] + 200 == 1_000
