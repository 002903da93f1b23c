"""Kind, severity and summary of an incident."""

import pytest

from bgpdrift.detectors.rules import INCIDENT_KINDS, RULES, IncidentKind
from bgpdrift.verdicts.explanation import SEVERITIES, guess_kind, rate_severity, summarize


def test_every_rule_but_one_indicates_a_kind_and_every_kind_has_a_rule() -> None:
    assert {rule.name for rule in RULES if not rule.kind} == {"origin_change"}  # it accompanies hijacks and churn alike
    assert {rule.kind for rule in RULES} - {""} == {kind.name for kind in INCIDENT_KINDS}


@pytest.mark.parametrize("kind", INCIDENT_KINDS, ids=lambda kind: kind.name)
def test_the_rules_of_one_kind_alone_give_that_kind(kind: IncidentKind) -> None:
    rules = [rule.name for rule in RULES if rule.kind == kind.name]
    assert guess_kind(dict.fromkeys(rules, 5)) == kind.name


def test_severity_never_falls_as_breadth_or_strength_grow() -> None:
    ranks = [SEVERITIES.index(rate_severity(p, 1, 1, peak)) for p in (1, 40, 2_000) for peak in (3.0, 6.0, 12.0)]
    assert ranks[0] == 0
    assert ranks[-1] == 3
    assert all(a <= b for a, b in zip(ranks[:3], ranks[3:6], strict=True))


def test_the_summary_has_kind_collector_start_figures_origin_and_prefix() -> None:
    incident = {"collectors": ["rrc00"], "started_at": 0, "prefixes": ["192.0.2.0/24"], "origins": [64666]}
    text = summarize("silence", incident, [{"value": 2.0, "baseline": 200.0, "unit": "messages a minute"}])
    for part in (
        "Silence",
        "rrc00",
        "1970-01-01 00:00",
        "2 messages a minute, baseline 200",
        "AS64666",
        "192.0.2.0/24",
    ):
        assert part in text
