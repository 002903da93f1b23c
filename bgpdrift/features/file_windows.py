"""Builds the windows of files, and counts in each window what its readers could not use."""

from collections.abc import Iterable, Iterator
from typing import Any

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.problems import ProblemReport
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.features.event_time import WINDOW_S

_CHUNK_MESSAGES = 4096


def read_windows(
    messages: Iterable[Message], aggregator: Aggregator, report: ProblemReport
) -> Iterator[dict[str, Any]]:
    """Yield the rows of all windows of a stream, the last one included.

    A problem counts in the window of the message before it; before the first message, in the window of that message.

    Parameters
    ----------
    messages : iterable of Message
        Read from files whose problems ``report`` receives.
    aggregator : Aggregator
        Receives messages and problems.
    report : ProblemReport
        Problems are taken from ``report.uncounted``.
    """
    chunk: list[Message] = []
    uncounted, minute = report.uncounted, -1.0
    for message in messages:
        if uncounted and message.timestamp // WINDOW_S != minute:
            # The problems belong to the minute that ends here.
            yield from aggregator.add(chunk)
            chunk = []
            _count(aggregator, report)
        minute = message.timestamp // WINDOW_S
        chunk.append(message)
        if len(chunk) == _CHUNK_MESSAGES:
            yield from aggregator.add(chunk)
            chunk = []
            _count(aggregator, report)
    yield from aggregator.add(chunk)
    _count(aggregator, report)
    yield from aggregator.flush()


def _count(aggregator: Aggregator, report: ProblemReport) -> None:
    for collector, number in list(report.uncounted.items()):
        if aggregator.count_parse_errors(number, collector):
            del report.uncounted[collector]
