"""What a demo counts as explained."""

import pytest

from bgpdrift.commands.demo_judge import _explains

RESET = {"kind": "planned", "collector": "rrc00", "start": 77_040.0, "end": 77_081.6}


@pytest.mark.parametrize(
    ("collector", "minute", "marked", "explains"),
    [
        ("rrc00", 77_040, 1, True),
        ("rrc00", 76_980, 1, False),
        ("rrc00", 77_100, 1, False),
        ("rrc01", 77_040, 1, False),
        ("rrc00", 77_040, 0, False),
    ],
)
def test_a_reset_is_explained_by_a_marked_minute_of_its_own_collector_and_time(collector, minute, marked, explains):
    row = {"collector": collector, "window_start": minute, "peer_reset": marked}
    assert _explains(row, RESET) == explains
