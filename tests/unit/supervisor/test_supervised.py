"""One service on a clock that only the test advances."""

import pytest

from supervisor.lifecycle import State
from supervisor.restart_budget import RestartPolicy
from supervisor.services import Service
from supervisor.supervised import Limits, SupervisedService


class FakeProcess:
    def __init__(self, pid):
        self.pid, self.signals = pid, []

    def terminate(self):
        self.signals.append("terminate")

    def abort(self):
        self.signals.append("abort")

    def kill(self):
        self.signals.append("kill")


class World:
    def __init__(self, clock):
        self.clock, self.launched, self.refuse = clock, [], False
        limits = Limits(ready_timeout_s=30.0, watchdog_s=30.0, stop_grace_s=2.5, memory_bytes=300 * 2**20)
        policy = RestartPolicy(limit=2, period_s=60.0, crashloop_retry_s=60.0)
        self.unit = SupervisedService(Service("s", ("s",)), limits, policy, clock, self.launch, random=lambda: 1.0)

    def launch(self, service):
        if self.refuse:
            raise FileNotFoundError(2, "No such file or directory")
        self.launched.append(FakeProcess(len(self.launched) + 1))
        return self.launched[-1]

    @property
    def process(self):
        return self.launched[-1]

    def become_ready(self):
        if self.unit.state is State.STOPPED:
            self.unit.start()
        self.unit.launch()
        self.unit.handle_message({"READY": "1", "STATUS": "at work"})

    def fail(self):
        self.unit.handle_exit("exit 1")
        self.clock.advance(seconds=60)
        self.unit.tick()


@pytest.fixture
def world(clock):
    return World(clock)


def test_a_service_is_ready_when_it_reports_so_and_not_when_it_runs(world):
    world.unit.start()
    world.unit.launch()
    assert world.unit.state is State.STARTING
    world.unit.handle_message({"READY": "1", "STATUS": "waiting for a model"})
    assert (world.unit.state, world.unit.message()) == (State.READY, "waiting for a model")


def test_the_first_restart_is_immediate_and_the_second_waits(world, clock):
    world.become_ready()
    world.unit.handle_exit("killed by SIGKILL")
    assert world.unit.deadline() == clock.monotonic()
    world.unit.tick()
    world.unit.launch()
    world.unit.handle_exit("exit 1")
    assert world.unit.deadline() == clock.monotonic() + 0.5
    assert world.unit.message() == "exit 1; next attempt in 0.5 s"


def test_too_many_failures_are_a_crashloop_with_attempts_without_a_limit(world, clock):
    world.become_ready()
    for _ in range(2):
        world.fail()
        world.unit.launch()
    world.unit.handle_exit("exit 7: broken")
    assert world.unit.state is State.CRASHLOOP
    assert world.unit.message().startswith("crashloop (3 in 120 s): exit 7: broken; next attempt in 60 s")
    for _ in range(5):
        clock.advance(seconds=61)
        world.unit.tick()
        assert world.unit.state is State.WAITING
        world.unit.launch()
        world.unit.handle_exit("exit 7")
        assert world.unit.state is State.CRASHLOOP


def test_a_long_run_resets_the_restart_budget(world, clock):
    world.become_ready()
    for _ in range(20):
        clock.advance(minutes=6)
        world.unit.handle_message({"WATCHDOG": "1"})
        world.unit.handle_exit("exit 1")
        assert world.unit.state is State.BACKOFF
        world.unit.tick()
        world.become_ready()


def test_a_service_without_progress_is_aborted_then_killed_and_the_hang_is_the_cause(world, clock):
    world.become_ready()
    clock.advance(seconds=29)
    world.unit.handle_message({"WATCHDOG": "1"})
    clock.advance(seconds=29)
    world.unit.tick()
    assert world.unit.state is State.READY
    clock.advance(seconds=1)
    world.unit.tick()
    assert (world.unit.state, world.process.signals) == (State.ABORTING, ["abort"])
    clock.advance(seconds=0.5)
    world.unit.tick()
    assert world.process.signals == ["abort", "kill"]
    world.unit.handle_exit("killed by SIGKILL")
    assert world.unit.message().startswith("hung: no progress for 30 s")


