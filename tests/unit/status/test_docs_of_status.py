"""docs/drift.md tells every field of the JSON there is, and names only settings and verdicts there are."""

import re
from pathlib import Path

import msgspec
import pytest

from bgpdrift.drift.report import SEVERITIES, VERDICTS
from bgpdrift.settings import fields
from bgpdrift.status import snapshot as facts

PAGE = Path(__file__).parents[3] / "docs" / "drift.md"
STRUCTS = [
    facts.Status,
    facts.ToDo,
    facts.Command,
    facts.Monitor,
    facts.Model,
    facts.MeasureRow,
    facts.Series,
    facts.Question,
    facts.Holding,
    facts.Wish,
    facts.FlagFile,
    facts.Probation,
    facts.Running,
    facts.Retraining,
    facts.Report,
]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_of_the_document_is_explained(struct):
    text = PAGE.read_text().partition("## `check_drift_status --json`")[2]
    missing = [field.name for field in msgspec.structs.fields(struct) if f"`{field.name}`" not in text]
    assert missing == []


def test_every_setting_the_page_names_exists():
    named = set(re.findall(r"`((?:detectors|drift|retrain)\.[a-z_.]+)", PAGE.read_text()))
    assert named - {field.key for field in fields()} == set()
    assert len(named) > 20


def test_every_verdict_and_severity_is_explained():
    text = PAGE.read_text()
    assert [word for word in (*VERDICTS, *SEVERITIES[1:]) if f"`{word}`" not in text] == []
