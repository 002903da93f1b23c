"""Drift checks of the monitor: due in event time, recorded once, held by incidents, followed by one request."""

import dataclasses
import gc
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from sqlalchemy import event

from bgpdrift.clock import FakeClock
from bgpdrift.drift import rule
from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.report import DriftReport
from bgpdrift.errors import StoreBusyError
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.settings import Settings
from bgpdrift.settings_sections import DriftSettings
from bgpdrift.store import IncidentChanges, Store, migrate, open_store
from bgpdrift.store.cursor_states import DriftState, PersistenceState, drift_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.drift import DriftUpdate
from bgpdrift.store.drift_records import DriftCheck, ExcludedHours
from bgpdrift.store.outcomes import Outcome
from bgpdrift.store.request_records import ApprovalRequest, RetrainRequest

HOUR, DAY = 3_600, 86_400
T = 19_000 * DAY
MODEL = "lstm"


@dataclass
class World:
    """Scores of one detector in the store as hours; event time moves on as hours are added."""

    folder: Path
    clock: FakeClock
    drift: DriftSettings = field(default_factory=lambda: DriftSettings(persistence_checks=2, pinned_windows_h=[24]))
    opened: list[Store] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = Settings(data_dir=str(self.folder), drift=self.drift)
        if not (self.folder / "bgpdrift.sqlite3").exists():
            migrate(self.settings.store_url)
        self.rng = np.random.default_rng(5)
        self.store = self.connect()

    def connect(self) -> Store:
        self.opened.append(open_store(self.settings.store_url, busy_timeout_s=0.05, clock=self.clock))
        return self.opened[-1]

    def checks(self, store: Store | None = None) -> DriftChecks:
        return DriftChecks(self.settings, store or self.store, self.clock)

    def add_hours(
        self,
        first: int,
        end: int,
        *,
        factor: float | Callable[[int], float] = 1.0,
        version: str = "1",
        collectors: tuple[str, ...] = ("rrc00",),
        values: Callable[[int], Any] | None = None,
        volume: bool = False,
    ) -> None:
        """Add the hours ``first`` to ``end`` (exclusive) since the beginning, with 60 scores each."""
        rows = []
        for hour in range(first, end):
            for collector in collectors:
                times = factor(hour) if callable(factor) else factor
                found = self.rng.gamma(2.0, size=60) * times if values is None else np.asarray(values(hour), float)
                rows.append(self._row(f"score:{MODEL}", version, collector, hour, found))
                if volume:
                    rows.append(self._row("feature:announced", "", collector, hour, 100 * found.mean() + 0 * found))
        self.store.upsert_histograms(rows, None)
        self.add_windows(T + end * HOUR)

    def add_windows(self, at: int, number: int = 1) -> None:
        """Add windows, which define the event time."""
        self.store.write_windows(
            [{"window_start": at + 60 * i, "collector": "rrc00", "peer": ""} for i in range(number)], None
        )

    def add_incident(self, number: int, first: float, end: float | None = None) -> None:
        started = T + int(first * HOUR)
        row: dict[str, Any] = {
            "id": number,
            "state": "open" if end is None else "closed",
            "severity": "high",
            "started_at": started,
            "last_seen_at": started if end is None else T + int(end * HOUR) - 60,
            "closed_at": None if end is None else T + int(end * HOUR),
            "peak": 5.0,
            "collectors": ["rrc00"],
        }
        changes = (
            IncidentChanges(inserts=[row]) if self.store.incident(number) is None else IncidentChanges(updates=[row])
        )
        self.store.apply_incidents(changes, None)

    def run(self, checks: DriftChecks | None = None) -> int:
        checks, steps = checks or self.checks(), 0
        while checks.step():
            steps += 1
            assert steps < 500, "the checks never end"
        return steps

    @property
    def state(self) -> DriftState:
        cursor = self.store.read_drift_state(MODEL)
        return cursor.state if cursor else DriftState()

    @property
    def requests(self) -> list[RetrainRequest]:
        return self.store.retrain_requests(MODEL)

    @property
    def checked(self) -> list[DriftCheck]:
        """Recorded checks, newest first."""
        return self.store.drift_checks_between(model=MODEL)

    def approvals(self) -> list[ApprovalRequest]:
        return self.store.approval_requests(kind="attack_or_new_normal")

    def verdicts(self) -> list[str]:
        return [check.verdict for check in reversed(self.checked)]

    def _row(self, series: str, version: str, collector: str, hour: int, found: Any) -> dict[str, Any]:
        counted = (ExactValues if series.startswith("score:") else Histogram).of(found.tolist())
        return {
            "hour_start": T + hour * HOUR,
            "series": series,
            "model_version": version,
            "collector": collector,
            "n": counted.n,
            "value_sum": counted.total,
            "value_sum_squares": counted.squares,
            "bins": counted.to_bytes(),
        }


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    made = World(tmp_path / "data", clock)
    yield made
    for store in made.opened:
        store.close()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def mark_checked(world: World, end: int) -> None:
    """Mark everything before ``end`` hours as checked, so that a test covers only the hours after it."""
    at = T + end * HOUR
    state = DriftState(model_version="1", verdict="none", at=at, persistence=PersistenceState(version="1"))
    before = world.store.read_drift_state(MODEL)
    assert world.store.update_drift(DriftUpdate(before, StateCursor(drift_cursor(MODEL), at, state)))


