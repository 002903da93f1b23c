"""The legal and the illegal transitions of a model version."""

import pytest

from bgpdrift.models.lifecycle import STATES, VERSION_LIFECYCLE

next_state = VERSION_LIFECYCLE.next_state


def test_a_version_becomes_active_is_accepted_and_is_retired_when_its_successor_is_accepted():
    assert next_state("candidate", "publish", "accept", "replace", "supersede") == "retired"


def test_an_accepted_version_stays_accepted_while_its_successor_is_on_probation():
    assert next_state("candidate", "publish", "accept", "replace") == "accepted"


@pytest.mark.parametrize("events", [("accept", "replace"), ("replace",)])
def test_a_replaced_version_becomes_active_again_when_its_successor_is_rolled_back(events):
    assert next_state("active", *events, "restore") == "active"


@pytest.mark.parametrize("state", ["active", "accepted"])
def test_a_version_can_be_rolled_back_before_and_after_it_is_accepted(state):
    assert next_state(state, "roll_back") == "rolled_back"


def test_only_a_person_makes_a_rolled_back_version_active_again():
    assert [event for event in VERSION_LIFECYCLE.events if VERSION_LIFECYCLE.allows("rolled_back", event)] == [
        "reinstate"
    ]


def test_only_a_rejected_version_stays_what_it_is():
    assert VERSION_LIFECYCLE.final_states == {"rejected"}


def test_only_a_candidate_is_published_or_rejected():
    for event in ("publish", "reject"):
        assert [state for state in STATES if VERSION_LIFECYCLE.allows(state, event)] == ["candidate"]
