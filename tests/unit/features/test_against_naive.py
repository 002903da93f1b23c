"""The array code and a direct implementation of features.md give the same windows, however a stream is divided."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.bgp.sources import open_source
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.settings import WindowSettings
from helpers import naive_features

PREFIXES = ["192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32", "2001:db8:0:0::/32", "2001:db8::1/128"]
PATHS: list[Any] = [(1, 2, 3), (1, 2, 2, 3), (1, 4), (1, 2, (5, 3)), (7, 1, 7), ()]
T0 = 1_700_000_040 // 60 * 60


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    time = float(T0)
    for _ in range(draw(st.integers(1, 40))):
        time += draw(st.sampled_from([0.0, 0.4, 7.0, 31.0]))
        peer = draw(st.sampled_from(["a", "b", "c"]))
        kind = draw(st.sampled_from(["A", "A", "W", "AW", "down"]))
        if kind == "down":
            messages.append(Message(time, peer=peer, host="rrc00", type="STATE", state="down"))
            continue
        prefixes = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4)
        groups = [Announcement("n", draw(prefixes)) for _ in range(draw(st.integers(1, 2)))] if "A" in kind else []
        messages.append(
            Message(
                time,
                peer=peer,
                host="rrc00",
                type="UPDATE",
                path=draw(st.sampled_from(PATHS)),
                origin=draw(st.sampled_from(["IGP", "egp", "INCOMPLETE"])),
                announcements=groups,
                withdrawals=draw(prefixes) if "W" in kind else [],
            )
        )
    return messages


def run(messages: list[Message], cuts: list[int]) -> list[dict[str, Any]]:
    aggregator = Aggregator(WindowSettings(), deduplicate=False)
    rows: list[dict[str, Any]] = []
    begin = 0
    for end in [*sorted(cuts), len(messages)]:
        rows += aggregator.add(messages[begin:end])
        begin = max(begin, end)
    return rows + aggregator.flush()


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(0, 40), max_size=3))
def test_windows_equal_the_definition_however_the_stream_is_divided(messages: list[Message], cuts: list[int]) -> None:
    rows = run(messages, [min(cut, len(messages)) for cut in cuts])
    expected = naive_features.windows(messages)

    for row in rows:
        for name, value in expected.get(row["window_start"], {}).items():
            assert row[name] == pytest.approx(value), (row["window_start"], name)
    assert {row["window_start"] for row in rows} >= set(expected)


@settings(max_examples=40, deadline=None)
@given(streams(), st.lists(st.integers(0, 40), max_size=4))
def test_dividing_a_stream_elsewhere_changes_no_column_and_no_evidence(
    messages: list[Message], cuts: list[int]
) -> None:
    assert run(messages, [min(cut, len(messages)) for cut in cuts]) == run(messages, [])


@settings(max_examples=40, deadline=None)
@given(streams(), st.integers(0, 40))
def test_a_restart_from_a_checkpoint_changes_nothing(messages: list[Message], cut: int) -> None:
    before = Aggregator(WindowSettings(), deduplicate=False)
    rows = before.add(messages[:cut])
    arrays, values = before.save()
    after = Aggregator(WindowSettings(), deduplicate=False)
    after.restore(arrays, values)

    rows += after.add(messages[cut:])
    rows += after.flush()

    assert rows == run(messages, [])


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["updates.20020722.2238.gz", "updates.20100227.1610.gz", "updates.20160811.1600.gz"])
def test_windows_of_archives_equal_the_definition(shared_data: Path, name: str) -> None:
    messages = [message for message in open_source(shared_data / "mrt" / name) if message.type in ("UPDATE", "STATE")]

    rows = run(messages, [])

    expected = naive_features.windows(messages)
    for row in rows:
        for column, value in expected.get(row["window_start"], {}).items():
            assert row[column] == pytest.approx(value), (row["window_start"], column)
    assert sum(row["announced"] + row["withdrawn"] for row in rows) > 3_000


@pytest.mark.shared_data
def test_the_thousand_frames_announce_787_and_withdraw_2394_routes(shared_data: Path) -> None:
    messages = list(open_source(shared_data / "ris_live" / "ris-live-20190523-1000.jsonl.gz"))

    rows = run(messages, [])

    assert sum(row["announced"] for row in rows) == 787
    assert sum(row["withdrawn"] for row in rows) == 2394