def test_a_persistent_drift_leads_to_one_request(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24)
    world.add_hours(9 * 24, 10 * 24 + 1, factor=1.6)

    world.run()

    verdicts = world.verdicts()
    assert len(verdicts) == 24
    assert verdicts[-6:] == ["drift"] * 6
    (request,) = world.requests
    assert (request.state, request.requested_by) == ("requested", "drift_monitor")
    reason = request.reason
    assert (reason.model_version, reason.verdict, reason.consented) == ("1", "drift", False)
    assert reason.collectors == ("rrc00",)
    assert abs(reason.change_point - (T + 9 * DAY)) <= 3 * HOUR
    check = next(check for check in world.checked if check.id == reason.check_id)
    assert request.requested_at == check.timestamp
    assert Path(reason.report_path).is_file()
    signals = {signal.signal for signal in world.store.signals_of_check(check.id)}
    assert {"24h/7d:psi", "24h/7d:ks", "volume", "growth", "lag", "accuracy"} <= signals
    assert world.state.persistence.checks >= 6
    assert not world.state.persistence.armed


def test_a_detector_without_drift_leads_to_no_request(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24 - 12)
    world.run()
    assert set(world.verdicts()) == {"none"}
    assert world.requests == []
    assert world.state.next_check_at == world.state.at + HOUR


def test_without_a_reference_the_state_names_what_is_missing_and_until_when(world: World) -> None:
    world.add_hours(0, 30)
    world.run()
    assert set(world.verdicts()) == {"not_enough_data"}
    assert "of 72 clean hours" in world.state.waiting_for
    assert "UTC at the earliest" in world.state.waiting_for
    assert "of 72 clean hours" in world.checks().status()


def test_an_empty_store_has_no_check_due(world: World) -> None:
    assert world.run() == 0
    assert "no check yet" in world.checks().status()


def test_constant_scores_are_no_drift_and_no_error(world: World) -> None:
    world.add_hours(0, 9 * 24, values=lambda _: np.full(60, 3.0))
    mark_checked(world, 9 * 24 - 6)
    world.run()
    assert set(world.verdicts()) == {"none"}


def test_hours_missed_in_an_outage_are_checked_in_order(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 8 * 24)
    world.run()
    times = [check.timestamp for check in reversed(world.checked)]
    assert times == [T + hour * HOUR for hour in range(8 * 24 + 1, 9 * 24)]


def test_the_last_hour_of_a_detector_that_stopped_is_checked(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24 - 2)
    world.add_windows(T + 9 * DAY + 5 * HOUR, 300)
    world.run()
    assert world.state.at == T + 9 * DAY


def test_a_clock_that_jumps_a_year_ahead_leads_to_no_check_of_empty_hours(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24 - 1)
    year = 365 * 24
    world.add_hours(year, year + 3)

    assert world.run() <= 5

    times = [check.timestamp for check in world.checked]
    assert len(times) <= 4
    assert max(times) >= T + (year + 1) * HOUR


