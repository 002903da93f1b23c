"""One training run from the store to a published model, phase by phase, as the worker process does it.

Phases: ``read`` → ``fit`` → ``calibrate`` → ``evaluate`` → ``gate`` → ``stage`` → ``publish``. Nothing is visible before
``stage``, and nothing in force before ``publish``. Each phase is reported when it is done, with its figures. Decides the
order and what stands in which record; what is learned, judged and published others decide.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgpdrift.clock import Clock
from bgpdrift.errors import ArtifactError, NotEnoughDataError, PublishRefusedError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.ancestors import INHERITED, inherit, record_of
from bgpdrift.models.gate import Evidence, GatePolicy, GateVerdict, decide_gate
from bgpdrift.models.loading import builder, default_bytes
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import candidate_path, current_path
from bgpdrift.models.publication import active_version, next_version, stage
from bgpdrift.models.registry_records import version_row
from bgpdrift.models.retention import RetentionPolicy
from bgpdrift.process.durable import stage_file
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.verdicts.calibration import Calibration
from retrainers.after_change import change_point_of
from retrainers.aftermath import tidy
from retrainers.comparison import Model, Shown, longest_history, prepare, show
from retrainers.exits import Exit
from retrainers.own_drift import drift_by_day
from retrainers.span import Span, read_span
from retrainers.training import Trained, to_artifact, train

PHASES = ("read", "fit", "calibrate", "evaluate", "gate", "stage", "publish")
Say = Callable[[Mapping[str, Any]], None]
Train = Callable[..., Trained]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line or the flag asked for.

    Attributes
    ----------
    days : int
        Training span.
    dry_run : bool
        Do everything, write nothing.
    candidate_only : bool
        Leave the candidate for ``bgpdrift promote``, which applies its own limit on drift.
    force : bool
        Publish although the gate refuses its quality.
    seed : int
        Equal seeds and equal data give equal models.
    reason : mapping
        Who asked, and why; stored with the event.
    since_change : bool
        Learn only from what followed the last known change of level, where there is one.
    """

    days: int
    dry_run: bool = False
    candidate_only: bool = False
    force: bool = False
    seed: int = 0
    reason: Mapping[str, Any] = field(default_factory=dict)
    since_change: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run."""

    exit: Exit
    outcome: str
    """``promoted``, ``candidate``, ``dry_run``, ``rejected``, ``refused`` or ``not_enough_data``."""
    reason: str = ""
    version: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def gate_policy(settings: Settings, options: Options) -> GatePolicy:
    """Thresholds as set. A candidate left for ``promote`` is not refused for its drift: that is decided there."""
    retrain = settings.retrain
    return GatePolicy(
        min_rows=min(retrain.min_windows, 10**9),
        max_seconds=retrain.time_limit_s,
        tolerance=retrain.tolerance,
        detection_tolerance=retrain.detection_tolerance,
        kind_tolerance=retrain.kind_tolerance,
        min_detection=retrain.min_detection,
        record_tolerance=retrain.probation_detection_loss,
        max_alarms_per_day=retrain.max_alarm_factor * settings.detectors.false_alarms_per_day,
        max_drift=float("inf") if options.candidate_only else retrain.max_drift,
        force=options.force,
    )


class Run:
    """One run of one model.

    Parameters
    ----------
    settings : Settings
        All of them.
    store : Store
        Read from; written to unless it is a dry run.
    clock : Clock
        Stamps and durations.
    model : str
        What to train.
    options : Options
        See there.
    say : callable
        Told every phase when it is done, and how far a long one is.
    guard : callable
        Raises if the request was taken from us; asked just before anything comes into force.
    train : callable
        `retrainers.training.train`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        model: str,
        options: Options,
        say: Say,
        guard: Callable[[], None] = lambda: None,
        train: Train = train,
    ) -> None:
        self._train_model = train
        self._settings, self._store, self._clock, self._model = settings, store, clock, model
        self._options, self._say, self._guard = options, say, guard
        self._folder = settings.artifacts_path
        keep = RetentionPolicy(
            settings.models.keep_backups, settings.models.keep_candidates, settings.models.keep_rejected
        )
        self._registry = ModelRegistry(self._folder, store, clock, keep, settings.detectors.history_minutes)
        self._event_id: int | None = None
        self._event: dict[str, Any] = {}

    def __call__(self) -> Result:
        """Run; raises what went wrong, after the event was completed with it."""
        begun = self._clock.now()
        if not self._options.dry_run:
            tidy(self._settings, self._store, self._clock)
            self._registry.reconcile(self._model)
            self._event = {"model": self._model, "kind": "retrain", "started_at": int(begun)}
            self._event["reason_json"] = dict(self._options.reason)
            self._event_id = self._store.record_retrain_event(self._event)
            self._say({"event": "retrain.started", "event_id": self._event_id})
        try:
            result = self._run()
        except NotEnoughDataError as error:
            if self._event and error.not_before:
                self._event["reason_json"] = {**self._event["reason_json"], "not_before": error.not_before}
            result = Result(Exit.NOT_ENOUGH_DATA, "not_enough_data", str(error))
        except BaseException as error:
            self._finish(Exit.INTERNAL, f"failed: {error}")
            raise
        if result.outcome != "promoted":  # of that, publishing wrote
            self._finish(result.exit, f"{result.outcome}: {result.reason}", version=result.version)
        return result

    def _run(self) -> Result:
        retrain = self._settings.retrain
        with self._phase("read") as figures:
            span = read_span(
                self._store,
                days=self._options.days,
                held_out_share=retrain.held_out_share,
                margin_s=retrain.incident_margin_s,
                min_windows=retrain.min_windows,
                max_windows=retrain.max_windows,
                change_point=self._change_point(),
            )
            figures.update(span.as_fields())
        begun = self._clock.monotonic()
        trained = self._train(span)
        seconds = self._clock.monotonic() - begun
        expected = active_version(self._folder, self._model)
        with self._phase("evaluate") as figures:
            active = self._active_model()
            candidate = Model("candidate", trained.detector, trained.calibration)
            bench = prepare(span, longest_history([candidate, active]), self._options.seed)
            self._progress("evaluate", 0.1)
            new = show(candidate, bench, self._settings)
            self._progress("evaluate", 0.6)
            old = show(active, bench, self._settings) if active else None
            scored = [(part.window_start, part.score) for part in trained.held_out]
            drift, unlike = drift_by_day(scored, (new.starts, new.scores), span.cut)
            figures.update(candidate=new.as_fields(), active=old.as_fields() if old else None, **drift)
            figures.update(held_out_windows=len(new.scores), labelled_windows=bench.labelled_windows)
        with self._phase("gate") as figures:
            evidence = Evidence(
                candidate=new.judged,
                active=old.judged if old else None,
                train_rows=trained.train_rows,
                seconds=seconds,
                drift_psi=drift.get("drift_psi", 0.0),
                unusable_scores=new.unusable,
                span_hours=(span.end - span.start) / 3600,
                drift_unlike=unlike,
                record=active.record if active else {},
            )
            verdict = decide_gate(evidence, gate_policy(self._settings, self._options))
            figures.update(verdict.as_fields())
        metrics = self._metrics(new, old, active, drift, verdict, seconds)
        self._event.update(_event_figures(trained, new, old))
        return self._conclude(span, trained, verdict, expected, metrics)

    def _change_point(self) -> int | None:
        """Where what may teach begins, if a change of level is known; a span somebody named is taken as it is."""
        if not self._options.since_change:
            return None
        try:
            training = artifacts.read(current_path(self._folder, self._model), self._model).training
        except ArtifactError:
            training = {}
        return change_point_of(self._options.reason.get("details") or {}, training)

    def _train(self, span: Span) -> Trained:
        """Fit and calibrate, told apart by what the training reports."""
        begun, at = time.monotonic(), "fit"

        def progress(phase: str, share: float) -> None:
            nonlocal begun, at
            if phase == "calibrate" and at == "fit":
                self._done("fit", time.monotonic() - begun, {})
                begun, at = time.monotonic(), "calibrate"
            self._progress(at, share)

        history = self._settings.detectors.history_minutes
        trained = self._train_model(
            self._model, span.teaching(), seed=self._options.seed, progress=progress, history_minutes=history
        )
        figures = {"train_rows": trained.train_rows, "calibration_rows": trained.calibration_rows}
        self._done(at, time.monotonic() - begun, figures)
        return trained

    def _active_model(self) -> Model | None:
        """The model in force, or the packaged one where none is; None if neither can be run."""
        build = builder(self._model, self._settings.detectors.history_minutes)
        path = current_path(self._folder, self._model)
        try:
            if path.exists():
                found = artifacts.read(path, self._model)
            elif raw := default_bytes(self._model):
                found = artifacts.from_bytes(raw, f"packaged default of {self._model}", self._model)
            else:
                return None
            if build is None:
                return None
            calibration = Calibration.from_fields(found.calibration)
            record = record_of(found.metrics, self._clock.now() - found.created_at)
            return Model(found.version, artifacts.run_self_test(found, build), calibration, record)
        except ArtifactError as error:
            self._say({"event": "retrain.active_unusable", "reason": str(error)})
            return None

    def _conclude(
        self, span: Span, trained: Trained, verdict: GateVerdict, expected: str, metrics: dict[str, Any]
    ) -> Result:
        options = self._options
        if options.dry_run:
            exit_code = Exit.PROMOTED if verdict.accepted else Exit.REJECTED
            return Result(exit_code, "dry_run", verdict.reason, figures=metrics)
        version = self._next_version()
        with self._phase("stage") as figures:
            artifact = to_artifact(
                trained,
                span.teaching(),
                version=version,
                created_at=int(self._clock.now()),
                parent_version=expected,
                metrics=metrics,
                training={
                    "span": span.as_fields(),
                    "seed": options.seed,
                    "days": options.days,
                    "change_point": span.change_point,
                },
                drift_cause=dict(options.reason.get("details") or {}),
                alarms_per_day=self._settings.detectors.false_alarms_per_day,
            )
            raw = artifacts.to_bytes(artifact)
            figures.update(version=version, bytes=len(raw))
            path = candidate_path(self._folder, self._model, version)
            if not verdict.accepted:
                # Never seen among the candidates, however this ends: `promote` would take it.
                with stage_file(path, raw) as file:
                    place = self._registry.reject(self._model, file, verdict.reason)
                self._event["artifact_path"] = str(place)
                return Result(Exit.REJECTED, "rejected", verdict.reason, version, metrics)
            self._announce(version, path)
            history = self._settings.detectors.history_minutes
            stage(self._folder, self._model, version, raw, history_minutes=history)
        if options.candidate_only:
            written = artifacts.from_bytes(raw, path.name, self._model)
            self._store.record_model_version(version_row(written, "candidate", path, None, self._clock.now()))
            return Result(Exit.PROMOTED, "candidate", verdict.reason, version, metrics)
        with self._phase("publish") as figures:
            try:
                done = self._registry.publish(
                    self._model,
                    path,
                    expected_active=expected,
                    kind="retrain",
                    guard=self._guard,
                    event={**self._event, "notes": verdict.reason, "exit_code": int(Exit.PROMOTED)},
                    event_id=self._event_id,
                )
            except PublishRefusedError as error:
                return Result(Exit.REJECTED, "refused", str(error), version, metrics)
            figures.update(version=version, in_place_of=done.parent_version, publish_ms=round(1e3 * done.seconds, 1))
        return Result(Exit.PROMOTED, "promoted", verdict.reason, version, metrics)

    def _next_version(self) -> str:
        """Count on from every version there was, also one whose run died before anybody saw it."""
        known = [str(row["version"]) for row in self._store.model_versions(self._model)]
        known += [str(row["version"]) for row in self._store.retrain_events(self._model, 100)]
        return next_version(self._folder, self._model, known)

    def _announce(self, version: str, path: Path) -> None:
        """Write down which file is in the making, so that `tidy` finds it should we be killed."""
        self._event.update(version=version, artifact_path=str(path))
        if self._event_id is not None:
            self._store.finish_retrain_event(self._event_id, {"version": version, "artifact_path": str(path)})

    def _metrics(
        self,
        new: Shown,
        old: Shown | None,
        active: Model | None,
        drift: Mapping[str, float],
        verdict: GateVerdict,
        seconds: float,
    ) -> dict[str, Any]:
        # Who forces a model in takes it as it is: its successors are held to it, not to what was before.
        record = active.record if active and not verdict.forced else {}
        return {
            **new.as_fields(),
            INHERITED: inherit(new.judged.injected, record),
            **drift,
            "held_out_windows": len(new.scores),
            "training_seconds": round(seconds, 3),
            "active_version": active.version if active else "",
            "active": old.as_fields() if old else {},
            "gate": verdict.as_fields(),
            "forced": verdict.forced,
        }

    def _finish(self, exit_code: Exit, notes: str, version: str = "") -> None:
        if self._event_id is None:
            return
        row = {**self._event, "finished_at": int(self._clock.now()), "exit_code": int(exit_code), "notes": notes}
        self._store.finish_retrain_event(self._event_id, {**row, "version": version, "promoted": False})

    def _progress(self, phase: str, share: float) -> None:
        self._say({"event": "retrain.progress", "phase": phase, "share": round(share, 4)})

    def _done(self, phase: str, seconds: float, figures: Mapping[str, Any]) -> None:
        self._say({"event": f"retrain.{phase}", "seconds": round(seconds, 3), **figures})

    @contextmanager
    def _phase(self, name: str) -> Iterator[dict[str, Any]]:
        self._progress(name, 0.0)
        begun, figures = time.monotonic(), dict[str, Any]()
        yield figures
        self._done(name, time.monotonic() - begun, figures)


def _event_figures(trained: Trained, new: Shown, old: Shown | None) -> dict[str, Any]:
    before = old.judged if old else None
    return {
        "train_records": trained.train_rows,
        "valid_records": len(new.scores),
        "acc_old": before.accuracy if before else None,
        "acc_new": new.judged.accuracy,
        "f1_old": before.f1 if before else None,
        "f1_new": new.judged.f1,
    }
