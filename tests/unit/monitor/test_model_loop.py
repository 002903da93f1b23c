"""From a wish to a flag to what came of it, with a runner that only does what the test lets it; killed at every step."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import StoreBusyError, TransientError
from bgpdrift.models import flags
from bgpdrift.models.flags import Claim, Flag
from bgpdrift.monitor.model_loop import LOCK, ModelLoop
from bgpdrift.monitor.retrainer_process import Over
from bgpdrift.monitor.retraining_runs import RUNNING
from bgpdrift.process.identity import ProcessIdentity, identify_self
from bgpdrift.settings import Settings, load
from bgpdrift.store import Cursor, Store, migrate, open_store
from helpers import windows

M, HOUR_S = "heuristic", 3_600
NOW = 1_788_220_800
DEAD = ProcessIdentity(pid=1, start_time=1, boot_id="another boot")


class FakeRunner:
    """Starts nothing; the test says how runs end."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: Over | None = None
        self.fails = False
        self.overdue: list[ProcessIdentity] = []

    def start(self, model: str) -> ProcessIdentity:
        if self.fails:
            raise TransientError("no process can be made")
        self.started.append(model)
        return identify_self()

    def over(self) -> Over | None:
        ended, self.ended = self.ended, None
        return ended

    def end_if_overdue(self, owner: ProcessIdentity) -> bool:
        self.overdue.append(owner)
        return False


class World:
    """A store, an artifact folder and a loop on them."""

    def __init__(self, settings: Settings, store: Store, clock: FakeClock) -> None:
        self.settings, self.store, self.clock = settings, store, clock
        self.folder, self.now = settings.artifacts_path, NOW
        self.folder.mkdir(parents=True)
        self.runner = FakeRunner()
        self.restart()

    def restart(self, **retrain: Any) -> None:
        """Another monitor takes the place of this one, which was killed."""
        settings = replace_retrain(self.settings, **retrain)
        self.loop = ModelLoop(settings, self.store, self.clock, self.runner)

    def fill(self) -> None:
        """Windows to learn from, up to now."""
        rows = [{"window_start": self.now - 60 * minute, "collector": "rrc00", "peer": ""} for minute in range(1, 400)]
        self.store.write_windows(rows, None)

    def step(self, hours: float = 0.0, times: int = 1) -> None:
        self.now += round(hours * HOUR_S)
        for _ in range(times):
            self.loop.step(self.now)

    def pause(self) -> None:
        """See how the last run ended, and let the pause after it go by."""
        self.step()
        self.clock.advance(minutes=20)
        self.step()

    def wish(self, **reason: Any) -> int:
        row = {"model": M, "requested_at": self.now, "requested_by": "drift_monitor", "state": "requested"}
        number = self.store.add_trigger({**row, "reason": {"severity": "high", "reason": "it drifts", **reason}})
        assert number is not None
        return number

    def check(self, verdict: str = "drift", lasting: int = 6, **details: Any) -> None:
        """What the drift monitor last said."""
        said = {"verdict": verdict, "lasting": lasting, "needed": 6, "severity": "high", "version": "", **details}
        self.store.write_scores([], Cursor(f"drift:{M}", self.now, said))

    def flag(self) -> Flag | None:
        return flags.peek(self.folder, M)

    def claim(self, owner: ProcessIdentity | None = None) -> Claim:
        """A retrainer takes the flag."""
        claim = flags.claim(self.folder, M, owner or identify_self())
        assert claim is not None
        return claim

    def begin_event(self, number: int) -> int:
        reason = {"details": {"trigger_id": number}}
        return self.store.record_retrain_event({"model": M, "started_at": 1, "reason_json": reason})

    def run(self, number: int, exit_code: int, promoted: bool = False, notes: str = "so it was", **reason: Any) -> None:
        """A whole run of a retrainer."""
        claim = self.claim()
        event = self.begin_event(number)
        row = {"finished_at": 2, "exit_code": exit_code, "promoted": promoted, "version": "7", "notes": notes}
        reason_json = {"reason_json": {"details": {"trigger_id": number}, **reason}}
        self.store.finish_retrain_event(event, {**row, **reason_json})
        flags.release(self.folder, claim)
        self.runner.ended = Over(M, exit_code)

    def state(self, number: int | None = None) -> str:
        rows = self.store.triggers(M)
        return str(next(row for row in rows if number in (None, row["id"]))["state"])

    def trigger(self, number: int) -> dict[str, Any]:
        return next(row for row in self.store.triggers(M) if row["id"] == number)

    def notices(self) -> list[str]:
        return [row["key"] for row in self.store.notifications()]


