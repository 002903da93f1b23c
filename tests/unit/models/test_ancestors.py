"""A line of models, each a little worse than the one before: let in one by one, refused together."""

from dataclasses import replace

import pytest

from bgpdrift.models.ancestors import INHERITED, MONTH_S, inherit, record_of
from bgpdrift.models.gate import Evidence, GatePolicy, Judged, decide_gate

FIRST = Judged(accuracy=None, f1=None, classes={}, injected={"burst": 0.9, "silence": 0.9}, alarms_per_day=1.0)
WORSE_BY = 0.09
"""Less than the gate forgives from one version to the next."""


def last_found(generations: int, age_s: float, remembers: bool) -> float:
    """What the last version in force finds, after so many attempts at putting a worse one there."""
    active, metrics = FIRST, {"injected": FIRST.injected, INHERITED: FIRST.injected}
    for _ in range(generations):
        record = record_of(metrics, age_s)
        found = {kind: share - WORSE_BY for kind, share in active.injected.items()}
        candidate = replace(active, injected=found)
        evidence = Evidence(candidate, active, train_rows=8_000, seconds=4.0, record=record)
        if decide_gate(evidence, GatePolicy()).accepted:
            active = candidate
            metrics = {"injected": found, INHERITED: inherit(found, record) if remembers else found}
    return round(active.injected["burst"], 2)


def test_no_line_of_models_goes_deaf_step_by_step():
    assert last_found(8, age_s=7 * 86_400, remembers=False) == pytest.approx(0.18)  # each was no worse than allowed
    assert last_found(8, age_s=0.0, remembers=True) == pytest.approx(0.72)


def test_a_world_in_which_less_can_be_found_is_forgiven_in_time():
    assert last_found(8, age_s=MONTH_S, remembers=True) < 0.5


@pytest.mark.parametrize("metrics", [{}, {"injected": None}, {"injected": [0.5]}, {"injected": {"burst": "much"}}])
def test_papers_without_figures_hold_nobody_to_anything(metrics):
    assert record_of(metrics, 0.0) == {}
