"""The model registry: publishes, rolls back, rejects and accepts versions, and records every change.

`ModelRegistry` carries out what `bgpdrift.models.selection` chose, through the publish protocol, and then does step 7: rows
in ``model_retrain_events`` and ``model_versions``, a log line, sidecars, removal of old files. The files decide which
version is active: if the store is not reachable, the model still becomes active, and `ModelRegistry.reconcile` records it
later. `bgpdrift.models.lifecycle` decides which change of state is legal.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import ArtifactError, BgpdriftError, InputError, PublishRefusedError
from bgpdrift.models.artifact import Artifact, from_bytes, read
from bgpdrift.models.lifecycle import STATES, VERSION_LIFECYCLE, Event
from bgpdrift.models.model_files import ModelFile, ModelFiles, list_model_files
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import AtStep, Guard, Publication, publish, stage
from bgpdrift.models.quarantine import quarantine_file
from bgpdrift.models.recovery import recover
from bgpdrift.models.registry_records import RegistryRecords, RegistryStore, build_version, state_or
from bgpdrift.models.retention import RetentionPolicy, remove_expired
from bgpdrift.models.selection import ROLLED_BACK_NOTE, Promotion, choose_promotion, choose_rollback
from bgpdrift.models.sidecars import write_sidecars
from bgpdrift.models.verification import DEFAULT_HISTORY_MINUTES, Verify, verify_file
from bgpdrift.store.model_records import EventKind, EventReason, ModelState, RetrainEvent

NO_REASON = EventReason()


class ModelRegistry:
    """Changes which versions of the models in one artifact directory are active.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    store : RegistryStore or None
        Store that records changes; None if it cannot be reached, which prevents no change.
    clock : Clock
        Time stamps and durations.
    retention : RetentionPolicy
        How many old files are kept.
    history_minutes : int
        Setting ``detectors.history_minutes``.
    verify : callable
        Tries a file before it is published.
    """

    def __init__(
        self,
        folder: Path,
        store: RegistryStore | None,
        clock: Clock,
        retention: RetentionPolicy | None = None,
        history_minutes: int = DEFAULT_HISTORY_MINUTES,
        verify: Verify = verify_file,
    ) -> None:
        self._folder, self._clock = folder, clock
        self._retention, self._history, self._verify = retention or RetentionPolicy(), history_minutes, verify
        self._log = logs.get_logger()
        self._records = RegistryRecords(store, clock)

    def publish(
        self,
        model: str,
        candidate: Path,
        *,
        expected_active: str,
        event: RetrainEvent | None = None,
        guard: Guard = lambda: None,
        at_step: AtStep = lambda _: None,
    ) -> Publication:
        """Publish a staged candidate and record it.

        Parameters
        ----------
        model, candidate, expected_active, guard, at_step
            As for `bgpdrift.models.publication.publish`.
        event : RetrainEvent, optional
            What is known of the event: kind, reason, figures, notes; by default a promotion without a reason. With an
            id, the event that was begun earlier (`record_retrain_event`) is completed.

        Raises
        ------
        BgpdriftError
            As `publish`; the failure is recorded too.
        """
        event = event or self.begin_event(model, "promote")
        try:
            if conflict := self._find_conflict(candidate, model):
                raise PublishRefusedError(conflict)
            publication = publish(
                self._folder,
                model,
                candidate,
                expected_active=expected_active,
                guard=guard,
                clock=self._clock,
                at_step=at_step,
            )
        except BgpdriftError as error:
            self._record_failure(event, candidate, error)
            raise
        self._record_publication(event, publication, "publish", "replace")
        return publication

    def begin_event(
        self, model: str, kind: EventKind, reason: EventReason = NO_REASON, notes: str = ""
    ) -> RetrainEvent:
        """Build an event that starts now; it is not written yet."""
        return RetrainEvent(model=model, kind=kind, started_at=int(self._clock.now()), reason=reason, notes=notes)

    def promote(
        self, model: str, max_drift: float, at_step: AtStep = lambda _: None
    ) -> tuple[Publication | None, Promotion]:
        """Publish the best candidate whose drift figures are at most ``max_drift``; log why the others are skipped."""
        files = list_model_files(self._folder, model)
        states = self._records.read_states(model)
        promotion = choose_promotion(files, states, max_drift, self._problem_finder(model))
        for skipped in promotion.skipped:
            self._log.info("model.skipped", model=model, version=skipped.version, reason=skipped.reason)
        if promotion.chosen is None:
            return None, promotion
        reason = EventReason(max_drift=max_drift, skipped={s.version: s.reason for s in promotion.skipped})
        publication = self.publish(
            model,
            promotion.chosen.path,
            expected_active=files.active_version,
            event=self.begin_event(model, "promote", reason),
            at_step=at_step,
        )
        return publication, promotion

    def roll_back(
        self,
        model: str,
        reason: str,
        to: str | None = None,
        guard: Guard = lambda: None,
        at_step: AtStep = lambda _: None,
    ) -> Publication:
        """Restore an earlier version. The replaced version is kept in ``rejected/`` and is not restored automatically.

        Raises
        ------
        InputError
            There is no version to roll back to.
        BgpdriftError
            As `publish`.
        """
        event = self.begin_event(model, "rollback", EventReason(summary=reason))
        files, states = list_model_files(self._folder, model), self._records.read_states(model)
        choice = choose_rollback(files, states, to)
        staged: Path | None = None
        try:
            chosen, staged = self._stage_copy(model, choice)
            publication = publish(
                self._folder,
                model,
                staged,
                expected_active=files.active_version,
                guard=guard,
                clock=self._clock,
                rollback_reason=ROLLED_BACK_NOTE + reason,
                at_step=at_step,
            )
        except BgpdriftError as error:
            if staged is not None:
                with suppress(OSError):
                    staged.unlink(missing_ok=True)
            self._record_failure(event, staged or current_path(self._folder, model), error)
            raise
        self._remove_backups(files, publication.parent_version, reason)
        change: Event = "reinstate" if states.get(chosen.version) == "rolled_back" else "restore"
        event = replace(event, reason=replace(event.reason, replaced_version=publication.parent_version))
        self._record_publication(event, publication, change, "roll_back")
        return publication

    def reject(self, model: str, file: Path, reason: str) -> Path:
        """Move a candidate to ``rejected/`` and record its state; the new path.

        The event of the training run that made the candidate records the rejection. A second event would be a second row
        for people.
        """
        now = self._clock.now()
        try:
            artifact: Artifact | None = read(file, model)
        except ArtifactError:
            artifact = None
        path = quarantine_file(self._folder, file, model, reason, now)
        version = artifact.version if artifact else ""
        if artifact is not None:
            self._records.write(model, [build_version(artifact, "rejected", path, None, now)], [], None)
        self._log.warning("model.rejected", model=model, version=version, reason=reason)
        return path

    def accept(self, model: str, version: str) -> None:
        """Record that a version passed its probation, and retire the version that was accepted before.

        Raises
        ------
        PublishRefusedError
            The version is in a state in which it cannot be accepted.
        BgpdriftError
            The store refuses the change; nothing is changed.
        """
        states = self._records.read_states(model)
        state = state_or(states.get(version, "active"), STATES)
        if not VERSION_LIFECYCLE.allows(state, "accept"):
            raise PublishRefusedError(f"{model}: version {version} is {state} and cannot be accepted")
        changes: list[tuple[str, str, ModelState]] = [(model, version, VERSION_LIFECYCLE.next_state(state, "accept"))]
        for other, other_state in states.items():
            if other_state == "accepted" and other != version:
                changes.append((model, other, VERSION_LIFECYCLE.next_state("accepted", "supersede")))
        self._records.write_or_raise(changes)
        self._log.info("model.accepted", model=model, version=version)
        self._remove_expired(model, ())

    def recover(self) -> list[str]:
        """Repair the directory after a crash, and log what was repaired."""
        messages = recover(self._folder, self._clock.now(), history_minutes=self._history, verify=self._verify)
        for message in messages:
            self._log.warning("model.recovered", repair=message)
        return messages

    def write_unwritten(self) -> None:
        """Write the records of earlier changes that the store refused; raise its error if it refuses them again."""
        self._records.write_unwritten()

    def reconcile(self, model: str, rolled_back: str = "") -> bool:
        """Record the active version if the store does not know that it is active; True if that was needed.

        That happens if the publishing process was killed before it wrote the record, or if the store was away.

        Parameters
        ----------
        model : str
            The model.
        rolled_back : str
            The version that was rolled back, if that is known; another version that was active counts as replaced.
        """
        try:
            artifact = read(current_path(self._folder, model), model)
        except ArtifactError:
            return False
        states = self._records.read_states(model)
        if not self._records.has_store or states.get(artifact.version) in ("active", "accepted"):
            return False
        if conflict := self._records.find_conflict(artifact):
            self._log.error("model.conflict", model=model, version=artifact.version, reason=conflict)
            return False  # its detector refuses the file
        now = self._clock.now()
        path = current_path(self._folder, model)
        others = [
            (
                model,
                version,
                VERSION_LIFECYCLE.next_state("active", "roll_back" if version == rolled_back else "replace"),
            )
            for version, state in states.items()
            if state == "active" and version != artifact.version
        ]
        event = replace(
            self.begin_event(model, "recover"),
            version=artifact.version,
            finished_at=int(now),
            promoted=True,
            artifact_path=str(path),
            notes="active without a record: the publishing process was killed, or the store was away",
        )
        self._records.write(model, [build_version(artifact, "active", path, now, now)], others, event)
        self._log.warning("model.reconciled", model=model, version=artifact.version)
        with suppress(BgpdriftError):
            write_sidecars(self._folder, artifact, now)
        return True

    def _stage_copy(self, model: str, choice: Sequence[ModelFile]) -> tuple[ModelFile, Path]:
        """Stage a copy of the first file that this program can run; backups are never moved."""
        problems: list[str] = []
        for file in choice:
            try:
                raw = file.path.read_bytes()
                if conflict := self._records.find_conflict(from_bytes(raw, file.path.name, model)):
                    raise ArtifactError(conflict)
                copy = stage(self._folder, model, file.version, raw, history_minutes=self._history, verify=self._verify)
                return file, copy
            except (ArtifactError, PublishRefusedError, OSError) as error:
                problems.append(f"{file.path.name}: {error}")
                self._log.warning("model.unusable", model=model, version=file.version, reason=str(error))
        raise InputError(f"{model}: no version to roll back to: " + "; ".join(problems))

    def _remove_backups(self, files: ModelFiles, version: str, reason: str) -> None:
        """Remove older backups of a rolled-back version, so that no reader falls back to it; ``rejected/`` has a copy."""
        for backup in files.backups:
            if version and backup.version == version:
                with suppress(OSError):
                    backup.path.unlink()
                    self._log.info("model.backup_removed", model=files.model, file=backup.path.name, reason=reason)

    def _find_conflict(self, file: Path, model: str) -> str:
        """Find why a file is not the recorded version of its number; "" if it is, or if it cannot be read."""
        try:
            return self._records.find_conflict(read(file, model))
        except ArtifactError:
            return ""  # reported where it is published

    def _problem_finder(self, model: str) -> Callable[[ModelFile], str]:
        def find_problem(file: ModelFile) -> str:
            try:
                self._verify(file.path, model, self._history)
            except ArtifactError as error:
                return str(error)
            return self._find_conflict(file.path, model)

        return find_problem

    def _record_publication(
        self, event: RetrainEvent, publication: Publication, change: Event, parent_change: Event
    ) -> None:
        model, now, parent = event.model, self._clock.now(), publication.parent_version
        states = self._records.read_states(model)
        # The recorded state may lag behind the files, so the state before the change is taken from the files.
        before: dict[str, ModelState] = {"publish": "candidate", "restore": "retired", "reinstate": "rolled_back"}
        state = VERSION_LIFECYCLE.next_state(before[change], change)
        changes = []
        if parent:
            parent_state = state_or(states.get(parent, "active"), ("active", "accepted"))
            changes.append((model, parent, VERSION_LIFECYCLE.next_state(parent_state, parent_change)))
        milliseconds = publication.seconds * 1e3
        event = replace(
            event,
            version=publication.version,
            finished_at=int(now),
            promoted=True,
            artifact_path=str(publication.path),
            exit_code=0,
            notes=event.notes or f"version {publication.version} replaces {parent or 'none'}, {milliseconds:.0f} ms",
        )
        versions = [build_version(publication.artifact, state, publication.path, now, now)]
        self._records.write(model, versions, changes, event)
        self._log.info(
            "model.published",
            model=model,
            version=publication.version,
            parent_version=parent,
            kind=event.kind,
            backup=publication.backup.name if publication.backup else None,
            ms=round(milliseconds, 1),
        )
        try:
            write_sidecars(self._folder, publication.artifact, now)
        except BgpdriftError as error:
            self._log.warning("model.sidecars_failed", model=model, version=publication.version, reason=str(error))
        self._remove_expired(model, (parent,) if event.kind != "rollback" else ())

    def _record_failure(self, event: RetrainEvent, candidate: Path, error: BgpdriftError) -> None:
        event = replace(
            event,
            finished_at=int(self._clock.now()),
            promoted=False,
            artifact_path=event.artifact_path or str(candidate),
            exit_code=1,
            notes=f"failed: {error}",
        )
        self._records.write(event.model, [], [], event)
        self._log.error("model.publish_failed", model=event.model, kind=event.kind, reason=str(error))

    def _remove_expired(self, model: str, also_protected: tuple[str, ...]) -> None:
        states = self._records.read_states(model)
        accepted = {version for version, state in states.items() if state == "accepted"}
        files = list_model_files(self._folder, model)
        removed = remove_expired(files, self._retention, accepted, also_protected)
        if removed:
            self._log.info("model.files_removed", model=model, files=[path.name for path in removed])
