"""Kind, severity and summary of an incident."""

import pytest

from bgpdrift.detectors.rules import INCIDENT_KINDS, RULES, IncidentKind
from bgpdrift.store.evidence_records import ChangedPrefix, FiredRule, IncidentExplanation, RouteChange, Suspect
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


def test_the_summary_has_kind_culprit_collector_start_figures_and_what_changed() -> None:
    incident = {"collectors": ["rrc00"], "started_at": 120, "prefixes": ["192.0.2.0/24"], "origins": [64666]}
    explanation = IncidentExplanation(
        rules_fired=(FiredRule(rule="moas_new", value=12.0, baseline=0.5, unit="prefixes with a second origin"),),
        changes=(
            RouteChange(
                change="second_origin",
                first_at=60,
                n_prefixes=12,
                n_peers=7,
                suspects=(Suspect(64666, 12),),
                prefixes=(ChangedPrefix("192.0.2.0/24", 64500, 64666),),
            ),
        ),
    )

    text = summarize("origin hijack", incident, explanation)

    assert text == (
        "Origin hijack by AS64666 at collector rrc00 since 1970-01-01 00:01 UTC: prefixes are announced by a network that is "
        "not their owner (12 prefixes with a second origin, baseline 0.5); 192.0.2.0/24 (AS64500 -> AS64666) and 11 more; "
        "seen by 7 peers."
    )


def test_a_hijack_outweighs_the_path_changes_that_accompany_it_and_an_outage_a_stray_second_origin() -> None:
    moved = RouteChange(change="moved", n_routes=500, n_prefixes=60, suspects=(Suspect(64666, 480, 0),))
    hijack = RouteChange(change="second_origin", n_prefixes=50, suspects=(Suspect(64666, 50),))
    stray = RouteChange(change="second_origin", n_prefixes=3, suspects=(Suspect(64700, 3),))
    lost = RouteChange(change="lost", n_routes=900, n_prefixes=343, suspects=(Suspect(64666, 850, 40),))
    rules = dict.fromkeys(("moas_new", "moved_together", "lost_together"), 1.0)

    assert guess_kind(rules, [moved, hijack]) == "origin hijack"
    assert guess_kind(rules, [lost, stray]) == "outage"


def test_lost_routes_without_a_common_as_do_not_make_a_worm_an_outage() -> None:
    lost = RouteChange(change="lost", n_routes=900, n_prefixes=343, suspects=(Suspect(64666, 50, 4),))

    assert guess_kind({"update_storm": 9, "path_churn": 9, "visibility_loss": 2}, [lost]) == "update storm"