def test_a_clock_that_goes_back_moves_the_schedule_back(world: World) -> None:
    year = 365 * 24
    world.add_hours(year, year + 3)
    world.run()
    world.add_hours(0, 9 * 24)
    world.add_windows(T + 9 * DAY - 200 * 60, 201)
    world.run()
    world.add_hours(9 * 24, 9 * 24 + 2)

    world.run()

    assert world.state.at == T + (9 * 24 + 1) * HOUR
    assert world.run() == 0


def test_a_version_that_changed_inside_the_window_is_checked_by_its_own_scores_only(world: World) -> None:
    """The scores of the other version are twice as large: a comparison with them would find drift."""
    world.add_hours(0, 9 * 24, version="1", factor=2.0)
    world.add_hours(9 * 24, 9 * 24 + 14, version="2")
    mark_checked(world, 9 * 24 + 12)
    world.run()
    check = world.checked[0]
    assert (check.model_version, check.verdict) == ("2", "not_enough_data")
    assert any("scored by version 1" in part.reason for part in check.details.comparisons[0].left_out)


@pytest.mark.parametrize(("earlier", "verdict"), [(False, "drift"), (True, "none")])
def test_a_young_version_takes_the_between_day_variance_from_earlier_versions(
    world: World, earlier: bool, verdict: str
) -> None:
    """Its own few days were calm: a comparison with them alone would find drift on an ordinary day."""
    usual = np.exp(np.random.default_rng(4).normal(0.0, 0.2, 26))
    if earlier:
        world.add_hours(0, 26 * 24, version="1", factor=lambda hour: 5 * float(usual[hour // 24]))
    world.rng = np.random.default_rng(7)
    world.add_hours(26 * 24, 31 * 24, version="2", factor=lambda hour: 1.0 if hour < 30 * 24 else 1.1)
    judged = world.checks().judge(MODEL, T + 31 * DAY, None)
    assert judged is not None
    assert judged.report.verdict == verdict


def test_a_collector_that_stops_is_no_drift(world: World) -> None:
    """The remaining collector always had lower scores, so that the level of both together changes."""
    both = ("rrc00", "rrc01")
    world.add_hours(0, 9 * 24, values=lambda _: world.rng.gamma(2.0, size=60), collectors=("rrc00",))
    world.add_hours(0, 8 * 24, values=lambda _: 5 * world.rng.gamma(2.0, size=60), collectors=both[1:])
    world.add_windows(T + 9 * DAY)
    mark_checked(world, 9 * 24 - 3)
    world.run()
    assert set(world.verdicts()) == {"none"}


def test_hours_of_a_closed_incident_are_excluded_and_listed(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24)
    world.add_hours(9 * 24, 10 * 24, factor=lambda hour: 6.0 if 9 * 24 + 3 <= hour < 9 * 24 + 10 else 1.0)
    world.add_incident(4, 9 * 24 + 3, 9 * 24 + 10)
    world.run()
    assert world.verdicts()[-1] == "none"
    left_out = world.checked[0].details.comparisons[0].left_out
    assert ExcludedHours(T + (9 * 24 + 3) * HOUR, 7, "current", "incident 4") in left_out


def held_world(world: World, hours: int = 30) -> None:
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24)
    world.add_hours(9 * 24, 9 * 24 + hours, factor=2.0, volume=True)


def test_a_drift_during_an_open_incident_is_held_and_leads_to_one_approval_request(world: World) -> None:
    held_world(world, 22)
    world.run()
    assert "held" in world.verdicts()
    assert world.requests == []
    (approval,) = world.approvals()
    assert (approval.subject, approval.state) == ("7", "pending")
    assert approval.requested_at >= T + (9 * 24 + 12) * HOUR
    assert approval.id == world.state.incident_hold.approval_id
    (alert,) = world.store.alerts()
    assert alert.key == "attack_or_new_normal:7"
    assert "attack or new normal?" in world.state.reason


def test_a_stable_new_level_without_an_answer_becomes_the_new_normal(world: World) -> None:
    held_world(world, 40)
    world.run()
    (request,) = world.requests
    assert request.reason.consented
    assert request.requested_at <= T + (9 * 24 + 36) * HOUR
    (approval,) = world.approvals()
    assert approval.state == "expired"
    (label,) = world.store.outcomes_between(0, 2**62)
    assert (label.incident_id, label.label, label.labelled_by) == (7, "new_normal", "bgpdrift")


def defaults(world: World) -> None:
    world.settings = Settings(data_dir=str(world.folder))


def test_a_doubled_level_leads_to_an_approval_request_at_12_h_and_a_retraining_request_within_30_h(
    world: World,
) -> None:
    """With the defaults: stable for 12 h, no answer for 12 h, 6 checks, some of which found drift while it was held."""
    defaults(world)
    held_world(world, 31)
    world.run()
    (approval,) = world.approvals()
    assert approval.requested_at <= T + (9 * 24 + 15) * HOUR
    (request,) = world.requests
    assert request.reason.consented
    assert request.requested_at <= T + (9 * 24 + 30) * HOUR
    assert abs(request.reason.change_point - (T + 9 * DAY)) <= HOUR


def test_an_approval_leads_to_a_request_as_soon_as_enough_hours_follow_the_change(world: World) -> None:
    defaults(world)
    held_world(world, 15)
    world.run()
    (approval,) = world.approvals()
    world.store.answer_approval(approval.id, "approved", "ann", approval.requested_at)
    world.run()
    (request,) = world.requests
    assert request.requested_at <= T + (9 * 24 + 15) * HOUR
    assert abs(request.reason.change_point - (T + 9 * DAY)) <= HOUR
    windows = {comparison.window for comparison in world.checked[0].details.comparisons}
    assert windows & {"12h/7d", "13h/7d", "14h/7d", "15h/7d"}


def test_an_incident_without_a_change_of_scores_leads_to_no_approval_request(world: World) -> None:
    """A hijack that only rules find must not become the new normal if the approval request has no answer."""
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24)
    world.add_hours(9 * 24, 9 * 24 + 20, volume=True)
    world.run()
    assert set(world.verdicts()) == {"none"}
    assert world.approvals() == []
    assert world.store.outcomes_between(0, 2**62) == []
    assert world.requests == []


def test_a_closed_incident_leads_to_no_approval_request(world: World) -> None:
    """A level that stays would make the detectors alarm again."""
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24, 9 * 24 + 9)
    world.add_hours(9 * 24, 9 * 24 + 15, factor=3.0, volume=True)
    world.run()
    assert world.approvals() == []


