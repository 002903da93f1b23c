"""Event time, lateness, gaps, duplicates, sessions and limits of the aggregator."""

import random
from typing import Any

import msgspec
import pytest

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.features.aggregator import MAX_COLLECTORS, Aggregator
from bgpdrift.features.batch import MAX_PEERS
from bgpdrift.features.dedup import Duplicates
from bgpdrift.settings import WindowSettings
from bgpdrift.store.codec import decode
from bgpdrift.store.evidence_records import ChangedPrefix, RouteChange, SeenBy, Suspect, WindowEvidence

T0 = 1_700_000_040


def announce(
    time: float, prefix: str = "193.0.0.0/21", path: Any = (3333, 12654), peer: str = "p", **more: Any
) -> Message:
    groups = [Announcement("n", [prefix])]
    return Message(time, peer=peer, host="rrc00", type="UPDATE", path=path, origin="IGP", announcements=groups, **more)


def withdraw(time: float, prefix: str = "193.0.0.0/21", peer: str = "p") -> Message:
    return Message(time, peer=peer, host="rrc00", type="UPDATE", withdrawals=[prefix])


def state(time: float, name: str, peer: str = "p") -> Message:
    return Message(time, peer=peer, host="rrc00", type="STATE", state=name)


def windows(*messages: Message, **settings: Any) -> list[dict[str, Any]]:
    aggregator = Aggregator(WindowSettings(**settings))
    return aggregator.add(messages) + aggregator.flush()


def changes(row: dict[str, Any]) -> tuple[RouteChange, ...]:
    return decode(WindowEvidence, row["evidence"], "evidence").changes


def test_a_window_closes_thirty_seconds_after_its_end_in_event_time() -> None:
    aggregator = Aggregator(WindowSettings())

    assert aggregator.add([announce(T0), announce(T0 + 89.9)]) == []
    (row,) = aggregator.add([announce(T0 + 90)])

    assert (row["window_start"], row["messages"]) == (T0, 1)


def test_a_message_after_its_window_closed_counts_as_late_and_still_changes_the_state() -> None:
    rows = windows(
        *(announce(T0 + n) for n in (0, 25, 50, 75, 100)),
        announce(T0 + 1, "193.0.8.0/21"),
        announce(T0 + 101, "193.0.8.0/21"),
    )

    assert [row["late"] for row in rows] == [0, 1]
    assert rows[0]["announced"] == 3
    assert rows[1]["duplicate"] == 3  # both prefixes were known, one from the late message


def test_minutes_without_a_message_have_a_window_of_zeros() -> None:
    rows = windows(announce(T0), announce(T0 + 240))

    assert [(row["window_start"] - T0, row["messages"]) for row in rows] == [
        (0, 1),
        (60, 0),
        (120, 0),
        (180, 0),
        (240, 1),
    ]


def test_a_collector_without_messages_still_has_windows() -> None:
    other = announce(T0 + 1)
    other.host = "rrc01.ripe.net"
    rows = windows(other, announce(T0), announce(T0 + 120))

    assert [row["messages"] for row in rows if row["collector"] == "rrc01"] == [1, 0, 0]


def test_a_message_with_a_clock_a_day_ahead_closes_no_window() -> None:
    aggregator = Aggregator(WindowSettings())

    rows = aggregator.add(
        [announce(T0), announce(T0 + 86_400), announce(T0 + 1), *(announce(T0 + n) for n in (30, 60, 90, 95))]
    )

    assert [row["window_start"] for row in rows] == [T0]
    assert aggregator.rejected_times == 1


def test_a_first_message_with_a_wrong_clock_does_not_set_the_time() -> None:
    aggregator = Aggregator(WindowSettings())

    aggregator.add([announce(T0 + 10 * 86_400), *(announce(T0 + n) for n in range(5))])

    assert aggregator.now == T0 + 4


def test_a_jump_ahead_is_accepted_when_fifty_messages_confirm_it() -> None:
    rows = windows(announce(T0), *(announce(T0 + 7200 + n / 10) for n in range(60)))

    assert rows[-1]["window_start"] == T0 + 7200
    assert rows[-1]["messages"] == 60


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -5.0, 0.0])
def test_an_invalid_time_is_rejected(time: float) -> None:
    aggregator = Aggregator(WindowSettings())

    aggregator.add([announce(T0), announce(time), announce(T0 + 1)])

    assert (aggregator.messages, aggregator.rejected_times) == (2, 1)


