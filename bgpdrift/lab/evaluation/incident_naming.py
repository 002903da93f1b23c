"""Measures whether incidents name who and what, rightly: simulated worlds through the services, compared with the ground truth.

The windows of a world pass through the heuristic with its packaged model, the ensemble and the correlation, in the store, as in
the first hours of an installation. This module decides which incident of the store answers for an incident of the world, and
when its kind, its culprit and its prefixes are right.
"""

import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.ris_frames import FrameDecoder
from bgpdrift.clock import FakeClock
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Incident, Scenario
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.scoring.detector_worker import DetectorWorker
from bgpdrift.settings import WindowSettings, load
from bgpdrift.store import migrate, open_store
from bgpdrift.verdicts.coordination import EnsembleCoordinator
from bgpdrift.verdicts.correlation_engine import CorrelationEngine
from bgpdrift.verdicts.explanation import kinds_of_change
from bgpdrift.verdicts.footprint import is_named

KIND_OF = {
    "hijack": "origin hijack",
    "subprefix": "sub-prefix hijack",
    "leak": "leak",
    "outage": "outage",
    "flapping": "flapping",
    "worm": "update storm",
    "silence": "silence",
}
"""Kind of the incident that each kind of simulated incident must become."""
CALM_S, SLOT_S, LENGTH_S, LATEST_S = 14_400, 6_600, 1_200, 600
"""Calm time at the beginning; time for each incident, its length, and its latest begin within its time. Between two incidents
lies more than an hour, the longest time scale of a rule."""
MIN_NAMED = 5
"""So many prefixes must be named where so many are affected."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How one simulated incident was named.

    Attributes
    ----------
    kind : str
        Kind of the simulated incident.
    found : bool
        An incident of the store began while it lasted, or names what changed then.
    kind_right : bool
        The first such incident has the right kind.
    culprit_right : bool or None
        The first AS it names is the culprit; None if the simulated incident has none.
    right, named, affected : int
        Prefixes: named and affected, named, affected.
    summary : str
        What the operator reads.
    """

    kind: str
    found: bool
    kind_right: bool = False
    culprit_right: bool | None = None
    right: int = 0
    named: int = 0
    affected: int = 0
    summary: str = ""

    @property
    def names_enough(self) -> bool:
        """Whether at least five prefixes are named where five are affected."""
        return self.right >= min(MIN_NAMED, self.affected)


@dataclass(frozen=True, slots=True)
class World:
    """The result of one world."""

    namings: Sequence[Naming]
    others: Sequence[str]
    """Summaries of incidents that began at another time."""


def plan_world(
    seed: int,
    kinds: Sequence[str] = tuple(KIND_OF),
    *,
    calm_s: int = CALM_S,
    slot_s: int = SLOT_S,
    prefixes: int = 2_000,
    rate: float = 120.0,
) -> Scenario:
    """Plan a world in which each kind of incident happens once with its default strength, in random order."""
    rng = random.Random(f"naming/{seed}")
    order = list(kinds)
    rng.shuffle(order)
    incidents = [
        Incident(
            kind,
            calm_s + number * slot_s + 60.0 * rng.randrange(LATEST_S // 60),
            float(LENGTH_S),
            collector="rrc00" if kind == "silence" else "",
        )
        for number, kind in enumerate(order)
    ]
    return Scenario(
        duration_s=float(calm_s + len(order) * slot_s),
        seed=seed,
        collectors=("rrc00", "rrc01"),
        peers=10,
        prefixes=prefixes,
        rate=rate,
        table_at_start=True,
        incidents=tuple(incidents),
    )


def measure_world(scenario: Scenario) -> World:
    """Simulate a world, run it through the services and compare the incidents with the truth."""
    simulation = Simulation(scenario)
    aggregator = Aggregator(WindowSettings())
    rows = aggregator.add(_messages(simulation))
    return judge_world(find_incidents([*rows, *aggregator.flush()]), simulation.truth().incidents)


def find_incidents(windows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write windows into a new store and run heuristic, ensemble and correlation over them; return the incidents."""
    with tempfile.TemporaryDirectory(prefix="bgpdrift-naming-") as folder:
        settings = load(env={"BGPDRIFT_DATA_DIR": str(Path(folder) / "data")})
        settings.data_path.mkdir()
        migrate(settings.store_url)
        clock = FakeClock()
        with open_store(settings.store_url) as store:
            store.write_windows(windows, None)
        workers: list[DetectorWorker | EnsembleCoordinator | CorrelationEngine] = [
            *(
                DetectorWorker(settings, open_store(settings.store_url), clock, model, f"{model}_detector")
                for model in ("heuristic", "isolation_forest", "lstm")
            ),
            EnsembleCoordinator(settings, open_store(settings.store_url), clock),
            CorrelationEngine(settings, open_store(settings.store_url), clock),
        ]
        for worker in workers:
            while worker.step():
                pass
            worker.close()
        with open_store(settings.store_url) as store:
            return store.incidents_between(0, 2**60)


def judge_world(incidents: Iterable[Mapping[str, Any]], truths: Sequence[IncidentTruth]) -> World:
    """Compare incidents with the truth about a world."""
    own = sorted(
        (row for row in incidents if row["merged_into"] is None), key=lambda row: (row["started_at"], row["id"])
    )
    namings, used = [], set()
    for truth in truths:
        within = [row for row in own if any(truth.start - 60 < at < truth.end for at in _begins(row))]
        used |= {row["id"] for row in within}
        namings.append(_judge(within[0], truth) if within else Naming(truth.kind, False, affected=len(truth.prefixes)))
    return World(namings, [row["summary"] for row in own if row["id"] not in used])


def _begins(row: Mapping[str, Any]) -> list[int]:
    """When an incident began, and when what it names changed: a false alarm may have opened it before."""
    kinds = kinds_of_change(row["kind"])
    return [row["started_at"], *(c.first_at for c in row["explanation"].changes if c.change in kinds and is_named(c))]


def _judge(row: Mapping[str, Any], truth: IncidentTruth) -> Naming:
    culprit, affected = truth.origins.culprit, set(truth.prefixes)
    named = [str(prefix) for prefix in row["prefixes"]]
    return Naming(
        truth.kind,
        found=True,
        kind_right=row["kind"] == KIND_OF[truth.kind],
        culprit_right=None if culprit is None else row["origins"][:1] == [culprit],
        right=sum(prefix in affected for prefix in named),
        named=len(named),
        affected=len(affected),
        summary=row["summary"],
    )


def _messages(simulation: Simulation) -> Iterator[Message]:
    decoder = FrameDecoder()
    for frame in simulation.frames():
        decoded = decoder.decode_line(frame.text)
        if isinstance(decoded, Message):
            yield decoded
