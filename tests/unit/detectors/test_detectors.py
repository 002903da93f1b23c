"""Every registered detector meets the shared list of checks."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from bgpdrift.detectors.interface import Detector
from bgpdrift.models.loading import builder
from retrainers.training import FOLDS

_spec = importlib.util.spec_from_file_location("bgpdrift_shared_checks", Path(__file__).parent / "shared_checks.py")
assert _spec is not None
assert _spec.loader is not None
shared_checks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared_checks)


@pytest.fixture(scope="module")
def trained(windows: ModuleType) -> dict[str, Detector]:
    """Each model, fitted on calm days of the collector that the checks look at."""
    found = {}
    for model in FOLDS:
        fit = importlib.import_module(f"retrainers.fit_{model}").fit
        build = builder(model, 360)
        assert build is not None
        found[model] = build(fit([windows.calm(2_880)], seed=1))
    return found


@pytest.mark.parametrize("model", sorted(FOLDS))
@pytest.mark.parametrize("check", shared_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_detector(model: str, check, trained: dict[str, Detector], windows: ModuleType) -> None:
    check(trained[model], windows)
