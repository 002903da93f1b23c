"""A small learned model."""

import importlib.util
from pathlib import Path

import pytest

from bgpdrift.models.artifact import Artifact
from bgpdrift.models.learn_default import learn_artifact


@pytest.fixture(scope="session")
def windows():
    path = Path(__file__).parents[1] / "detectors" / "windows.py"
    spec = importlib.util.spec_from_file_location("bgpdrift_tests_windows", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def artifact(windows) -> Artifact:
    return learn_artifact([windows.calm(6_000)])
