"""The state file of the collector, which every start reads."""

import pytest

from bgpdrift.bgp.live_collection import read_last_event_time


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