def test_a_message_sent_again_after_a_reconnect_counts_once_and_shows_that_nothing_is_missing() -> None:
    aggregator = Aggregator(WindowSettings())
    first, second = announce(T0, id="p-018c0000000a0001"), announce(T0 + 1, id="p-018c0000000b0001")
    aggregator.add([first, second])
    aggregator.note_reconnect()

    aggregator.add([second, announce(T0 + 2, id="p-018c0000000c0001")])
    (row,) = aggregator.flush()

    assert (row["messages"], row["feed_gap"], aggregator.duplicates) == (3, 0, 1)


def test_the_time_between_two_connections_that_do_not_overlap_is_a_gap() -> None:
    aggregator = Aggregator(WindowSettings())
    aggregator.add([announce(T0 + 5)])
    aggregator.note_reconnect()
    rows = aggregator.add([announce(T0 + 130)]) + aggregator.flush()

    assert [row["feed_gap"] for row in rows] == [1, 1, 1]


def test_a_repeated_message_of_one_collector_hides_no_gap_of_the_others() -> None:
    def identified(at: float, collector: str) -> Message:
        return msgspec.structs.replace(announce(at), host=collector, id=f"a-{int(at * 1000):012x}0001")

    collectors = ("rrc00", "rrc01", "rrc02")
    aggregator = Aggregator(WindowSettings())
    rows = aggregator.add([identified(T0 + n, name) for n in range(100) for name in collectors])
    aggregator.note_reconnect()
    rows += aggregator.add([identified(T0 + 99, "rrc02")])
    rows += aggregator.add([identified(T0 + n, name) for n in range(115, 180) for name in collectors])
    rows += aggregator.flush()

    assert {row["collector"] for row in rows if row["feed_gap"]} == {"rrc00", "rrc01"}


def test_dropped_frames_are_counted_and_mark_their_windows() -> None:
    aggregator = Aggregator(WindowSettings())
    aggregator.add([announce(T0 + at) for at in (0, 25, 50, 70)])
    aggregator.note_dropped(T0 + 61, T0 + 65, 7)

    rows = aggregator.flush()

    assert [(row["dropped"], row["incomplete"]) for row in rows] == [(0, 1), (7, 1)]  # the first minute is partial


def test_a_session_that_leaves_established_forgets_its_routes_without_a_loss_of_visibility() -> None:
    stream = [announce(T0, peer=peer) for peer in "abc"]
    stream += [state(T0 + 61, "down", "a"), state(T0 + 62, "down", "b"), announce(T0 + 63, peer="a")]

    last = windows(*stream)[-1]

    assert (last["session_down"], last["new"], last["visibility_loss"]) == (2, 1, 0)


@pytest.mark.parametrize("name", ["connected", "idle", "active", "connect"])
def test_a_state_before_established_is_neither_up_nor_down(name: str) -> None:
    (row,) = windows(announce(T0), state(T0 + 1, name), announce(T0 + 2))

    assert (row["session_up"], row["session_down"], row["duplicate"]) == (0, 0, 1)


def test_withdrawals_by_most_peers_are_a_loss_of_visibility() -> None:
    stream = [announce(T0, peer=peer) for peer in "abcdef"]
    stream += [withdraw(T0 + 7200 + n, peer=peer) for n, peer in enumerate("abcd")]
    aggregator = Aggregator(WindowSettings())

    rows = aggregator.add(stream) + aggregator.flush()

    assert rows[-1]["visibility_loss"] == 1
    (lost,) = changes(rows[-1])
    assert (lost.change, lost.n_routes, lost.n_peers) == ("lost", 4, 4)
    assert lost.prefixes == (ChangedPrefix("193.0.0.0/21", 12654, 0, (3333, 12654), (), 4),)


def test_a_table_transfer_after_a_reset_is_marked_until_it_ends() -> None:
    routes = [f"20.0.{n}.0/24" for n in range(60)]
    stream = [announce(T0, prefix) for prefix in routes] + [state(T0 + 70, "down"), state(T0 + 100, "up")]
    stream += [announce(T0 + 110 + n, prefix) for n, prefix in enumerate(routes)]
    stream += [announce(T0 + 400, routes[0])]

    rows = windows(*stream)

    assert [row["peer_reset"] for row in rows] == [0, 1, 1, 0, 0, 0, 0]


