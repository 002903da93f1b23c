"""Drift checks as the monitor does them: due in event time, recorded once, held by incidents, asked once, never stopped."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from bgpdrift.clock import FakeClock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.hours import bins_of
from bgpdrift.errors import StoreBusyError
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.settings import Settings
from bgpdrift.settings_sections import DriftSettings
from bgpdrift.store import Cursor, IncidentChanges, Store, migrate, open_store
from bgpdrift.store.legacy import DriftWrite

HOUR, DAY = 3_600, 86_400
T = 19_000 * DAY
MODEL = "lstm"


@dataclass
class World:
    """Scores of one detector, put into the store as hours; time goes on as hours are added."""

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

    def live(
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
        """Hours ``first`` to ``end`` (exclusive) since the beginning, 60 scores each."""
        rows = []
        for hour in range(first, end):
            for collector in collectors:
                times = factor(hour) if callable(factor) else factor
                found = self.rng.gamma(2.0, size=60) * times if values is None else np.asarray(values(hour), float)
                rows.append(self._row(f"score:{MODEL}", version, collector, hour, found))
                if volume:
                    rows.append(self._row("feature:announced", "", collector, hour, 100 * found.mean() + 0 * found))
        self.store.upsert_histograms(rows, None)
        self.window(T + end * HOUR)

    def window(self, at: int, number: int = 1) -> None:
        """Windows that say how late it is."""
        self.store.write_windows(
            [{"window_start": at + 60 * i, "collector": "rrc00", "peer": ""} for i in range(number)], None
        )

    def incident(self, number: int, first: float, end: float | None = None) -> None:
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
            assert steps < 500, "it never comes to rest"
        return steps

    @property
    def state(self) -> dict[str, Any]:
        cursor = self.store.read_cursor(f"drift:{MODEL}")
        return dict(cursor.details) if cursor else {}

    @property
    def wishes(self) -> list[dict[str, Any]]:
        return self.store.triggers(MODEL)

    def verdicts(self) -> list[str]:
        return [row["verdict"] for row in reversed(self.store.drift_checks(MODEL))]

    def _row(self, series: str, version: str, collector: str, hour: int, found: Any) -> dict[str, Any]:
        bins, counts = np.unique(bins_of(found), return_counts=True)
        counted = Histogram(
            dict(zip(bins.tolist(), counts.tolist(), strict=True)), float(found.sum()), float(found @ found)
        )
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


def at_rest(world: World, end: int) -> None:
    """Mark everything before ``end`` hours as checked, so that a test looks at what comes next."""
    details = {"verdict": "none", "severity": "none", "at": T + end * HOUR, "lasting_version": "1"}
    before = world.store.read_cursor(f"drift:{MODEL}")
    assert world.store.record_drift(DriftWrite(before, Cursor(f"drift:{MODEL}", T + end * HOUR, details)))


def test_a_drift_that_lasts_becomes_one_wish(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24)
    world.live(9 * 24, 10 * 24 + 1, factor=1.6)

    world.run()

    verdicts = world.verdicts()
    assert len(verdicts) == 24
    assert verdicts[-6:] == ["drift"] * 6
    (wish,) = world.wishes
    assert (wish["state"], wish["requested_by"]) == ("requested", "drift_monitor")
    reason = wish["reason"]
    assert (reason["version"], reason["verdict"], reason["consented"]) == ("1", "drift", False)
    assert reason["collectors"] == ["rrc00"]
    assert abs(reason["change_point"] - (T + 9 * DAY)) <= 3 * HOUR
    check = next(row for row in world.store.drift_checks(MODEL) if row["id"] == reason["check_id"])
    assert wish["requested_at"] == check["timestamp"]
    assert Path(reason["report_path"]).is_file()
    signals = {row["signal"] for row in world.store.drift_signals(check["id"])}
    assert {"24h/7d:psi", "24h/7d:ks", "volume", "growth", "lag", "accuracy"} <= signals
    assert world.state["lasting"] >= 6
    assert not world.state["armed"]


def test_a_calm_detector_is_left_alone(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24 - 12)
    world.run()
    assert set(world.verdicts()) == {"none"}
    assert world.wishes == []
    assert world.state["next_check_at"] == world.state["at"] + HOUR


def test_without_a_baseline_it_says_what_is_missing_and_until_when(world: World) -> None:
    world.live(0, 30)
    world.run()
    assert set(world.verdicts()) == {"not_enough_data"}
    assert "72 are needed" in world.state["waiting_for"]
    assert "not before 20" in world.state["waiting_for"]
    assert "72 are needed" in world.checks().status()


def test_an_empty_store_is_nothing_to_check(world: World) -> None:
    assert world.run() == 0
    assert "no check yet" in world.checks().status()


def test_scores_that_are_all_one_value_neither_drift_nor_stop_it(world: World) -> None:
    world.live(0, 9 * 24, values=lambda _: np.full(60, 3.0))
    at_rest(world, 9 * 24 - 6)
    world.run()
    assert set(world.verdicts()) == {"none"}


def test_hours_missed_in_an_outage_are_checked_in_order(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 8 * 24)
    world.run()
    times = [row["timestamp"] for row in reversed(world.store.drift_checks(MODEL))]
    assert times == [T + hour * HOUR for hour in range(8 * 24 + 1, 9 * 24)]


def test_a_detector_that_fell_silent_gets_its_last_hour_judged(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24 - 2)
    world.window(T + 9 * DAY + 5 * HOUR, 300)
    world.run()
    assert world.state["at"] == T + 9 * DAY


def test_a_clock_that_jumps_a_year_ahead_checks_no_empty_hours(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24 - 1)
    year = 365 * 24
    world.live(year, year + 3)

    assert world.run() <= 5

    times = [row["timestamp"] for row in world.store.drift_checks(MODEL)]
    assert len(times) <= 4
    assert max(times) >= T + (year + 1) * HOUR


def test_a_clock_that_goes_back_is_followed(world: World) -> None:
    year = 365 * 24
    world.live(year, year + 3)
    world.run()
    world.live(0, 9 * 24)
    world.window(T + 9 * DAY - 200 * 60, 201)
    world.run()
    world.live(9 * 24, 9 * 24 + 2)

    world.run()

    assert world.state["at"] == T + (9 * 24 + 1) * HOUR
    assert world.run() == 0


def test_a_version_that_changed_inside_the_window_is_judged_by_its_own_scores_alone(world: World) -> None:
    """The other version's scores are twice as large: were they compared, it would look like drift."""
    world.live(0, 9 * 24, version="1", factor=2.0)
    world.live(9 * 24, 9 * 24 + 14, version="2")
    at_rest(world, 9 * 24 + 12)
    world.run()
    row = world.store.drift_checks(MODEL)[0]
    assert (row["model_version"], row["verdict"]) == ("2", "not_enough_data")
    left_out = row["details"]["comparisons"][0]["left_out"]
    assert any("scored by version 1" in reason for _, _, _, reason in left_out)


