"""Wrong clocks and sparse feeds: no peer and no collector changes a window of another, whatever its clock."""

import json
import random
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.settings import WindowSettings

T0 = 1_700_000_040 // 60 * 60
MINUTES = 12


def announce(at: float, collector: str = "rrc00", peer: str = "p") -> Message:
    groups = [Announcement("n", ["193.0.0.0/21"])]
    return Message(at, peer=peer, host=collector, type="UPDATE", path=(1, 2), origin="IGP", announcements=groups)


def counts(rows: list[dict[str, Any]], collector: str, peer: str = "") -> dict[int, tuple[int, int, int]]:
    """Return messages, late and incomplete by minute, of a collector or one of its peers."""
    return {
        row["window_start"]: (row["messages"], row["late"] if not peer else 0, row["incomplete"])
        for row in rows
        if row["collector"] == collector and row["peer"] == peer
    }


clocks = st.one_of(
    st.builds(lambda offset: lambda t: t + offset, st.floats(-2e8, 2e8)),  # another time
    st.builds(lambda rate: lambda t: T0 + (t - T0) * rate, st.floats(0, 5_000)),  # too fast or too slow
    st.builds(lambda at, step: lambda t: t + step * (t > T0 + at), st.floats(0, 700), st.floats(-1e6, 1e6)),  # a step
    st.builds(
        lambda at, length, step: lambda t: t + step * (T0 + at < t < T0 + at + length),
        st.floats(0, 700),
        st.floats(0, 300),
        st.floats(-1e6, 1e6),
    ),
    st.builds(lambda seed: lambda t: t + random.Random(f"{seed} {t}").uniform(-1e5, 1e5), st.integers(0, 99)),
)


def stream(seed: int, per_minute: int) -> list[tuple[float, str, str]]:
    """Return (time, collector, peer) in order of time: three collectors with four peers each."""
    rng = random.Random(seed)
    # The first minutes have a message of every good peer, so that the wrong clock is not the only one known.
    begin = [(T0 + n / 10, f"rrc0{c}", f"p{p}") for n, (p, c) in enumerate((p, c) for p in range(4) for c in range(3))]
    times = sorted(T0 + 2 + rng.random() * 60 * MINUTES for _ in range(per_minute * MINUTES))
    return begin + [(at, f"rrc0{rng.randrange(3)}", f"p{rng.randrange(4)}") for at in times]


def run(messages: list[tuple[Message, float]], *, is_live: bool, per_peer: int = 0) -> list[dict[str, Any]]:
    aggregator = Aggregator(WindowSettings(per_peer=per_peer))
    rows: list[dict[str, Any]] = []
    for message, arrived_at in messages:
        rows += aggregator.add([message], arrived_at=arrived_at if is_live else None)
    return rows + aggregator.flush()


