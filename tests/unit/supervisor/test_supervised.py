"""One service's life on a clock that moves only when told."""

import pytest

from supervisor.lifecycle import State
from supervisor.restart_budget import RestartPolicy
from supervisor.services import Service
from supervisor.supervised import Limits, Supervised


class FakeProcess:
    def __init__(self, pid):
        self.pid, self.told = pid, []

    def terminate(self):
        self.told.append("terminate")

    def abort(self):
        self.told.append("abort")

    def kill(self):
        self.told.append("kill")


class Life:
    def __init__(self, clock):
        self.clock, self.launched, self.refuse = clock, [], False
        limits = Limits(ready_timeout_s=30.0, watchdog_s=30.0, stop_grace_s=2.5, memory_bytes=300 * 2**20)
        policy = RestartPolicy(limit=2, period_s=60.0, crashloop_retry_s=60.0)
        self.unit = Supervised(Service("s", ("s",)), limits, policy, clock, self.launch, chance=lambda: 1.0)

    def launch(self, service):
        if self.refuse:
            raise FileNotFoundError(2, "No such file or directory")
        self.launched.append(FakeProcess(len(self.launched) + 1))
        return self.launched[-1]

    @property
    def process(self):
        return self.launched[-1]

    def to_ready(self):
        if self.unit.state is State.STOPPED:
            self.unit.start()
        self.unit.launch()
        self.unit.heard({"READY": "1", "STATUS": "at work"})

    def fail(self):
        self.unit.ended("exit 1")
        self.clock.advance(seconds=60)
        self.unit.tick()


@pytest.fixture
def life(clock):
    return Life(clock)


def test_ready_is_what_the_service_says_and_not_that_it_runs(life):
    life.unit.start()
    life.unit.launch()
    assert life.unit.state is State.STARTING
    life.unit.heard({"READY": "1", "STATUS": "waiting for a model"})
    assert (life.unit.state, life.unit.message()) == (State.READY, "waiting for a model")


def test_a_dead_service_is_due_at_once_the_first_time_and_later_the_next(life, clock):
    life.to_ready()
    life.unit.ended("killed by SIGKILL")
    assert life.unit.deadline() == clock.monotonic()
    life.unit.tick()
    life.unit.launch()
    life.unit.ended("exit 1")
    assert life.unit.deadline() == clock.monotonic() + 0.5
    assert life.unit.message() == "exit 1; next try in 0.5 s"


def test_too_many_failures_are_a_crashloop_that_is_tried_again_for_ever(life, clock):
    life.to_ready()
    for _ in range(2):
        life.fail()
        life.unit.launch()
    life.unit.ended("exit 7: no luck")
    assert life.unit.state is State.CRASHLOOP
    assert life.unit.message().startswith("crashloop (3 in 120 s): exit 7: no luck; next try in 60 s")
    for _ in range(5):
        clock.advance(seconds=61)
        life.unit.tick()
        assert life.unit.state is State.WAITING
        life.unit.launch()
        life.unit.ended("exit 7")
        assert life.unit.state is State.CRASHLOOP


def test_a_stable_run_earns_a_fresh_budget(life, clock):
    life.to_ready()
    for _ in range(20):
        clock.advance(minutes=2)
        life.unit.heard({"WATCHDOG": "1"})
        life.unit.ended("exit 1")
        assert life.unit.state is State.BACKOFF
        life.unit.tick()
        life.to_ready()


def test_silence_is_a_hang_dumped_then_killed_and_named_as_the_cause(life, clock):
    life.to_ready()
    clock.advance(seconds=29)
    life.unit.heard({"WATCHDOG": "1"})
    clock.advance(seconds=29)
    life.unit.tick()
    assert life.unit.state is State.READY
    clock.advance(seconds=1)
    life.unit.tick()
    assert (life.unit.state, life.process.told) == (State.ABORTING, ["abort"])
    clock.advance(seconds=0.5)
    life.unit.tick()
    assert life.process.told == ["abort", "kill"]
    life.unit.ended("killed by SIGKILL")
    assert life.unit.message().startswith("hung: no progress for 30 s")


def test_a_wall_clock_that_jumps_a_day_changes_nothing(life, clock):
    life.to_ready()
    clock.jump(86_400)
    life.unit.tick()
    clock.jump(-172_800)
    life.unit.tick()
    assert life.unit.state is State.READY


def test_a_service_that_is_not_ready_in_time_is_started_anew(life, clock):
    life.unit.start()
    life.unit.launch()
    life.unit.heard({"STATUS": "still looking"})
    clock.advance(seconds=30)
    life.unit.tick()
    assert life.unit.state is State.ABORTING
    assert life.unit.message() == "not ready after 30 s; it says: still looking"


