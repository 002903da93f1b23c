"""What a demo counts as explained."""

import pytest

from bgpdrift.lab.demo.judge import _explains

START = 600_000
RESET = {"at_s": 77_040.0, "collector": "rrc00", "peer": 1, "down_s": 40.0}


@pytest.mark.parametrize(
    ("collector", "minute", "marked", "explains"),
    [
        ("rrc00", 77_040, 1, True),
        ("rrc00", 76_980, 1, False),
        ("rrc00", 77_160, 1, False),
        ("rrc01", 77_040, 1, False),
        ("rrc00", 77_040, 0, False),
    ],
)
def test_a_reset_is_explained_by_a_marked_minute_of_its_own_collector_and_time(collector, minute, marked, explains):
    row = {"collector": collector, "window_start": START + minute, "peer_reset": marked}
    assert _explains(row, RESET, START) == explains


def test_a_reset_of_no_named_collector_is_explained_at_any():
    row = {"collector": "rrc01", "window_start": START + 77_040, "peer_reset": 1}
    assert _explains(row, {**RESET, "collector": ""}, START)
