"""A small learned model, and files made of it: good, bent and damaged."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact, to_bytes
from bgpdrift.models.learn_default import learn_artifact


@pytest.fixture(scope="session")
def artifact(windows) -> Artifact:
    return learn_artifact([windows.calm(6_000)], history_minutes=360)


@pytest.fixture(scope="session")
def bytes_of(artifact) -> Callable[[str], bytes]:
    """The model under another version."""
    return lambda version: to_bytes(replace(artifact, version=version))


def resign(raw: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """Let ``change`` bend the header and the metadata in it, and sign the result as if it were ours."""
    length = int.from_bytes(raw[:8], "little")
    header = msgspec.json.decode(raw[8 : 8 + length])
    metadata = msgspec.json.decode(header["__metadata__"]["bgpdrift"])
    change(header, metadata)
    header["__metadata__"]["bgpdrift"] = msgspec.json.encode(metadata).decode()
    header["__metadata__"]["digest"] = "0" * 64
    head = msgspec.json.encode(header, order="sorted")
    head += b" " * (-len(head) % 8)
    bent = len(head).to_bytes(8, "little") + head + raw[8 + length :]
    place = artifacts._digest_place(bent)
    return bent[:place] + artifacts._digest(bent, place).encode() + bent[place + 64 :]


@pytest.fixture(scope="session")
def resigned() -> Callable[..., bytes]:
    return resign
