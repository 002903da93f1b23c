"""Versions that are each a little worse than the one before: accepted one by one, refused together."""

import pytest

from bgpdrift.models.ancestors import MONTH_S, compute_record, inherit_record
from bgpdrift.models.gate import Evidence, GatePolicy, ModelFigures, decide_gate

FIRST = {"burst": 0.9, "silence": 0.9}
LOSS = 0.09
"""Less than the gate tolerates from one version to the next."""


def recall_after(generations: int, age_s: float, inherits: bool) -> float:
    """Recall of the last active version, after so many candidates that are each worse by `LOSS`."""
    active, inherited = FIRST, FIRST
    for _ in range(generations):
        record = compute_record(active, inherited, age_s)
        worse = {kind: share - LOSS for kind, share in active.items()}
        figures, before = (ModelFigures(injected=shares, alarms_per_day=1.0) for shares in (worse, active))
        evidence = Evidence(figures, before, train_rows=8_000, seconds=4.0, record=record)
        if decide_gate(evidence, GatePolicy()).accepted:
            active, inherited = worse, inherit_record(worse, record) if inherits else worse
    return round(active["burst"], 2)


def test_the_recall_does_not_fall_step_by_step():
    assert recall_after(8, age_s=7 * 86_400, inherits=False) == pytest.approx(0.18)  # each step was within tolerance
    assert recall_after(8, age_s=0.0, inherits=True) == pytest.approx(0.72)


def test_the_requirement_falls_over_time_if_fewer_anomalies_can_be_found():
    assert recall_after(8, age_s=MONTH_S, inherits=True) < 0.5


def test_a_model_without_figures_has_an_empty_record():
    assert compute_record({}, {"burst": 0.9}, 0.0) == {}
