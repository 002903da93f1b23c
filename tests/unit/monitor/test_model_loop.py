"""From a retraining request to a flag file, a run and its end, with a runner that the test controls; killed at every step."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import StoreBusyError, TransientError
from bgpdrift.models import flags
from bgpdrift.models.flags import Claim, DriftCause, Flag
from bgpdrift.monitor.model_loop import LOCK, ModelLoop
from bgpdrift.monitor.retrainer_process import EndedRun
from bgpdrift.process.identity import ProcessIdentity, identify_self, record
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import (
    RUN_CURSOR,
    CooldownState,
    DriftState,
    PersistenceState,
    RunState,
    cooldown_cursor,
    drift_cursor,
)
from bgpdrift.store.database import StateCursor
from bgpdrift.store.model_records import EventReason, RetrainEvent
from bgpdrift.store.request_records import RequestReason, RetrainRequest
from helpers import windows

M, HOUR_S = "heuristic", 3_600
NOW = 1_788_220_800
DEAD = ProcessIdentity(pid=1, start_time=1, boot_id="another boot")


class FakeRunner:
    """Starts no process; the test decides how runs end."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: EndedRun | None = None
        self.fails = False
        self.checked: list[ProcessIdentity] = []

    def start(self, model: str) -> ProcessIdentity:
        if self.fails:
            raise TransientError("no process can be created")
        self.started.append(model)
        return identify_self()

    def collect(self) -> EndedRun | None:
        ended, self.ended = self.ended, None
        return ended

    def kill_if_overdue(self, owner: ProcessIdentity) -> bool:
        self.checked.append(owner)
        return False


class World:
    """A store, an artifact folder and a model loop on them."""

    def __init__(self, settings: Settings, store: Store, clock: FakeClock) -> None:
        self.settings, self.store, self.clock = settings, store, clock
        self.folder, self.now = settings.artifacts_path, NOW
        self.folder.mkdir(parents=True)
        self.runner = FakeRunner()
        self.restart()

    def restart(self, **retrain: Any) -> None:
        """Another monitor replaces this one, which was killed."""
        settings = replace_retrain(self.settings, **retrain)
        self.loop = ModelLoop(settings, self.store, self.clock, self.runner)

    def fill(self) -> None:
        """Store windows for training, up to now."""
        rows = [{"window_start": self.now - 60 * minute, "collector": "rrc00", "peer": ""} for minute in range(1, 400)]
        self.store.write_windows(rows, None)

    def step(self, hours: float = 0.0, times: int = 1) -> None:
        self.now += round(hours * HOUR_S)
        for _ in range(times):
            self.loop.step(self.now)

    def pause(self) -> None:
        """Collect the last run, and let the pause after it pass."""
        self.step()
        self.clock.advance(minutes=20)
        self.step()

    def request(self, **reason: Any) -> int:
        reason = {"severity": "high", "summary": "scores drift", **reason}
        request = RetrainRequest(
            model=M, requested_at=self.now, requested_by="drift_monitor", reason=RequestReason(**reason)
        )
        request_id = self.store.add_retrain_request(request)
        assert request_id is not None
        return request_id

    def check(self, verdict: Any = "drift", checks: int = 6, **fields: Any) -> None:
        """Store the result of a drift check."""
        state = DriftState(
            verdict=verdict,
            **{"severity": "high", **fields},
            persistence=PersistenceState(checks=checks),
            persistence_checks=6,
        )
        self.store.put_cursor(StateCursor(drift_cursor(M), self.now, state))

    def flag(self) -> Flag | None:
        return flags.read_flag(self.folder, M)

    def claim(self, owner: ProcessIdentity | None = None) -> Claim:
        """A retrainer claims the flag."""
        claim = flags.claim(self.folder, M, owner or identify_self())
        assert claim is not None
        return claim

    def begin_event(self, request_id: int) -> RetrainEvent:
        event = RetrainEvent(model=M, started_at=1, reason=EventReason(request_id=request_id))
        return msgspec.structs.replace(event, id=self.store.record_retrain_event(event))

    def run(
        self, request_id: int, exit_code: int, promoted: bool = False, notes: str = "notes of the run", **reason: Any
    ) -> None:
        """A complete run of a retrainer."""
        claim = self.claim()
        ended = msgspec.structs.replace(
            self.begin_event(request_id),
            finished_at=2,
            exit_code=exit_code,
            promoted=promoted,
            version="7",
            reason=EventReason(request_id=request_id, **reason),
            notes=notes,
        )
        self.store.record_retrain_event(ended)
        flags.release(self.folder, claim)
        self.runner.ended = EndedRun(M, exit_code)

    def state(self, request_id: int | None = None) -> str:
        requests = self.store.retrain_requests(M)
        return next(request for request in requests if request_id in (None, request.id)).state

    def states(self) -> list[str]:
        """States of all requests, newest first."""
        return [request.state for request in self.store.retrain_requests()]

    def read(self, request_id: int) -> RetrainRequest:
        return next(request for request in self.store.retrain_requests(M) if request.id == request_id)

    def alerts(self) -> list[str]:
        return [alert.key for alert in self.store.alerts()]

    def cooldown(self) -> StateCursor[CooldownState] | None:
        return self.store.read_state(cooldown_cursor(M), CooldownState)


