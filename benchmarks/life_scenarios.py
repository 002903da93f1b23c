"""The simulated lives: worlds, the actions of people in them, and the limits that each must keep.

Every life begins with five calm days; then the three models are trained as a person trains them. Ordinary incidents follow, and
from `CHANGE_D` on the subject of the scenario. `simulated_life` runs the lives.
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
"""Days: until models are trained, until what the scenario is about."""
SOON_D, ATTACK_D = 4, 5
"""The same where it is an attack: no quality has to be compared."""
RATE, PREFIXES, PEERS, COLLECTORS = 80.0, 1_200, 8, ("rrc00",)
AUC_LOSS = 0.02
NEW_NORMAL_H, ANSWERED_H = 30.0, 12.0
FLAGS_A_MONTH = 0.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that must be so.

    Attributes
    ----------
    what : str
        In words.
    value : float or str or None
        As found; None if it never came to it.
    passed : bool
        Whether that is enough.
    """

    what: str
    value: float | str | None
    passed: bool


@dataclass
class Lived:
    """A life as it went: what a scenario acts on while it lasts and is judged by when it is over."""

    life: Life
    timeline: Timeline
    world: World
    notes: dict[str, object] = field(default_factory=dict)

    def day(self, days: float) -> int:
        """Event time of a day."""
        return self.world.start + round(days * DAY_S)

    def since(self, at: int | None, days: float) -> float | None:
        """Hours from a day to an event time."""
        return None if at is None else (at - self.day(days)) / HOUR_S

    def figures(self, begin_d: float, end_d: float) -> dict[str, Figures]:
        """Quality between two days."""
        truth = self.world.truth.incidents
        return stored_quality(self.life.store, truth, self.day(begin_d), self.day(end_d), MODELS)

    def active_versions(self) -> dict[str, str]:
        """Version by model, as the files say."""
        folder = self.life.settings.artifacts_path
        paths = {model: current_path(folder, model) for model in MODELS}
        return {model: artifacts.read(path, model).version for model, path in paths.items() if path.exists()}


Act = Callable[[Lived, int], None]
Judge = Callable[[Lived], list[Bar]]


@dataclass(frozen=True)
class LifeScenario:
    """A life to be lived.

    Attributes
    ----------
    what : str
        One line.
    scenario : Scenario
        The world.
    judge : callable
        Gives the bars when it is over.
    act : callable
        What a person does; called every hour of event time.
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
    """Incidents of every kind in turn, plain as `bgpdrift simulate` makes them, half an hour to an hour long.

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
    """A world as all lives here have it: small, so that a month of it is simulated in minutes."""
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


# A month in which nothing drifts.


def calm_month() -> LifeScenario:
    """Thirty days after training, with an incident every day and a half and no drift."""
    begin, end = TRAIN_D, TRAIN_D + 30

    def judge(lived: Lived) -> list[Bar]:
        wishes = [w for w in lived.life.store.retrain_requests() if w.requested_by == "drift_monitor"]
        held = [w for w in wishes if _during_incident(lived, w.requested_at)]
        checks = lived.timeline.select("check", state="incident")
        figures = lived.figures(begin, end)
        return [
            Bar("flags in 30 days without drift", len(wishes), len(wishes) <= FLAGS_A_MONTH),
            Bar("flags while an incident lasted or in the day after", len(held), not held),
            Bar("checks whose verdict became `incident`", len(checks), True),
            *_figure_bars("the month", figures),
        ]

    incidents = ordinary_incidents(begin, 36.0, 20, seed=1)
    return LifeScenario("30 days with ordinary incidents, nothing drifts", world(end, incidents), judge)


def _during_incident(lived: Lived, at: int) -> bool:
    return any(one.start <= at < one.end + DAY_S for one in lived.world.truth.incidents)


# Regimes: what was usual is no more.

WAVE_S = 2_700.0
ACCEPTED_D = 3.5
"""Days after a change by which all must be over, and the quality is judged again."""
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
"""Plain and fainter ones before the change, and the very same after it: what differs is not what happened. Hijacks are not
among them, since who watches remembers their origins and would see the second one less, change or no change."""


