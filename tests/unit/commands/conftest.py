"""A feed for the commands that connect to one."""

from contextlib import ExitStack

import pytest

from helpers.feed_server import serve_frames


@pytest.fixture
def feed_server():
    """Start a server that sends the given messages after the first subscription; returns port and requests."""
    with ExitStack() as servers:
        yield lambda *messages: servers.enter_context(serve_frames(*messages))
