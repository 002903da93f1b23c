"""What a person reads about the model in force: ``<model>.model.json`` and ``<model>.evaluation.json``.

Written after a publication, each atomically; nothing decides by them, and a model without them is none the worse. The
same is in the model file itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.models.artifact import SCHEMA_VERSION, Artifact
from bgpdrift.process.durable import write_durably

DRIFT_PREFIX = "drift_"


def model_metadata(artifact: Artifact, published_at: float) -> dict[str, Any]:
    """What ``<model>.model.json`` says."""
    return {
        "model": artifact.content.model,
        "version": artifact.version,
        "parent_version": artifact.parent_version,
        "schema_version": SCHEMA_VERSION,
        "created_at": artifact.created_at,
        "published_at": int(published_at),
        "digest": artifact.digest,
        "feature_names": list(artifact.content.feature_names),
        "hyper_parameters": dict(artifact.content.hyper_parameters),
        "training": dict(artifact.training),
        "arrays": {name: list(array.shape) for name, array in sorted(artifact.content.arrays.items())},
    }


def evaluation_metadata(artifact: Artifact) -> dict[str, Any]:
    """What ``<model>.evaluation.json`` says: figures, the ``drift_…`` ones among them, and the drift that caused it.

    Figures of the drift that caused the training come as ``drift_cause_…`` unless named ``drift_…`` already.
    """
    cause = {
        name if name.startswith(DRIFT_PREFIX) else f"{DRIFT_PREFIX}cause_{name}": value
        for name, value in artifact.drift_cause.items()
    }
    metadata = {"model": artifact.content.model, "version": artifact.version, **cause, **artifact.metrics}
    return {**metadata, "drift_figures": drift_figures(artifact.metrics)}


def drift_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The ``drift_…`` figures that grow with drift: p-values and what is no number are left out.

    Examples
    --------
    >>> drift_figures({"drift_psi": 0.1, "drift_ks_p_value": 0.3, "drift_window": "24h/7d", "auc": 0.99})
    {'drift_psi': 0.1}
    """
    return {
        name: float(value)
        for name, value in sorted(metrics.items())
        if name.startswith(DRIFT_PREFIX)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and not name.endswith(("_p", "p_value"))
    }


def write_sidecars(folder: Path, artifact: Artifact, published_at: float) -> None:
    """Write both.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails.
    """
    model = artifact.content.model
    for name, metadata in (
        (f"{model}.model.json", model_metadata(artifact, published_at)),
        (f"{model}.evaluation.json", evaluation_metadata(artifact)),
    ):
        text = msgspec.json.format(msgspec.json.encode(metadata), indent=2)
        write_durably(folder / name, text + b"\n")
