"""Every change of which version is in force, from its choice to its record: the shell around the publish protocol.

`ModelRegistry` publishes, then does what comes after (step 7): rows in ``model_retrain_events`` and ``model_versions``, a line in
the log, sidecars, old files removed. The file is the truth: where the store is away the model is in force all the same,
and `ModelRegistry.reconcile` writes down later what the files say. What may follow what is decided in `lifecycle`, what to
publish in `promotion` and `rollback`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import ArtifactError, BgpdriftError, InputError, PublishRefusedError
from bgpdrift.models.artifact import Artifact, read
from bgpdrift.models.lifecycle import STATES, VERSION_LIFECYCLE, Event, State
from bgpdrift.models.model_files import ModelFile, ModelFiles, list_model_files
from bgpdrift.models.paths import current_path
from bgpdrift.models.promotion import Promotion, choose_promotion
from bgpdrift.models.publication import Publication, publish, recover, reject, stage
from bgpdrift.models.registry_records import RegistryRecords, RegistryStore, state_or, version_row
from bgpdrift.models.retention import RetentionPolicy, collect
from bgpdrift.models.rollback import ROLLED_BACK_NOTE, choose_rollback
from bgpdrift.models.sidecars import write_sidecars
from bgpdrift.models.verification import DEFAULT_HISTORY_MINUTES, Verify, verify_file


class ModelRegistry:
    """ModelRegistry models of one artifact directory in and out of force.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    store : RegistryStore or None
        Where moves are recorded; None if it cannot be reached, which stops no move.
    clock : Clock
        For stamps and durations.
    keep : RetentionPolicy
        How many old files stay.
    history_minutes : int
        Setting ``detectors.history_minutes``.
    verify : callable
        How a file is tried before it is published.
    """

    def __init__(
        self,
        folder: Path,
        store: RegistryStore | None,
        clock: Clock,
        keep: RetentionPolicy | None = None,
        history_minutes: int = DEFAULT_HISTORY_MINUTES,
        verify: Verify = verify_file,
    ) -> None:
        self._folder, self._clock = folder, clock
        self._keep, self._history, self._verify = keep or RetentionPolicy(), history_minutes, verify
        self._log = logs.get_logger()
        self._book = RegistryRecords(store, clock)

    def publish(
        self,
        model: str,
        candidate: Path,
        *,
        expected_active: str,
        kind: str = "promote",
        guard: Callable[[], None] = lambda: None,
        event: Mapping[str, Any] | None = None,
        event_id: int | None = None,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> Publication:
        """Publish a staged candidate and record it.

        Parameters
        ----------
        model, candidate, expected_active, guard, at_step
            As for `bgpdrift.models.publication.publish`.
        kind : str
            One of `bgpdrift.store.models.EVENT_KINDS`.
        event : mapping, optional
            More columns of the event's row: reason, records, figures.
        event_id : int, optional
            An event begun earlier (`record_retrain_event`), which is completed instead of a new one written.

        Raises
        ------
        BgpdriftError
            As `publish`; the failure is recorded too.
        """
        begun = self._clock.now()
        try:
            done = publish(
                self._folder,
                model,
                candidate,
                expected_active=expected_active,
                guard=guard,
                clock=self._clock,
                at_step=at_step,
            )
        except BgpdriftError as error:
            self._record_failure(model, kind, candidate, begun, error, event, event_id)
            raise
        states: list[tuple[str, Event]] = [(done.parent_version, "replace")]
        self._record(model, kind, done, "publish", states, begun, event, event_id)
        return done

    def promote(
        self, model: str, max_drift: float, at_step: Callable[[str], None] = lambda _: None
    ) -> tuple[Publication | None, Promotion]:
        """Publish the best candidate whose drift figures stay under ``max_drift``; say why the others were skipped."""
        files = list_model_files(self._folder, model)
        chosen = choose_promotion(files, self._book.states(model), max_drift, self._why_unusable(model))
        for skipped in chosen.skipped:
            self._log.info("model.skipped", model=model, version=skipped.version, reason=skipped.reason)
        if chosen.chosen is None:
            return None, chosen
        reason = {"max_drift": max_drift, "skipped": {s.version: s.reason for s in chosen.skipped}}
        done = self.publish(
            model,
            chosen.chosen.path,
            expected_active=files.active_version,
            event={"reason_json": reason},
            at_step=at_step,
        )
        return done, chosen

    def roll_back(
        self,
        model: str,
        reason: str,
        to: str | None = None,
        guard: Callable[[], None] = lambda: None,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> Publication:
        """Put an earlier version back in force; the present one is kept in ``rejected/`` and not taken again by itself.

        Raises
        ------
        InputError
            There is nothing to go back to.
        BgpdriftError
            As `publish`.
        """
        begun, files, states = self._clock.now(), list_model_files(self._folder, model), self._book.states(model)
        choice = choose_rollback(files, states, to)
        staged: Path | None = None
        try:
            chosen, staged = self._staged_again(model, choice)
            done = publish(
                self._folder,
                model,
                staged,
                expected_active=files.active_version,
                guard=guard,
                clock=self._clock,
                disappointed=ROLLED_BACK_NOTE + reason,
                at_step=at_step,
            )
        except BgpdriftError as error:
            if staged is not None:
                with suppress(OSError):
                    staged.unlink(missing_ok=True)
            failed = staged or current_path(self._folder, model)
            self._record_failure(model, "rollback", failed, begun, error, {"reason_json": {"reason": reason}}, None)
            raise
        self._set_backups_aside(files, done.parent_version, reason)
        event: Event = "reinstate" if states.get(chosen.version) == "rolled_back" else "restore"
        columns = {"reason_json": {"reason": reason, "from": done.parent_version}}
        self._record(model, "rollback", done, event, [(done.parent_version, "roll_back")], begun, columns, None)
        return done

    def reject(self, model: str, file: Path, reason: str, event: Mapping[str, Any] | None = None) -> Path:
        """Set a candidate aside for good and record why; the file's new place."""
        now = self._clock.now()
        try:
            found: Artifact | None = read(file, model)
        except ArtifactError:
            found = None
        place = reject(self._folder, file, model, reason, now)
        version = found.version if found else ""
        row = {**self._book.event(model, "reject", version, place, now), "notes": reason, **(event or {})}
        rows = [version_row(found, "rejected", place, None, now)] if found else []
        self._book.write(model, rows, [], row, None)
        self._log.warning("model.rejected", model=model, version=version, reason=reason)
        return place

    def accept(self, model: str, version: str) -> None:
        """Probation passed: the version is accepted, and the version accepted before it is retired."""
        states = self._book.states(model)
        state = state_or(states.get(version, "active"), STATES)
        if not VERSION_LIFECYCLE.allows(state, "accept"):
            raise PublishRefusedError(f"{model}: version {version} is {state} and cannot be accepted")
        changes: list[tuple[str, str, str]] = [(model, version, VERSION_LIFECYCLE.next_state(state, "accept"))]
        for other, other_state in states.items():
            if other_state == "accepted" and other != version:
                changes.append((model, other, VERSION_LIFECYCLE.next_state("accepted", "supersede")))
        self._book.write(model, [], changes, None, None)
        self._log.info("model.accepted", model=model, version=version)
        self._collect(model, ())

    def recover(self) -> list[str]:
        """Put the directory right after a crash, say so in the log, and record what the files say."""
        said = recover(self._folder, self._clock.now(), history_minutes=self._history, verify=self._verify)
        for line in said:
            self._log.warning("model.recovered", what=line)
        return said

    def reconcile(self, model: str) -> bool:
        """Record the version in force where the store does not know that it is; True if that was needed.

        A publication whose process died, or found no store, before it was recorded.
        """
        try:
            found = read(current_path(self._folder, model), model)
        except ArtifactError:
            return False
        states = self._book.states(model)
        if not self._book.is_open or states.get(found.version) in ("active", "accepted"):
            return False
        now = self._clock.now()
        path = current_path(self._folder, model)
        others = [
            (model, version, VERSION_LIFECYCLE.next_state("active", "replace"))
            for version, state in states.items()
            if state == "active" and version != found.version
        ]
        notes = "in force, but nobody had recorded it: its process died, or the store was away"
        event = {**self._book.event(model, "recover", found.version, path, now), "promoted": True, "notes": notes}
        self._book.write(model, [version_row(found, "active", path, now, now)], others, event, None)
        self._log.warning("model.reconciled", model=model, version=found.version)
        with suppress(BgpdriftError):
            write_sidecars(self._folder, found, now)
        return True

    def _staged_again(self, model: str, choice: Sequence[ModelFile]) -> tuple[ModelFile, Path]:
        """Stage a copy of the first choice that this program can run; backups themselves are never moved."""
        problems: list[str] = []
        for file in choice:
            try:
                raw = file.path.read_bytes()
                again = stage(
                    self._folder, model, file.version, raw, history_minutes=self._history, verify=self._verify
                )
                return file, again
            except (ArtifactError, PublishRefusedError, OSError) as error:
                problems.append(f"{file.path.name}: {error}")
                self._log.warning("model.unusable", model=model, version=file.version, reason=str(error))
        raise InputError(f"{model}: nothing to go back to: " + "; ".join(problems))

    def _set_backups_aside(self, files: ModelFiles, version: str, reason: str) -> None:
        """No older copy of a version that disappointed may be fallen back to; one copy lies in ``rejected/`` already."""
        for backup in files.backups:
            if version and backup.version == version:
                with suppress(OSError):
                    backup.path.unlink()
                    self._log.info("model.backup_removed", model=files.model, file=backup.path.name, reason=reason)

    def _why_unusable(self, model: str) -> Callable[[ModelFile], str]:
        def why(file: ModelFile) -> str:
            try:
                self._verify(file.path, model, self._history)
            except ArtifactError as error:
                return str(error)
            return ""

        return why

    def _record(
        self,
        model: str,
        kind: str,
        done: Publication,
        what: Event,
        others: list[tuple[str, Event]],
        begun: float,
        event: Mapping[str, Any] | None,
        event_id: int | None,
    ) -> None:
        now, states = self._clock.now(), self._book.states(model)
        # What the store believes may lag behind the files, which are the truth: an impossible step is taken as from
        # the state the files show, and written down.
        before: State = {"publish": "candidate", "restore": "retired", "reinstate": "rolled_back"}[what]  # type: ignore[assignment]
        state = VERSION_LIFECYCLE.next_state(before, what)
        changes = [
            (
                model,
                version,
                VERSION_LIFECYCLE.next_state(state_or(states.get(version, "active"), ("active", "accepted")), then),
            )
            for version, then in others
            if version
        ]
        row = {
            **self._book.event(model, kind, done.version, done.path, begun),
            "promoted": True,
            "exit_code": 0,
            "notes": f"version {done.version} in place of {done.parent_version or 'none'}, {done.seconds * 1e3:.0f} ms",
            **(event or {}),
        }
        self._book.write(model, [version_row(done.artifact, state, done.path, now, now)], changes, row, event_id)
        self._log.info(
            "model.published",
            model=model,
            version=done.version,
            parent_version=done.parent_version,
            kind=kind,
            backup=done.backup.name if done.backup else None,
            ms=round(done.seconds * 1e3, 1),
        )
        try:
            write_sidecars(self._folder, done.artifact, now)
        except BgpdriftError as error:
            self._log.warning("model.sidecars_failed", model=model, version=done.version, reason=str(error))
        self._collect(model, (done.parent_version,) if kind != "rollback" else ())

    def _record_failure(
        self,
        model: str,
        kind: str,
        candidate: Path,
        begun: float,
        error: BgpdriftError,
        event: Mapping[str, Any] | None,
        event_id: int | None,
    ) -> None:
        row = {**self._book.event(model, kind, "", candidate, begun), **(event or {}), "notes": f"failed: {error}"}
        self._book.write(model, [], [], {**row, "promoted": False, "exit_code": 1}, event_id)
        self._log.error("model.publish_failed", model=model, kind=kind, reason=str(error))

    def _collect(self, model: str, also: tuple[str, ...]) -> None:
        accepted = {version for version, state in self._book.states(model).items() if state == "accepted"}
        removed = collect(list_model_files(self._folder, model), self._keep, accepted, also)
        if removed:
            self._log.info("model.collected", model=model, files=[path.name for path in removed])