def test_the_same_drift_makes_no_second_request_while_one_is_open(world: World) -> None:
    """The cooldown does not change that; the end of the request does."""
    world.add_hours(0, 9 * 24)
    world.run()
    world.add_hours(9 * 24, 12 * 24, factor=3.0)
    world.run()
    (request,) = world.requests
    assert world.state.verdict == "drift"
    assert world.state.persistence.requested_at - request.requested_at >= 24 * HOUR
    world.store.change_retrain_request(request.id, "requested", "refused", refusal_reason="refused by the test")
    world.add_hours(12 * 24, 14 * 24, factor=3.0)
    world.run()
    assert [request.state for request in world.requests] == ["requested", "refused"]


def test_a_short_second_incident_does_not_delay_the_request(world: World) -> None:
    defaults(world)
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24)
    world.add_incident(8, 9 * 24 + 18, 9 * 24 + 20)
    burst = lambda hour: 9.0 if 18 <= hour - 9 * 24 < 20 else 2.0  # noqa: E731 - a level by the hour
    world.add_hours(9 * 24, 9 * 24 + 31, factor=burst, volume=True)
    world.run()
    (approval,) = world.approvals()
    assert (approval.subject, approval.state) == ("7", "expired")
    (request,) = world.requests
    assert request.requested_at <= T + (9 * 24 + 30) * HOUR