@pytest.mark.parametrize(("earlier", "verdict"), [(False, "drift"), (True, "none")])
def test_a_young_version_learns_from_those_before_it_how_much_days_differ(
    world: World, earlier: bool, verdict: str
) -> None:
    """Its own few days were calm: without the others an ordinary day would look like drift."""
    usual = np.exp(np.random.default_rng(4).normal(0.0, 0.2, 26))
    if earlier:
        world.live(0, 26 * 24, version="1", factor=lambda hour: 5 * float(usual[hour // 24]))
    world.rng = np.random.default_rng(7)
    world.live(26 * 24, 31 * 24, version="2", factor=lambda hour: 1.0 if hour < 30 * 24 else 1.1)
    judged = world.checks().judge(MODEL, T + 31 * DAY, None)
    assert judged is not None
    assert judged.report.verdict == verdict


def test_a_collector_that_falls_silent_is_no_drift(world: World) -> None:
    """The one that goes on always scored lower: pooled, the level would have changed."""
    both = ("rrc00", "rrc01")
    world.live(0, 9 * 24, values=lambda _: world.rng.gamma(2.0, size=60), collectors=("rrc00",))
    world.live(0, 8 * 24, values=lambda _: 5 * world.rng.gamma(2.0, size=60), collectors=both[1:])
    world.window(T + 9 * DAY)
    at_rest(world, 9 * 24 - 3)
    world.run()
    assert set(world.verdicts()) == {"none"}


def test_hours_of_a_closed_incident_take_no_part_and_are_said(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24)
    world.live(9 * 24, 10 * 24, factor=lambda hour: 6.0 if 9 * 24 + 3 <= hour < 9 * 24 + 10 else 1.0)
    world.incident(4, 9 * 24 + 3, 9 * 24 + 10)
    world.run()
    assert world.verdicts()[-1] == "none"
    left_out = world.store.drift_checks(MODEL)[0]["details"]["comparisons"][0]["left_out"]
    assert [T + (9 * 24 + 3) * HOUR, 7, "current", "incident 4"] in left_out


def held_world(world: World, hours: int = 30) -> None:
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24)
    world.live(9 * 24, 9 * 24 + hours, factor=2.0, volume=True)


def test_a_drift_while_an_incident_is_open_is_held_and_asked_about_once(world: World) -> None:
    held_world(world, 22)
    world.run()
    assert "held" in world.verdicts()
    assert world.wishes == []
    (asked,) = world.store.approvals(kind="attack_or_new_normal")
    assert (asked["subject"], asked["state"]) == ("7", "pending")
    assert asked["asked_at"] >= T + (9 * 24 + 12) * HOUR
    assert asked["id"] == world.state["holding"]["question_id"]
    (notice,) = world.store.notifications()
    assert notice["key"] == "attack_or_new_normal:7"
    assert "Attack or new normal?" in world.state["reason"]


def test_silence_makes_a_steady_new_level_the_new_normal(world: World) -> None:
    held_world(world, 40)
    world.run()
    (wish,) = world.wishes
    assert wish["reason"]["consented"]
    assert wish["requested_at"] <= T + (9 * 24 + 36) * HOUR
    (asked,) = world.store.approvals(kind="attack_or_new_normal")
    assert asked["state"] == "expired"
    (label,) = world.store.outcomes_between(0, 2**62)
    assert (label["incident_id"], label["label"], label["labelled_by"]) == (7, "new_normal", "bgpdrift")


def defaults(world: World) -> None:
    world.settings = Settings(data_dir=str(world.folder))


def test_a_doubled_level_is_asked_about_at_12_h_and_wished_for_within_30(world: World) -> None:
    """With the defaults: 12 h of assess_stability, 12 h of silence, 6 checks, some of which said drift while it was held."""
    defaults(world)
    held_world(world, 31)
    world.run()
    (asked,) = world.store.approvals(kind="attack_or_new_normal")
    assert asked["asked_at"] <= T + (9 * 24 + 15) * HOUR
    (wish,) = world.wishes
    assert wish["reason"]["consented"]
    assert wish["requested_at"] <= T + (9 * 24 + 30) * HOUR
    assert abs(wish["reason"]["change_point"] - (T + 9 * DAY)) <= HOUR


def test_an_approval_becomes_a_wish_as_soon_as_the_hours_since_the_change_are_enough(world: World) -> None:
    defaults(world)
    held_world(world, 15)
    world.run()
    (asked,) = world.store.approvals(kind="attack_or_new_normal")
    world.store.answer_approval(asked["id"], "approved", "ann", asked["asked_at"])
    world.run()
    (wish,) = world.wishes
    assert wish["requested_at"] <= T + (9 * 24 + 15) * HOUR
    assert abs(wish["reason"]["change_point"] - (T + 9 * DAY)) <= HOUR
    windows = {short["window"] for short in world.store.drift_checks(MODEL)[0]["details"]["comparisons"]}
    assert windows & {"12h/7d", "13h/7d", "14h/7d", "15h/7d"}


def test_an_incident_that_scores_do_not_show_is_not_asked_about(world: World) -> None:
    """There is nothing to learn from it, and silence must not call a hijack, that only rules see, the new normal."""
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24)
    world.live(9 * 24, 9 * 24 + 20, volume=True)
    world.run()
    assert set(world.verdicts()) == {"none"}
    assert world.store.approvals(kind="attack_or_new_normal") == []
    assert world.store.outcomes_between(0, 2**62) == []
    assert world.wishes == []


def test_one_incident_that_is_over_is_not_asked_about(world: World) -> None:
    """However long it was: a level that stays makes detectors alarm again and again."""
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24, 9 * 24 + 9)
    world.live(9 * 24, 9 * 24 + 15, factor=3.0, volume=True)
    world.run()
    assert world.store.approvals(kind="attack_or_new_normal") == []


