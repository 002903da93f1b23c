"""Typed rows of the model registry: versions of models, and the events that made them or changed their state.

This module decides the fields and how version 1 of the JSON among them is read. `bgpdrift.models.lifecycle`
decides which state may follow which.
"""

from typing import Any, ClassVar, Literal

import msgspec

from bgpdrift.store.codec import StoredValue, rename_fields, without_none

ModelState = Literal["candidate", "active", "accepted", "rejected", "rolled_back", "retired"]
EventKind = Literal["retrain", "publish_default", "promote", "rollback", "reject", "recover"]


class VersionDetails(StoredValue, frozen=True, kw_only=True):
    """A copy of parts of a model file's metadata, for queries in SQL. The file remains the source."""

    can_start_anew: ClassVar[bool] = True

    training: dict[str, Any] = msgspec.field(default_factory=dict)
    """The fields of `bgpdrift.models.metadata.TrainingRecord`."""
    metrics: dict[str, Any] = msgspec.field(default_factory=dict)
    """The fields of `bgpdrift.models.metadata.EvaluationMetrics`."""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``model_versions``; times are wall clock, epoch seconds."""

    id: int = 0
    """0 before it is written."""
    model: str
    version: str
    state: ModelState
    parent_version: str | None = None
    digest: str
    """Of the model file."""
    artifact_path: str = ""
    created_at: int
    activated_at: int | None = None
    state_at: int | None = None
    """When the state was reached."""
    details: VersionDetails = VersionDetails()


class EventReason(StoredValue, frozen=True, kw_only=True):
    """Why a version was trained, published or rolled back. Fields that do not apply have their defaults."""

    can_start_anew: ClassVar[bool] = True

    summary: str = ""
    """One sentence for people."""
    requested_by: str = ""
    requested_at: float = 0.0
    """Wall clock, epoch seconds; 0 if it is not known."""
    request_id: int | None = None
    """Retraining request that a run answers."""
    force: bool = False
    """Whether the version is published although the gate refuses its quality."""
    attempts: int = 0
    """Runs for the same flag file that were killed before."""
    check_id: int | None = None
    """Drift check that caused the run, a row of ``drift_metrics``."""
    severity: str = ""
    change_point: int | None = None
    """Event time of the level change, epoch seconds."""
    report_path: str = ""
    model_version: str = ""
    """Version that drifted."""
    consented: bool = False
    """Whether a person agreed to the retraining."""
    not_before: int = 0
    """Earliest event time at which there may be enough windows; 0 if there are, or if it is not known."""
    max_drift: float | None = None
    """Largest drift of a candidate that a promotion allows."""
    skipped: dict[str, str] = msgspec.field(default_factory=dict)
    """Candidates that a promotion passed over: version and reason."""
    replaced_version: str = ""
    """Version that was active before a rollback."""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Move the fields of the cause, or of the details before it, to the top; rename the summary."""
        nested: dict[str, Any] = {}
        for name in ("details", "cause"):
            part = fields.pop(name, None)
            if isinstance(part, dict):
                nested |= rename_fields(part, {"version": "model_version"})
        names = {"reason": "summary", "from": "replaced_version"}
        return without_none(nested | rename_fields(fields, names))


class RetrainEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``model_retrain_events``; times are wall clock, epoch seconds."""

    id: int = 0
    """0 before it is written."""
    model: str
    version: str = ""
    """Version that the event made; empty for none."""
    kind: EventKind = "retrain"
    started_at: int
    finished_at: int | None = None
    """None while the event is in progress, and after its process was killed."""
    reason: EventReason = msgspec.field(default=EventReason(), name="reason_json")
    train_records: int | None = None
    valid_records: int | None = None
    acc_old: float | None = None
    acc_new: float | None = None
    f1_old: float | None = None
    f1_new: float | None = None
    promoted: bool = False
    """Whether the version became active."""
    artifact_path: str = ""
    exit_code: int | None = None
    notes: str = ""
    """The result, one sentence for people."""
