"""Models that are whole, pass their self-test and are wrong: what a gate that was overruled would let through.

Only the calibration is touched: the scores are those of the model in force, what they are worth is not. Decides how a
model is bad; bringing it into force is a person's ``--force``, here `ModelRegistry.publish`.
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
FACTOR: Mapping[Fault, float] = {"never_alarms": 1_000.0, "always_alarms": 0.001}
"""Scores must be so many times as high to be as unusual."""


def bad_copy(model: Artifact, fault: Fault, version: str) -> Artifact:
    """Give a model like this one that takes its own scores for something else."""
    factor, found = FACTOR[fault], model.calibration
    tail: Mapping[str, Any] = found["tail"]
    calibration = {
        **found,
        "scores": [score * factor for score in found["scores"]],
        "tail": {**tail, "start": tail["start"] * factor, "scale": tail["scale"] * factor},
    }
    return replace(model, version=version, parent_version=model.version, calibration=calibration, digest="")


def force_bad_model(settings: Settings, store: Store, registry: ModelRegistry, model: str, fault: Fault) -> str:
    """Publish a bad copy of the model in force; its version."""
    folder = settings.artifacts_path
    active = artifacts.read(current_path(folder, model), model)
    known = [str(row["version"]) for row in (*store.model_versions(model), *store.retrain_events(model, 100))]
    version = next_version(folder, model, known)
    raw = artifacts.to_bytes(bad_copy(active, fault, version))
    path = stage(folder, model, version, raw, history_minutes=settings.detectors.history_minutes)
    registry.publish(model, path, expected_active=active.version, event={"notes": f"forced: {fault}"})
    return version