def test_while_a_wish_waits_the_same_drift_makes_no_other(world: World) -> None:
    """Not even after the cooldown; but one that somebody agreed to does."""
    world.live(0, 9 * 24)
    world.run()
    world.live(9 * 24, 12 * 24, factor=3.0)
    world.run()
    (wish,) = world.wishes
    assert world.state["verdict"] == "drift"
    assert world.state["wished_at"] - wish["requested_at"] >= 24 * HOUR
    world.store.change_trigger(wish["id"], "requested", "refused", refused_because="a test says so")
    world.live(12 * 24, 14 * 24, factor=3.0)
    world.run()
    assert [one["state"] for one in world.wishes] == ["requested", "refused"]


def test_a_short_incident_in_the_wait_costs_no_time(world: World) -> None:
    defaults(world)
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24)
    world.incident(8, 9 * 24 + 18, 9 * 24 + 20)
    burst = lambda hour: 9.0 if 18 <= hour - 9 * 24 < 20 else 2.0  # noqa: E731 - a level by the hour
    world.live(9 * 24, 9 * 24 + 31, factor=burst, volume=True)
    world.run()
    (asked,) = world.store.approvals(kind="attack_or_new_normal")
    assert (asked["subject"], asked["state"]) == ("7", "expired")
    (wish,) = world.wishes
    assert wish["requested_at"] <= T + (9 * 24 + 30) * HOUR