def regime(what: str, change: Regime | None, answers: str = "", bar_h: float = NEW_NORMAL_H) -> LifeScenario:
    """A lasting change on day 8; ``answers`` is what a person says to the question, "" nobody is there."""

    def act(lived: Lived, now: int) -> None:
        if answers:
            for row in lived.life.store.approval_requests(state="pending"):
                said = run_cli("approve" if answers == "approve" else "reject", str(row.id))
                lived.notes.setdefault("answered_at", now)
                if said.returncode != 0:
                    raise RuntimeError(f"{answers} {row.id}: {said.stderr}")

    def judge(lived: Lived) -> list[Bar]:
        timeline, begin = lived.timeline, lived.day(CHANGE_D)
        drift = next((c for c in timeline.select("check", since=begin) if c.state.startswith("drift")), None)
        wish = timeline.first("request", since=begin)
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
            Bar("wish to retrain, h", lived.since(wish.at if wish else None, CHANGE_D), wish is not None),
            Bar(f"first new model in force, h (at most {bar_h:g} and the time to gather a day)", trained_h,
                trained_h is not None and trained_h <= bar_h + 12.0),
            Bar("last probation accepted, h", accepted_h, accepted_h is not None and accepted_h <= ACCEPTED_D * 24),
            Bar("versions taken back", len(back), not back),
            Bar("anomalous minutes a day just after the change", between[ENSEMBLE].alarmed_minutes, True),
        ]  # fmt: skip
        if "answered_at" in lived.notes:
            bars.append(Bar("question answered, h", lived.since(int(str(lived.notes["answered_at"])), CHANGE_D), True))
        loss = (before[ENSEMBLE].auc or 0.0) - (after[ENSEMBLE].auc or 0.0)
        bars.append(Bar("AUC of the ensemble lost, before → after", round(loss, 4), loss <= AUC_LOSS))
        bars += [*_figure_bars("before", before), *_figure_bars("after", after)]
        return bars

    return LifeScenario(what, world(END_D, SEEN_TWICE, () if change is None else (change,)), judge, act)


def doubled() -> LifeScenario:
    """Twice the traffic from day 8 on, which nobody answers: no detector alarms on that, so there is nothing to ask."""
    lived_by = regime("", Regime("level", 2.0, CHANGE_D * DAY_S))

    def judge(lived: Lived) -> list[Bar]:
        begin, end = lived.day(CHANGE_D), lived.world.end
        truth = lived.world.truth.incidents
        found = [row for row in lived.life.store.incidents_between(begin, end) if row["merged_into"] is None]
        false = [
            row for row in found if not any(t.start <= row["last_seen_at"] and row["started_at"] < t.end for t in truth)
        ]
        asked = lived.timeline.select("approval", state="pending", since=begin)
        wishes = [w for w in lived.life.store.retrain_requests() if w.requested_at >= begin]
        before, after = lived.figures(TRAIN_D, CHANGE_D), lived.figures(AFTER_D, END_D)
        loss = (before[ENSEMBLE].auc or 0.0) - (after[ENSEMBLE].auc or 0.0)
        return [
            Bar("false incidents after the change", len(false), not false),
            Bar("anomalous minutes in the day after it", lived.figures(CHANGE_D, CHANGE_D + 1.0)[ENSEMBLE].alarmed_minutes,
                not lived.figures(CHANGE_D, CHANGE_D + 1.0)[ENSEMBLE].alarmed_minutes),
            Bar("questions asked", len(asked), len(asked) <= len(wishes)),
            Bar("wishes to retrain", len(wishes), True),
            Bar("AUC of the ensemble lost, before → after", round(loss, 4), loss <= AUC_LOSS),
            *_figure_bars("before", before),
            *_figure_bars("after", after),
        ]  # fmt: skip

    return LifeScenario("traffic doubles, which no detector need mind", lived_by.scenario, judge)


# Attacks: what is wrong for days is wrong all the same.


