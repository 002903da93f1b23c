"""A flood of log lines is counted instead of written."""

import io
import json

import pytest

from bgpdrift import logs
from bgpdrift.logs import MAX_EQUAL_LINES, MAX_LINES_OF_EVENT, PERIOD_S, RepetitionLimit


@pytest.fixture
def limit(clock):
    return RepetitionLimit(clock)


def test_equal_lines_beyond_the_limit_are_counted_and_the_next_after_the_period_has_the_count(limit, clock):
    admitted = [limit.admit("warning", "feed.error", "text") for _ in range(1000)]
    assert admitted == [0] * MAX_EQUAL_LINES + [None] * (1000 - MAX_EQUAL_LINES)
    clock.advance(seconds=PERIOD_S)
    assert limit.admit("warning", "feed.error", "text") == 1000 - MAX_EQUAL_LINES


def test_lines_of_one_event_with_different_texts_have_a_higher_limit(limit):
    admitted = [limit.admit("warning", "feed.error", str(number)) for number in range(1000)]
    assert admitted.count(0) == MAX_LINES_OF_EVENT


def test_a_line_of_another_event_is_written_during_a_flood(limit):
    for _ in range(1000):
        limit.admit("warning", "feed.error", "text")
    assert limit.admit("error", "disk.full", "") == 0


def test_a_flood_of_an_equal_line_writes_few_lines():
    stream = io.StringIO()
    logs.configure(stream=stream)
    for _ in range(1000):
        logs.get_logger().warning("feed.error", text="too fast")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == MAX_EQUAL_LINES
    assert lines[0]["text"] == "too fast"