def test_a_second_origin_is_new_at_most_once_a_day() -> None:
    day = 86_400
    stream = [
        announce(T0),
        announce(T0 + 1, path=(1, 666), peer="q"),
        announce(T0 + 2),
        announce(T0 + 3, path=(1, 666), peer="q"),
    ]
    aggregator = Aggregator(WindowSettings())

    again = [announce(T0 + 2 * day), announce(T0 + 2 * day + 1, path=(1, 666), peer="q")]

    rows = aggregator.add([*stream, *again]) + aggregator.flush()

    assert [sum(row["moas_new"] for row in part) for part in (rows[:1], rows[1:])] == [1, 1]
    (second,) = [change for change in changes(rows[0]) if change.change == "second_origin"]
    assert second.suspects == (Suspect(666, 1),)
    assert second.prefixes == (ChangedPrefix("193.0.0.0/21", 12654, 666, (), (1, 666), 1),)
    assert second.peers == (SeenBy("q"),)


def test_a_more_specific_prefix_of_another_origin_is_evidence_with_the_covering_prefix() -> None:
    rows = windows(announce(T0), announce(T0 + 1, "193.0.1.0/24", path=(1, 666)), announce(T0 + 2, "193.0.2.0/24"))

    assert rows[0]["subprefix_new"] == 1
    (sub,) = [change for change in changes(rows[0]) if change.change == "sub_prefix"]
    assert sub.prefixes == (ChangedPrefix("193.0.1.0/24", 12654, 666, (), (1, 666), 1, "193.0.0.0/21"),)


@pytest.mark.parametrize(
    ("prefix", "path", "column"),
    [
        ("10.1.0.0/16", (1, 2), "bogon"),
        ("8.8.8.0/24", (1, 64512, 2), "bogon"),
        ("8.8.8.0/24", (1, 2, 1), "path_loop"),
        ("8.8.8.128/25", (1, 2), "too_specific"),
        ("2a00:1450::/49", (1, 2), "too_specific"),
        ("8.8.8.0/24", (1, 2, 2), "prepended"),
        ("8.8.8.0/24", (1, (2, 3)), "as_set"),
    ],
)
def test_each_mark_of_an_announcement_is_counted_in_its_column(prefix: str, path: Any, column: str) -> None:
    marks = ("bogon", "path_loop", "too_specific", "prepended", "as_set")
    (row,) = windows(announce(T0, prefix, path))

    assert {name: row[name] for name in marks} == {name: int(name == column) for name in marks}


def test_an_as_pair_is_new_the_first_time_and_again_after_seven_days() -> None:
    aggregator = Aggregator(WindowSettings())

    rows = aggregator.add([announce(T0), announce(T0 + 61), announce(T0 + 9 * 86_400)]) + aggregator.flush()

    assert [rows[0]["edge_new"], rows[1]["edge_new"], rows[-1]["edge_new"]] == [1, 0, 1]


def test_the_state_stays_within_its_limit_and_evicted_routes_are_counted() -> None:
    limit = 8_000_000
    aggregator = Aggregator(WindowSettings(max_state_bytes=limit), deduplicate=False)
    rows: list[dict[str, Any]] = []
    for part in range(40):
        texts = [
            f"{20 + n // 65_536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(part * 10_000, (part + 1) * 10_000)
        ]
        groups = [Announcement("n", texts)]
        message = Message(
            T0 + part, peer="p", host="rrc00", type="UPDATE", path=(1, part), origin="IGP", announcements=groups
        )
        rows += aggregator.add([message])
    rows += aggregator.flush()

    assert aggregator.state_bytes <= limit * 1.1
    assert rows[0]["evicted"] > 0
    assert rows[0]["announced"] == 400_000
    assert rows[0]["new"] == 400_000


def test_the_windows_of_the_busiest_peers_add_up_to_that_of_the_collector() -> None:
    stream = [announce(T0 + n / 10, f"20.0.{n}.0/24", peer="a" if n % 4 else "b") for n in range(40)]

    rows = windows(*stream, per_peer=2)

    whole, *own = rows
    assert sorted(row["peer"] for row in own) == ["a", "b"]
    for name in ("messages", "announced", "new", "path_length_sum", "edge_new"):
        assert sum(row[name] for row in own) == whole[name], name


def test_a_table_dump_fills_the_state_without_opening_a_window() -> None:
    aggregator = Aggregator(WindowSettings())

    assert aggregator.warm_up([announce(T0 - 3600)]) == 1
    rows = aggregator.add([announce(T0)]) + aggregator.flush()

    assert [(row["duplicate"], row["new"], row["warming"]) for row in rows] == [(1, 0, 0)]


def update(time: float, host: str = "rrc00", peer: str = "p", name: str = "") -> Message:
    groups = [Announcement("n", ["20.0.0.0/24"])]
    return Message(time, peer=peer, host=host, type="UPDATE", id=name, path=(1, 2), origin="IGP", announcements=groups)


