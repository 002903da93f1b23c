"""When a model without a version is trained: enough clean data of each collector, every hour of the day, no operator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.models import flags
from bgpdrift.monitor.first_training import CollectorData, DataPolicy, assess_data, find_ready_at
from bgpdrift.monitor.model_loop import ModelLoop
from bgpdrift.monitor.retrainer_process import EndedRun
from bgpdrift.monitor.safeguards import SafeguardPolicy, Situation, decide
from bgpdrift.process.identity import ProcessIdentity, identify_self
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import FirstTrainingState, first_training_cursor
from bgpdrift.store.incidents import IncidentChanges
from bgpdrift.store.model_records import EventReason, RetrainEvent

HOUR_S, DAY_S = 3_600, 86_400
START = 1_788_220_800  # midnight
POLICY = DataPolicy()


def data(hours: float, name: str = "rrc00", first_h: int = 0, minutes: int = 60) -> CollectorData:
    """Clean minutes in each of some hours."""
    starts = [START + (first_h + hour) * HOUR_S for hour in range(int(hours))]
    return CollectorData(name, dict.fromkeys(starts, minutes))


def after(hours: float) -> int:
    return START + round(hours * HOUR_S)


def test_a_collector_is_ready_when_its_training_minutes_contain_a_whole_day():
    assert find_ready_at(data(40), after(40), POLICY) == after(30)


def test_many_collectors_are_not_ready_before_every_hour_of_the_day_was_seen():
    collectors = [data(8, f"rrc{number:02d}") for number in range(12)]
    assert sum(sum(one.minutes.values()) for one in collectors) > POLICY.min_windows / 0.8
    assessment = assess_data(collectors, after(8), POLICY)
    assert not assessment.is_ready
    assert assessment.expected_at == after(30)


def test_minutes_enough_without_the_night_are_not_enough():
    days = [hour for hour in range(72) if hour % 24 >= 6]
    collector = CollectorData("rrc00", {START + hour * HOUR_S: 60 for hour in days})
    assessment = assess_data([collector], after(72), POLICY)
    assert not assessment.is_ready
    assert assessment.reason == "rrc00 has no clean minutes to train on from 00:00 to 06:00 UTC"


def test_hours_that_never_come_do_not_delay_beyond_the_fourth_day():
    days = [hour for hour in range(72) if hour % 24 >= 6]
    collector = CollectorData("rrc00", {START + hour * HOUR_S: 60 for hour in days})
    assert find_ready_at(collector, after(72), POLICY) == after(73)
    no_night = CollectorData("rrc00", {START + hour * HOUR_S: 60 for hour in range(100) if hour % 24 >= 6})
    assert find_ready_at(no_night, after(100), POLICY) == after(79)


def test_gaps_delay_the_training_by_the_minutes_that_are_missing():
    full, half = (find_ready_at(data(6, minutes=minutes), after(6), POLICY) for minutes in (60, 30))
    assert (full, half) == (after(30), after(33))


def test_a_new_collector_delays_the_training_of_the_others_by_a_day_at_most():
    old, new = data(34), data(2, "rrc99", first_h=32)
    assert assess_data([old, new], after(34), POLICY).expected_at == after(30) + DAY_S
    late = assess_data([data(54), data(22, "rrc99", first_h=32)], after(54), POLICY)
    assert late.is_ready


def test_a_collector_that_stopped_delays_nothing():
    stopped = data(4, "rrc98")
    assert assess_data([data(30), stopped], after(30), POLICY).is_ready


def test_a_span_without_room_for_a_day_is_named():
    assessment = assess_data([data(30)], after(30), DataPolicy(days=1))
    assert (assessment.is_ready, assessment.expected_at) == (False, 0)
    assert "retrain.days" in assessment.reason


@pytest.mark.parametrize(
    ("situation", "policy", "outcome"),
    [
        ({}, {}, "flag"),
        ({}, {"first": "off"}, "refuse"),
        ({}, {"auto": False}, "refuse"),
        ({}, {"auto_model": False}, "refuse"),
        ({}, {"first": "ask"}, "request_approval"),
        ({"consented": True}, {"first": "ask"}, "flag"),
        ({"active_version": "1"}, {}, "refuse"),
        ({}, {"pilot_collectors": ("rrc09",), "min_severity": "critical"}, "flag"),
    ],
)
def test_the_safeguards_of_a_first_training(situation: Any, policy: Any, outcome: str):
    now = Situation("lstm", START, severity="none", is_first=True, **situation)
    assert decide(now, SafeguardPolicy(**policy)).outcome == outcome


class FakeRunner:
    """Starts no process; the test decides how runs end."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: EndedRun | None = None

    def start(self, model: str) -> ProcessIdentity:
        self.started.append(model)
        return identify_self()

    def collect(self) -> EndedRun | None:
        ended, self.ended = self.ended, None
        return ended

    def kill_if_overdue(self, owner: ProcessIdentity) -> bool:
        return False


