"""Comparison of a demo with the ground truth: windows, incidents found, false incidents.

This module requires a window for every minute of every collector, and a detection of every incident of the ground truth.
`short` and `week_checks` check the models, `report` prints the results.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgpdrift.lab.demo.stage import Step
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.demo.week_plan import without_storms
from bgpdrift.lab.simulation.scenario import Reset
from bgpdrift.lab.simulation.truth import IncidentTruth, Truth
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import AggregatorState

EARLY_S, LATE_S = 120, 1800
"""An incident belongs to a true one if it began at most this long before its start, or this long after its end: paths that
settle and routes that come back after a worm or a leak are part of it."""
UNFINISHED_S = 180
"""The last minutes of a recording are not closed by later data and are not compared."""


@dataclass(frozen=True)
class Finding:
    """One incident of the ground truth, and what the system found of it.

    Attributes
    ----------
    kind : str
        True kind.
    start, end : int
        True span, epoch seconds.
    found : tuple of int
        Numbers of the incidents found.
    delay_s : int or None
        Seconds from the start to the end of the first anomalous minute; None if nothing was found.
    found_as : str
        Kinds of the incidents found.
    """

    kind: str
    start: int
    end: int
    found: tuple[int, ...]
    delay_s: int | None
    found_as: str


@dataclass(frozen=True)
class Report:
    """All results of a demo; `memory` holds resident bytes by service."""

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
    memory: Mapping[str, int]
    models: tuple[TrainedModel, ...] = ()
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
    change_incidents: tuple[str, ...] = ()
    """Incidents that began with the persistent change: neither attacks nor false alarms."""

    @property
    def passed(self) -> bool:
        """Whether no window is missing, every incident was found, every model voted and every step happened."""
        found = all(finding.found for finding in self.findings)
        trained = all(model.passed for model in self.models)
        shown = all(step.passed for step in self.steps)
        return not (self.problems or self.missing or self.doubled) and found and trained and shown


def compare(store: Store, truth: Truth, data: Path, seconds: float, memory: Mapping[str, int]) -> Report:
    """Compare the content of the store with the ground truth."""
    start, end, last = int(truth.start), int(truth.end), last_minute(truth)
    rows = store.windows_between(start, end)
    keys = [(r["collector"], r["window_start"]) for r in rows if not r["peer"] and r["window_start"] <= last]
    expected = {
        (name, minute) for name in truth.scenario.collectors for minute in range(start // 60 * 60, last + 60, 60)
    }
    stored = store.incidents_between(start - 86_400, end + 86_400)
    incidents = [incident for incident in stored if incident["merged_into"] is None]
    false, with_change = without_truth(incidents, truth)
    feed = json.loads((data / "state" / "collector.json").read_text())
    aggregator = store.read_state("feature_aggregator", AggregatorState)
    resets = truth.scenario.resets
    return Report(
        seconds=seconds,
        simulated_hours=(end - start) / 3600,
        frames=int(feed["frames"]),
        windows=len(keys),
        expected=len(expected),
        missing=len(expected - set(keys)),
        doubled=len(keys) - len(set(keys)),
        duplicates=aggregator.state.duplicates if aggregator else 0,
        dropped=int(feed["dropped"]),
        session_resets=len(resets),
        explained_resets=sum(any(marks_reset(row, reset, start) for row in rows) for reset in resets),
        findings=tuple(_find(item, incidents) for item in without_storms(truth)),
        false_incidents=tuple(incident["summary"] for incident in false),
        change_incidents=tuple(incident["summary"] for incident in with_change),
        memory=memory,
    )


def without_truth(
    incidents: Iterable[Mapping[str, Any]], truth: Truth
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the incidents that the ground truth lacks: false ones, and those that began with a persistent change."""
    true = [(item.start, item.end) for item in truth.incidents]
    others = [incident for incident in incidents if not _began_within(incident, true)]
    changes = [(regime.start, regime.start) for regime in truth.regimes]
    with_change = [incident for incident in others if _began_within(incident, changes)]
    return [incident for incident in others if incident not in with_change], with_change


def last_minute(truth: Truth) -> int:
    """Return the last minute of a scenario that is compared."""
    return (int(truth.end) - UNFINISHED_S) // 60 * 60


def marks_reset(row: Mapping[str, Any], reset: Reset, start: int) -> bool:
    """Whether a window carries the mark of a reset: in the minutes of the reset, and at its collector if it names one."""
    down = start + reset.at_s
    is_near = down - 60 < row["window_start"] <= down + reset.down_s + 60
    return bool(row["peer_reset"]) and reset.collector in ("", row["collector"]) and is_near


def _find(item: IncidentTruth, incidents: list[Any]) -> Finding:
    start, end = int(item.start), int(item.end)
    own = [i for i in incidents if i["started_at"] <= end + LATE_S and i["last_seen_at"] >= start - EARLY_S]
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


def _began_within(incident: Mapping[str, Any], spans: Iterable[tuple[float, float]]) -> bool:
    return any(start - EARLY_S <= incident["started_at"] <= end + LATE_S for start, end in spans)
