"""Every registered detector meets the shared list of checks."""

import importlib
from types import ModuleType

import pytest

from bgpdrift.detectors.interface import Detector
from bgpdrift.models.loading import builder
from helpers import detector_checks
from retrainers.training import FOLDS


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
@pytest.mark.parametrize("check", detector_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_detector(model: str, check, trained: dict[str, Detector], windows: ModuleType) -> None:
    check(trained[model], windows)