def test_the_collectors_of_the_settings_keep_their_place_among_invented_ones() -> None:
    aggregator = Aggregator(WindowSettings(), named=["rrc00", "rrc01.ripe.net"])
    aggregator.add([update(T0, f"invented{n}") for n in range(2 * MAX_COLLECTORS)], T0 + 1)
    aggregator.add([update(T0 + 2, host) for host in ("rrc00.ripe.net", "rrc01", "rrc02")], T0 + 3)

    rows = aggregator.flush()

    messages = {row["collector"]: row["messages"] for row in rows}
    assert (messages["rrc00"], messages["rrc01"], "rrc02" in messages) == (1, 1, False)
    assert len(messages) == MAX_COLLECTORS + 1
    assert messages["other"] == aggregator.messages_without_place == MAX_COLLECTORS + 2 + 1


def test_a_collector_takes_the_place_of_one_that_is_silent_for_an_hour_and_no_window_is_lost() -> None:
    aggregator = Aggregator(WindowSettings())
    rows = aggregator.add([update(T0, f"invented{n}") for n in range(MAX_COLLECTORS)], T0 + 1)
    for minute in range(1, 70):  # all but one of the invented ones are silent
        now = T0 + 60 * minute
        rows += aggregator.add([update(now, "invented0"), update(now, "rrc00")], now + 1)
    rows += aggregator.flush()

    counted: dict[str, int] = {}
    for row in rows:
        counted[row["collector"]] = counted.get(row["collector"], 0) + row["messages"]
    assert [counted[f"invented{n}"] for n in (0, 1, MAX_COLLECTORS - 1)] == [70, 1, 1]
    assert (counted["rrc00"], counted["other"]) == (10, 59)


def test_invented_peers_share_one_number_and_take_the_numbers_of_silent_ones() -> None:
    aggregator = Aggregator(WindowSettings(per_peer=1))
    names = [f"peer{n}" for n in range(3 * MAX_PEERS)]
    rows = aggregator.add([update(T0, peer=name, name=f"{name}-{int(T0 * 1000):012x}0001") for name in names], T0 + 1)
    assert aggregator.messages_without_place == 2 * MAX_PEERS
    size = len(msgspec.json.encode(aggregator.save()[1]))
    for minute in range(1, 65):
        now = T0 + 60 * minute
        rows += aggregator.add([update(now, peer="peer0"), update(now, peer=f"late{minute}")], now + 1)
    rows += aggregator.flush()

    whole = [row for row in rows if not row["peer"]]
    assert sum(row["messages"] for row in whole) == 3 * MAX_PEERS + 128
    assert "late64" in {peer for row in whole for peer, _, _ in row["evidence"]["peers"]}, (
        "silent for an hour: numbers are free"
    )
    assert len(msgspec.json.encode(aggregator.save()[1])) <= size


def test_the_ids_of_invented_peers_are_forgotten_before_those_of_peers_that_send() -> None:
    seen = Duplicates()

    def message(peer: str, number: int) -> Message:
        return update(T0, peer=peer, name=f"{peer}-{number:012x}0001")

    seen.is_duplicate(message("real", 10**9))
    for n in range(10_000):
        seen.is_duplicate(message(f"invented{n}", n))
        assert not n % 1_000 or n < 10 or seen.is_duplicate(message("real", 10**9))

    assert len(seen.save()["rings"]) <= 4_096


def test_beside_the_routing_state_nothing_grows_after_eight_days() -> None:
    aggregator = Aggregator(WindowSettings(max_gap_minutes=1))
    rng = random.Random(1)
    sizes = []
    for day in range(20):
        for hour in (0, 12):
            now = T0 + 86_400 * day + 3_600 * hour
            messages = []
            for number in range(300):
                message = update(now + number / 100, peer=f"192.0.2.{number % 20}")
                message.id = f"{message.peer}-{int(message.timestamp * 1000):012x}{number:04x}"
                message.path = (rng.randrange(1, 60_000), rng.randrange(1, 60_000), number)
                messages.append(message)
            aggregator.add(messages, now + 4)
        arrays, values = aggregator.save()
        others = sum(array.nbytes for name, array in arrays.items() if ".state." not in name)
        sizes.append(others + len(msgspec.json.encode(values)))

    assert sizes[2] < 0.6 * sizes[9], "eight filters of pairs of ASes, one a day"
    assert max(sizes[9:]) < 1.02 * min(sizes[9:])
