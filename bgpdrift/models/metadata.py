"""The metadata of a model file: typed values, their limits, and the schema version.

This module decides the fields and the schema versions that this program reads. `bgpdrift.models.artifact` reads and writes
the bytes of a file. The retrainers measure the evaluation figures, and `bgpdrift.models.gate` judges them.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bgpdrift.errors import ArtifactError, NewerSchemaError
from bgpdrift.models.flags import DriftCause
from bgpdrift.models.gate import GateVerdict, ModelFigures
from bgpdrift.store.window_columns import FEATURE_NAMES

SCHEMA_VERSION = 2
"""2: typed fields, ``start`` and ``end`` of the training span, no ``reference_profile``."""
DRIFT_FIGURES = ("drift_psi", "drift_kl", "drift_js", "drift_ks")


class EvaluationMetrics(ModelFigures, frozen=True, kw_only=True, omit_defaults=True):
    """The figures of a model at its training, beside those of the model that was active then."""

    injected_record: dict[str, float] = msgspec.field(default_factory=dict)
    """Recall per kind of injected anomaly that successors are compared with (`bgpdrift.models.ancestors`)."""
    drift_psi: float | None = None
    """Divergence of the held-out scores from the training scores, in nats; so is ``drift_kl``."""
    drift_kl: float | None = None
    drift_js: float | None = None
    """In bits, at most 1."""
    drift_ks: float | None = None
    """Largest difference of the two distribution functions, 0 to 1."""
    held_out_windows: int = 0
    training_seconds: float = 0.0
    active_version: str = ""
    active: ModelFigures | None = None
    """The figures of the model that was active, on the same windows."""
    gate: GateVerdict | None = None
    forced: bool = False
    """Published with ``--force`` although a quality check failed."""
    alarm_share_on_calibration_rows: float | None = None
    """Only in the packaged default."""

    @property
    def drift_figures(self) -> dict[str, float]:
        """The drift figures that were measured, by name."""
        return {name: value for name in DRIFT_FIGURES if (value := getattr(self, name)) is not None}


class SpanRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which windows a model learned from and was judged on. Times are epoch seconds."""

    start: int
    end: int
    held_out_from: int
    """Windows before it train the model, windows from it on judge the model."""
    windows: int
    clean_windows: int
    groups: int
    """Pairs of collector and peer."""
    excluded: dict[str, int] = {}
    """Windows that were not used for training, by reason."""
    labels: dict[str, int] = {}
    notes: list[str] = []
    change_point: int | None = None
    """Level change at which the span begins, if it begins at one."""


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a model was trained."""

    rows: int = 0
    calibration_rows: int = 0
    start: int = 0
    """First window, epoch seconds."""
    end: int = 0
    """End of the last window, epoch seconds."""
    groups: int = 0
    source: str = ""
    """Only in the packaged default: where its windows are from."""
    span: SpanRecord | None = None
    seed: int = 0
    days: int = 0
    change_point: int | None = None


NO_METRICS = EvaluationMetrics()
NO_TRAINING = TrainingRecord()
NO_CAUSE = DriftCause()


class ArtifactMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata in the header of a model file."""

    schema_version: int = SCHEMA_VERSION
    model: str
    version: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    created_at: Annotated[int, Meta(ge=0, le=2**53)]
    parent_version: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{0,64}$")] = ""
    feature_names: Annotated[list[str], Meta(min_length=1, max_length=len(FEATURE_NAMES))]
    hyper_parameters: dict[str, Any]
    calibration: dict[str, Any]
    training: TrainingRecord = NO_TRAINING
    metrics: EvaluationMetrics = NO_METRICS
    drift_cause: DriftCause = NO_CAUSE


class _Schema(msgspec.Struct):
    schema_version: int


def decode_metadata(text: str, name: str) -> ArtifactMetadata:
    """Decode and check the metadata of a model file.

    Parameters
    ----------
    text : str
        JSON.
    name : str
        The file, for error messages.

    Raises
    ------
    ArtifactError
        The schema version is an older one; `NewerSchemaError` for a newer one.
    msgspec.MsgspecError
        A field is missing, has another type or is out of its limits.
    """
    schema = msgspec.json.decode(text, type=_Schema).schema_version
    if schema > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"{name}: expected schema version {SCHEMA_VERSION}, found the newer {schema}; update bgpdrift first"
        )
    if schema < SCHEMA_VERSION:
        raise ArtifactError(
            f"{name}: expected schema version {SCHEMA_VERSION}, found the older {schema}; train the model again"
        )
    metadata = msgspec.json.decode(text, type=ArtifactMetadata)
    unknown = sorted(set(metadata.feature_names) - set(FEATURE_NAMES))
    if unknown:
        raise ArtifactError(f"{name}: unknown features {', '.join(unknown)[:200]}")
    if len(set(metadata.feature_names)) != len(metadata.feature_names):
        raise ArtifactError(f"{name}: a feature name occurs twice")
    return metadata