def test_a_leak_in_waves_for_three_days_without_an_answer_stays_an_incident(world: World) -> None:
    defaults(world)
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24)
    waves = lambda hour: 3.0 if hour // 2 % 3 == 0 else 1.0  # noqa: E731 - two hours of each six
    world.add_hours(9 * 24, 12 * 24, factor=waves, volume=True)
    world.run()
    assert world.store.approval_requests() == []
    assert world.requests == []


@pytest.mark.parametrize(
    ("answer", "label", "requested"), [("approved", "new_normal", True), ("rejected", "true_positive", False)]
)
def test_an_answer_takes_effect_at_once(world: World, answer: str, label: str, requested: bool) -> None:
    held_world(world, 22)
    world.run()
    (approval,) = world.approvals()

    world.store.answer_approval(approval.id, answer, "ann", approval.requested_at)
    world.run()

    assert [request.reason.consented for request in world.requests] == ([True] if requested else [])
    (outcome,) = world.store.outcomes_between(0, 2**62)
    assert (outcome.label, outcome.labelled_by) == (label, "ann")
    assert world.run() == 0


def test_a_label_of_the_incident_is_an_answer_even_before_the_approval_request(world: World) -> None:
    held_world(world, 10)
    world.run()
    assert world.store.approval_requests() == []
    world.store.record_outcome(
        Outcome(incident_id=7, starts_at=T + 9 * DAY, ends_at=T + 9 * DAY + HOUR, label="new_normal"), T
    )
    world.run()
    (request,) = world.requests
    assert request.reason.consented


def test_waves_lead_to_no_approval_request(world: World) -> None:
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24)
    waves = lambda hour: 3.0 if hour // 3 % 2 else 1.2  # noqa: E731 - a level by the hour
    world.add_hours(9 * 24, 9 * 24 + 40, factor=waves, volume=True)
    world.run()
    assert world.store.approval_requests() == []
    assert world.requests == []


def test_a_growing_event_leads_to_no_approval_request(world: World) -> None:
    world.add_hours(0, 9 * 24, volume=True)
    mark_checked(world, 9 * 24)
    world.add_incident(7, 9 * 24)
    world.add_hours(9 * 24, 9 * 24 + 40, factor=lambda hour: 1.1 ** (hour - 9 * 24), volume=True)
    world.run()
    assert world.store.approval_requests() == []
    assert world.requests == []


def test_a_check_is_recorded_even_if_its_report_cannot_be_written(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24)
    world.add_hours(9 * 24, 9 * 24 + 20, factor=2.0)
    (world.folder / "model_artifacts").write_text("a file where a directory belongs")
    checks = world.checks()
    world.run(checks)
    assert world.verdicts()[-1] == "drift"
    assert world.checked[0].report_path == ""
    assert len(world.requests) == 1
    assert "drift_report_lstm_" in checks.status()
    assert "was not written" in checks.status()


def test_of_two_monitors_one_records_each_check(world: World) -> None:
    """One has judged and is about to write when the other has recorded the check."""
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24)
    world.add_hours(9 * 24, 9 * 24 + 20, factor=2.0)
    slow, quick = world.checks(), world.checks(world.connect())
    while (due := slow.find_due(T + (9 * 24 + 21) * HOUR)) is not None:
        assert quick.check(due) is not None
        assert slow.check(due) is None
    assert len(world.verdicts()) == 19
    assert len(world.requests) == 1


def test_a_locked_store_delays_the_check(world: World) -> None:
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24 - 3)
    checks, other = world.checks(), world.connect()
    with other.writing(), pytest.raises(StoreBusyError):
        checks.step()
    world.run(checks)
    assert world.verdicts() == ["none", "none"]


class Killed(BaseException):
    """Acts like SIGKILL: the product does not catch it."""


def final_state(world: World) -> dict[str, Any]:
    checks = world.checked
    return {
        "checks": [(check.timestamp, check.verdict, check.severity, check.p_value) for check in checks],
        "signals": [len(world.store.signals_of_check(check.id)) for check in checks],
        "requests": [(request.requested_at, request.reason.consented) for request in world.requests],
        "approvals": [(approval.subject, approval.state) for approval in world.store.approval_requests()],
        "labels": [(outcome.incident_id, outcome.label) for outcome in world.store.outcomes_between(0, 2**62)],
        "alerts": sorted(alert.key for alert in world.store.alerts()),
        "persistence": world.state.persistence.checks,
        "at": world.state.at,
    }


