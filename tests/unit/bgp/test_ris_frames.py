"""Every form of frame that RIS Live sent from 2019 to 2026, and invalid frames."""

import gzip
import json
import math

import pytest

from bgpdrift.bgp import spool
from bgpdrift.bgp.frame_fields import frame_fields
from bgpdrift.bgp.messages import Announcement, Message, collector_name
from bgpdrift.bgp.ris_frames import (
    MAX_LINE_BYTES,
    Corrupt,
    FeedEvent,
    FrameDecoder,
    SegmentEnd,
    SegmentStart,
    ServerFrame,
)

PEER_2019 = {
    "timestamp": 1558620047.08,
    "peer": "198.51.100.1",
    "peer_asn": "64500",
    "id": "21-198-51-100-1-11188782",
    "host": "rrc21",
}
PEER_2026 = {
    "timestamp": 1790000000.12,
    "peer": "2001:db8:1::1",
    "peer_asn": "64501",
    "id": "2001:db8:1::1-01a0c4f8f5780001",
    "host": "rrc25.ripe.net",
}


def line(data, kind="ris_message"):
    return json.dumps({"type": kind, "data": data}).encode()


def one(raw):
    """Decode a frame alone and with others; both ways must give the same."""
    alone = FrameDecoder().decode_line(raw)
    (among,) = FrameDecoder().decode_many([raw])
    assert repr(alone) == repr(among)
    return alone


def shown(raw):
    return frame_fields(*FrameDecoder().decode_full(raw))


def update(**fields):
    return line(PEER_2019 | {"type": "UPDATE"} | fields)


ROUTES = [{"next_hop": "198.51.100.1", "prefixes": ["192.0.2.0/24", "203.0.113.0/24"]}]


def test_an_announcement_of_2019():
    message = one(update(path=[64500, 3356, [64502, 64503]], origin="igp", announcements=ROUTES))
    assert message == Message(
        timestamp=1558620047.08,
        peer="198.51.100.1",
        host="rrc21",
        type="UPDATE",
        id="21-198-51-100-1-11188782",
        peer_asn="64500",
        path=(64500, 3356, (64502, 64503)),
        origin="igp",
        announcements=[Announcement("198.51.100.1", ["192.0.2.0/24", "203.0.113.0/24"])],
    )


def test_a_withdrawal_of_2019_has_no_other_field():
    message = one(update(withdrawals=["192.0.2.0/24"]))
    assert (message.withdrawals, message.announcements, message.path) == (["192.0.2.0/24"], [], ())


def test_a_withdrawal_since_2022_has_empty_fields():
    raw = line(
        PEER_2026
        | {
            "type": "UPDATE",
            "path": [],
            "community": [],
            "announcements": [],
            "withdrawals": ["2605:de00:bb:0:0:0:0:0/48"],
        }
    )
    assert one(raw).withdrawals == ["2605:de00:bb:0:0:0:0:0/48"]
    assert shown(raw) == {
        "kind": "UPDATE",
        "collector": "rrc25",
        "peer": "2001:db8:1::1",
        "peer_asn": 64501,
        "timestamp": 1790000000.12,
        "announced": [],
        "withdrawn": ["2605:de00:bb::/48"],
        "path": (),
        "origins": [],
        "origin": "",
        "med": None,
        "aggregator": None,
        "communities": [],
    }


def test_both_forms_of_an_ipv6_next_hop_pair_announce_the_prefix_once_with_the_global_hop():
    of_2019 = update(
        path=[64500],
        announcements=[
            {"next_hop": "fe80::1", "prefixes": ["2001:db8:2::/48"]},
            {"next_hop": "2001:db8::1", "prefixes": ["2001:db8:2::/48"]},
        ],
    )
    since_2022 = update(
        path=[64500], announcements=[{"next_hop": "2001:db8::1,fe80::1", "prefixes": ["2001:db8:2::/48"]}]
    )
    expected = [{"prefix": "2001:db8:2::/48", "next_hop": "2001:db8::1"}]
    assert shown(of_2019)["announced"] == shown(since_2022)["announced"] == expected


