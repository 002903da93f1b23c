"""No input makes the frame decoder or the MRT reader raise, hang, or return values out of range.

Valid input is damaged (flipped, cut, spliced, repeated), besides arbitrary bytes. `tests/fuzz` holds the same targets
for atheris, which is guided by coverage and run by hand.
"""

import bz2
import gzip
import io
import json

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgpdrift.bgp.frame_fields import frame_fields
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.mrt import Problems, read_mrt_in_full
from bgpdrift.bgp.ris_frames import Corrupt, FrameDecoder
from bgpdrift.bgp.ris_salvage import Details

THOROUGH = settings(max_examples=400, deadline=20_000, suppress_health_check=list(HealthCheck))


@st.composite
def damaged(draw, sources):
    """Draw a valid input with a few changes of the kinds that occur on networks and disks."""
    data = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["flip", "set", "cut", "delete", "insert", "splice", "repeat"]))
        if change == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "set":
            data[at : at + 4] = draw(
                st.sampled_from([b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b'"', b"{", b"]"])
            )
        elif change == "cut":
            del data[at:]
        elif change == "delete":
            del data[at : at + draw(st.integers(1, 40))]
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=40))
        elif change == "splice":
            other = draw(st.sampled_from(sources))
            begin = draw(st.integers(0, len(other)))
            data[at:at] = other[begin : begin + 200]
        elif change == "repeat":
            data[at:at] = data[max(0, at - 30) : at] * draw(st.integers(1, 5))
    return bytes(data)


def check_message(message):
    assert message.timestamp != message.timestamp or 0 <= message.timestamp < 2**33
    for hop in message.path:
        for asn in hop if isinstance(hop, tuple) else (hop,):
            assert type(asn) is int
            assert 0 <= asn < 2**32
    for group in message.announcements:
        assert type(group.next_hop) is str
        assert all(type(prefix) is str and prefix != "eor" for prefix in group.prefixes)
    assert all(type(prefix) is str and prefix != "eor" for prefix in message.withdrawals)
    assert all(
        type(getattr(message, name)) is str for name in ("peer", "host", "type", "id", "peer_asn", "origin", "state")
    )


def check_frames(raw):
    decoder = FrameDecoder()
    frames = list(decoder.decode_many(raw.split(b"\n")))
    for frame in frames:
        if isinstance(frame, Message):
            check_message(frame)
    counts = decoder.counts
    assert counts.messages == sum(isinstance(frame, Message) for frame in frames)
    assert counts.corrupt == sum(isinstance(frame, Corrupt) for frame in frames)
    assert 0 <= counts.salvaged <= counts.messages
    for line in raw.split(b"\n"):
        json.dumps(frame_fields(*decoder.decode_full(line)), allow_nan=False)


def check_mrt(raw):
    problems = Problems()
    for message, found in read_mrt_in_full(io.BytesIO(raw), "x", problems):
        check_message(message)
        json.dumps(
            frame_fields(message, Details(found.med, found.aggregator, list(found.communities))), allow_nan=False
        )
    assert all(problem.offset >= 0 for problem in problems.first)
    return problems


FRAMES = [
    json.dumps({"type": kind, "data": data}).encode()
    for kind, data in [
        (
            "ris_message",
            {
                "timestamp": 1790000000.5,
                "peer": "2001:db8::1",
                "peer_asn": "64500",
                "id": "x",
                "host": "rrc25.ripe.net",
                "type": "UPDATE",
                "path": [64500, [64501, 64502]],
                "community": [[64500, 7]],
                "origin": "IGP",
                "med": 0,
                "aggregator": "64501:192.0.2.1",
                "announcements": [{"next_hop": "2001:db8::1,fe80::1", "prefixes": ["2001:db8:2::/48", "eor"]}],
                "withdrawals": ["192.0.2.0/24"],
            },
        ),
        ("ris_message", {"timestamp": 1.0, "type": "RIS_PEER_STATE", "state": "down", "peer": "192.0.2.1"}),
        ("ris_error", {"message": "too slow"}),
        ("bgpdrift_feed", {"event": "dropped", "from": 1.0, "to": None, "frames": 3, "reason": "disk"}),
        ("pong", None),
    ]
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["eor", "10.0.0.0/8", "64500"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["prefixes", "next_hop", "a"]), inner, max_size=3)
    ),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        "timestamp",
        "peer",
        "peer_asn",
        "id",
        "host",
        "type",
        "path",
        "community",
        "origin",
        "med",
        "aggregator",
        "announcements",
        "withdrawals",
        "state",
    ]
)


