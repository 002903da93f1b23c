"""Waits in tests: polls a condition until it holds or the time limit is reached."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

POLL_S = 0.01


def until(condition: Callable[[], Any], timeout_s: float, what: str, poll_s: float = POLL_S) -> Any:
    """Call `condition` until its result is true, and return that result; fail with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(poll_s)
    return result


async def until_async(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Do the same as `until`, and let the event loop run between two calls."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(POLL_S)
    return result
