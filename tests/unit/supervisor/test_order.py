"""Whose turn it is: going down, restarting one after the other."""

from supervisor.lifecycle import State
from supervisor.rolling import Rolling, next_round
from supervisor.services import Service
from supervisor.shutdown import GoingDown, is_over, to_tell

A, B, C = Service("a", ("a",)), Service("b", ("b",), after=("a",)), Service("c", ("c",), after=("a", "b"))
ALL = (A, B, C)
READY = {"a": State.READY, "b": State.READY, "c": State.READY}


def test_consumers_are_told_to_end_before_producers():
    order, down, alive = [], GoingDown(0.0), {"a", "b", "c"}
    while not is_over(down, ALL, alive):
        names = to_tell(down, ALL, alive, now=0.0, patience_s=1.0)
        order += names
        down = GoingDown(0.0, down.told | set(names))
        alive -= set(names)
    assert order == ["c", "b", "a"]


def test_one_that_does_not_end_holds_the_next_back_for_a_while_only():
    down = GoingDown(10.0, frozenset({"c"}))
    assert to_tell(down, ALL, {"a", "b", "c"}, now=10.9, patience_s=1.0) == []
    assert to_tell(down, ALL, {"a", "b", "c"}, now=11.0, patience_s=1.0) == ["b"]


def test_it_is_over_when_all_were_told_and_none_is_left():
    told = GoingDown(0.0, frozenset({"a", "b", "c"}))
    assert not is_over(told, ALL, {"a"})
    assert is_over(told, ALL, set())
    assert not is_over(GoingDown(0.0), ALL, set())


def test_a_round_restarts_the_next_when_the_one_before_is_up_again():
    rolling = next_round(Rolling(("a", "b", "c")), READY)
    assert rolling.now == "a"
    for state in (State.RESTARTING, State.WAITING, State.STARTING):
        assert next_round(rolling, READY | {"a": state}) == rolling
    assert next_round(rolling, READY).now == "b"
    assert next_round(rolling, READY | {"a": State.DEGRADED}).now == "b"


def test_a_round_ends_with_the_last():
    assert next_round(Rolling((), "c"), READY).is_over


def test_the_first_that_fails_ends_the_round():
    for state in (State.BACKOFF, State.CRASHLOOP, State.ABORTING, State.RECYCLING):
        assert next_round(Rolling(("b", "c"), "a"), READY | {"a": state}).is_over


def test_what_an_operator_stopped_is_left_out():
    assert next_round(Rolling(("a", "b")), READY | {"a": State.STOPPED}).now == "b"
    assert next_round(Rolling(("b",), "a"), READY | {"a": State.STOPPED}).now == "b"
    assert next_round(Rolling(("b", "c"), "a"), READY | {"b": State.STOPPED, "c": State.STOPPED}).is_over
