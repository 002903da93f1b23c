"""Every registered detector meets the shared list of checks."""

from types import ModuleType

import pytest

from bgpdrift.detector_registry import BY_NAME, MODELS
from bgpdrift.detectors.interface import Detector
from bgpdrift.models.loading import builder
from helpers import detector_checks


@pytest.fixture(scope="module")
def trained(windows: ModuleType) -> dict[str, Detector]:
    """Each model, fitted on calm days of the collector that the checks look at."""
    found = {}
    for model in MODELS:
        fit = BY_NAME[model].load_trainer()
        build = builder(model, 360)
        assert build is not None
        found[model] = build(fit([windows.calm(2_880)], history_minutes=360, seed=1))
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("check", detector_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_detector(model: str, check, trained: dict[str, Detector], windows: ModuleType) -> None:
    check(trained[model], windows)
