"""The table of a life cycle refuses illegal moves, and is itself refused where it is inconsistent."""

import itertools

import pytest

from bgpdrift.drift.incident_hold import HOLD_LIFECYCLE
from bgpdrift.errors import BgpdriftError, IllegalTransitionError
from bgpdrift.models.lifecycle import VERSION_LIFECYCLE
from bgpdrift.monitor.request_states import REQUEST_LIFECYCLE
from bgpdrift.process.transitions import TransitionTable
from bgpdrift.verdicts.lifecycle import INCIDENT_LIFECYCLE
from supervisor.lifecycle import SERVICE_LIFECYCLE

TABLES = [HOLD_LIFECYCLE, INCIDENT_LIFECYCLE, REQUEST_LIFECYCLE, SERVICE_LIFECYCLE, VERSION_LIFECYCLE]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_each_pair_of_state_and_event_leads_to_a_known_state_or_raises(table):
    for state, event in itertools.product(table.states, table.events):
        if table.allows(state, event):
            assert table.next_state(state, event) in table.states
        else:
            with pytest.raises(IllegalTransitionError, match=f'{table.name}: event "{event}" .* state "{state}"'):
                table.next_state(state, event)


def test_an_illegal_move_is_a_bug_that_no_handler_of_expected_errors_catches():
    assert not issubclass(IllegalTransitionError, BgpdriftError)


def test_several_events_are_applied_in_order_and_each_must_be_allowed():
    lamp = TransitionTable("lamp", "ab", "xy", {("a", "x"): "b", ("b", "y"): "a"}, initial="a")
    assert lamp.next_state("a", "x", "y", "x") == "b"
    assert lamp.next_state("a") == "a"
    with pytest.raises(IllegalTransitionError):
        lamp.next_state("a", "x", "x")


@pytest.mark.parametrize(
    ("transitions", "message"),
    [
        ({("a", "x"): "c"}, "unknown state: c"),
        ({("c", "x"): "b"}, "unknown state: c"),
        ({("a", "z"): "b"}, "unknown event: z"),
        ({("a", "x"): "a"}, "unreachable state: b"),
        ({("a", "x"): "b"}, "unused event: y"),
    ],
)
def test_an_inconsistent_table_cannot_be_built(transitions, message):
    with pytest.raises(ValueError, match=message):
        TransitionTable("lamp", "ab", "xy", transitions, initial="a")