def replace_retrain(settings: Settings, **retrain: Any) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings, retrain=msgspec.structs.replace(settings.retrain, **retrain))


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    settings = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data")})
    settings = replace_retrain(settings, min_windows=200)
    (tmp_path / "data").mkdir()
    migrate(settings.store_url)
    with open_store(settings.store_url, clock=clock) as store:
        found = World(settings, store, clock)
        found.fill()
        yield found


def test_a_wish_becomes_a_flag_a_claim_and_a_new_version(world):
    number = world.wish(check_id=3, change_point=None)

    world.step()
    flag = world.flag()
    assert world.state() == "flagged"
    assert flag is not None
    assert (flag.requested_by, flag.reason) == ("drift_monitor", "it drifts")
    assert flag.details == {"trigger_id": number, "check_id": 3, "severity": "high"}
    assert world.runner.started == [M]

    claim = world.claim()
    world.step()
    assert world.state() == "claimed"

    event = world.begin_event(number)
    world.store.finish_retrain_event(event, {"finished_at": 2, "exit_code": 0, "promoted": True, "version": "7"})
    flags.release(world.folder, claim)
    world.runner.ended = Over(M, 0)
    world.step(hours=1)

    assert world.state() == "done"
    assert world.trigger(number)["reason"]["version_made"] == "7"
    assert world.notices() == [f"retrained:{M}:7"]
    assert world.store.read_cursor(f"loop:{M}").position == world.now
    world.step(times=3)
    assert world.runner.started == [M]
    assert world.flag() is None


def test_a_second_wish_within_the_cooldown_waits_for_its_end(world):
    first = world.wish()
    world.step()
    world.run(first, 0, promoted=True)
    world.step()
    second = world.wish()

    world.step(hours=1)
    assert world.state(second) == "postponed"
    assert world.trigger(second)["refused_because"].startswith("the cooldown lasts until")
    world.step(hours=22.9)
    assert world.state(second) == "postponed"
    world.step(hours=0.2)

    assert world.state(second) == "flagged"
    assert world.runner.started == [M, M]


def test_killed_between_the_row_and_the_flag_the_flag_is_dropped_by_the_next_monitor(world, monkeypatch):
    number = world.wish()
    with monkeypatch.context() as patch:
        patch.setattr(flags, "drop", _dies)
        with pytest.raises(KeyboardInterrupt):
            world.step()
    assert (world.state(number), world.flag()) == ("flagged", None)

    world.restart()
    world.step()

    flag = world.flag()
    assert flag is not None
    assert flag.details["trigger_id"] == number
    assert world.runner.started == [M]


def _dies(*_: Any) -> None:
    raise KeyboardInterrupt


def test_two_monitors_do_one_set_of_actions(world, clock):
    world.wish()
    other = ModelLoop(world.settings, world.store, clock, world.runner)
    for _ in range(3):
        world.step()
        other.step(world.now)
    assert world.runner.started == [M]
    assert world.state() == "flagged"


def test_a_monitor_that_finds_another_at_it_waits_for_its_turn(world):
    from bgpdrift.process.locks import hold_lock

    world.wish()
    with hold_lock(world.folder / LOCK, "busy"):
        assert world.loop.step(world.now) is False
        assert world.state() == "requested"
    world.step()
    assert world.state() == "flagged"


