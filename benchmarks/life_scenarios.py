"""The simulated lives: the worlds, the actions of people in them, and the limits that each life must keep.

Every life begins with five calm days. Then the three models are trained with the commands of an operator. Ordinary incidents
follow, and from `CHANGE_D` on the change that the scenario tests. `simulated_life` runs the lives.
"""

import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.life_system import Life
from benchmarks.life_world import DAY_S, HOUR_S, World
from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.bad_model import Fault, force_bad_model
from bgpdrift.lab.demo.timeline import Timeline
from bgpdrift.lab.evaluation.stored_quality import ENSEMBLE, stored_quality
from bgpdrift.lab.simulation.scenario import INCIDENT_KINDS, Incident, Regime, Scenario
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.paths import current_path
from bgpdrift.verdicts.quality import Figures

TRAIN_D, CHANGE_D = 5, 8
"""Days until the models are trained, and until the change that the scenario tests."""
SOON_D, ATTACK_D = 4, 5
"""The same for an attack, which needs no comparison of quality."""
RATE, PREFIXES, PEERS, COLLECTORS = 80.0, 1_200, 8, ("rrc00",)
AUC_LOSS = 0.02
NEW_NORMAL_H, ANSWERED_H = 30.0, 12.0
FLAGS_A_MONTH = 0.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One limit and the value found.

    Attributes
    ----------
    what : str
        The figure and its limit, as text.
    value : float or str or None
        The value found; None if the event did not occur.
    passed : bool
        Whether the value keeps the limit.
    """

    what: str
    value: float | str | None
    passed: bool


@dataclass
class Lived:
    """A life during and after its run: the scenario acts on it every hour and is evaluated from it at the end."""

    life: Life
    timeline: Timeline
    world: World
    notes: dict[str, object] = field(default_factory=dict)

    def day(self, days: float) -> int:
        """Return the event time of a day."""
        return self.world.start + round(days * DAY_S)

    def since(self, at: int | None, days: float) -> float | None:
        """Return the hours from a day to an event time."""
        return None if at is None else (at - self.day(days)) / HOUR_S

    def figures(self, begin_d: float, end_d: float) -> dict[str, Figures]:
        """Return the quality between two days."""
        truth = self.world.truth.incidents
        return stored_quality(self.life.store, truth, self.day(begin_d), self.day(end_d), MODELS)

    def active_versions(self) -> dict[str, str]:
        """Return the version of each model in the current files."""
        folder = self.life.settings.artifacts_path
        paths = {model: current_path(folder, model) for model in MODELS}
        return {model: artifacts.read(path, model).version for model, path in paths.items() if path.exists()}


Act = Callable[[Lived, int], None]
Judge = Callable[[Lived], list[Bar]]


@dataclass(frozen=True)
class LifeScenario:
    """The definition of a life.

    Attributes
    ----------
    what : str
        One line.
    scenario : Scenario
        The world.
    judge : callable
        Returns the bars at the end.
    act : callable
        Actions of a person; called every hour of event time.
    changes : mapping
        Settings by environment variable without ``BGPDRIFT_``.
    train_d : float
        Day on which the models are trained.
    """

    what: str
    scenario: Scenario
    judge: Judge
    act: Act | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    train_d: float = TRAIN_D


def ordinary_incidents(begin_d: float, every_h: float, count: int, seed: int) -> tuple[Incident, ...]:
    """Return incidents of every kind in turn, with the default strength, half an hour to an hour long.

    Examples
    --------
    >>> [incident.kind for incident in ordinary_incidents(7, 12, 4, seed=1)]
    ['worm', 'leak', 'hijack', 'subprefix']
    """
    rng, kinds = random.Random(f"ordinary/{seed}"), list(INCIDENT_KINDS)
    found = []
    for number in range(count):
        # Somewhere in the middle of its slot, on a whole minute.
        at_s = (begin_d * DAY_S + (number + 0.25 + 0.4 * rng.random()) * every_h * HOUR_S) // 60 * 60
        kind = kinds[number % len(kinds)]
        found.append(Incident(kind, at_s, 60.0 * rng.randrange(30, 61), collector=_at(kind)))
    return tuple(found)


def _at(kind: str) -> str:
    return COLLECTORS[0] if kind == "silence" else ""


def world(
    days: float, incidents: tuple[Incident, ...] = (), regimes: tuple[Regime, ...] = (), seed: int = 1
) -> Scenario:
    """Return the world of a life. It is small, so that a month is simulated in minutes."""
    return Scenario(
        duration_s=days * DAY_S,
        seed=seed,
        collectors=COLLECTORS,
        peers=PEERS,
        prefixes=PREFIXES,
        rate=RATE,
        table_at_start=True,
        incidents=incidents,
        regimes=regimes,
    )


# A month without drift.


def calm_month() -> LifeScenario:
    """Thirty days after training, with an incident every day and a half and no drift."""
    begin, end = TRAIN_D, TRAIN_D + 30

    def judge(lived: Lived) -> list[Bar]:
        requests = [row for row in lived.life.store.retrain_requests() if row.requested_by == "drift_monitor"]
        held = [row for row in requests if _during_incident(lived, row.requested_at)]
        checks = lived.timeline.select("check", state="incident")
        figures = lived.figures(begin, end)
        return [
            Bar("flags in 30 days without drift", len(requests), len(requests) <= FLAGS_A_MONTH),
            Bar("flags during an incident or in the day after it", len(held), not held),
            Bar("checks whose verdict became `incident`", len(checks), True),
            *_figure_bars("the month", figures),
        ]

    incidents = ordinary_incidents(begin, 36.0, 20, seed=1)
    return LifeScenario("30 days with ordinary incidents and without drift", world(end, incidents), judge)


def _during_incident(lived: Lived, at: int) -> bool:
    return any(one.start <= at < one.end + DAY_S for one in lived.world.truth.incidents)


# Regimes: persistent changes.

WAVE_S = 2_700.0
ACCEPTED_D = 3.5
"""Days after a change until which the new models must be accepted; then the quality is measured again."""
AFTER_D = CHANGE_D + ACCEPTED_D
END_D = AFTER_D + CHANGE_D - TRAIN_D
SEEN_TWICE = tuple(
    Incident(
        kind,
        at_s=(TRAIN_D + 0.4) * DAY_S + number * 8.5 * HOUR_S,
        duration_s=(AFTER_D - TRAIN_D) * DAY_S + WAVE_S,
        level=level,
        share=share,
        prefixes=prefixes,
        collector=_at(kind),
        every_s=(AFTER_D - TRAIN_D) * DAY_S,
        wave_s=WAVE_S,
    )
    for number, (kind, level, share, prefixes) in enumerate(
        (
            ("worm", 10.0, 0.0, 0),
            ("leak", 0.0, 0.4, 0),
            ("silence", 0.0, 0.0, 0),
            ("flapping", 3.0, 0.0, 6),
            ("worm", 4.0, 0.0, 0),
            ("leak", 0.0, 0.25, 0),
            ("flapping", 3.0, 0.0, 3),
        )
    )
)
"""Incidents of default and of lower strength before the change, and the same ones after it, so that a difference of quality comes
from the change. There are no hijacks, because the detectors know their origins the second time, with or without a change."""


def regime(what: str, change: Regime | None, answers: str = "", bar_h: float = NEW_NORMAL_H) -> LifeScenario:
    """Return a life with a persistent change on day 8; ``answers`` is the answer of a person, "" for no answer."""

    def act(lived: Lived, now: int) -> None:
        if answers:
            for row in lived.life.store.approval_requests(state="pending"):
                result = run_cli("approve" if answers == "approve" else "reject", str(row.id))
                lived.notes.setdefault("answered_at", now)
                if result.returncode != 0:
                    raise RuntimeError(f"{answers} {row.id}: {result.stderr}")

    def judge(lived: Lived) -> list[Bar]:
        timeline, begin = lived.timeline, lived.day(CHANGE_D)
        drift = next((c for c in timeline.select("check", since=begin) if c.state.startswith("drift")), None)
        request = timeline.first("request", since=begin)
        promoted = timeline.select("version", state="active", since=begin)
        accepted = timeline.select("version", state="accepted", since=begin)
        back = timeline.select("version", state="rolled_back", since=begin)
        first = min((v.at for v in promoted), default=None)
        last = max((v.at for v in accepted), default=None)
        trained_h, accepted_h = lived.since(first, CHANGE_D), lived.since(last, CHANGE_D)
        before, after = lived.figures(TRAIN_D, CHANGE_D), lived.figures(AFTER_D, END_D)
        between = lived.figures(CHANGE_D, CHANGE_D + 1.0)
        bars = [
            Bar("drift found, h after the change", lived.since(drift.at if drift else None, CHANGE_D), drift is not None),
            Bar("retraining request, h", lived.since(request.at if request else None, CHANGE_D), request is not None),
            Bar(f"first new model active, h (at most {bar_h:g} and the time to collect a day of data)", trained_h,
                trained_h is not None and trained_h <= bar_h + 12.0),
            Bar("last probation accepted, h", accepted_h, accepted_h is not None and accepted_h <= ACCEPTED_D * 24),
            Bar("versions rolled back", len(back), not back),
            Bar("anomalous minutes a day just after the change", between[ENSEMBLE].alarmed_minutes, True),
        ]  # fmt: skip
        if "answered_at" in lived.notes:
            bars.append(
                Bar("approval request answered, h", lived.since(int(str(lived.notes["answered_at"])), CHANGE_D), True)
            )
        loss = (before[ENSEMBLE].auc or 0.0) - (after[ENSEMBLE].auc or 0.0)
        bars.append(Bar("AUC of the ensemble lost, before → after", round(loss, 4), loss <= AUC_LOSS))
        bars += [*_figure_bars("before", before), *_figure_bars("after", after)]
        return bars

    return LifeScenario(what, world(END_D, SEEN_TWICE, () if change is None else (change,)), judge, act)


def doubled() -> LifeScenario:
    """Return a life with twice the traffic from day 8 on, without answers. No detector alarms on it."""
    lived_by = regime("", Regime("level", 2.0, CHANGE_D * DAY_S))

    def judge(lived: Lived) -> list[Bar]:
        begin, end = lived.day(CHANGE_D), lived.world.end
        truth = lived.world.truth.incidents
        found = [row for row in lived.life.store.incidents_between(begin, end) if row["merged_into"] is None]
        false = [
            row for row in found if not any(t.start <= row["last_seen_at"] and row["started_at"] < t.end for t in truth)
        ]
        asked = lived.timeline.select("approval", state="pending", since=begin)
        requests = [row for row in lived.life.store.retrain_requests() if row.requested_at >= begin]
        before, after = lived.figures(TRAIN_D, CHANGE_D), lived.figures(AFTER_D, END_D)
        loss = (before[ENSEMBLE].auc or 0.0) - (after[ENSEMBLE].auc or 0.0)
        return [
            Bar("false incidents after the change", len(false), not false),
            Bar("anomalous minutes in the day after it", lived.figures(CHANGE_D, CHANGE_D + 1.0)[ENSEMBLE].alarmed_minutes,
                not lived.figures(CHANGE_D, CHANGE_D + 1.0)[ENSEMBLE].alarmed_minutes),
            Bar("approval requests", len(asked), len(asked) <= len(requests)),
            Bar("retraining requests", len(requests), True),
            Bar("AUC of the ensemble lost, before → after", round(loss, 4), loss <= AUC_LOSS),
            *_figure_bars("before", before),
            *_figure_bars("after", after),
        ]  # fmt: skip

    return LifeScenario("traffic doubles, and no detector alarms on it", lived_by.scenario, judge)


# Attacks: they must not be learned, however long they last.


def three_day_leak() -> LifeScenario:
    """Return a life with a leak in waves for three days, without answers."""
    leak = Incident("leak", ATTACK_D * DAY_S, 3 * DAY_S, share=0.4, every_s=3 * HOUR_S, wave_s=2 * HOUR_S)

    def judge(lived: Lived) -> list[Bar]:
        begin = lived.day(ATTACK_D)
        new = lived.timeline.select("version", state="active", since=begin)
        requests = [row for row in lived.life.store.retrain_requests() if row.requested_at >= begin]
        found = [
            row
            for row in lived.life.store.incidents_between(begin, lived.day(ATTACK_D + 3))
            if row["merged_into"] is None
        ]
        longest = max((row["last_seen_at"] - row["started_at"] for row in found), default=0)
        labels = lived.life.store.outcomes_between(begin, lived.world.end)
        return [
            Bar("incidents opened for it", len(found), bool(found)),
            Bar("longest of them, h", round(longest / HOUR_S, 1), True),
            Bar("approval requests", len(lived.timeline.select("approval", state="pending", since=begin)), True),
            Bar("learned as the new normal", len(labels), not labels),
            Bar("retraining requests", len(requests), not requests),
            Bar("models trained", len(new), not new),
        ]

    return LifeScenario(
        "a leak in waves for three days, without answers", world(ATTACK_D + 4.0, (leak,)), judge, train_d=SOON_D
    )


def poisoned_history() -> LifeScenario:
    """Return a life with storms every two hours for two days, labelled as false alarms, and a training on them."""
    waves = Incident("worm", ATTACK_D * DAY_S, 2 * DAY_S, level=12.0, every_s=2 * HOUR_S, wave_s=2400.0)

    def act(lived: Lived, now: int) -> None:
        store = lived.life.store
        labelled = {outcome.incident_id for outcome in store.outcomes_between(0, 2**62)}
        for row in store.incidents_between(lived.day(ATTACK_D), now):
            if row["state"] == "closed" and row["merged_into"] is None and row["id"] not in labelled:
                run_cli("label", str(row["id"]), "false_positive", "--by", "mallory")
        if now == lived.day(ATTACK_D + 2):
            lived.notes["before"] = lived.active_versions()
            lived.notes["outcomes"] = lived.life.train(MODELS, "--days", "2")

    def judge(lived: Lived) -> list[Bar]:
        outcomes = lived.notes["outcomes"]
        assert isinstance(outcomes, dict)
        bars = [
            Bar(f"{model} trained on it", f"{out['outcome']}: {out['reason']}", out["outcome"] == "rejected")
            for model, out in outcomes.items()
        ]
        return [*bars, Bar("active versions unchanged", "", lived.active_versions() == lived.notes["before"])]

    return LifeScenario(
        "a poisoned history whose candidates must be rejected",
        world(ATTACK_D + 2.25, (waves,)),
        judge,
        act,
        train_d=SOON_D,
    )


def bad_model(fault: Fault, model: str = "lstm") -> LifeScenario:
    """Return a life in which a model that never or always alarms is published without the gate on day 5."""
    forced_d = 5.0

    def act(lived: Lived, now: int) -> None:
        life = lived.life
        if now == lived.day(forced_d):
            lived.notes["before"] = lived.active_versions()[model]
            lived.notes["bad"] = force_bad_model(life.settings, life.store, life.registry, model, fault)

    def judge(lived: Lived) -> list[Bar]:
        bad = lived.notes["bad"]
        gone = lived.timeline.first("version", f"{model} {bad}", "rolled_back")
        hours = lived.since(gone.at if gone else None, forced_d)
        again = [v for v in lived.timeline.select("version", f"{model} {bad}", "active") if gone and v.at > gone.at]
        promoted = run_cli("promote", model)
        after = lived.active_versions()[model]
        return [
            Bar("rolled back, h after it became active (at most 25)", hours, hours is not None and hours <= 25.0),
            Bar("active version at the end", after, after == lived.notes["before"]),
            Bar("published again", len(again), not again),
            Bar(
                "`bgpdrift promote` publishes nothing", promoted.stdout.strip(), after == lived.active_versions()[model]
            ),
        ]

    what = f"a model that {fault.replace('_', ' ')} is published without the gate and rolled back by probation"
    return LifeScenario(
        what, world(forced_d + 2.0, ordinary_incidents(SOON_D, 15.0, 4, seed=2)), judge, act, train_d=SOON_D
    )


def run_cli(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run `bgpdrift` in a process."""
    command = [sys.executable, "-m", "bgpdrift.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _figure_bars(when: str, found: Mapping[str, Figures]) -> list[Bar]:
    return [
        Bar(f"AUC of {name}, {when} ({figures.spans_alarmed} of {figures.spans} alarmed)",
            None if figures.auc is None else round(figures.auc, 4), True)
        for name, figures in found.items()
    ]  # fmt: skip


SCENARIOS: Mapping[str, Callable[[], LifeScenario]] = {
    "calm_month": calm_month,
    "doubled": doubled,
    "paths_unanswered": lambda: regime(
        "every path is three hops longer, without an answer", Regime("path", 3, CHANGE_D * DAY_S)
    ),
    "paths_approved": lambda: regime(
        "every path is three hops longer, and an operator approves the new normal",
        Regime("path", 3, CHANGE_D * DAY_S), "approve", ANSWERED_H + 12.0,
    ),
    "no_change": lambda: regime("no change: the quality on the same incidents a second time", None),
    "path": lambda: regime("every path is one hop longer", Regime("path", 1, CHANGE_D * DAY_S)),
    "peers": lambda: regime("six more peers", Regime("peers", 6, CHANGE_D * DAY_S)),
    "three_day_leak": three_day_leak,
    "poisoned_history": poisoned_history,
    "never_alarms": lambda: bad_model("never_alarms"),
    "always_alarms": lambda: bad_model("always_alarms"),
}  # fmt: skip
"""Every life by name."""
