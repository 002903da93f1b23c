"""One training run, from the windows in the store to a published model, as the worker process does it.

Phases: ``read`` → ``fit`` → ``calibrate`` → ``evaluate`` → ``gate`` → ``stage`` → ``publish``. No file is visible before
``stage``, and no model changes before ``publish``. Each phase reports its figures at its end. This module decides the order
of the phases and what the run records; other modules train, evaluate, judge and publish.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bgpdrift.clock import Clock
from bgpdrift.errors import ArtifactError, NotEnoughDataError, PublishRefusedError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.ancestors import compute_record, inherit_record
from bgpdrift.models.gate import Evidence, GatePolicy, GateVerdict, decide_gate
from bgpdrift.models.loading import builder, default_bytes
from bgpdrift.models.metadata import EvaluationMetrics, TrainingRecord
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import candidate_path, current_path, next_version
from bgpdrift.models.publication import active_version, stage
from bgpdrift.models.registry_records import build_version
from bgpdrift.models.retention import RetentionPolicy
from bgpdrift.models.self_test import run_self_test
from bgpdrift.process.durable import stage_file
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.model_records import RetrainEvent
from bgpdrift.verdicts.calibration import Calibration
from retrainers.comparison import Evaluation, HeldOutSet, Model, evaluate_model, longest_history, prepare_held_out
from retrainers.exits import Exit
from retrainers.held_out_drift import HeldOutDrift, measure_held_out_drift
from retrainers.run_options import RunOptions
from retrainers.span import Span, latest_change_point, read_span
from retrainers.training import Trained, to_artifact, train
from retrainers.unfinished_runs import close_unfinished_runs

PHASES = ("read", "fit", "calibrate", "evaluate", "gate", "stage", "publish")
Emit = Callable[[Mapping[str, Any]], None]
Train = Callable[..., Trained]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run."""

    exit: Exit
    outcome: str
    """``promoted``, ``candidate``, ``dry_run``, ``rejected``, ``refused`` or ``not_enough_data``."""
    reason: str = ""
    version: str = ""
    metrics: EvaluationMetrics | None = None


def build_gate_policy(settings: Settings, options: RunOptions) -> GatePolicy:
    """Build the gate's policy; a candidate left for ``promote`` is not refused for drift, because ``promote`` decides."""
    retrain = settings.retrain
    return GatePolicy(
        min_rows=min(retrain.min_windows, 10**9),
        max_seconds=retrain.time_limit_s,
        tolerance=retrain.tolerance,
        recall_tolerance=retrain.recall_tolerance,
        kind_tolerance=retrain.kind_tolerance,
        min_recall=retrain.min_recall,
        record_tolerance=retrain.probation_recall_loss,
        max_alarms_per_day=retrain.max_alarm_factor * settings.detectors.false_alarms_per_day,
        max_drift=float("inf") if options.candidate_only else retrain.max_drift,
        force=options.force,
    )


