"""Incidents of simulated worlds, and real hijacks and leaks, name who and what."""

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.ris_frames import FrameDecoder
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.features.suspects import find_culprits, merge_collectors, merge_windows
from bgpdrift.lab.evaluation.incident_naming import measure_world, plan_world
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.settings import WindowSettings
from bgpdrift.store.codec import decode
from bgpdrift.store.evidence_records import RouteChange, WindowEvidence

SMALL = plan_world(2, ("hijack", "subprefix", "leak"), prefixes=800, rate=40.0)
OUTAGE = plan_world(3, ("outage",), rate=60.0)
"""An outage needs a larger world: behind a provider of a small one are too few networks."""


@pytest.mark.parametrize("scenario", [SMALL, OUTAGE], ids=["small", "outage"])
def test_incidents_of_a_simulated_world_have_the_right_kind_culprit_and_prefixes(scenario: Scenario) -> None:
    world = measure_world(scenario)

    for naming in world.namings:
        assert naming.found, naming.kind
        assert naming.kind_right, naming.summary
        assert naming.culprit_right, naming.summary
        assert naming.names_enough, naming.summary
        assert naming.right >= 0.95 * naming.named, naming.summary


def changes_of(path: Path, start: int, kind: str) -> RouteChange:
    """The change of one kind after ``start``, over all collectors of a recorded event."""
    decoder, aggregator = FrameDecoder(), Aggregator(WindowSettings(warming_minutes=0))
    messages = [decoder.decode_line(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    rows = aggregator.add(message for message in messages if isinstance(message, Message))
    by_collector: dict[str, list[RouteChange]] = {}
    for row in [*rows, *aggregator.flush()]:
        for change in decode(WindowEvidence, row["evidence"], "evidence").changes:
            if row["window_start"] >= start // 60 * 60 and change.change == kind:
                by_collector.setdefault(change.collector, []).append(change)
    return merge_collectors([merge_windows(changes) for changes in by_collector.values()])


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("event", "kind"), [("2", "sub_prefix"), ("7", "moved"), ("10", "sub_prefix")], ids=["youtube", "leak", "route53"]
)
def test_a_recorded_event_names_the_attacker_or_the_leaker(shared_cases: Path, event: str, kind: str) -> None:
    """The prefixes are too few for a rule; with them watched, this is the evidence of the incident."""
    folder = shared_cases / "hijacks"
    expected: dict[str, Any] = msgspec.json.decode((folder / "expected.json").read_bytes())[event]

    change = changes_of(folder / f"event-{event}.jsonl.gz", expected["start"], kind)

    assert find_culprits(change)[0] == expected["attacker"]
    (named, *others) = change.prefixes
    assert named.prefix == expected["prefix"]
    assert named.old_origin in (0, expected["victim"])
    assert named.new_origin == (expected["victim"] if kind == "moved" else expected["attacker"])
    assert all(other.new_origin == named.new_origin for other in others)
    assert change.n_peers > 1
