"""The story of a demo is told in short sentences, and what a replaced wish did is not told."""

import pytest

from bgpdrift.lab.demo.chronicle import Happening
from bgpdrift.lab.demo.messages import LONGEST, said


@pytest.mark.parametrize(
    ("kind", "subject", "state", "text", "sentence"),
    [
        ("version", "lstm 2", "active", "", "lstm 2 is in force"),
        ("version", "lstm 1", "retired", "", ""),
        ("question", "2", "expired", "attack_or_new_normal 6", "nobody answers question 2: silence is a yes"),
        ("question", "3", "pending", "retrain lstm", "question 3: retrain lstm? The drift is critical"),
        ("wish", "5", "flagged", "lstm by drift_monitor: Drift: …", "a flag is dropped for lstm"),
        ("wish", "7", "refused", "lstm by drift_monitor: wish 5 of this model is under way", ""),
        ("wish", "8", "refused", "lstm by x: cooldown until noon", "lstm is not retrained: cooldown until noon"),
        ("check", "lstm", "none", "No drift: nothing.", ""),
        ("check", "lstm", "drift high", "Drift: scores lie higher.", "lstm drifts (high): scores lie higher."),
        ("incident", "3", "closed", "", ""),
    ],
)
def test_what_happened_is_one_sentence_or_none(kind, subject, state, text, sentence):
    assert said(Happening(0, kind, subject, state, text)) == sentence


def test_a_long_reason_is_cut_and_shows_it():
    line = said(Happening(0, "check", "lstm", "drift critical", "Drift: " + "very " * 60))

    assert len(line) <= LONGEST
    assert line.endswith("…")
