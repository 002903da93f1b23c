"""Fixtures of the detector tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load_beside(name: str) -> ModuleType:
    """Load a helper that lies beside the tests; importlib mode puts no test folder on the path."""
    folder = Path(__file__).parents[2] if name == "windows" else Path(__file__).parent
    path = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bgpdrift_tests_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def windows() -> ModuleType:
    """Generated windows."""
    return load_beside("windows")