def replace_retrain(settings: Settings, **retrain: Any) -> Settings:
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


def test_a_request_becomes_a_flag_a_claim_and_a_new_version(world):
    request_id = world.request(check_id=3, change_point=None)

    world.step()
    flag = world.flag()
    assert world.state() == "flagged"
    assert flag is not None
    assert (flag.requested_by, flag.reason) == ("drift_monitor", "scores drift")
    assert flag.cause == DriftCause(request_id=request_id, check_id=3, severity="high")
    assert world.runner.started == [M]

    claim = world.claim()
    world.step()
    assert world.state() == "claimed"

    event = world.begin_event(request_id)
    world.store.record_retrain_event(
        msgspec.structs.replace(event, finished_at=2, exit_code=0, promoted=True, version="7")
    )
    flags.release(world.folder, claim)
    world.runner.ended = EndedRun(M, 0)
    world.step(hours=1)

    assert world.state() == "done"
    assert world.read(request_id).reason.new_version == "7"
    assert world.alerts() == [f"retrained:{M}:7"]
    assert world.cooldown().position == world.now
    world.step(times=3)
    assert world.runner.started == [M]
    assert world.flag() is None


def test_a_second_request_within_the_cooldown_is_postponed_to_its_end(world):
    first = world.request()
    world.step()
    world.run(first, 0, promoted=True)
    world.step()
    second = world.request()

    world.step(hours=1)
    assert world.state(second) == "postponed"
    assert world.read(second).refusal_reason.startswith("the cooldown lasts until")
    world.step(hours=22.9)
    assert world.state(second) == "postponed"
    world.step(hours=0.2)

    assert world.state(second) == "flagged"
    assert world.runner.started == [M, M]


def test_after_a_kill_between_row_and_flag_the_next_monitor_drops_the_flag(world, monkeypatch):
    request_id = world.request()
    with monkeypatch.context() as patch:
        patch.setattr(flags, "drop", _dies)
        with pytest.raises(KeyboardInterrupt):
            world.step()
    assert (world.state(request_id), world.flag()) == ("flagged", None)

    world.restart()
    world.step()

    flag = world.flag()
    assert flag is not None
    assert flag.cause.request_id == request_id
    assert world.runner.started == [M]


def _dies(*_: Any) -> None:
    raise KeyboardInterrupt


def test_two_monitors_do_one_set_of_actions(world, clock):
    world.request()
    other = ModelLoop(world.settings, world.store, clock, world.runner)
    for _ in range(3):
        world.step()
        other.step(world.now)
    assert world.runner.started == [M]
    assert world.state() == "flagged"


def test_a_monitor_does_nothing_while_another_one_holds_the_lock(world):
    from bgpdrift.process.locks import hold_lock

    world.request()
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
def test_a_flag_that_cannot_be_decoded_starts_a_run(world, content):
    flags.flag_path(world.folder, M).write_bytes(content)
    world.step()
    assert world.runner.started == [M]


