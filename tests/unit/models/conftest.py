"""A small learned model and its bytes, unchanged or changed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bgpdrift.models.artifact import Artifact, sign, to_bytes
from bgpdrift.models.learn_default import learn_artifact


@pytest.fixture(scope="session")
def artifact(windows) -> Artifact:
    return learn_artifact([windows.calm(6_000)], history_minutes=360)


@pytest.fixture(scope="session")
def bytes_of(artifact) -> Callable[[str], bytes]:
    """The model under another version."""
    return lambda version: to_bytes(replace(artifact, version=version))


def resign(raw: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """Apply ``change`` to the header and its metadata, and sign the result."""
    length = int.from_bytes(raw[:8], "little")
    header = msgspec.json.decode(raw[8 : 8 + length])
    metadata = msgspec.json.decode(header["__metadata__"]["bgpdrift"])
    change(header, metadata)
    header["__metadata__"]["bgpdrift"] = msgspec.json.encode(metadata).decode()
    return sign(header, raw[8 + length :])


@pytest.fixture(scope="session")
def resigned() -> Callable[..., bytes]:
    return resign