@THOROUGH
@given(damaged(FRAMES))
def test_damaged_frames(raw):
    check_frames(raw)


@THOROUGH
@given(st.dictionaries(fields, values))
def test_frames_with_arbitrary_fields(data):
    check_frames(json.dumps({"type": "ris_message", "data": {"timestamp": 1.0, "type": "UPDATE"} | data}).encode())


@THOROUGH
@given(st.binary(max_size=300))
def test_arbitrary_lines(raw):
    check_frames(raw)


@pytest.fixture(scope="module")
def archives(mrt):
    attributes = (
        mrt.attribute(1, b"\0")
        + mrt.path(1, 23456, width=2)
        + mrt.attribute(17, mrt.segment(2, 70_000), 0xC0)
        + mrt.attribute(3, bytes(4))
    )
    six = (
        mrt.path(1, 2)
        + mrt.reach(mrt.address("2001:db8::1") * 2, mrt.prefixes("2001:db8:1::/48"))
        + mrt.unreach(mrt.prefixes("::/0"))
    )
    return [
        mrt.announce("10.0.0.0/8", "10.1.2.0/24") * 3,
        mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8"), attributes), subtype=1) + mrt.announce("10.2.0.0/16"),
        mrt.bgp4mp(mrt.update(attributes=six, withdrawn=mrt.prefixes("10.9.0.0/16")), peer="2001:db8::9", micro=7) * 2,
        mrt.bgp4mp(mrt.update(mrt.prefixes("10.0.0.0/8", path_id=1)), subtype=9) + mrt.bgp4mp(b"\0\6\0\1", subtype=5),
        mrt.peer_index(("192.0.2.1", 64500), ("2001:db8::9", 70_000))
        + mrt.rib("10.0.0.0/8", [(0, mrt.path(1)), (1, mrt.path(2))])
        + mrt.rib("2001:db8::/32", [(1, 5, mrt.attribute(14, bytes([16]) + bytes(16)))], subtype=10),
        mrt.record(bytes(4) + bytes([10, 0, 0, 0, 8, 1]) + bytes(4) + bytes(4) + b"\0\1\0\0", 12, 1),
    ]


@THOROUGH
@given(data=st.data())
def test_damaged_archives(archives, data):
    check_mrt(data.draw(damaged(archives)))


@THOROUGH
@given(data=st.data(), compress=st.sampled_from([gzip.compress, bz2.compress, zstandard.compress]))
def test_damaged_compressed_archives(archives, data, compress):
    check_mrt(data.draw(damaged([compress(archive) for archive in archives])))


@THOROUGH
@given(st.binary(max_size=400))
def test_arbitrary_archives(raw):
    check_mrt(raw)


@THOROUGH
@given(data=st.data())
def test_records_before_and_after_the_damage_are_read(archives, data):
    """Complete archives before damaged bytes are read unchanged, and so is the last one after them."""
    whole = archives[0]
    middle = data.draw(damaged(archives))
    raw = whole + middle + whole * 3
    found = [message for message, _ in read_mrt_in_full(io.BytesIO(raw))]
    reference = [message for message, _ in read_mrt_in_full(io.BytesIO(whole))]
    assert found[: len(reference)] == reference
    assert found[-1] == reference[-1]
