"""Feeds with wrong clocks and sparse feeds, read with the right result by `bgpdrift features`."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.system


class Result(NamedTuple):
    """What the command printed."""

    code: int
    rows: list[dict[str, Any]]
    err: str

    def total(self, column: str) -> int:
        """Sum of a column over all rows."""
        return sum(row[column] for row in self.rows)


def features(*arguments: object) -> Result:
    command = [sys.executable, "-m", "bgpdrift.cli", "features", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the messages of a recording."""
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line)["data"] for line in text.splitlines()]


@pytest.mark.parametrize(("name", "messages"), [("r01-beacon-one-peer", 12), ("r01c-every-11-min", 120)])
def test_every_message_of_a_sparse_feed_is_counted_in_its_window(shared_cases: Path, name: str, messages: int) -> None:
    path = shared_cases / "ris_live" / f"{name}.ndjson"
    expected = {int(message["timestamp"]) // 60 * 60 for message in read(path)}

    result = features(path)

    assert (result.code, result.total("messages"), result.err) == (0, messages, "")
    assert {row["window_start"] for row in result.rows if row["messages"]} == expected


def test_one_message_ahead_of_time_changes_no_other_window(shared_cases: Path) -> None:
    """3,599 messages of two collectors stay in their windows; the one stamped 470 s ahead is counted and reported."""
    path = shared_cases / "ris_live" / "r02b-one-message-470s-ahead.ndjson.gz"
    expected: dict[tuple[str, int], int] = {}
    newest = 0.0
    for message in read(path):
        if newest and message["timestamp"] > newest + 400:
            continue  # the one ahead
        newest = max(newest, message["timestamp"])
        key = (message["host"].partition(".")[0], int(message["timestamp"]) // 60 * 60)
        expected[key] = expected.get(key, 0) + 1

    result = features(path)

    assert {(row["collector"], row["window_start"]): row["messages"] for row in result.rows} == expected
    assert result.total("late") == 1
    assert result.err == (
        "bgpdrift features: collector rrc01: 1 messages up to 469 s ahead of its other messages counted as late\n"
    )


def test_a_clock_that_steps_ahead_and_back_loses_no_message(shared_cases: Path) -> None:
    path = shared_cases / "ris_live" / "r06b-clock-stepped-and-back.ndjson.gz"
    messages = read(path)

    result = features(path)

    assert result.total("messages") + result.total("late") == len(messages) == 900
    assert any(row["late"] for row in result.rows)
    empty = [row for row in result.rows if not row["messages"] and not row["late"]]
    assert [row["incomplete"] for row in empty] == [1] * len(empty)
    assert len(empty) == 4
    assert result.err == (
        "bgpdrift features: collector rrc00: its clock went ahead 1 times; its clock went back 1 times\n"
    )