class World:
    """A store that fills up with windows, and a model loop on it."""

    def __init__(self, settings: Settings, store: Store, clock: FakeClock) -> None:
        self.settings, self.store, self.clock, self.now = settings, store, clock, START
        self.runner = FakeRunner()
        settings.artifacts_path.mkdir(parents=True)
        self.restart()

    def restart(self, **retrain: Any) -> None:
        changed = msgspec.structs.replace(self.settings.retrain, **retrain)
        settings = msgspec.structs.replace(self.settings, retrain=changed)
        self.loop = ModelLoop(settings, self.store, self.clock, self.runner)

    def collect(self, hours: int, collectors: tuple[str, ...] = ("rrc00",), **marks: int) -> None:
        """Let hours of windows pass."""
        starts = range(self.now, self.now + hours * HOUR_S, 60)
        rows = [{"window_start": at, "collector": name, "peer": "", **marks} for at in starts for name in collectors]
        self.store.write_windows(rows, None)
        self.now += hours * HOUR_S
        self.step()

    def step(self) -> None:
        for _ in range(3):
            self.loop.step(self.now)

    def states(self) -> dict[str, str]:
        return {request.model: request.state for request in reversed(self.store.retrain_requests())}

    def waiting(self, model: str = "lstm") -> FirstTrainingState:
        cursor = self.store.read_state(first_training_cursor(model), FirstTrainingState)
        assert cursor is not None
        return cursor.state

    def end_run(self, model: str, exit_code: int, notes: str = "") -> None:
        """A complete run without a new version."""
        request = self.store.retrain_requests(model, limit=1)[0]
        claim = flags.claim(self.settings.artifacts_path, model, identify_self())
        assert claim is not None
        reason = EventReason(request_id=request.id)
        event = RetrainEvent(model=model, started_at=1, finished_at=2, exit_code=exit_code, reason=reason, notes=notes)
        self.store.record_retrain_event(event)
        flags.release(self.settings.artifacts_path, claim)
        self.runner.ended = EndedRun(model, exit_code)
        self.clock.advance(minutes=20)
        self.step()


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    settings = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data"), "BGPDRIFT_RETRAIN__MIN_WINDOWS": "1440"})
    settings.data_path.mkdir()
    migrate(settings.store_url)
    with open_store(settings.store_url) as store:
        yield World(settings, store, clock)


def test_forest_and_lstm_are_requested_without_an_operator_once_there_is_enough_data(world):
    world.collect(29)
    assert world.states() == {}
    assert (world.waiting().phase, world.waiting().expected_at) == ("collecting", after(30))

    world.collect(1)

    assert world.states() == {"isolation_forest": "flagged", "lstm": "flagged"}
    assert world.waiting().phase == "training"
    assert world.runner.started == ["isolation_forest"]
    flag = flags.read_flag(world.settings.artifacts_path, "lstm")
    assert flag is not None
    assert flag.reason == "first training: there is enough clean data"