def test_a_leak_in_waves_for_three_days_that_nobody_answers_stays_an_incident(world: World) -> None:
    defaults(world)
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24)
    waves = lambda hour: 3.0 if hour // 2 % 3 == 0 else 1.0  # noqa: E731 - two hours of each six
    world.live(9 * 24, 12 * 24, factor=waves, volume=True)
    world.run()
    assert world.store.approvals() == []
    assert world.wishes == []


@pytest.mark.parametrize(
    ("answer", "label", "wished"), [("approved", "new_normal", True), ("rejected", "true_positive", False)]
)
def test_an_answer_is_acted_on_at_once(world: World, answer: str, label: str, wished: bool) -> None:
    held_world(world, 22)
    world.run()
    (asked,) = world.store.approvals(kind="attack_or_new_normal")

    world.store.answer_approval(asked["id"], answer, "ann", asked["asked_at"])
    world.run()

    assert [wish["reason"]["consented"] for wish in world.wishes] == ([True] if wished else [])
    (row,) = world.store.outcomes_between(0, 2**62)
    assert (row["label"], row["labelled_by"]) == (label, "ann")
    assert world.run() == 0


def test_a_label_of_the_incident_answers_too_even_before_the_question(world: World) -> None:
    held_world(world, 10)
    world.run()
    assert world.store.approvals() == []
    world.store.record_outcome(
        {"incident_id": 7, "starts_at": T + 9 * DAY, "ends_at": T + 9 * DAY + HOUR, "label": "new_normal"}, T
    )
    world.run()
    (wish,) = world.wishes
    assert wish["reason"]["consented"]


def test_waves_are_never_asked_about(world: World) -> None:
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24)
    waves = lambda hour: 3.0 if hour // 3 % 2 else 1.2  # noqa: E731 - a level by the hour
    world.live(9 * 24, 9 * 24 + 40, factor=waves, volume=True)
    world.run()
    assert world.store.approvals() == []
    assert world.wishes == []


