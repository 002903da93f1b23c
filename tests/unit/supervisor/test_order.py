"""The order of a shutdown and of a rolling restart."""

import pytest

from supervisor.lifecycle import State
from supervisor.rolling import RollingRestart, advance_restart
from supervisor.services import Service
from supervisor.shutdown import Shutdown, choose_services_to_stop, is_complete

A, B, C = Service("a", ("a",)), Service("b", ("b",), after=("a",)), Service("c", ("c",), after=("a", "b"))
ALL = (A, B, C)
READY = {"a": State.READY, "b": State.READY, "c": State.READY}


def test_consumers_are_stopped_before_producers():
    order, shutdown, alive = [], Shutdown(0.0), {"a", "b", "c"}
    while not is_complete(shutdown, ALL, alive):
        names = choose_services_to_stop(shutdown, ALL, alive, now=0.0, patience_s=1.0)
        order += names
        shutdown = Shutdown(0.0, shutdown.stopped | set(names))
        alive -= set(names)
    assert order == ["c", "b", "a"]


def test_a_service_that_does_not_end_delays_the_next_for_a_limited_time():
    shutdown = Shutdown(10.0, frozenset({"c"}))
    assert choose_services_to_stop(shutdown, ALL, {"a", "b", "c"}, now=10.9, patience_s=1.0) == []
    assert choose_services_to_stop(shutdown, ALL, {"a", "b", "c"}, now=11.0, patience_s=1.0) == ["b"]


def test_a_shutdown_is_complete_when_all_services_were_stopped_and_have_ended():
    shutdown = Shutdown(0.0, frozenset({"a", "b", "c"}))
    assert not is_complete(shutdown, ALL, {"a"})
    assert is_complete(shutdown, ALL, set())
    assert not is_complete(Shutdown(0.0), ALL, set())


def test_the_next_service_is_restarted_when_the_one_before_is_up_again():
    rolling = advance_restart(RollingRestart(("a", "b", "c")), READY)
    assert rolling.current == "a"
    for state in (State.RESTARTING, State.WAITING, State.STARTING):
        assert advance_restart(rolling, READY | {"a": state}) == rolling
    assert advance_restart(rolling, READY).current == "b"
    assert advance_restart(rolling, READY | {"a": State.DEGRADED}).current == "b"


def test_a_rolling_restart_is_over_after_the_last_service():
    assert advance_restart(RollingRestart((), "c"), READY).is_over


@pytest.mark.parametrize("state", [State.BACKOFF, State.CRASHLOOP, State.ABORTING, State.RECYCLING])
def test_a_failure_ends_the_rolling_restart(state):
    assert advance_restart(RollingRestart(("b", "c"), "a"), READY | {"a": state}).is_over


def test_a_service_that_the_operator_stopped_is_skipped():
    assert advance_restart(RollingRestart(("a", "b")), READY | {"a": State.STOPPED}).current == "b"
    assert advance_restart(RollingRestart(("b",), "a"), READY | {"a": State.STOPPED}).current == "b"
    assert advance_restart(RollingRestart(("b", "c"), "a"), READY | {"b": State.STOPPED, "c": State.STOPPED}).is_over