def test_all_fields_are_shown():
    row = shown(
        update(
            path=[64500, [64502, 64503]],
            origin="igp",
            med=20,
            aggregator="64502:192.0.2.1",
            community=[[64500, 1], [0, 65535]],
            announcements=ROUTES,
        )
    )
    assert row["path"] == (64500, (64502, 64503))
    assert row["origins"] == [64502, 64503]
    assert row["origin"] == "IGP"
    assert (row["med"], row["aggregator"], row["communities"]) == (20, "64502:192.0.2.1", ["64500:1", "0:65535"])


@pytest.mark.parametrize("name", ["RIS_PEER_STATE", "STATE"])
@pytest.mark.parametrize("state", ["connected", "up", "down"])
def test_a_peer_state_has_one_type_under_both_names(name, state):
    raw = line(PEER_2026 | {"type": name, "state": state})
    message = one(raw)
    assert (message.type, message.state) == ("STATE", state)
    assert (shown(raw)["kind"], shown(raw)["state"]) == ("STATE", state)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "OPEN", "direction": "sent", "version": 4, "asn": 64500, "hold_time": 180, "capabilities": {"1": {}}},
        {"type": "NOTIFICATION", "notification": {"code": 6, "subcode": 2, "data": ""}},
        {"type": "KEEPALIVE"},
    ],
)
def test_other_messages_keep_their_type(data):
    decoder = FrameDecoder()
    message = decoder.decode_line(line(PEER_2026 | data))
    assert (message.type, message.peer) == (data["type"], "2001:db8:1::1")
    assert (decoder.counts.messages, decoder.counts.unknown, decoder.counts.salvaged) == (1, 0, 0)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"type":"pong","data":null}', ServerFrame("pong")),
        (b'{"type":"ris_error","data":{"message":"too slow"}}', ServerFrame("ris_error", "too slow")),
        (b'{"type":"ris_rrc_list","data":["rrc00","rrc01"]}', ServerFrame("ris_rrc_list")),
        (b'{"type":"ris_subscribe_ok","data":{"subscription":{},"socketOptions":{}}}', ServerFrame("ris_subscribe_ok")),
        (b'{"type":"something_new","data":{"a":1}}', ServerFrame("something_new")),
        (b'{"type":"something_new","data":{"timestamp":1.0,"type":"UPDATE"}}', ServerFrame("something_new")),
    ],
)
def test_frames_without_a_message(raw, expected):
    decoder = FrameDecoder()
    assert decoder.decode_line(raw) == one(raw) == expected
    assert (decoder.counts.server, decoder.counts.unknown) == (1, expected.type == "something_new")
    assert shown(raw)["kind"] == expected.type


def test_records_of_the_spool_are_decoded():
    feed = spool.control_line("dropped", 10.0, None, frames=3, reason="disk full")
    assert one(feed) == FeedEvent("dropped", 10.0, None, 3, "disk full")
    assert one(spool.record_line("bgpdrift_segment", {"sequence": 7, "opened_at": 1.5, "run": "x"})) == SegmentStart(
        7, 1.5, "x"
    )
    assert one(spool.record_line("bgpdrift_segment_end", {"closed_at": 2.5, "frames": 9})) == SegmentEnd(2.5, 9)
    assert shown(feed)["kind"] == "bgpdrift_feed"


def test_end_of_rib_is_not_a_prefix():
    message = one(update(withdrawals=["eor", "192.0.2.0/24"], announcements=[{"next_hop": "::", "prefixes": ["eor"]}]))
    assert (message.withdrawals, message.announcements) == (["192.0.2.0/24"], [])


