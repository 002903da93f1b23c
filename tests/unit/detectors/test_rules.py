"""The records of the rules, and the page that describes them with the same texts and numbers."""

from pathlib import Path

import pytest

from bgpdrift.detector_registry import BY_NAME, DETECTORS
from bgpdrift.detectors.rules import RULES, Rule
from bgpdrift.models.artifact import from_bytes
from bgpdrift.store.window_columns import FEATURE_NAMES

PAGE = Path(__file__).parents[3] / "docs" / "detectors.md"
YES_NO = {True: "yes", False: "no"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_needs_only_columns_that_exist_and_has_a_sentence_for_people(rule: Rule) -> None:
    assert set(rule.needs) <= set(FEATURE_NAMES)
    assert rule.meaning[0].isupper()
    assert rule.meaning.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_page_describes_each_rule_by_its_record_and_the_packaged_thresholds(rule: Rule) -> None:
    raw = BY_NAME["heuristic"].read_default_model()
    assert raw is not None
    spreads = from_bytes(raw, "packaged default", "heuristic").content.arrays["thresholds"][RULES.index(rule)]
    cells = (
        f"`{rule.name}`",
        rule.unit + (", below the baseline" if rule.direction < 0 else ""),
        ", ".join(f"{value:.1f}" for value in spreads),
        f"{rule.min_factor:g}",
        f"{rule.min_size:g}",
        YES_NO[rule.sufficient],
        YES_NO[rule.reset_explains],
        rule.kind or "–",
    )
    assert f"| {' | '.join(cells)} |" in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_lists_every_detector_by_its_record() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for record in DETECTORS:
        packaged = YES_NO[bool(record.default_model)]
        assert f"| `{record.name}` | {record.summary} | {record.weight:g} | {packaged} |" in lines