@settings(max_examples=12, deadline=None)
@given(clocks, st.integers(0, 1_000), st.sampled_from([2, 12, 40]), st.booleans())
def test_a_collector_with_any_clock_changes_no_window_of_another(
    clock: Any, seed: int, per_minute: int, is_live: bool
) -> None:
    sent = stream(seed, per_minute)
    wrong = [(announce(clock(t) if c == "rrc00" else t, c, p), t) for t, c, p in sent]
    right = [(announce(t, c, p), t) for t, c, p in sent]

    with_wrong, expected = run(wrong, is_live=is_live), run(right, is_live=is_live)

    for other in ("rrc01", "rrc02"):
        newest = max(int(t) // 60 * 60 for t, c, _ in sent if c == other)
        until = {name: {k: v for k, v in counts(rows, other).items() if k <= newest} for name, rows in
                 (("wrong", with_wrong), ("right", expected))}  # fmt: skip
        assert until["wrong"] == until["right"]


@settings(max_examples=12, deadline=None)
@given(clocks, st.integers(0, 1_000), st.sampled_from([2, 12, 40]), st.booleans(), st.sampled_from([0.0, 2.0, 25.0]))
def test_a_peer_with_any_clock_takes_no_message_from_a_window_of_another_peer(
    clock: Any, seed: int, per_minute: int, is_live: bool, delay_s: float
) -> None:
    """Also in a sparse feed whose messages arrive out of order, within the lateness."""
    sent = stream(seed, per_minute)
    rng = random.Random(seed)
    arrivals = sorted((t if t < T0 + 2 else t + rng.uniform(0, delay_s), t, c, p) for t, c, p in sent)
    messages = [
        (announce(clock(t) if (c, p) == ("rrc00", "p3") else t, c, p), arrival) for arrival, t, c, p in arrivals
    ]

    rows = run(messages, is_live=is_live, per_peer=4)

    for peer in ("p0", "p1", "p2"):
        expected: dict[int, int] = {}
        for t, c, p in sent:
            if (c, p) == ("rrc00", peer):
                expected[int(t) // 60 * 60] = expected.get(int(t) // 60 * 60, 0) + 1
        counted = {start: n for start, (n, _, _) in counts(rows, "rrc00", peer).items() if n}
        assert counted == expected


@pytest.mark.parametrize("gap_s", [31, 660, 7_200, 86_400])
def test_a_sparse_live_feed_is_counted_as_it_arrives(gap_s: int) -> None:
    aggregator = Aggregator(WindowSettings())
    aggregator.add([announce(T0)], arrived_at=T0 + 0.5)

    aggregator.add([announce(T0 + gap_s)], arrived_at=T0 + gap_s + 0.5)

    assert aggregator.now == T0 + gap_s


def test_an_absence_of_six_days_is_one_marked_gap() -> None:
    six_days = 6 * 86_400
    messages = [announce(T0 + at + n, f"rrc{c:02}") for at in (0, six_days) for n in range(5) for c in range(23)]
    aggregator = Aggregator(WindowSettings())

    rows = aggregator.add(messages) + aggregator.flush()

    first, *ends = (row for row in rows if row["collector"] == "rrc00")
    assert (first["window_start"], first["messages"]) == (T0, 5)
    assert (ends[-1]["window_start"], ends[-1]["messages"]) == (T0 + six_days, 5)
    assert [row["feed_gap"] for row in ends] == [1] * len(ends)
    assert len(ends) <= 2


def test_a_clock_a_day_ahead_for_an_hour_is_followed_back() -> None:
    """Sixty messages a day ahead do not end the windows of the days after."""
    day = 86_400
    messages = [announce(T0 + n) for n in range(100)]
    messages += [announce(T0 + day + n) for n in range(100, 160)]
    messages += [announce(T0 + n) for n in range(160, 1_000)]
    aggregator = Aggregator(WindowSettings())

    rows = aggregator.add(messages) + aggregator.flush()

    by_minute = {row["window_start"] - T0: row["messages"] for row in rows}
    assert [by_minute[start] for start in range(300, 900, 60)] == [60] * 10
    assert len(rows) < 100


def test_a_replay_of_the_past_after_live_data_is_counted() -> None:
    year = 365 * 86_400
    messages = [announce(T0 + year + n, peer=p) for n in range(100) for p in "ab"]
    messages += [announce(T0 + n, peer=p) for n in range(600) for p in "ab"]
    aggregator = Aggregator(WindowSettings())

    rows = aggregator.add(messages) + aggregator.flush()

    assert [row["messages"] for row in rows if T0 + 120 <= row["window_start"] < T0 + 540] == [120] * 7


def test_the_late_messages_of_a_slow_collector_leave_no_window_behind() -> None:
    aggregator = Aggregator(WindowSettings())
    for n in range(900):
        aggregator.add([announce(T0 + n), announce(T0 + n - 300, "rrc01")], arrived_at=T0 + n)

    _, values = aggregator.save()

    assert [len(collector["windows"]) for collector in values["collectors"]] == [1, 1]
    rows = aggregator.flush()
    assert sum(row["late"] for row in rows) == 0


def test_a_restart_between_any_two_messages_changes_nothing() -> None:
    sent = stream(7, 30)
    sent = sent[:120]
    messages = [(announce(t + 3_600 if p == "p3" else t, c, p), t) for t, c, p in sent]
    expected = run(messages, is_live=True)
    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for message, arrived_at in messages:
        rows += aggregator.add([message], arrived_at=arrived_at)
        arrays, values = aggregator.save()
        aggregator = Aggregator(WindowSettings())
        aggregator.restore(arrays, values)

    assert rows + aggregator.flush() == expected


@pytest.mark.parametrize("fault", ["reconnect", "lost frames", "dropped", "dropped at an unknown time"])
def test_a_restart_while_data_is_missing_changes_nothing(fault: str) -> None:
    """The interruption ends with a message that another process receives, which read the state from a file."""

    def run_with(restarts: bool) -> list[dict[str, Any]]:
        aggregator = Aggregator(WindowSettings())
        rows = aggregator.add([announce(T0 + 10 * n) for n in range(30)])
        match fault:
            case "reconnect":
                aggregator.note_reconnect()
            case "lost frames":
                aggregator.note_lost_frames()
            case "dropped":
                aggregator.note_dropped(T0 + 300.0, T0 + 330.0, 5)
            case _:
                aggregator.note_dropped(None, None, 5)
        if restarts:
            arrays, values = aggregator.save()
            saved = json.loads(json.dumps(msgspec.to_builtins(values), allow_nan=False))
            aggregator = Aggregator(WindowSettings())
            aggregator.restore(arrays, saved)
        rows += aggregator.add([announce(T0 + 400 + 10 * n) for n in range(30)])
        return rows + aggregator.flush()

    assert run_with(restarts=True) == run_with(restarts=False)


def test_a_peer_ahead_in_a_live_feed_closes_no_window_of_a_peer_behind_it() -> None:
    """One peer is 29 s ahead, and another is 25 s behind: its messages are in time, whatever the first one sends."""
    aggregator = Aggregator(WindowSettings(per_peer=3))
    rows: list[dict[str, Any]] = []
    for n in range(600):
        ahead, slow, right = (
            announce(T0 + n + 29, peer="a"),
            announce(T0 + n - 25, peer="b"),
            announce(T0 + n, peer="c"),
        )
        rows += aggregator.add([ahead, slow, right], arrived_at=T0 + n)
    rows += aggregator.flush()

    assert sum(row["late"] for row in rows) == 0
    assert sum(row["messages"] for row in rows if row["peer"] == "b") == 600


def test_a_peer_ahead_makes_no_memory_of_its_collector_older() -> None:
    """Means of the number of peers age by event time: the windows of the other peers have the same values in all columns."""
    rng = random.Random(3)
    honest: list[Message] = []
    for n in range(1_500):
        prefix, peer = f"193.0.{rng.randrange(6)}.0/24", rng.choice("abcd")
        groups = [] if rng.random() < 0.4 else [Announcement("n", [prefix])]
        gone = [] if groups else [prefix]
        honest.append(
            Message(
                T0 + n / 2, peer=peer, host="rrc00", type="UPDATE", path=(1, 2), announcements=groups, withdrawals=gone
            )
        )
    own = {"peer": "w", "host": "rrc00", "type": "UPDATE", "path": (8, 9)}
    other_prefix = [Announcement("n", ["20.0.0.0/24"])]
    ahead = [Message(message.timestamp + 25, announcements=other_prefix, **own) for message in honest]  # type: ignore[arg-type]
    settings_ = WindowSettings(per_peer=5)

    alone, beside = Aggregator(settings_), Aggregator(settings_)
    expected = alone.add(honest) + alone.flush()
    found = beside.add([message for pair in zip(honest, ahead, strict=True) for message in pair]) + beside.flush()

    for peer in "abcd":
        by_start = {row["window_start"]: row for row in found if row["peer"] == peer}
        for row in (row for row in expected if row["peer"] == peer):
            assert by_start[row["window_start"]] == row
    assert sum(row["visibility_loss"] for row in expected if row["peer"]) > 0


def test_of_two_peers_in_a_live_feed_the_one_that_agrees_with_arrival_is_right() -> None:
    aggregator = Aggregator(WindowSettings(per_peer=2))
    rows: list[dict[str, Any]] = []
    for n in range(0, 900, 5):
        rows += aggregator.add([announce(T0 + n + 86_400 * 9, peer="wrong")], arrived_at=T0 + n)
        if n > 100:
            rows += aggregator.add([announce(T0 + n, peer="right")], arrived_at=T0 + n)
    rows += aggregator.flush()

    counted = {row["window_start"] - T0: row["messages"] for row in rows if row["peer"] == "right"}
    assert [counted[start] for start in range(180, 900, 60)] == [12] * 12


def test_the_minutes_that_a_step_of_the_clock_leaves_out_are_incomplete() -> None:
    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for n in range(300):
        rows += aggregator.add([announce(T0 + n + 300 * (n >= 90), peer=p) for p in "ab"], arrived_at=T0 + n)

    empty = [row for row in rows if not row["messages"]]
    assert [row["window_start"] - T0 for row in empty] == [120, 180, 240, 300]
    assert [row["incomplete"] for row in empty] == [1] * 4
    assert aggregator.clocks()["rrc00"].steps_ahead == 1


def test_minutes_that_a_wrong_clock_left_out_are_counted_again_when_it_is_right() -> None:
    """Most clocks are two hours ahead for five minutes: the two hours after that are not lost."""
    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for n in range(0, 1_500, 3):
        wrong_s = 7_200 if 300 <= n < 600 else 0
        rows += aggregator.add([announce(T0 + n + wrong_s, peer=p) for p in "ab"], arrived_at=T0 + n)

    last = {row["window_start"] - T0: row for row in rows}
    right = range(660, 1_380, 60)
    assert [last[start]["messages"] for start in right] == [40] * len(right)
    assert [last[start]["late"] + last[start]["incomplete"] for start in right] == [0] * len(right)
    assert aggregator.select_recounted(rows) >= {("rrc00", T0 + start) for start in right}


def test_the_silence_of_a_collector_is_no_step_of_its_clock() -> None:
    """While another collector sends, five minutes without a message are windows of zeros."""
    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for n in range(720):
        silent = [] if 120 <= n < 480 else [announce(T0 + n, "rrc01", p) for p in "ab"]
        rows += aggregator.add([*silent, announce(T0 + n)], arrived_at=T0 + n)

    zeros = [row for row in rows if row["collector"] == "rrc01" and not row["messages"]]
    assert len(zeros) == 6
    assert [row["incomplete"] for row in zeros] == [0] * 6


def test_the_skew_of_a_collector_and_of_its_peers_is_estimated() -> None:
    aggregator = Aggregator(WindowSettings())
    skews = {"a": 0.0, "b": 0.2, "c": -0.4, "d": 25.0}
    for n in range(60):
        fast = [announce(T0 + n + 480 + skew, "rrc01", peer) for peer, skew in skews.items()]
        aggregator.add([announce(T0 + n - 1.5), *fast], arrived_at=T0 + n)

    clocks = aggregator.clocks()

    assert (clocks["rrc00"].skew_s, clocks["rrc01"].skew_s) == (-1.5, pytest.approx(480.1))
    assert clocks["rrc01"].peers == {"d": pytest.approx(24.9)}


def test_messages_held_back_are_counted_and_released_or_refused_with_a_reason() -> None:
    aggregator = Aggregator(WindowSettings())
    aggregator.add([announce(T0 + n, peer=p) for n in range(5) for p in "abc"])

    aggregator.add([announce(T0 + 470, peer="a")])
    waiting = aggregator.clocks()["rrc00"]
    aggregator.add([announce(T0 + 6, peer=p) for p in "bc"])
    refused = aggregator.clocks()["rrc00"]
    aggregator.add([announce(T0 + 900, peer=p) for p in "ab"])
    released = aggregator.clocks()["rrc00"]

    assert (waiting.held, refused.held, released.held) == (1, 0, 0)
    assert refused.refused == {"other peers sent messages of the old time": 1}
    # The first messages of a feed wait for a confirmation too.
    assert released.released == {"another peer reached their time": 2 + 2}


def test_dropped_frames_with_a_wrong_time_mark_only_the_minutes_in_which_they_were_dropped() -> None:
    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for n in range(600):
        rows += aggregator.add([announce(T0 + n, f"rrc0{c}", p) for c in range(2) for p in "ab"], arrived_at=T0 + n)
        if n == 310:
            aggregator.note_dropped(T0 - 86_400, T0 + 86_400 * 365, 40)
    rows += aggregator.flush()

    for collector in ("rrc00", "rrc01"):
        marked = [row["window_start"] - T0 for row in rows if row["collector"] == collector and row["incomplete"]]
        assert [start for start in marked if start] == [300]  # the first minute is partial
    assert sum(row["dropped"] for row in rows) == 40


def test_dropped_frames_mark_no_more_of_a_quiet_collector_than_their_span() -> None:
    aggregator = Aggregator(WindowSettings())
    rows = aggregator.add([announce(T0)], arrived_at=T0)
    aggregator.note_dropped(T0 + 3_600, T0 + 3_610, 40)

    rows += aggregator.add([announce(T0 + 7_200)], arrived_at=T0 + 7_200) + aggregator.flush()

    assert [row["window_start"] - T0 for row in rows if row["incomplete"]] == [0, 3_540, 3_600, 3_660]


@pytest.mark.parametrize("offset_s", [-86_400, -480, 3_600, 86_400 * 365])
def test_a_restart_does_not_keep_a_wrong_clock(offset_s: float) -> None:
    """All peers of a collector have a wrong time, the service restarts, and the clock is right: its windows are counted."""
    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for n in range(300):
        rows += aggregator.add([announce(T0 + n + offset_s, peer=p) for p in "ab"], arrived_at=T0 + n)
    arrays, values = aggregator.save()
    aggregator = Aggregator(WindowSettings())
    aggregator.restore(arrays, values)
    for n in range(300, 7_800, 15):
        rows += aggregator.add([announce(T0 + n, peer=p) for p in "ab"], arrived_at=T0 + n)
    rows += aggregator.flush()

    by_minute = {row["window_start"] - T0: row["messages"] for row in rows}
    assert [by_minute.get(start) for start in range(4_200, 7_200, 60)] == [8] * 50


@pytest.mark.parametrize("ahead_s", [600, 86_400 * 30])
def test_after_a_wrong_clock_and_a_restart_no_message_counts_as_a_repetition(ahead_s: float) -> None:
    """The ids of RIS Live contain the clock: those of the right clock are smaller than those of the wrong one."""

    def identified(at: float, peer: str) -> Message:
        return msgspec.structs.replace(announce(at, peer=peer), id=f"{peer}-{int(at * 1000):012x}0001")

    aggregator = Aggregator(WindowSettings())
    rows: list[dict[str, Any]] = []
    for n in range(300):
        rows += aggregator.add([identified(T0 + n + ahead_s, p) for p in "ab"], arrived_at=T0 + n)
    aggregator.note_reconnect()
    for n in range(300, 2_400, 2):
        rows += aggregator.add([identified(T0 + n, p) for p in "ab"], arrived_at=T0 + n)
    rows += aggregator.flush()

    assert aggregator.duplicates == 0
    by_minute = {row["window_start"] - T0: row["messages"] for row in rows}
    assert [by_minute.get(start) for start in range(1_200, 2_340, 60)] == [60] * 19


@pytest.mark.parametrize("gap_s", [700, 7_200, 86_400])
def test_a_sparse_feed_continues_after_a_gap(gap_s: float) -> None:
    aggregator = Aggregator(WindowSettings())
    times = [T0 + gap_s * number + n for number in range(4) for n in (0, 20)]
    rows = [row for at in times for row in aggregator.add([announce(at)], arrived_at=at + 1)]

    rows += aggregator.flush()

    assert (sum(row["messages"] for row in rows), sum(row["late"] for row in rows)) == (8, 0)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Chatham"])
def test_daylight_saving_of_the_machine_changes_no_window(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    night = 1_729_990_800 // 60 * 60  # 2024-10-27 01:00 UTC: clocks in Europe go back
    messages = [announce(night + at, peer=p) for at in range(-3_600, 3_600, 20) for p in "ab"]
    expected = Aggregator(WindowSettings()).add(messages)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        rows = Aggregator(WindowSettings()).add(messages)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert rows == expected
