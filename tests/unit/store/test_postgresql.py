"""Waits for the answer of a PostgreSQL server, without a server."""

from collections.abc import Generator, Iterator

import pytest

from bgpdrift.process.waiting import register_progress
from bgpdrift.store.postgresql import NoAnswerError, report_waits

NOTHING, READABLE = 0, 1


@pytest.fixture
def reports() -> Iterator[list[int]]:
    made: list[int] = []
    register_progress(lambda: made.append(1))
    yield made
    register_progress(lambda: None)


def answer_when_readable() -> Generator[str, int, str]:
    """Wait as the driver does."""
    while not (yield "to read"):
        pass
    return "the answer"


def test_each_slice_without_an_answer_is_reported(reports: list[int]) -> None:
    waiting = report_waits(answer_when_readable(), limit_s=60.0)
    assert next(waiting) == "to read"
    for _ in range(3):
        assert waiting.send(NOTHING) == "to read"
    with pytest.raises(StopIteration) as end:
        waiting.send(READABLE)
    assert end.value.value == "the answer"
    assert len(reports) == 3


def test_a_server_that_never_answers_is_given_up(reports: list[int]) -> None:
    times = iter([0.0, 30.0, 61.0])
    waiting = report_waits(answer_when_readable(), limit_s=60.0, monotonic=lambda: next(times))
    next(waiting)
    waiting.send(NOTHING)
    with pytest.raises(NoAnswerError, match="no answer for 60 s"):
        waiting.send(NOTHING)