def test_a_service_that_hangs_three_seconds_after_each_start_ends_in_crashloop(world, clock):
    """The 30 s until the hang is noticed are not ready time."""
    for number in range(3):
        world.become_ready()
        clock.advance(seconds=3)
        world.unit.handle_message({"WATCHDOG": "1"})
        clock.advance(seconds=30)
        world.unit.tick()
        world.unit.handle_exit("killed by SIGABRT")
        clock.advance(seconds=10)
        if number < 2:
            world.unit.tick()
    assert world.unit.state is State.CRASHLOOP
    assert "hung: no progress for 30 s" in world.unit.message()


def test_a_service_that_is_up_again_after_a_crash_loop_is_unstable_until_it_has_stayed_up(world, clock):
    for _ in range(3):
        world.become_ready()
        world.unit.handle_exit("exit 1")
        clock.advance(seconds=60)
        world.unit.tick()
    world.become_ready()
    assert world.unit.state is State.READY
    assert world.unit.instability() == "up again after a crash loop (3 in 120 s): exit 1"
    clock.advance(seconds=60)
    assert world.unit.end_crashloop() is not None
    assert world.unit.instability() == ""


def test_after_a_pause_of_the_machine_a_service_has_its_full_time_again(world, clock):
    world.become_ready()
    clock.advance(seconds=50)
    world.unit.handle_pause(50.0)
    world.unit.tick()
    assert world.unit.state is State.READY
    assert world.unit.deadline() == clock.monotonic() + 30.0
    clock.advance(seconds=30)
    world.unit.tick()
    assert world.unit.state is State.ABORTING
    assert world.unit.uptime_s() == 80.0


def test_after_a_pause_of_the_machine_a_service_that_starts_has_its_full_time_again(world, clock):
    world.unit.start()
    world.unit.launch()
    clock.advance(seconds=50)
    world.unit.handle_pause(50.0)
    world.unit.tick()
    assert world.unit.state is State.STARTING


def test_a_jump_of_the_wall_clock_by_a_day_changes_nothing(world, clock):
    world.become_ready()
    clock.jump(86_400)
    world.unit.tick()
    clock.jump(-172_800)
    world.unit.tick()
    assert world.unit.state is State.READY


def test_a_service_that_is_not_ready_in_time_is_aborted(world, clock):
    world.unit.start()
    world.unit.launch()
    world.unit.handle_message({"STATUS": "still looking"})
    clock.advance(seconds=30)
    world.unit.tick()
    assert world.unit.state is State.ABORTING
    assert world.unit.message() == "not ready after 30 s; its status: still looking"


def test_a_service_that_restores_a_large_state_gets_the_time_it_requests_but_not_for_ever(world, clock):
    world.unit.start()
    world.unit.launch()
    for _ in range(14):
        clock.advance(seconds=20)
        world.unit.handle_message({"WATCHDOG": "1", "EXTEND_TIMEOUT_USEC": "30000000"})
        world.unit.tick()
        assert world.unit.state is State.STARTING
    for _ in range(3):
        clock.advance(seconds=20)
        world.unit.handle_message({"WATCHDOG": "1", "EXTEND_TIMEOUT_USEC": "30000000"})
        world.unit.tick()
    assert world.unit.state is State.ABORTING
    assert world.unit.message() == "not ready after 300 s"


@pytest.mark.parametrize("value", ["-1", "", "x", "9" * 400, "٣"])
def test_an_invalid_request_for_more_time_is_ignored(world, clock, value):
    world.unit.start()
    world.unit.launch()
    world.unit.handle_message({"EXTEND_TIMEOUT_USEC": value})
    clock.advance(seconds=30)
    world.unit.tick()
    assert world.unit.state is State.ABORTING


def test_stop_sends_term_then_kill_and_the_service_stays_down(world, clock):
    world.become_ready()
    world.unit.stop()
    assert world.process.signals == ["terminate"]
    clock.advance(seconds=2.5)
    world.unit.tick()
    assert world.process.signals == ["terminate", "kill"]
    world.unit.handle_exit("killed by SIGKILL")
    assert (world.unit.state, world.unit.deadline()) == (State.STOPPED, None)


def test_stop_cancels_a_restart_in_progress_and_a_wait_for_the_next_attempt(world):
    world.become_ready()
    world.unit.restart()
    world.unit.stop()
    world.unit.handle_exit("exit 0")
    assert world.unit.state is State.STOPPED

    world.become_ready()
    world.unit.handle_exit("exit 1")
    world.unit.stop()
    assert (world.unit.state, world.unit.deadline()) == (State.STOPPED, None)


