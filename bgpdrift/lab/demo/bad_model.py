"""Bad models for the demo: files that pass every check of a file, with a calibration that is wrong.

Only the calibration differs from the active model, so the scores are equal and their p-values are wrong. The gate rejects
such a model. This module bypasses the gate, as a person does with ``--force``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import current_path, next_version
from bgpdrift.models.publication import stage
from bgpdrift.settings import Settings
from bgpdrift.store import Store

Fault = Literal["never_alarms", "always_alarms"]
SCORE_FACTORS: Mapping[Fault, float] = {"never_alarms": 1_000.0, "always_alarms": 0.001}
"""A score must be this many times as high to have the same p-value."""


def make_bad_copy(model: Artifact, fault: Fault, version: str) -> Artifact:
    """Return a copy of a model with a calibration that is wrong by the factor of the fault."""
    factor, calibration = SCORE_FACTORS[fault], model.calibration
    tail: Mapping[str, Any] = calibration["tail"]
    wrong = {
        **calibration,
        "scores": [score * factor for score in calibration["scores"]],
        "tail": {**tail, "start": tail["start"] * factor, "scale": tail["scale"] * factor},
    }
    return replace(model, version=version, parent_version=model.version, calibration=wrong, digest="")


def force_bad_model(settings: Settings, store: Store, registry: ModelRegistry, model: str, fault: Fault) -> str:
    """Publish a bad copy of the active model past the gate, and return its version."""
    folder = settings.artifacts_path
    active = artifacts.read(current_path(folder, model), model)
    known = [one.version for one in store.model_versions(model)]
    known += [event.version for event in store.retrain_events(model, 100)]
    version = next_version(folder, model, known)
    raw = artifacts.to_bytes(make_bad_copy(active, fault, version))
    path = stage(folder, model, version, raw, history_minutes=settings.detectors.history_minutes)
    event = registry.begin_event(model, "promote", notes=f"forced: {fault}")
    registry.publish(model, path, expected_active=active.version, event=event)
    return version
