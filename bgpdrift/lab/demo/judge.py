"""What the services did in a demo, held against the ground truth: windows, incidents found, incidents that were none.

Decides what must be there: a window for every minute of every collector, every incident of the ground truth found. What the
loop must have shown, `outcome` decides; how all of it reads, `report`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgpdrift.lab.demo.outcome import Step
from bgpdrift.lab.demo.plan import without_storms
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.simulation.scenario import Reset
from bgpdrift.lab.simulation.truth import IncidentTruth, Truth
from bgpdrift.store import Store

EARLY_S, TAIL_S = 120, 1800
"""An incident belongs to a true one if it began this long before it at most, or this long after its end: what a worm or a
leak leaves behind (paths settling, routes coming back) is part of it."""
UNFINISHED_S = 180
"""The last minutes of a recording are never closed by a later one, and are not judged."""


@dataclass(frozen=True)
class Finding:
    """One incident of the ground truth and what was found of it."""

    kind: str
    start: int
    end: int
    found: tuple[int, ...]  # ids of incidents
    delay_s: int | None  # from its start to the first anomalous minute's end
    found_as: str


@dataclass(frozen=True)
class Report:
    """What a demo run did."""

    seconds: float
    simulated_hours: float
    frames: int
    windows: int
    expected: int
    missing: int
    doubled: int
    duplicates: int
    dropped: int
    session_resets: int
    explained_resets: int
    findings: tuple[Finding, ...]
    false_incidents: tuple[str, ...]
    memory: Mapping[str, int]  # bytes resident, by service
    models: tuple[TrainedModel, ...] = ()
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = field(default=())
    change_seen_as: tuple[
        str, ...
    ] = ()  # incidents that began when the world changed for good: no attack, no false alarm

    @property
    def passed(self) -> bool:
        """Whether nothing is missing, everything was found, and every step of the loop happened."""
        found = all(finding.found for finding in self.findings)
        trained = all(model.passed for model in self.models)
        shown = all(step.passed for step in self.steps)
        return not (self.problems or self.missing or self.doubled) and found and trained and shown


def judge(store: Store, truth: Truth, data: Path, seconds: float, memory: Mapping[str, int]) -> Report:
    """Compare what is in the store with the ground truth."""
    start, end = int(truth.start), int(truth.end)
    rows = store.windows_between(start, end)
    keys = [(row["collector"], row["window_start"]) for row in rows if not row["peer"]]
    last = last_minute(truth)
    keys = [key for key in keys if key[1] <= last]
    expected = {
        (name, minute) for name in truth.scenario.collectors for minute in range(start // 60 * 60, last + 60, 60)
    }
    found = store.incidents_between(start - 86_400, end + 86_400)
    incidents = [incident for incident in found if incident["merged_into"] is None]
    findings = tuple(_find(item, incidents) for item in without_storms(truth))
    false, changed = without_truth(incidents, truth)
    feed = json.loads((data / "state" / "collector.json").read_text())
    cursor = store.read_cursor("feature_aggregator")
    resets = truth.scenario.resets
    return Report(
        seconds=seconds,
        simulated_hours=(end - start) / 3600,
        frames=int(feed["frames"]),
        windows=len(keys),
        expected=len(expected),
        missing=len(expected - set(keys)),
        doubled=len(keys) - len(set(keys)),
        duplicates=int(cursor.details.get("duplicates", 0)) if cursor else 0,
        dropped=int(feed["dropped"]),
        session_resets=len(resets),
        explained_resets=sum(any(marks_reset(row, reset, start) for row in rows) for reset in resets),
        findings=findings,
        false_incidents=tuple(incident["summary"] for incident in false),
        change_seen_as=tuple(incident["summary"] for incident in changed),
        memory=memory,
    )


def without_truth(
    incidents: Iterable[Mapping[str, Any]], truth: Truth
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Give the incidents that belong to none of the ground truth: false ones, and those in which a lasting change began."""
    others = [
        incident
        for incident in incidents
        if not _began_with(incident, [(item.start, item.end) for item in truth.incidents])
    ]
    changes = [(regime.start, regime.start) for regime in truth.regimes]
    changed = [incident for incident in others if _began_with(incident, changes)]
    return [incident for incident in others if incident not in changed], changed


def last_minute(truth: Truth) -> int:
    """Give the last minute of a scenario that is judged."""
    return (int(truth.end) - UNFINISHED_S) // 60 * 60


def _find(item: IncidentTruth, incidents: list[Any]) -> Finding:
    start, end = int(item.start), int(item.end)
    own = [i for i in incidents if i["started_at"] <= end + TAIL_S and i["last_seen_at"] >= start - EARLY_S]
    own = [i for i in own if i["started_at"] >= start - EARLY_S]
    first = min((i["started_at"] for i in own), default=None)
    return Finding(
        kind=item.kind,
        start=start,
        end=end,
        found=tuple(int(i["id"]) for i in own),
        delay_s=None if first is None else max(0, int(first) + 60 - start),
        found_as=", ".join(dict.fromkeys(str(i["kind"]) for i in own)),
    )


def marks_reset(row: Mapping[str, Any], reset: Reset, start: int) -> bool:
    """Whether a window carries the mark of a reset: it is of the same collector, if one is named, and of its minutes."""
    down = start + reset.at_s
    near = down - 60 < row["window_start"] <= down + reset.down_s + 60
    return bool(row["peer_reset"]) and reset.collector in ("", row["collector"]) and near


def _began_with(incident: Mapping[str, Any], spans: Iterable[tuple[float, float]]) -> bool:
    """Whether something of this really happened when an incident began."""
    return any(start - EARLY_S <= incident["started_at"] <= end + TAIL_S for start, end in spans)
