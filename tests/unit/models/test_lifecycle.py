"""Every state a version can be in, and everything that can happen to it there."""

import itertools

import pytest

from bgpdrift.errors import PublishRefusedError
from bgpdrift.models.lifecycle import EVENTS, STATES, next_state

TABLE = """
             publish  reject    settle   replace  succeed  roll_back    restore  reinstate
candidate    active   rejected  -        -        -        -            -        -
active       -        -         settled  retired  -        rolled_back  -        -
settled      -        -         -        settled  retired  rolled_back  active   -
rejected     -        -         -        -        -        -            -        -
rolled_back  -        -         -        -        -        -            -        active
retired      -        -         -        -        -        -            active   -
"""


def expected():
    head, *lines = [line.split() for line in TABLE.strip().splitlines()]
    return {(line[0], event): then for line in lines for event, then in zip(head, line[1:], strict=True)}


def test_the_table_names_every_pair_of_state_and_event() -> None:
    assert set(expected()) == set(itertools.product(STATES, EVENTS))


@pytest.mark.parametrize(
    ("pair", "then"), expected().items(), ids=lambda value: "-".join(value) if len(value) == 2 else ""
)
def test_a_version_is_afterwards_what_the_table_says_or_refuses(pair, then) -> None:
    if then == "-":
        with pytest.raises(PublishRefusedError, match=f"{pair[0]} cannot take"):
            next_state(*pair)
    else:
        assert next_state(*pair) == then


def test_nothing_but_a_person_who_names_it_brings_a_rolled_back_version_into_force() -> None:
    ways = [event for event in EVENTS if expected()["rolled_back", event] != "-"]
    assert ways == ["reinstate"]


def test_a_rejected_version_stays_rejected() -> None:
    assert {expected()["rejected", event] for event in EVENTS} == {"-"}