def three_day_leak() -> LifeScenario:
    """A leak that comes in waves for three days, which nobody answers."""
    leak = Incident("leak", ATTACK_D * DAY_S, 3 * DAY_S, share=0.4, every_s=3 * HOUR_S, wave_s=2 * HOUR_S)

    def judge(lived: Lived) -> list[Bar]:
        begin = lived.day(ATTACK_D)
        new = lived.timeline.select("version", state="active", since=begin)
        wishes = [w for w in lived.life.store.retrain_requests() if w.requested_at >= begin]
        found = [
            row
            for row in lived.life.store.incidents_between(begin, lived.day(ATTACK_D + 3))
            if row["merged_into"] is None
        ]
        longest = max((row["last_seen_at"] - row["started_at"] for row in found), default=0)
        labels = lived.life.store.outcomes_between(begin, lived.world.end)
        return [
            Bar("incidents it was seen as", len(found), bool(found)),
            Bar("longest of them, h", round(longest / HOUR_S, 1), True),
            Bar("questions asked", len(lived.timeline.select("approval", state="pending", since=begin)), True),
            Bar("learned as the new normal", len(labels), not labels),
            Bar("wishes to retrain", len(wishes), not wishes),
            Bar("models trained", len(new), not new),
        ]

    return LifeScenario(
        "a leak in waves for three days, nobody answers", world(ATTACK_D + 4.0, (leak,)), judge, train_d=SOON_D
    )


def poisoned_history() -> LifeScenario:
    """Storms every two hours for two days, which somebody calls false alarms, and a request to retrain."""
    waves = Incident("worm", ATTACK_D * DAY_S, 2 * DAY_S, level=12.0, every_s=2 * HOUR_S, wave_s=2400.0)

    def act(lived: Lived, now: int) -> None:
        store = lived.life.store
        labelled = {row["incident_id"] for row in store.outcomes_between(0, 2**62)}
        for row in store.incidents_between(lived.day(ATTACK_D), now):
            if row["state"] == "closed" and row["merged_into"] is None and row["id"] not in labelled:
                run_cli("label", str(row["id"]), "false_positive", "--by", "mallory")
        if now == lived.day(ATTACK_D + 2):
            lived.notes["before"] = lived.active_versions()
            lived.notes["said"] = lived.life.train(MODELS, "--days", "2")

    def judge(lived: Lived) -> list[Bar]:
        said = lived.notes["said"]
        assert isinstance(said, dict)
        bars = [
            Bar(f"{model} trained on it", f"{out['outcome']}: {out['reason']}", out["outcome"] == "rejected")
            for model, out in said.items()
        ]
        return [*bars, Bar("versions in force unchanged", "", lived.active_versions() == lived.notes["before"])]

    return LifeScenario(
        "a poisoned history whose candidates must be rejected",
        world(ATTACK_D + 2.25, (waves,)),
        judge,
        act,
        train_d=SOON_D,
    )


def bad_model(fault: Fault, model: str = "lstm") -> LifeScenario:
    """A model that never or always alarms is forced into force on day 5."""
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
            Bar("taken back, h after it came into force (at most 25)", hours, hours is not None and hours <= 25.0),
            Bar("version in force at the end", after, after == lived.notes["before"]),
            Bar("published again", len(again), not again),
            Bar("`bgpdrift promote` takes it", promoted.stdout.strip(), after == lived.active_versions()[model]),
        ]

    what = f"a model that {fault.replace('_', ' ')} is forced in, and taken back by probation"
    return LifeScenario(
        what, world(forced_d + 2.0, ordinary_incidents(SOON_D, 15.0, 4, seed=2)), judge, act, train_d=SOON_D
    )


def run_cli(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run `bgpdrift` as a person does."""
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
        "every path is three hops longer, nobody answers", Regime("path", 3, CHANGE_D * DAY_S)
    ),
    "paths_approved": lambda: regime(
        "every path is three hops longer, and an operator says it is the new normal",
        Regime("path", 3, CHANGE_D * DAY_S), "approve", ANSWERED_H + 12.0,
    ),
    "no_change": lambda: regime("nothing changes: what the same incidents are worth a second time", None),
    "path": lambda: regime("every path is a hop longer", Regime("path", 1, CHANGE_D * DAY_S)),
    "peers": lambda: regime("six more peers", Regime("peers", 6, CHANGE_D * DAY_S)),
    "three_day_leak": three_day_leak,
    "poisoned_history": poisoned_history,
    "never_alarms": lambda: bad_model("never_alarms"),
    "always_alarms": lambda: bad_model("always_alarms"),
}  # fmt: skip
"""Every life by name."""
