"""Every registered detector meets the shared list of checks."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from bgpdrift.models.loading import ModelSource, builder

_spec = importlib.util.spec_from_file_location("bgpdrift_shared_checks", Path(__file__).parent / "shared_checks.py")
assert _spec is not None
assert _spec.loader is not None
shared_checks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared_checks)


@pytest.mark.parametrize("model", ["heuristic"])
@pytest.mark.parametrize("check", shared_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_detector(model: str, check, windows: ModuleType, tmp_path: Path) -> None:
    loaded = ModelSource(tmp_path, model, builder(model, 360)).look().loaded
    assert loaded is not None
    check(loaded.detector, windows)
