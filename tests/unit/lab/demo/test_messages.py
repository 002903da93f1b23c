"""The messages of a demo: one short sentence for a state change that matters, none for others."""

import pytest

from bgpdrift.lab.demo.messages import MAX_LENGTH, describe_change
from bgpdrift.lab.demo.timeline import StateChange


@pytest.mark.parametrize(
    ("kind", "subject", "state", "text", "sentence"),
    [
        ("version", "lstm 2", "active", "", "lstm 2 is active"),
        ("version", "lstm 1", "retired", "", ""),
        (
            "approval",
            "2",
            "expired",
            "attack_or_new_normal 6",
            "approval request 2 has no answer in time, which counts as yes",
        ),
        ("approval", "3", "pending", "retrain lstm", "approval request 3: retrain lstm? The drift is critical"),
        (
            "request",
            "5",
            "flagged",
            "lstm by drift_monitor: Drift: …",
            "the drift monitor writes a flag file to retrain lstm",
        ),
        ("request", "7", "refused", "lstm by drift_monitor: retraining request 5 replaced it", ""),
        ("request", "8", "refused", "lstm by x: cooldown until noon", "lstm is not retrained: cooldown until noon"),
        ("check", "lstm", "none", "No drift: nothing.", ""),
        ("check", "lstm", "drift high", "Drift: scores lie higher.", "lstm has drifted (high): scores lie higher."),
        ("incident", "3", "closed", "", ""),
    ],
)
def test_a_state_change_has_one_sentence_or_none(kind, subject, state, text, sentence):
    assert describe_change(StateChange(0, kind, subject, state, text)) == sentence


def test_a_long_reason_is_shortened_with_an_ellipsis():
    line = describe_change(StateChange(0, "check", "lstm", "drift critical", "Drift: " + "very " * 60))

    assert len(line) <= MAX_LENGTH
    assert line.endswith("…")
