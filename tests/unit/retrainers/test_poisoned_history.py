"""The gate with trained rules: a history that is full of attacks, and data after a level change."""

from dataclasses import replace

import numpy as np
import pytest

from bgpdrift.models.gate import Evidence, GatePolicy, GateVerdict, decide_gate
from bgpdrift.settings import Settings
from retrainers.comparison import Model, evaluate_model, longest_history, prepare_held_out
from retrainers.span import Span
from retrainers.training import train

MINUTES, SHARE, ATTACK_MIN = 5 * 1_440, 0.2, 40
HIT = (
    *("announced", "messages", "withdrawn", "withdrawn_prefixes", "implicit_withdrawal", "path_length_sum"),
    *("readvertised_same", "edit_distance_sum", "longer"),
)
SETTINGS = Settings()


def attacked(frame, share, seed=3, begin=0):
    """Lay attacks of forty minutes over a share of the time; none of them is an incident or has a label."""
    rng = np.random.default_rng(seed)
    blocks = np.arange(begin, len(frame) - ATTACK_MIN, ATTACK_MIN)
    minutes = np.zeros(len(frame), bool)
    for row in rng.permutation(blocks)[: round(share * len(blocks))].tolist():
        minutes[row : row + ATTACK_MIN] = True
    features = {name: values.copy() for name, values in frame.features.items()}
    for name in HIT:
        strength = rng.lognormal(1.6, 0.5, int(minutes.sum()))
        features[name][minutes] = np.round(features[name][minutes] * strength)
    for name, number in (("moas_new", 4), ("visibility_loss", 4), ("edge_new", 6)):
        features[name][minutes] += rng.poisson(number, int(minutes.sum()))
    return replace(frame, features=features)


def span_of(frame) -> Span:
    at = frame.window_start
    return Span((frame,), (), int(at[0]), int(at[-1]) + 60, int(at[round(len(at) * (1 - SHARE))]))


@pytest.fixture(scope="module")
def active(windows) -> Model:
    """Return the active model, trained on a calm world, with its recall of that time in its metadata."""
    span = span_of(windows.calm(MINUTES, seed=1))
    trained = train("heuristic", span.training_frames(), history_minutes=360)
    model = Model("1", trained.detector, trained.calibration)
    shown = evaluate_model(model, prepare_held_out(span, longest_history([model]), 0), SETTINGS)
    return replace(model, record=shown.figures.injected)


def judged(frame, active: Model) -> GateVerdict:
    span = span_of(frame)
    trained = train("heuristic", span.training_frames(), history_minutes=360)
    candidate = Model("2", trained.detector, trained.calibration)
    bench = prepare_held_out(span, longest_history([candidate, active]), 0)
    new, old = evaluate_model(candidate, bench, SETTINGS), evaluate_model(active, bench, SETTINGS)
    evidence = Evidence(new.figures, old.figures, trained.train_rows, 1.0, record=active.record)
    return decide_gate(evidence, GatePolicy())


def test_a_model_trained_on_a_calm_history_is_accepted(windows, active):
    assert judged(windows.calm(MINUTES, seed=2), active).accepted


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_model_trained_on_a_history_of_attacks_is_refused_for_its_recall(windows, active, share):
    verdict = judged(attacked(windows.calm(MINUTES, seed=2), share), active)
    assert not verdict.accepted
    assert any(check.name.startswith("injected") for check in verdict.failed)


def test_attacks_in_the_held_out_windows_do_not_help_a_bad_model(windows, active):
    frame = attacked(windows.calm(MINUTES, seed=2), 0.3, begin=round(MINUTES * (1 - SHARE)))
    assert not judged(frame, active).accepted


def test_after_a_level_change_a_good_model_is_accepted_although_the_active_one_always_alarms(windows, active):
    assert judged(windows.calm(MINUTES, level=600.0, seed=5), active).accepted


def test_after_a_level_change_a_poisoned_model_is_refused_by_the_record_of_the_active_one(windows, active):
    verdict = judged(attacked(windows.calm(MINUTES, level=600.0, seed=5), 0.3), active)
    assert "injected_record:burst" in [check.name for check in verdict.failed]
    assert {check.name.partition(":")[0] for check in verdict.failed} == {"injected_record"}