@pytest.mark.timeout(600)  # about twenty runs of two checks each
@pytest.mark.parametrize("consent", [False, True], ids=["persistent drift", "no answer for a day"])
def test_a_kill_before_any_write_leads_to_the_same_final_state(tmp_path: Path, clock: FakeClock, consent: bool) -> None:
    """Killed before each write and each commit, the next monitor reaches the same state with one request."""
    seed = World(tmp_path / "data", clock, DriftSettings(persistence_checks=1, pinned_windows_h=[]))
    if consent:
        held_world(seed, 12)
        mark_checked(seed, 9 * 24 + 11)
        seed.run()
        seed.add_hours(9 * 24 + 12, 9 * 24 + 14, factor=2.0, volume=True)
        seed.run()
        seed.add_hours(9 * 24 + 14, 9 * 24 + 27, factor=2.0, volume=True)
        state = replace(seed.state, at=T + (9 * 24 + 25) * HOUR)
        before = seed.store.read_drift_state(MODEL)
        seed.store.update_drift(DriftUpdate(before, StateCursor(drift_cursor(MODEL), state.at, state)))
    else:
        seed.add_hours(0, 9 * 24)
        mark_checked(seed, 9 * 24 + 14)
        seed.add_hours(9 * 24, 9 * 24 + 16, factor=2.0)
    seed.store.close()

    def lived(kill_at: int) -> tuple[dict[str, Any], bool]:
        folder = tmp_path / f"run{kill_at}"
        shutil.copytree(seed.folder, folder)
        made, count = World(folder, clock, seed.drift), 0

        def die(*arguments: Any) -> None:
            nonlocal count
            statement = str(arguments[2]) if len(arguments) > 2 else "COMMIT"
            count += statement.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT", "BEGIN IMMEDIATE"))
            if count == kill_at:
                raise Killed

        victim, finished = made.connect(), True
        event.listen(victim._engine, "before_cursor_execute", die)
        event.listen(victim._engine, "commit", die)
        try:
            made.run(made.checks(victim))
        except Killed:
            finished = False
            made.run(made.checks(made.connect()))
        found = final_state(made)
        for store in made.opened:
            store.close()
        return found, finished

    expected, _ = lived(0)
    assert len(expected["requests"]) == 1
    assert expected["requests"][0][1] is consent
    kills = 1
    while True:
        found, finished = lived(kills)
        assert found == expected
        if finished:
            break
        kills += 1
    assert kills > 8


def test_the_policy_of_the_settings_is_applied_once(world: World) -> None:
    """The rule includes the policy; the monitor records the verdict of the rule unchanged."""
    world.add_hours(0, 9 * 24)
    mark_checked(world, 9 * 24 - 3)
    calls = []

    def decide(comparisons: Any, **options: Any) -> DriftReport:
        calls.append(options["settings"].policy)
        return dataclasses.replace(
            rule.decide(comparisons, **options), verdict="immaterial", reason="decided by the test"
        )

    world.settings = Settings(data_dir=str(world.folder), drift=replace(world.drift, policy="psi"))
    world.run(DriftChecks(world.settings, world.store, world.clock, decide))

    assert calls == ["psi"] * 2
    assert [(check.verdict, check.details.reason) for check in world.checked] == [
        ("immaterial", "decided by the test")
    ] * 2


def test_the_memory_of_a_check_grows_for_35_days_and_no_longer(world: World) -> None:
    """A check reads 35 days of scores; what it keeps for the next one does not grow with the days."""

    def measure() -> tuple[float, float]:
        checks = world.checks()
        checks.judge_newest(MODEL)  # caches and imports
        gc.collect()
        tracemalloc.start()
        assert checks.judge_newest(MODEL) is not None
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return kept / 1e6, peak / 1e6

    world.add_hours(0, 35 * 24)
    _, peak_at_35 = measure()
    world.add_hours(35 * 24, 60 * 24)
    kept, peak = measure()

    assert peak < 1.2 * peak_at_35
    assert kept < 1.0
