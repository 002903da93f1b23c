"""docs/drift.md names only settings that exist, and explains every verdict and severity."""

import re
from pathlib import Path

from bgpdrift.drift.report import SEVERITIES, VERDICTS
from bgpdrift.settings import fields

PAGE = Path(__file__).parents[3] / "docs" / "drift.md"


def test_every_setting_that_the_page_names_exists():
    named = set(re.findall(r"`((?:drift|retrain)\.[a-z_]+)", PAGE.read_text()))

    assert named - {field.key for field in fields()} == set()
    assert len(named) > 20


def test_every_verdict_and_severity_is_explained():
    text = PAGE.read_text()

    assert [word for word in (*VERDICTS, *SEVERITIES[1:]) if f"`{word}`" not in text] == []