def test_a_flag_of_an_unknown_model_starts_nothing(world):
    flags.flag_path(world.folder, "weather").write_bytes(b"")
    world.step()
    assert world.runner.started == []


def test_a_flag_that_replaces_ours_also_answers_our_request(world):
    request_id = world.request()
    world.step()
    flags.drop(world.folder, M, Flag(reason="because", requested_by="ann"))

    world.run(request_id, 0, promoted=True)
    world.step()

    assert world.state(request_id) == "done"
    assert world.runner.started == [M]


def test_the_claim_of_a_dead_retrainer_becomes_a_flag_again_and_a_run_starts_after_a_pause(world):
    request_id = world.request()
    world.step()
    world.claim(DEAD)
    world.runner.ended = EndedRun(M, -9)

    world.step()
    flag = world.flag()
    assert flag is not None
    assert (flag.attempts, flag.cause.request_id) == (1, request_id)
    assert world.runner.started == [M]
    world.clock.advance(seconds=30)
    world.step()
    assert world.runner.started == [M, M]


def test_a_flag_for_which_every_run_dies_is_given_up_with_an_alert(world):
    request_id = world.request()
    for _ in range(10):
        world.pause()
        if world.flag() is not None and world.state() in ("flagged", "claimed"):
            world.claim(DEAD)
            world.runner.ended = EndedRun(M, -9)

    assert world.runner.started == [M] * 3
    assert world.state(request_id) == "failed"
    assert "3 runs of this request died" in world.read(request_id).refusal_reason
    assert world.flag() is None
    assert world.alerts() == [f"retrain_failed:{M}:{request_id}"]


def test_a_flag_of_a_person_for_which_every_run_dies_is_given_up_too(world):
    flags.drop(world.folder, M, Flag(requested_by="ann", requested_at=5.0))
    for _ in range(10):
        world.pause()
        if world.flag() is not None:
            world.claim(DEAD)
            world.runner.ended = EndedRun(M, -9)
    assert world.runner.started == [M] * 3
    assert world.flag() is None
    assert world.alerts() == [f"retrain_failed:{M}:flag:5"]


def test_a_run_that_dies_before_it_claims_its_flag_counts_as_an_attempt(world):
    request_id = world.request()
    for _ in range(10):
        world.pause()
        world.runner.ended = EndedRun(M, 1)
    assert world.runner.started == [M] * 3
    assert world.state(request_id) == "failed"


def test_a_run_that_fails_is_repeated_and_then_given_up(world):
    request_id = world.request()
    for attempt in range(3):
        world.pause()
        assert len(world.runner.started) == attempt + 1
        world.run(request_id, 1, notes="the disk is full")
    world.pause()

    request = world.read(request_id)
    assert (request.state, request.refusal_reason, request.reason.attempts) == ("failed", "the disk is full", 3)
    assert world.alerts() == [f"retrain_failed:{M}:{request_id}"]


def test_a_run_that_finds_the_lock_taken_is_repeated_without_limit(world):
    request_id = world.request()
    for _ in range(8):
        world.step()
        world.runner.ended = EndedRun(M, 5)
        world.step()
        world.clock.advance(seconds=31)
    assert len(world.runner.started) == 8
    assert world.state(request_id) == "flagged"
    assert world.flag().attempts == 0


def test_a_run_that_a_person_started_delays_the_next_run(world):
    holder = {"model": M, "owner": record(identify_self(), world.folder)}
    lock = world.folder / "retrain.lock"
    lock.write_bytes(msgspec.json.encode(holder))
    world.request()
    world.step(times=3)
    assert world.runner.started == []
    assert world.runner.checked == []  # the run of a person is never killed

    lock.write_bytes(b"")
    world.step()
    assert world.runner.started == [M]


def test_a_process_that_cannot_be_created_is_tried_again_after_a_pause(world):
    world.runner.fails = True
    world.request()
    world.step(times=3)
    world.runner.fails = False
    world.step()
    assert world.runner.started == []
    world.clock.advance(seconds=6)
    world.step()
    assert world.runner.started == [M]