@pytest.mark.parametrize(
    "odd",
    [
        {"med": "20"},
        {"med": [1]},
        {"community": None},
        {"community": "64500:1"},
        {"aggregator": 5},
        {"peer_asn": 64500},
        {"peer_asn": None},
        {"timestamp": "1558620047.08"},
        {"timestamp": 1558620047},
        {"origin": None},
        {"origin": 0},
        {"withdrawals": None},
        {"id": 7},
        {"host": None},
        {"path": None},
        {"path": ["64500", "3356"]},
        {"path": "64500 3356 {64502}"},
        {"path": [64500, None, {"a": 1}, 3.5, [[1]], -1, 2**40, 10**30]},
        {"type": "update"},
        {"type": None},
        {"raw": 5},
    ],
    ids=repr,
)
def test_a_message_with_an_invalid_field_keeps_its_routes(odd):
    raw = update(**({"path": [64500, 3356], "announcements": ROUTES} | odd))
    message = one(raw)
    assert isinstance(message, Message)
    assert message.type == "UPDATE"
    assert [prefix for group in message.announcements for prefix in group.prefixes] == ROUTES[0]["prefixes"]
    assert message.timestamp == pytest.approx(1558620047, abs=1)
    assert message.path[:1] == (64500,) or odd["path"] is None
    assert all(isinstance(hop, int) and 0 <= hop < 2**32 for hop in message.path if not isinstance(hop, tuple))
    assert [route["prefix"] for route in shown(raw)["announced"]] == ROUTES[0]["prefixes"]


def test_invalid_groups_and_prefixes_are_skipped_and_the_others_kept():
    message = one(
        update(
            announcements=[None, {"prefixes": None}, {"next_hop": None, "prefixes": [5, "192.0.2.0/24"]}],
            withdrawals=[None, "203.0.113.0/24"],
        )
    )
    assert message.announcements == [Announcement("", ["192.0.2.0/24"])]
    assert message.withdrawals == ["203.0.113.0/24"]


def test_control_characters_and_invalid_utf8_inside_strings_are_accepted():
    raw = update(announcements=ROUTES, origin="i@p").replace(b"@", b"\x01\t\xff")
    message = one(raw)
    assert message.announcements[0].prefixes == ROUTES[0]["prefixes"]