def test_a_second_monitor_and_more_data_make_no_second_request(world):
    world.collect(30)
    world.restart()
    world.collect(3)
    assert len(world.store.retrain_requests()) == 2


def test_the_rules_need_no_first_training_because_their_packaged_model_votes(world):
    world.collect(31)
    assert "heuristic" not in world.states()


def test_in_the_first_hours_the_training_is_expected_a_day_and_a_fifth_after_the_warm_up(world):
    world.collect(1, warming=1)
    assert (world.waiting().reason, world.waiting().expected_at) == ("there is no clean data yet", after(2 + 30))

    world.collect(1, warming=1)
    world.collect(1)

    assert world.waiting().expected_at == after(2 + 30)


def test_minutes_with_a_quality_mark_and_minutes_of_an_incident_do_not_count(world):
    world.collect(2, warming=1)
    world.collect(20)
    incident = {"id": 1, "state": "closed", "started_at": after(10), "last_seen_at": after(14) - 60, "kind": "leak"}
    row = {"severity": "high", "summary": "a leak", "collectors": ["rrc00"], "closed_at": after(14), "peak": 9.0}
    world.store.apply_incidents(IncidentChanges(inserts=[{**incident, **row}]), None)
    world.collect(1)
    # Two hours of warming, four of the incident, and a quarter of an hour before and after it.
    assert world.waiting().expected_at > after(30 + 2 + 4)
    world.collect(9)
    assert world.states() == {}


@pytest.mark.parametrize("answer", ["approved", "rejected"])
def test_a_person_is_asked_if_the_setting_says_so(world, answer):
    world.restart(first="ask")
    world.collect(30)
    assert world.states() == {"isolation_forest": "waiting_approval", "lstm": "waiting_approval"}
    approval = next(one for one in world.store.approval_requests(state="pending") if one.subject == "lstm")
    assert approval.summary.startswith("train the first lstm? a first training needs the approval of a person")

    world.store.answer_approval(approval.id, answer, "anna", world.now)
    world.collect(2)

    expected = {"approved": "flagged", "rejected": "refused"}[answer]
    assert world.store.retrain_requests("lstm", limit=1)[0].state == expected
    if answer == "rejected":
        assert (world.waiting().phase, world.waiting().expected_at) == ("paused", world.now - 2 * HOUR_S + 168 * HOUR_S)


@pytest.mark.parametrize(("setting", "named"), [({"first": "off"}, "retrain.first"), ({"auto": False}, "retrain.auto")])
def test_a_training_that_is_switched_off_is_stated_and_not_requested(world, setting, named):
    world.restart(**setting)
    world.collect(31)
    assert world.store.retrain_requests() == []
    assert world.waiting().phase == "off"
    assert named in world.waiting().reason


def test_a_run_that_the_gate_rejects_is_repeated_after_the_cooldown(world):
    world.collect(30)
    world.end_run("isolation_forest", 3, "rejected: it finds nothing")
    waiting = world.waiting("isolation_forest")
    assert (waiting.phase, waiting.expected_at) == ("paused", world.now + 24 * HOUR_S)
    (alert,) = [one for one in world.store.alerts() if one.key.startswith("rejected:")]
    assert alert.title == "isolation_forest: the gate rejected the first version, the detector still has no model"

    world.collect(24)

    requests = world.store.retrain_requests("isolation_forest")
    assert [request.state for request in requests][1:] == ["failed"]
    assert requests[0].reason.repeats_request_id == requests[1].id


def test_a_model_that_a_person_trained_meanwhile_is_left_alone(world):
    world.collect(29)
    (world.settings.artifacts_path / "lstm.safetensors").write_bytes(b"a model")
    world.collect(2)
    assert set(world.states()) == {"isolation_forest"}
