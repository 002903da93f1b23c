"""The collector: its state file, which every start reads, and when it is degraded."""

import pytest

from bgpdrift.bgp.live_collection import FeedWatch, read_last_event_time
from bgpdrift.bgp.ris_figures import FeedFigures
from bgpdrift.settings import FeedSettings


@pytest.mark.parametrize(
    "content",
    [
        b'{"last_event_time": 1790000000000}',
        b'{"last_event_time": -1}',
        b'{"last_event_time": "yesterday"}',
        b'{"last_event_time": 1e400}',
        b"\xff\x00",
        b"[" * 100_000,
        b"",
    ],
)
def test_a_state_file_that_cannot_be_used_is_set_aside(tmp_path, content):
    path = tmp_path / "collector.json"
    path.write_bytes(content)

    assert read_last_event_time(path) is None

    assert not path.exists()
    assert (tmp_path / "collector.json.unusable").read_bytes() == content


def test_the_event_time_of_the_last_run_is_read(tmp_path):
    path = tmp_path / "collector.json"
    assert read_last_event_time(path) is None
    path.write_bytes(b'{"last_event_time": 1790000000.5, "frames": 3}')
    assert read_last_event_time(path) == 1_790_000_000.5
    assert path.exists()


def watch_for(minutes, is_filtered=False, message_every_s=None, is_connected=lambda second: True):
    """Reasons by second, for a feed whose client reconnects as its settings say."""
    watch, figures = FeedWatch(is_filtered, 1_000.0), FeedFigures("ws://x")
    reasons = []
    for second in range(int(minutes * 60)):
        figures.connected = is_connected(second)
        if message_every_s is not None and second % message_every_s == 0:
            figures.last_message_at = 1_000.0 + second
        reasons.append(watch.describe_degradation("", figures, 1_000.0 + second))
    return reasons


def test_a_silent_feed_is_degraded_after_a_minute_and_stays_so_through_every_reconnect():
    """The client closes a silent connection after 30 s and opens it again at once."""
    reasons = watch_for(12, is_connected=lambda second: second % 31 != 0)

    assert set(reasons[:60]) == {""}
    assert all(reasons[60:])
    assert "connected, but no message for 11 min" in reasons


def test_a_refused_feed_is_degraded_after_a_minute_and_stays_so():
    reasons = watch_for(12, is_connected=lambda second: False)

    assert set(reasons[:60]) == {""}
    assert reasons[60:][0] == "no feed for 1 min"
    assert reasons[-1] == "no feed for 11 min"


def test_a_feed_with_a_message_every_50_seconds_is_not_degraded():
    assert set(watch_for(10, message_every_s=50)) == {""}


def test_a_filtered_feed_may_be_quiet_but_not_away():
    assert set(watch_for(12, is_filtered=True)) == {""}
    assert all(watch_for(12, is_filtered=True, is_connected=lambda second: second < 60)[120:])


@pytest.mark.parametrize(
    ("fields", "is_filtered"),
    [({}, False), ({"collectors": ["rrc00"]}, False), ({"types": ["UPDATE"]}, False), ({"types": ["OPEN"]}, True)]
    + [({name: ["x"]}, True) for name in ("prefixes", "paths", "peers")],
)
def test_a_feed_is_filtered_if_it_may_be_quiet(fields, is_filtered):
    assert FeedSettings(**fields).is_filtered is is_filtered


def test_a_message_ends_the_state_and_an_error_of_the_server_does_not():
    watch, figures = FeedWatch(False, 0.0), FeedFigures("ws://x", connected=True, frames=9)
    assert watch.describe_degradation("", figures, 100.0)
    figures.frames += 1  # an error message of the server is a frame
    assert watch.describe_degradation("", figures, 101.0)

    figures.last_message_at = 102.0

    assert watch.describe_degradation("", figures, 102.0) == ""