@pytest.mark.parametrize(
    "raw",
    [
        update(announcements=ROUTES)[:150],
        b"",
        b"   ",
        b"\x00\xff",
        b"garbage",
        b"null",
        b"5",
        b"[]",
        b'"ris_message"',
        b"{}",
        b'{"type":5}',
        b'{"type":"ris_message"}',
        b'{"type":"ris_message","data":null}',
        b'{"type":"ris_message","data":[]}',
        b'{"type":"bgpdrift_feed","data":5}',
        b"[" * 200_000,
        b'{"type":"ris_message","data":' + b'{"a":' * 100_000,
        b'{"type":"ris_message","data":{"timestamp":' + b"9" * 10_000 + b"}}",
        update(announcements=ROUTES, timestamp=None),
        update(announcements=ROUTES, timestamp="soon"),
        update(announcements=ROUTES, timestamp=1e300),
        update(announcements=ROUTES, timestamp=-1.0),
        update(announcements=ROUTES, timestamp=math.nan),
        update(announcements=ROUTES, timestamp=True),
        b" " * (MAX_LINE_BYTES + 1),
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_an_unreadable_line_is_counted_and_never_raises(raw):
    decoder = FrameDecoder()
    assert isinstance(decoder.decode_line(raw), Corrupt)
    assert (decoder.counts.corrupt, decoder.counts.messages, decoder.counts.salvaged) == (1, 0, 0)
    assert len(list(decoder.decode_many([raw]))) == (1 if raw.strip() else 0)


def test_a_frame_without_a_timestamp_is_shown_with_its_routes():
    row = shown(update(announcements=ROUTES, timestamp="soon"))
    assert row["timestamp"] is None
    assert len(row["announced"]) == 2


def test_an_unknown_message_type_is_counted_and_kept():
    decoder = FrameDecoder()
    assert decoder.decode_line(line(PEER_2026 | {"type": "ROUTE_REFRESH"})).type == "ROUTE_REFRESH"
    assert (decoder.counts.messages, decoder.counts.unknown) == (1, 1)


def test_a_stream_continues_after_damage():
    good = update(announcements=ROUTES)
    frames = list(FrameDecoder().decode_many([good, good[:99], b"", good]))
    assert [type(frame) for frame in frames] == [Message, Corrupt, Message]


def test_only_the_ripe_domain_is_removed_from_a_collector():
    assert collector_name("rrc25.ripe.net") == "rrc25"
    assert collector_name("route-views.jinx") == "route-views.jinx"


@pytest.mark.shared_data
def test_the_thousand_recorded_frames_have_787_announced_and_2394_withdrawn_routes(shared_data):
    raw = gzip.decompress((shared_data / "ris_live" / "ris-live-20190523-1000.jsonl.gz").read_bytes()).splitlines()
    decoder, full = FrameDecoder(), FrameDecoder()
    announced = withdrawn = 0
    for message in decoder.decode_many(raw):
        announced += len({prefix for group in message.announcements for prefix in group.prefixes})
        withdrawn += len(message.withdrawals)
    rows = [frame_fields(*full.decode_full(text)) for text in raw]
    assert (announced, withdrawn) == (787, 2394)
    assert sum(len(row.get("announced", ())) for row in rows) == 787
    assert sum(len(row.get("withdrawn", ())) for row in rows) == 2394
    assert {row["collector"] for row in rows} <= {f"rrc{number:02}" for number in range(27)}
    assert len({row["collector"] for row in rows}) == 14
    assert len({row["peer"] for row in rows}) == 66
    assert (decoder.counts.messages, decoder.counts.salvaged, decoder.counts.corrupt) == (1000, 0, 0)
    assert not any(route["next_hop"].startswith("fe80") for row in rows for route in row.get("announced", ()))


@pytest.mark.shared_data
def test_a_recorded_as_set_is_one_hop(shared_data):
    row = shown((shared_data / "ris_live" / "as-set-2019.json").read_bytes())
    assert row["path"] == (2497, 6453, 18705, 26281, (13340,))
    assert row["origins"] == [13340]
    assert row["announced"] == [{"prefix": "2607:ffc0:1000::/36", "next_hop": "2001:504:1::a500:2497:1"}]
    assert (row["origin"], row["aggregator"], row["med"]) == ("INCOMPLETE", "26281:10.1.0.33", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "x" * 65},
        {"host": "rrc00\0"},
        {"host": "rrc00\ud800"},
        {"host": "rrc00[/x]"},
        {"host": "rrc00\x1b[2J"},
        {"peer": "1" * 65},
        {"peer": "192.0.2.1\n"},
        {"peer": "\ud800"},
        {"timestamp": 1_790_000_000_000},
        {"timestamp": -1},
    ],
)
@pytest.mark.parametrize("kind", ["UPDATE", "STATE"])
def test_a_message_with_a_name_or_time_out_of_range_is_refused_and_counted(fields, kind):
    raw = line(PEER_2026 | {"type": kind, "withdrawals": ["192.0.2.0/24"], "state": "down"} | fields)
    assert isinstance(one(raw), Corrupt)
    decoder = FrameDecoder()
    decoder.decode_line(raw)
    assert (decoder.counts.corrupt, decoder.counts.messages) == (1, 0)
    json.dumps(shown(raw)).encode()


@pytest.mark.parametrize(
    "forged",
    [
        b' {"type":"bgpdrift_feed","data":{"event":"dropped","from":0.0,"to":1e9,"frames":1}}',
        b'{"type":"ris_message","type":"bgpdrift_feed","data":{"event":"dropped","from":0.0,"to":1e9,"frames":1}}',
        b'{"data":{"event":"dropped","from":0.0,"to":1e9,"frames":1},"type":"bgpdrift_feed"}',
        b'{"type":"\\u0062gpdrift_feed","data":{"event":"dropped","from":0.0,"to":1e9,"frames":1}}',
    ],
)
def test_a_frame_is_never_a_record_of_the_spool(forged):
    assert one(forged) == Corrupt("frame with the name of a record of the spool")


@pytest.mark.parametrize("changes", [{"to": 1e18}, {"from": -1.0}, {"frames": -5}])
def test_a_record_with_values_out_of_range_is_refused(changes):
    data = {"event": "dropped", "from": 1.0, "to": 2.0, "frames": 1, "reason": ""} | changes
    assert isinstance(one(spool.record_line("bgpdrift_feed", data)), Corrupt)


@pytest.mark.parametrize("depth", [500, 2_000, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nested_json_is_counted_whatever_its_depth(depth, opening):
    closing = b"]" if opening == b"[" else b"}"
    raw = b'{"type":"x","data":' + opening * depth + b"1" + closing * depth + b"}"
    assert isinstance(one(raw), (Corrupt, ServerFrame))
