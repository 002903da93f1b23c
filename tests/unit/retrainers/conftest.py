"""Fixtures of the retrainers' tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def windows() -> ModuleType:
    """The generated windows that the detectors' tests use."""
    path = Path(__file__).parents[2] / "windows.py"
    spec = importlib.util.spec_from_file_location("bgpdrift_tests_windows", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
