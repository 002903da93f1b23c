"""Readable files beside the active model: ``<model>.model.json`` and ``<model>.evaluation.json``.

They are written after a publication, each atomically. No program reads them; the model file holds the same metadata.
"""

from pathlib import Path

import msgspec

from bgpdrift.models.artifact import Artifact
from bgpdrift.models.flags import DriftCause
from bgpdrift.models.metadata import SCHEMA_VERSION, EvaluationMetrics, TrainingRecord
from bgpdrift.process.durable import write_durably


class ModelSidecar(msgspec.Struct, kw_only=True):
    """Content of ``<model>.model.json``."""

    model: str
    version: str
    parent_version: str
    schema_version: int = SCHEMA_VERSION
    created_at: int
    published_at: int
    digest: str
    feature_names: list[str]
    hyper_parameters: dict[str, object]
    training: TrainingRecord
    arrays: dict[str, list[int]]
    """Shapes by name."""


class EvaluationSidecar(EvaluationMetrics, frozen=True, kw_only=True):
    """Content of ``<model>.evaluation.json``: the metrics, with their ``drift_…`` figures, and the cause of the training."""

    model: str
    version: str
    drift_cause: DriftCause


def build_evaluation_sidecar(artifact: Artifact) -> EvaluationSidecar:
    """Build the content of ``<model>.evaluation.json``."""
    return EvaluationSidecar(
        model=artifact.content.model,
        version=artifact.version,
        drift_cause=artifact.drift_cause,
        **msgspec.structs.asdict(artifact.metrics),
    )


def write_sidecars(folder: Path, artifact: Artifact, published_at: float) -> None:
    """Write both files.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails.
    """
    content = artifact.content
    model_sidecar = ModelSidecar(
        model=content.model,
        version=artifact.version,
        parent_version=artifact.parent_version,
        created_at=artifact.created_at,
        published_at=int(published_at),
        digest=artifact.digest,
        feature_names=list(content.feature_names),
        hyper_parameters=dict(content.hyper_parameters),
        training=artifact.training,
        arrays={name: list(array.shape) for name, array in sorted(content.arrays.items())},
    )
    for name, sidecar in (
        (f"{content.model}.model.json", model_sidecar),
        (f"{content.model}.evaluation.json", build_evaluation_sidecar(artifact)),
    ):
        write_durably(folder / name, msgspec.json.format(msgspec.json.encode(sidecar), indent=2) + b"\n")