class TrainingRun:
    """One run of one model.

    Parameters
    ----------
    settings : Settings
        All settings.
    store : Store
        Read from; written to unless it is a dry run.
    clock : Clock
        Time stamps and durations.
    model : str
        The model to train.
    options : RunOptions
        Options from the command line or the flag file.
    emit : callable
        Receives a report of each phase at its end, and the progress of long phases.
    guard : callable
        Raises if this run no longer holds the claim; called just before the model becomes active.
    train : callable
        `retrainers.training.train`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        model: str,
        options: RunOptions,
        emit: Emit,
        guard: Callable[[], None] = lambda: None,
        train: Train = train,
    ) -> None:
        self._train_model = train
        self._settings, self._store, self._clock, self._model = settings, store, clock, model
        self._options, self._emit, self._guard = options, emit, guard
        self._folder = settings.artifacts_path
        self._registry = ModelRegistry(
            self._folder, store, clock, RetentionPolicy.from_settings(settings), settings.detectors.history_minutes
        )
        self._event: RetrainEvent | None = None  # in a dry run there is none

    def run(self) -> Result:
        """Run all phases; an error completes the event before it is raised."""
        begun = self._clock.now()
        if not self._options.dry_run:
            close_unfinished_runs(self._settings, self._store, self._clock)
            self._registry.reconcile(self._model)
            event = RetrainEvent(model=self._model, started_at=int(begun), reason=self._options.reason)
            self._event = replace(event, id=self._store.record_retrain_event(event))
            self._emit({"event": "retrain.started", "event_id": self._event.id})
        try:
            result = self._run_phases()
        except NotEnoughDataError as error:
            if self._event and error.not_before:
                self._update_event(reason=replace(self._event.reason, not_before=error.not_before))
            result = Result(Exit.NOT_ENOUGH_DATA, "not_enough_data", str(error))
        except BaseException as error:
            self._finish_event(Exit.INTERNAL, f"failed: {error}")
            raise
        if result.outcome != "promoted":  # `publish` completed the event of a promotion
            self._finish_event(result.exit, f"{result.outcome}: {result.reason}", version=result.version)
        return result

    def _run_phases(self) -> Result:
        options, retrain = self._options, self._settings.retrain
        with self._phase("read") as figures:
            span = read_span(
                self._store,
                days=options.days,
                held_out_share=retrain.held_out_share,
                margin_s=retrain.incident_margin_s,
                min_windows=retrain.min_windows,
                max_windows=retrain.max_windows,
                change_point=self._find_change_point(),
            )
            figures.update(msgspec.to_builtins(span.as_record()))
        begun = self._clock.monotonic()
        trained = self._train(span)
        seconds = self._clock.monotonic() - begun
        expected = active_version(self._folder, self._model)
        with self._phase("evaluate") as figures:
            active = self._load_active()
            candidate = Model("candidate", trained.detector, trained.calibration)
            held_out = prepare_held_out(span, longest_history([candidate, active]), options.seed)
            new, old = self._evaluate(candidate, active, held_out)
            scored = [(part.window_start, part.score) for part in trained.held_out]
            drift = measure_held_out_drift(scored, (new.starts, new.scores), span.cut)
            figures.update(candidate=new.figures, active=old.figures if old else None, **drift.figures)
            figures.update(held_out_windows=len(new.scores), labelled_windows=held_out.labelled_windows)
        with self._phase("gate") as figures:
            evidence = Evidence(
                candidate=new.figures,
                active=old.figures if old else None,
                train_rows=trained.train_rows,
                seconds=seconds,
                drift_psi=drift.figures.get("drift_psi", 0.0),
                unusable_scores=new.unusable,
                span_hours=(span.end - span.start) / 3600,
                drift_incomparable=drift.incomparable,
                record=active.record if active else {},
            )
            verdict = decide_gate(evidence, build_gate_policy(self._settings, options))
            figures.update(msgspec.to_builtins(verdict))
        metrics = _build_metrics(new, old, active, drift, verdict, seconds)
        self._update_event(**_event_columns(trained, new, old))
        return self._conclude(span, trained, verdict, expected, metrics)

    def _find_change_point(self) -> int | None:
        """Find the level change at which the span begins; None for a span whose days a person named."""
        if not self._options.since_change:
            return None
        try:
            trained_since = artifacts.read(current_path(self._folder, self._model), self._model).training.change_point
        except ArtifactError:
            trained_since = None
        return latest_change_point(self._options.cause.change_point, trained_since)

    def _train(self, span: Span) -> Trained:
        """Fit and calibrate; the training's progress reports tell the two phases apart."""
        begun, phase = time.monotonic(), "fit"

        def report_progress(reported: str, share: float) -> None:
            nonlocal begun, phase
            if reported == "calibrate" and phase == "fit":
                self._emit_phase("fit", time.monotonic() - begun, {})
                begun, phase = time.monotonic(), "calibrate"
            self._emit_progress(phase, share)

        history = self._settings.detectors.history_minutes
        trained = self._train_model(
            self._model,
            span.training_frames(),
            seed=self._options.seed,
            progress=report_progress,
            history_minutes=history,
        )
        figures = {"train_rows": trained.train_rows, "calibration_rows": trained.calibration_rows}
        self._emit_phase(phase, time.monotonic() - begun, figures)
        return trained

    def _evaluate(
        self, candidate: Model, active: Model | None, held_out: HeldOutSet
    ) -> tuple[Evaluation, Evaluation | None]:
        self._emit_progress("evaluate", 0.1)
        new = evaluate_model(candidate, held_out, self._settings)
        self._emit_progress("evaluate", 0.6)
        return new, evaluate_model(active, held_out, self._settings) if active else None

    def _load_active(self) -> Model | None:
        """Load the active model, or the packaged default if there is none; None if neither runs."""
        path = current_path(self._folder, self._model)
        try:
            if path.exists():
                artifact = artifacts.read(path, self._model)
            elif raw := default_bytes(self._model):
                artifact = artifacts.from_bytes(raw, f"packaged default of {self._model}", self._model)
            else:
                return None
            calibration = Calibration.from_fields(artifact.calibration)
            metrics, age_s = artifact.metrics, self._clock.now() - artifact.created_at
            record = compute_record(metrics.injected, metrics.injected_record, age_s)
            build = builder(self._model, self._settings.detectors.history_minutes)
            return Model(artifact.version, run_self_test(artifact, build), calibration, record)
        except ArtifactError as error:
            self._emit({"event": "retrain.active_unusable", "reason": str(error)})
            return None

    def _conclude(
        self, span: Span, trained: Trained, verdict: GateVerdict, expected: str, metrics: EvaluationMetrics
    ) -> Result:
        options = self._options
        if options.dry_run:
            exit_code = Exit.PROMOTED if verdict.accepted else Exit.REJECTED
            return Result(exit_code, "dry_run", verdict.reason, metrics=metrics)
        version = self._next_version()
        with self._phase("stage") as figures:
            artifact = to_artifact(
                trained,
                span.training_frames(),
                version=version,
                created_at=int(self._clock.now()),
                parent_version=expected,
                metrics=metrics,
                training=TrainingRecord(
                    span=span.as_record(), seed=options.seed, days=options.days, change_point=span.change_point
                ),
                drift_cause=options.cause,
                alarms_per_day=self._settings.detectors.false_alarms_per_day,
            )
            raw = artifacts.to_bytes(artifact)
            figures.update(version=version, bytes=len(raw))
            path = candidate_path(self._folder, self._model, version)
            if not verdict.accepted:
                # It never lies among the candidates, even if this process is killed: `promote` would publish it.
                with stage_file(path, raw) as file:
                    rejected = self._registry.reject(self._model, file, verdict.reason)
                self._update_event(artifact_path=str(rejected))
                return Result(Exit.REJECTED, "rejected", verdict.reason, version, metrics)
            self._announce_candidate(version, path)
            history = self._settings.detectors.history_minutes
            stage(self._folder, self._model, version, raw, history_minutes=history)
        if options.candidate_only:
            written = artifacts.from_bytes(raw, path.name, self._model)
            self._store.record_model_version(build_version(written, "candidate", path, None, self._clock.now()))
            return Result(Exit.PROMOTED, "candidate", verdict.reason, version, metrics)
        with self._phase("publish") as figures:
            try:
                publication = self._registry.publish(
                    self._model,
                    path,
                    expected_active=expected,
                    event=self._event and replace(self._event, notes=verdict.reason),
                    guard=self._guard,
                )
            except PublishRefusedError as error:
                return Result(Exit.REJECTED, "refused", str(error), version, metrics)
            publish_ms = round(1e3 * publication.seconds, 1)
            figures.update(version=version, parent_version=publication.parent_version, publish_ms=publish_ms)
        return Result(Exit.PROMOTED, "promoted", verdict.reason, version, metrics)

    def _next_version(self) -> str:
        """Count on from every known version, including those of runs that were killed."""
        versions = [version.version for version in self._store.model_versions(self._model)]
        versions += [event.version for event in self._store.retrain_events(self._model, 100)]
        return next_version(self._folder, self._model, versions)

    def _announce_candidate(self, version: str, path: Path) -> None:
        """Record the candidate's path first, so that `close_unfinished_runs` finds it if this process is killed."""
        self._update_event(version=version, artifact_path=str(path))
        if self._event is not None:
            self._store.record_retrain_event(self._event)

    def _update_event(self, **fields: Any) -> None:
        """Change fields of the event; it is written with the next of its records."""
        if self._event is not None:
            self._event = replace(self._event, **fields)

    def _finish_event(self, exit_code: Exit, notes: str, version: str = "") -> None:
        self._update_event(
            version=version,
            finished_at=int(self._clock.now()),
            promoted=False,
            exit_code=int(exit_code),
            notes=notes,
        )
        if self._event is not None:
            self._store.record_retrain_event(self._event)

    def _emit_progress(self, phase: str, share: float) -> None:
        self._emit({"event": "retrain.progress", "phase": phase, "share": round(share, 4)})

    def _emit_phase(self, phase: str, seconds: float, figures: Mapping[str, Any]) -> None:
        self._emit({"event": f"retrain.{phase}", "seconds": round(seconds, 3), **figures})

    @contextmanager
    def _phase(self, name: str) -> Iterator[dict[str, Any]]:
        self._emit_progress(name, 0.0)
        begun, figures = time.monotonic(), dict[str, Any]()
        yield figures
        self._emit_phase(name, time.monotonic() - begun, figures)


def _build_metrics(
    new: Evaluation,
    old: Evaluation | None,
    active: Model | None,
    drift: HeldOutDrift,
    verdict: GateVerdict,
    seconds: float,
) -> EvaluationMetrics:
    # A forced model does not inherit: its successors are compared with its own recall, not with that of its ancestors.
    record = active.record if active and not verdict.forced else {}
    figures: dict[str, Any] = {**msgspec.structs.asdict(new.figures), **drift.figures}
    return EvaluationMetrics(
        **figures,
        injected_record=inherit_record(new.figures.injected, record),
        held_out_windows=len(new.scores),
        training_seconds=round(seconds, 3),
        active_version=active.version if active else "",
        active=old.figures if old else None,
        gate=verdict,
        forced=verdict.forced,
    )


def _event_columns(trained: Trained, new: Evaluation, old: Evaluation | None) -> dict[str, Any]:
    before = old.figures if old else None
    return {
        "train_records": trained.train_rows,
        "valid_records": len(new.scores),
        "acc_old": before.accuracy if before else None,
        "acc_new": new.figures.accuracy,
        "f1_old": before.f1 if before else None,
        "f1_new": new.figures.f1,
    }