def test_the_next_monitor_continues_with_the_run_of_a_monitor_that_died(world):
    request_id = world.request()
    world.step()
    world.restart()
    world.step(times=3)
    assert world.runner.started == [M]
    assert world.runner.checked == [record(identify_self(), world.settings.data_path)] * 3

    world.run(request_id, 3, notes="rejected: finds less")
    world.store.clear_cursor(RUN_CURSOR, world.now)
    world.runner.ended = None
    world.restart()
    world.step()

    request = world.read(request_id)
    assert (request.state, request.refusal_reason) == ("failed", "rejected: finds less")
    assert world.alerts() == [f"rejected:{M}:{request_id}"]
    world.step(times=3)
    assert world.runner.started == [M]


def test_a_run_killed_just_after_the_publication_is_done_and_not_repeated(world, active_artifact):
    request_id = world.request()
    world.step()
    world.claim(DEAD)
    event = world.begin_event(request_id)
    world.store.record_retrain_event(msgspec.structs.replace(event, version="7"))
    active_artifact("7")
    world.runner.ended = EndedRun(M, -9)

    world.clock.advance(minutes=20)
    world.step(times=3)

    assert world.state(request_id) == "done"
    (closed,) = [row for row in world.store.retrain_events(M) if row.id == event.id]
    assert closed.promoted
    assert world.runner.started == [M]
    assert world.flag() is None


def test_too_few_windows_postpone_the_request_without_a_cooldown(world):
    request_id = world.request()
    world.step()
    world.run(request_id, 4, notes="not_enough_data: 10 h of 30 h", not_before=world.now + 5 * HOUR_S)
    world.step()

    request = world.read(request_id)
    assert (request.state, request.reason.postponed_until) == ("postponed", world.now + 5 * HOUR_S)
    assert request.refusal_reason == "not_enough_data: 10 h of 30 h"
    assert world.cooldown() is None
    world.step(hours=4.9)
    assert world.state() == "postponed"
    world.step(hours=0.2)
    assert world.state() == "flagged"
    assert world.runner.started == [M, M]


def test_a_postponed_request_is_refused_when_the_drift_has_ended(world):
    request_id = world.request(change_point=world.now)
    world.step()
    assert world.state() == "postponed"
    world.check("none", checks=0)
    world.step(hours=1)
    assert (world.state(), world.read(request_id).refusal_reason) == ("refused", "the drift has ended")
    assert world.runner.started == []


def test_a_request_that_has_waited_a_day_is_not_postponed_again_when_the_change_point_estimate_moves(world):
    changed_at = world.now
    request_id = world.request(change_point=changed_at)
    world.step()
    world.step(hours=29.9)
    world.fill()
    world.check(change_point=changed_at + 19 * HOUR_S)
    world.step(hours=0.2, times=2)
    assert (world.state(), world.read(request_id).reason.change_point) == ("flagged", changed_at)


def test_critical_drift_needs_an_approval_and_is_flagged_after_it(world):
    request_id = world.request(severity="critical")
    world.step(times=2)
    (approval,) = world.store.approval_requests("pending")
    assert (approval.kind, approval.subject, approval.details.request_id) == ("retrain", M, request_id)
    assert world.state() == "waiting_approval"
    assert world.alerts() == [f"retrain_approval:{request_id}"]

    world.store.answer_approval(approval.id, "approved", "ann", world.now)
    world.step()

    assert world.state() == "flagged"


def test_a_person_can_approve_before_there_are_enough_windows_and_the_request_then_waits_for_them(world):
    request_id = world.request(severity="critical", change_point=world.now)
    world.check(severity="critical")
    world.step()
    (approval,) = world.store.approval_requests("pending")
    world.step(hours=3)
    world.store.answer_approval(approval.id, "approved", "ann", world.now)
    world.step()
    assert (world.state(), world.read(request_id).reason.consented) == ("postponed", True)

    world.step(hours=26.9)
    world.check(severity="critical")
    assert world.state() == "postponed"
    world.fill()
    world.step(hours=0.2)

    assert world.state() == "flagged"
    assert [approval.state for approval in world.store.approval_requests()] == ["approved"]