def test_a_growing_event_is_never_asked_about(world: World) -> None:
    world.live(0, 9 * 24, volume=True)
    at_rest(world, 9 * 24)
    world.incident(7, 9 * 24)
    world.live(9 * 24, 9 * 24 + 40, factor=lambda hour: 1.1 ** (hour - 9 * 24), volume=True)
    world.run()
    assert world.store.approvals() == []
    assert world.wishes == []


def test_a_report_that_cannot_be_written_does_not_cost_the_check(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24)
    world.live(9 * 24, 9 * 24 + 20, factor=2.0)
    (world.folder / "model_artifacts").write_text("a file where a directory belongs")
    checks = world.checks()
    world.run(checks)
    assert world.verdicts()[-1] == "drift"
    assert world.store.drift_checks(MODEL)[0]["report_path"] == ""
    assert len(world.wishes) == 1
    assert "no report drift_report_lstm_" in checks.status()


def test_two_monitors_do_one_set_of_actions(world: World) -> None:
    """One has judged and is about to write when the other has done it all."""
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24)
    world.live(9 * 24, 9 * 24 + 20, factor=2.0)
    slow, quick = world.checks(), world.checks(world.connect())
    while (found := slow.next_due(T + (9 * 24 + 21) * HOUR)) is not None:
        model, at, cursor = found
        assert quick.check(model, at, cursor) is not None
        assert slow.check(model, at, cursor) is None
    assert len(world.verdicts()) == 19
    assert len(world.wishes) == 1


def test_a_store_that_is_locked_for_a_while_is_waited_for(world: World) -> None:
    world.live(0, 9 * 24)
    at_rest(world, 9 * 24 - 3)
    checks, other = world.checks(), world.connect()
    with other.writing(), pytest.raises(StoreBusyError):
        checks.step()
    world.run(checks)
    assert world.verdicts() == ["none", "none"]


class Killed(BaseException):
    """As abrupt as SIGKILL: nothing in the product catches it."""


def final_state(world: World) -> dict[str, Any]:
    rows = world.store.drift_checks(MODEL)
    return {
        "checks": [(row["timestamp"], row["verdict"], row["severity"], row["p_value"]) for row in rows],
        "signals": [len(world.store.drift_signals(row["id"])) for row in rows],
        "wishes": [(wish["requested_at"], wish["reason"]["consented"]) for wish in world.wishes],
        "asked": [(row["subject"], row["state"]) for row in world.store.approvals()],
        "labels": [(row["incident_id"], row["label"]) for row in world.store.outcomes_between(0, 2**62)],
        "notices": sorted(row["key"] for row in world.store.notifications()),
        "lasting": world.state["lasting"],
        "state": world.state["at"],
    }


@pytest.mark.timeout(600)  # some twenty lives, each of two checks
@pytest.mark.parametrize("consent", [False, True], ids=["drift that lasted", "silence of a day"])
def test_killed_before_any_write_it_ends_in_the_same_state(tmp_path: Path, clock: FakeClock, consent: bool) -> None:
    """Before each statement that writes and before each commit; what comes of it is the same, with one wish."""
    seed = World(tmp_path / "data", clock, DriftSettings(persistence_checks=1, pinned_windows_h=[]))
    if consent:
        held_world(seed, 12)
        at_rest(seed, 9 * 24 + 11)
        seed.run()
        seed.live(9 * 24 + 12, 9 * 24 + 14, factor=2.0, volume=True)
        seed.run()
        seed.live(9 * 24 + 14, 9 * 24 + 27, factor=2.0, volume=True)
        state = {**seed.state, "at": T + (9 * 24 + 25) * HOUR}
        before = seed.store.read_cursor(f"drift:{MODEL}")
        seed.store.record_drift(DriftWrite(before, Cursor(f"drift:{MODEL}", state["at"], state)))
    else:
        seed.live(0, 9 * 24)
        at_rest(seed, 9 * 24 + 14)
        seed.live(9 * 24, 9 * 24 + 16, factor=2.0)
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
    assert len(expected["wishes"]) == 1
    assert expected["wishes"][0][1] is consent
    kills = 1
    while True:
        found, finished = lived(kills)
        assert found == expected
        if finished:
            break
        kills += 1
    assert kills > 8