def test_a_thousand_flags_are_one_run(world):
    for _ in range(1_000):
        flags.drop(world.folder, M, Flag(requested_by="somebody"))
    world.step(times=5)
    assert world.runner.started == [M]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe garbage", b"[1, 2", b'{"attempts": "many"}', b"\0" * 100_000])
def test_a_flag_nobody_can_read_is_a_request_all_the_same(world, content):
    flags.flag_path(world.folder, M).write_bytes(content)
    world.step()
    assert world.runner.started == [M]


def test_a_flag_of_no_model_we_have_starts_nothing(world):
    flags.flag_path(world.folder, "weather").write_bytes(b"")
    world.step()
    assert world.runner.started == []


def test_a_request_dropped_on_top_of_ours_answers_our_wish_too(world):
    number = world.wish()
    world.step()
    flags.drop(world.folder, M, Flag(reason="because", requested_by="ann"))

    world.run(number, 0, promoted=True)
    world.step()

    assert world.state(number) == "done"
    assert world.runner.started == [M]


def test_the_claim_of_a_dead_retrainer_goes_back_and_is_tried_again_after_a_pause(world):
    number = world.wish()
    world.step()
    world.claim(DEAD)
    world.runner.ended = Over(M, -9)

    world.step()
    flag = world.flag()
    assert flag is not None
    assert (flag.attempts, flag.details["trigger_id"]) == (1, number)
    assert world.runner.started == [M]
    world.clock.advance(seconds=30)
    world.step()
    assert world.runner.started == [M, M]


def test_a_flag_that_kills_every_run_is_given_up_and_that_is_said(world):
    number = world.wish()
    for _ in range(10):
        world.pause()
        if world.flag() is not None and world.state() in ("flagged", "claimed"):
            world.claim(DEAD)
            world.runner.ended = Over(M, -9)

    assert world.runner.started == [M] * 3
    assert world.state(number) == "failed"
    assert "3 runs died of this request" in world.trigger(number)["refused_because"]
    assert world.flag() is None
    assert world.notices() == [f"retrain_failed:{M}:{number}"]


def test_a_persons_flag_that_kills_every_run_is_given_up_too(world):
    flags.drop(world.folder, M, Flag(requested_by="ann", requested_at=5.0))
    for _ in range(10):
        world.pause()
        if world.flag() is not None:
            world.claim(DEAD)
            world.runner.ended = Over(M, -9)
    assert world.runner.started == [M] * 3
    assert world.flag() is None
    assert world.notices() == [f"retrain_failed:{M}:flag:5"]


def test_a_run_that_dies_before_it_takes_its_flag_counts_against_it(world):
    number = world.wish()
    for _ in range(10):
        world.pause()
        world.runner.ended = Over(M, 1)
    assert world.runner.started == [M] * 3
    assert world.state(number) == "failed"


def test_a_run_that_fails_is_tried_again_and_then_given_up(world):
    number = world.wish()
    for attempt in range(3):
        world.pause()
        assert len(world.runner.started) == attempt + 1
        world.run(number, 1, notes="the disk is full")
    world.pause()

    row = world.trigger(number)
    assert (row["state"], row["refused_because"], row["reason"]["attempts"]) == ("failed", "the disk is full", 3)
    assert world.notices() == [f"retrain_failed:{M}:{number}"]


def test_where_another_run_holds_the_lock_we_wait_and_try_again_for_ever(world):
    number = world.wish()
    for _ in range(8):
        world.step()
        world.runner.ended = Over(M, 5)
        world.step()
        world.clock.advance(seconds=31)
    assert len(world.runner.started) == 8
    assert world.state(number) == "flagged"
    assert world.flag().attempts == 0


def test_a_run_somebody_began_by_hand_is_waited_for(world):
    holder = {"model": M, "owner": {"pid": identify_self().pid, "start_time": identify_self().start_time}}
    holder["owner"]["boot_id"] = identify_self().boot_id
    import msgspec

    lock = world.folder / "retrain.lock"
    lock.write_bytes(msgspec.json.encode(holder))
    world.wish()
    world.step(times=3)
    assert world.runner.started == []
    assert world.runner.overdue == []  # a person's run is never killed

    lock.write_bytes(b"")
    world.step()
    assert world.runner.started == [M]


def test_a_process_that_cannot_be_made_is_tried_again_after_a_pause(world):
    world.runner.fails = True
    world.wish()
    world.step(times=3)
    world.runner.fails = False
    world.step()
    assert world.runner.started == []
    world.clock.advance(seconds=6)
    world.step()
    assert world.runner.started == [M]


def test_the_next_monitor_waits_for_the_run_of_one_that_died_and_learns_what_came_of_it(world):
    number = world.wish()
    world.step()
    world.restart()
    world.step(times=3)
    assert world.runner.started == [M]
    assert world.runner.overdue == [identify_self()] * 3

    world.run(number, 3, notes="rejected: finds less")
    world.store.write_scores([], Cursor(RUNNING, world.now, {}))
    world.runner.ended = None
    world.restart()
    world.step()

    row = world.trigger(number)
    assert (row["state"], row["refused_because"]) == ("failed", "rejected: finds less")
    assert world.notices() == [f"rejected:{M}:{number}"]
    world.step(times=3)
    assert world.runner.started == [M]


def test_a_run_killed_just_after_the_publication_is_done_and_not_begun_again(world, active_artifact):
    number = world.wish()
    world.step()
    world.claim(DEAD)
    event = world.begin_event(number)
    world.store.finish_retrain_event(event, {"version": "7"})
    active_artifact("7")
    world.runner.ended = Over(M, -9)

    world.clock.advance(minutes=20)
    world.step(times=3)

    assert world.state(number) == "done"
    (closed,) = [row for row in world.store.retrain_events(M) if row["id"] == event]
    assert closed["promoted"]
    assert world.runner.started == [M]
    assert world.flag() is None


def test_too_few_windows_postpone_the_wish_without_a_cooldown(world):
    number = world.wish()
    world.step()
    world.run(number, 4, notes="not_enough_data: 10 h of 30 h", not_before=world.now + 5 * HOUR_S)
    world.step()

    row = world.trigger(number)
    assert (row["state"], row["reason"]["until"]) == ("postponed", world.now + 5 * HOUR_S)
    assert row["refused_because"] == "not_enough_data: 10 h of 30 h"
    assert world.store.read_cursor(f"loop:{M}") is None
    world.step(hours=4.9)
    assert world.state() == "postponed"
    world.step(hours=0.2)
    assert world.state() == "flagged"
    assert world.runner.started == [M, M]


def test_a_postponed_wish_is_dropped_when_the_drift_is_gone(world):
    number = world.wish(change_point=world.now)
    world.step()
    assert world.state() == "postponed"
    world.check("none", lasting=0)
    world.step(hours=1)
    assert (world.state(), world.trigger(number)["refused_because"]) == ("refused", "the drift has ended")
    assert world.runner.started == []


def test_a_wish_that_waited_for_a_day_does_not_wait_again_because_the_change_is_found_later_now(world):
    changed_at = world.now
    number = world.wish(change_point=changed_at)
    world.step()
    world.step(hours=29.9)
    world.fill()
    world.check(change_point=changed_at + 19 * HOUR_S)
    world.step(hours=0.2, times=2)
    assert (world.state(), world.trigger(number)["reason"]["change_point"]) == ("flagged", changed_at)


def test_critical_drift_asks_and_a_yes_flags(world):
    number = world.wish(severity="critical")
    world.step(times=2)
    (question,) = world.store.approvals("pending")
    assert (question["kind"], question["subject"], question["details"]["trigger_id"]) == ("retrain", M, number)
    assert world.state() == "waiting_approval"
    assert world.notices() == [f"retrain_approval:{number}"]

    world.store.answer_approval(question["id"], "approved", "ann", world.now)
    world.step()

    assert world.state() == "flagged"


def test_a_person_is_asked_while_hours_gather_and_what_was_agreed_to_waits_for_them(world):
    number = world.wish(severity="critical", change_point=world.now)
    world.check(severity="critical")
    world.step()
    (question,) = world.store.approvals("pending")
    world.step(hours=3)
    world.store.answer_approval(question["id"], "approved", "ann", world.now)
    world.step()
    assert (world.state(), world.trigger(number)["reason"]["consented"]) == ("postponed", True)

    world.step(hours=26.9)
    world.check(severity="critical")
    assert world.state() == "postponed"
    world.fill()
    world.step(hours=0.2)

    assert world.state() == "flagged"
    assert [row["state"] for row in world.store.approvals()] == ["approved"]


def test_a_no_refuses_and_is_not_asked_again_for_a_week(world):
    number = world.wish(severity="critical")
    world.check(severity="critical")
    world.step()
    (question,) = world.store.approvals("pending")
    world.store.answer_approval(question["id"], "rejected", "ann", world.now)
    for _ in range(100):
        world.step(hours=1)
        world.check(severity="critical")
    assert world.trigger(number)["refused_because"] == "ann said no"
    assert len(world.store.triggers()) == 1
    world.fill()
    for _ in range(70):
        world.step(hours=1)
        world.check(severity="critical")
    assert len(world.store.triggers()) == 2
    assert world.state() == "waiting_approval"


@pytest.mark.parametrize(("unanswered", "state"), [("drift", "flagged"), ("hold", "waiting_approval")])
def test_silence_consents_or_holds(world, unanswered, state):
    import msgspec

    drift = msgspec.structs.replace(world.settings.drift, unanswered=unanswered)
    world.settings = msgspec.structs.replace(world.settings, drift=drift)
    world.restart()
    world.wish(severity="critical")
    world.step(hours=0)
    world.step(hours=11.9)
    assert world.state() == "waiting_approval"
    world.step(hours=0.2)
    assert world.state() == state
    if state == "flagged":
        (row,) = world.store.approvals()
        assert (row["state"], row["answered_by"]) == ("expired", "bgpdrift")


def test_who_consented_to_the_question_of_the_incident_is_not_asked_again(world):
    world.wish(severity="critical", consented=True)
    world.step()
    assert world.state() == "flagged"
    assert world.store.approvals() == []


def test_a_newer_wish_takes_the_place_of_one_that_waits(world):
    first = world.wish(change_point=world.now)
    world.step()
    second = world.wish(change_point=world.now - 40 * HOUR_S)
    world.step()
    assert (world.state(first), world.state(second)) == ("refused", "flagged")
    assert world.trigger(first)["refused_because"] == f"wish {second} took its place"


def test_a_wish_beside_a_run_is_refused(world):
    first = world.wish()
    world.step()
    second = world.wish()
    world.step()
    assert (world.state(first), world.state(second)) == ("flagged", "refused")


def test_a_refused_wish_is_made_again_once_nothing_stands_in_its_way(world):
    world.restart(auto=False)
    first = world.wish()
    world.check()
    for _ in range(5):
        world.step(hours=1)
        world.check()
    assert [row["state"] for row in world.store.triggers()] == ["refused"]

    world.restart(auto=True)
    world.step(hours=1, times=2)

    assert [row["state"] for row in world.store.triggers()] == ["flagged", "refused"]
    assert world.store.triggers()[0]["reason"]["again_after"] == first


def test_a_rejected_run_is_wished_for_again_after_the_cooldown_while_the_drift_lasts(world):
    number = world.wish()
    world.check()
    world.step()
    world.run(number, 3)
    world.step()
    for _ in range(23):
        world.step(hours=1)
        world.check()
    assert len(world.store.triggers()) == 1
    world.step(hours=2, times=2)
    assert [row["state"] for row in world.store.triggers()] == ["flagged", "failed"]


def test_a_store_that_is_gone_for_a_minute_costs_nothing(world, monkeypatch):
    number = world.wish()

    def away(*_: Any, **__: Any) -> Any:
        raise StoreBusyError("gone")

    for name in ("change_trigger", "triggers", "write_scores", "retrain_events", "read_cursor"):
        with monkeypatch.context() as patch:
            patch.setattr(world.store, name, away)
            with pytest.raises(StoreBusyError):
                world.step()
    world.step(times=3)
    assert world.state(number) == "flagged"
    assert world.store.read_cursor(RUNNING).details["trigger_id"] == number
    assert world.runner.started == [M]


@pytest.fixture
def active_artifact(world, tmp_path):

    from bgpdrift.models.artifact import to_bytes
    from bgpdrift.models.learn_default import learn_artifact

    artifact = learn_artifact([windows.calm(6_000)], history_minutes=360)

    def put(version: str) -> None:
        (world.folder / f"{M}.safetensors").write_bytes(to_bytes(replace(artifact, version=version)))

    return put