def test_stop_asks_then_kills_and_does_not_come_back(life, clock):
    life.to_ready()
    life.unit.stop()
    assert life.process.told == ["terminate"]
    clock.advance(seconds=2.5)
    life.unit.tick()
    assert life.process.told == ["terminate", "kill"]
    life.unit.ended("killed by SIGKILL")
    assert (life.unit.state, life.unit.deadline()) == (State.STOPPED, None)


def test_stop_cancels_a_restart_under_way_and_a_wait_for_the_next_try(life):
    life.to_ready()
    life.unit.restart()
    life.unit.stop()
    life.unit.ended("exit 0")
    assert life.unit.state is State.STOPPED

    life.to_ready()
    life.unit.ended("exit 1")
    life.unit.stop()
    assert (life.unit.state, life.unit.deadline()) == (State.STOPPED, None)


def test_start_during_a_stop_starts_anew_when_the_old_process_is_gone(life):
    life.to_ready()
    life.unit.stop()
    life.unit.start()
    assert life.process.told == ["terminate"]
    life.unit.ended("exit 0")
    assert life.unit.state is State.WAITING


def test_a_program_that_is_not_there_is_a_failure_like_any_other(life):
    life.refuse = True
    life.unit.start()
    life.unit.launch()
    assert life.unit.state is State.BACKOFF
    assert "cannot be started: s: No such file" in life.unit.message()


def test_a_late_ready_of_a_process_that_is_being_stopped_is_not_believed(life):
    life.unit.start()
    life.unit.launch()
    life.unit.stop()
    life.unit.heard({"READY": "1"})
    assert life.unit.state is State.STOPPING


def test_an_operators_restart_clears_the_budget(life):
    life.to_ready()
    for _ in range(3):
        life.fail()
        life.unit.launch()
    life.unit.ended("exit 1")
    assert life.unit.state is State.CRASHLOOP
    life.unit.restart()
    life.unit.launch()
    life.unit.ended("exit 1")
    assert life.unit.state is State.BACKOFF


def test_one_that_says_what_it_cannot_do_is_degraded_until_it_takes_it_back(life):
    life.to_ready()
    life.unit.heard({"X_BGPDRIFT_DEGRADED": "the feed is away", "STATUS": "reconnects"})
    assert (life.unit.state, life.unit.message()) == (State.DEGRADED, "the feed is away")
    life.unit.heard({"WATCHDOG": "1"})
    assert life.unit.state is State.DEGRADED
    life.unit.heard({"X_BGPDRIFT_DEGRADED": ""})
    assert (life.unit.state, life.unit.message()) == (State.READY, "reconnects")


def test_what_one_lacked_before_it_was_ready_counts_from_ready_and_not_for_its_successor(life):
    life.unit.start()
    life.unit.launch()
    life.unit.heard({"X_BGPDRIFT_DEGRADED": "the disk refuses"})
    assert life.unit.state is State.STARTING
    life.unit.heard({"READY": "1"})
    assert life.unit.state is State.DEGRADED
    life.unit.ended("exit 1")
    life.unit.tick()
    life.to_ready()
    assert life.unit.state is State.READY


def test_a_degraded_one_that_falls_silent_hangs_like_any_other(life, clock):
    life.to_ready()
    life.unit.heard({"X_BGPDRIFT_DEGRADED": "the feed is away"})
    clock.advance(seconds=30)
    life.unit.tick()
    assert life.unit.state is State.ABORTING


def test_too_much_memory_ends_it_in_peace_names_the_reason_and_counts(life, clock):
    life.to_ready()
    life.unit.weigh(300 * 2**20)
    assert life.unit.state is State.READY
    life.unit.weigh(301 * 2**20)
    assert (life.unit.state, life.process.told) == (State.RECYCLING, ["terminate"])
    life.unit.weigh(301 * 2**20)
    clock.advance(seconds=2.5)
    life.unit.tick()
    assert life.process.told == ["terminate", "kill"]
    life.unit.ended("exit 0")
    assert life.unit.state is State.BACKOFF
    assert life.unit.deadline() == clock.monotonic()
    assert life.unit.message().startswith("memory: 301 MiB, more than 300 MiB")


def test_one_that_grows_again_and_again_ends_in_crashloop(life):
    life.to_ready()
    for _ in range(3):
        life.unit.weigh(400 * 2**20)
        life.unit.ended("exit 0")
        last = life.unit.state
        life.clock.advance(seconds=30)
        life.unit.tick()
        if last is not State.CRASHLOOP:
            life.to_ready()
    assert last is State.CRASHLOOP


def test_new_limits_hold_at_once_but_for_the_watchdog_of_a_process_that_was_told_another(life, clock):
    life.to_ready()
    life.unit.apply(Limits(watchdog_s=1.0, memory_bytes=100), RestartPolicy())
    clock.advance(seconds=29)
    life.unit.tick()
    assert life.unit.state is State.READY
    life.unit.weigh(101)
    assert life.unit.state is State.RECYCLING
