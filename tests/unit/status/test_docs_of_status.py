"""docs/check-drift-status.md explains every field of the JSON document."""

from pathlib import Path

import msgspec
import pytest

from bgpdrift.status import snapshot

PAGE = Path(__file__).parents[3] / "docs" / "check-drift-status.md"
STRUCTS = [value for value in vars(snapshot).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_of_the_document_is_explained(struct):
    text = PAGE.read_text()
    missing = [field.name for field in msgspec.structs.fields(struct) if f"`{field.name}`" not in text]
    assert missing == []