def test_a_rejection_refuses_the_request_and_no_other_follows_for_a_week(world):
    request_id = world.request(severity="critical")
    world.check(severity="critical")
    world.step()
    (approval,) = world.store.approval_requests("pending")
    world.store.answer_approval(approval.id, "rejected", "ann", world.now)
    for _ in range(100):
        world.step(hours=1)
        world.check(severity="critical")
    assert world.read(request_id).refusal_reason == "ann rejected the retraining"
    assert len(world.states()) == 1
    world.fill()
    for _ in range(70):
        world.step(hours=1)
        world.check(severity="critical")
    assert len(world.states()) == 2
    assert world.state() == "waiting_approval"


@pytest.mark.parametrize(("unanswered", "state"), [("drift", "flagged"), ("hold", "waiting_approval")])
def test_an_approval_request_without_an_answer_consents_or_holds(world, unanswered, state):
    drift = msgspec.structs.replace(world.settings.drift, unanswered=unanswered)
    world.settings = msgspec.structs.replace(world.settings, drift=drift)
    world.restart()
    world.request(severity="critical")
    world.step(hours=0)
    world.step(hours=11.9)
    assert world.state() == "waiting_approval"
    world.step(hours=0.2)
    assert world.state() == state
    if state == "flagged":
        (approval,) = world.store.approval_requests()
        assert (approval.state, approval.answered_by) == ("expired", "bgpdrift")


def test_a_request_with_consent_about_the_incident_needs_no_other_approval(world):
    world.request(severity="critical", consented=True)
    world.step()
    assert world.state() == "flagged"
    assert world.store.approval_requests() == []


def test_a_newer_request_replaces_a_postponed_one(world):
    first = world.request(change_point=world.now)
    world.step()
    second = world.request(change_point=world.now - 40 * HOUR_S)
    world.step()
    assert (world.state(first), world.state(second)) == ("refused", "flagged")
    assert world.read(first).refusal_reason == f"retraining request {second} replaced it"


def test_a_request_beside_a_flagged_one_is_refused(world):
    first = world.request()
    world.step()
    second = world.request()
    world.step()
    assert (world.state(first), world.state(second)) == ("flagged", "refused")


def test_a_refused_request_is_made_again_once_the_safeguards_allow_it(world):
    world.restart(auto=False)
    first = world.request()
    world.check()
    for _ in range(5):
        world.step(hours=1)
        world.check()
    assert world.states() == ["refused"]

    world.restart(auto=True)
    world.step(hours=1, times=2)

    assert world.states() == ["flagged", "refused"]
    assert world.store.retrain_requests()[0].reason.repeats_request_id == first


def test_a_rejected_run_is_requested_again_after_the_cooldown_while_the_drift_persists(world):
    request_id = world.request()
    world.check()
    world.step()
    world.run(request_id, 3)
    world.step()
    for _ in range(23):
        world.step(hours=1)
        world.check()
    assert len(world.states()) == 1
    world.step(hours=2, times=2)
    assert world.states() == ["flagged", "failed"]


def test_a_store_that_is_unavailable_for_a_minute_loses_nothing(world, monkeypatch):
    request_id = world.request()

    def away(*_: Any, **__: Any) -> Any:
        raise StoreBusyError("gone")

    for name in ("change_retrain_request", "retrain_requests", "put_cursor", "retrain_events", "read_state"):
        with monkeypatch.context() as patch:
            patch.setattr(world.store, name, away)
            with pytest.raises(StoreBusyError):
                world.step()
    world.step(times=3)
    assert world.state(request_id) == "flagged"
    assert world.store.read_state(RUN_CURSOR, RunState).state.request_id == request_id
    assert world.runner.started == [M]


@pytest.fixture
def active_artifact(world, tmp_path):

    from bgpdrift.models.artifact import to_bytes
    from bgpdrift.models.learn_default import learn_artifact

    artifact = learn_artifact([windows.calm(6_000)], history_minutes=360)

    def publish(version: str) -> None:
        (world.folder / f"{M}.safetensors").write_bytes(to_bytes(replace(artifact, version=version)))

    return publish
