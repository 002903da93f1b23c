"""A worker's limit of time while the whole machine is paused."""

import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.process.limited_worker import Limits, Report, run_limited
from bgpdrift.process.signals import STOP_SIGNALS, StopSignal

PAUSE_S = 3_600.0


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(pause_s: float, steps: int) -> tuple[int | None, str]:
    """Run a worker while each of its reports advances the clock; return its exit code and why it was ended."""
    clock = FakeClock()
    reading, writing = os.pipe()

    def work(report: Report) -> int:
        for number in range(steps):
            report({"number": number})
            os.read(reading, 1)  # the parent has looked at the clock
        return 0

    def on_line(line: Mapping[str, Any]) -> None:
        clock.advance(seconds=pause_s)

    class Looking(FakeClock):
        """Lets the worker continue each time the parent has measured the time."""

        def monotonic(self) -> float:
            os.write(writing, b"1")
            return clock.monotonic()

    try:
        limits = Limits(seconds=60.0, memory_bytes=10**12, grace_s=0.0)
        end = run_limited(work, limits, on_line, StopSignal(ends_at_second=False), Looking())
    finally:
        os.close(reading)
        os.close(writing)
    return end.exit_code, end.reason


def test_a_pause_of_the_machine_does_not_count_against_the_limit_of_time() -> None:
    assert run(pause_s=PAUSE_S, steps=1) == (0, "")


def test_time_that_passes_while_the_parent_looks_on_counts() -> None:
    assert run(pause_s=3.0, steps=200) == (None, "time")