def test_start_during_a_stop_starts_a_new_process_after_the_end_of_the_old_one(world):
    world.become_ready()
    world.unit.stop()
    world.unit.start()
    assert world.process.signals == ["terminate"]
    world.unit.handle_exit("exit 0")
    assert world.unit.state is State.WAITING


def test_a_missing_program_is_a_failure_like_any_other(world):
    world.refuse = True
    world.unit.start()
    world.unit.launch()
    assert world.unit.state is State.BACKOFF
    assert "cannot be started: s: No such file" in world.unit.message()


def test_a_late_ready_of_a_process_that_is_being_stopped_is_ignored(world):
    world.unit.start()
    world.unit.launch()
    world.unit.stop()
    world.unit.handle_message({"READY": "1"})
    assert world.unit.state is State.STOPPING


def test_a_restart_by_the_operator_resets_the_restart_budget(world):
    world.become_ready()
    for _ in range(3):
        world.fail()
        world.unit.launch()
    world.unit.handle_exit("exit 1")
    assert world.unit.state is State.CRASHLOOP
    world.unit.restart()
    world.unit.launch()
    world.unit.handle_exit("exit 1")
    assert world.unit.state is State.BACKOFF


def test_a_service_is_degraded_until_it_clears_the_reason_it_reported(world):
    world.become_ready()
    world.unit.handle_message({"X_BGPDRIFT_DEGRADED": "the feed is unavailable", "STATUS": "reconnects"})
    assert (world.unit.state, world.unit.message()) == (State.DEGRADED, "the feed is unavailable")
    world.unit.handle_message({"WATCHDOG": "1"})
    assert world.unit.state is State.DEGRADED
    world.unit.handle_message({"X_BGPDRIFT_DEGRADED": ""})
    assert (world.unit.state, world.unit.message()) == (State.READY, "reconnects")


def test_a_reason_reported_before_ready_counts_from_ready_and_not_for_the_next_process(world):
    world.unit.start()
    world.unit.launch()
    world.unit.handle_message({"X_BGPDRIFT_DEGRADED": "the disk is full"})
    assert world.unit.state is State.STARTING
    world.unit.handle_message({"READY": "1"})
    assert world.unit.state is State.DEGRADED
    world.unit.handle_exit("exit 1")
    world.unit.tick()
    world.become_ready()
    assert world.unit.state is State.READY


def test_a_degraded_service_without_progress_is_aborted(world, clock):
    world.become_ready()
    world.unit.handle_message({"X_BGPDRIFT_DEGRADED": "the feed is unavailable"})
    clock.advance(seconds=30)
    world.unit.tick()
    assert world.unit.state is State.ABORTING


def test_too_much_memory_ends_the_process_with_term_and_counts_as_a_failure(world, clock):
    world.become_ready()
    world.unit.check_memory(300 * 2**20)
    assert world.unit.state is State.READY
    world.unit.check_memory(301 * 2**20)
    assert (world.unit.state, world.process.signals) == (State.RECYCLING, ["terminate"])
    world.unit.check_memory(301 * 2**20)
    clock.advance(seconds=2.5)
    world.unit.tick()
    assert world.process.signals == ["terminate", "kill"]
    world.unit.handle_exit("exit 0")
    assert world.unit.state is State.BACKOFF
    assert world.unit.deadline() == clock.monotonic()
    assert world.unit.message().startswith("memory: 301 MiB, more than 300 MiB")


def test_a_service_that_exceeds_its_memory_repeatedly_ends_in_crashloop(world):
    world.become_ready()
    for _ in range(3):
        world.unit.check_memory(400 * 2**20)
        world.unit.handle_exit("exit 0")
        last = world.unit.state
        world.clock.advance(seconds=30)
        world.unit.tick()
        if last is not State.CRASHLOOP:
            world.become_ready()
    assert last is State.CRASHLOOP


def test_new_limits_apply_at_once_except_the_watchdog_of_a_running_process(world, clock):
    world.become_ready()
    world.unit.set_limits(Limits(watchdog_s=1.0, memory_bytes=100), RestartPolicy())
    clock.advance(seconds=29)
    world.unit.tick()
    assert world.unit.state is State.READY
    world.unit.check_memory(101)
    assert world.unit.state is State.RECYCLING
