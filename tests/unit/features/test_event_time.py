"""Wrong clocks and sparse feeds: no peer and no collector changes a window of another, whatever its clock."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.settings import WindowSettings

T0 = 1_700_000_040 // 60 * 60
MINUTES = 12


def announce(time: float, collector: str = "rrc00", peer: str = "p") -> Message:
    groups = [Announcement("n", ["193.0.0.0/21"])]
    return Message(time, peer=peer, host=collector, type="UPDATE", path=(1, 2), origin="IGP", announcements=groups)


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
    return begin + [(time, f"rrc0{rng.randrange(3)}", f"p{rng.randrange(4)}") for time in times]


def run(messages: list[tuple[Message, float]], *, is_live: bool, per_peer: int = 0) -> list[dict[str, Any]]:
    aggregator = Aggregator(WindowSettings(per_peer=per_peer))
    rows: list[dict[str, Any]] = []
    for message, time in messages:
        rows += aggregator.add([message], arrived_at=time if is_live else None)
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


# The same examples in every run: docs/features.md states in how many cases of a live feed the rule does not hold.
@settings(max_examples=12, deadline=None, derandomize=True)
@given(clocks, st.integers(0, 1_000), st.sampled_from([2, 12, 40]), st.booleans())
def test_a_peer_with_any_clock_takes_no_message_from_a_window_of_another_peer(
    clock: Any, seed: int, per_minute: int, is_live: bool
) -> None:
    sent = stream(seed, per_minute)
    is_wrong = [c == "rrc00" and p == "p3" for _, c, p in sent]
    messages = [(announce(clock(t) if bad else t, c, p), t) for (t, c, p), bad in zip(sent, is_wrong, strict=True)]

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
    for message, time in messages:
        rows += aggregator.add([message], arrived_at=time)
        arrays, values = aggregator.save()
        aggregator = Aggregator(WindowSettings())
        aggregator.restore(arrays, values)

    assert rows + aggregator.flush() == expected
