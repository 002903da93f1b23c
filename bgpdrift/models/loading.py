"""Loading of the model that a detector runs: the current file, else the newest usable backup, else the packaged default.

`ModelSource.try_load` compares the identity of the current file (one stat) and loads only a changed file: it is opened
once, read, verified, built and run through its self-test. A file that fails is tried a second time a moment later. A file
that is cut short or has another digest may still be being copied: it is tried again when it has changed, or when it has not
changed for a minute. If it fails again it is refused with a reason and quarantined; it is not tried again until it changes,
and the loaded model stays in use. `bgpdrift.models.reloading` decides when a load is tried and on which thread.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.detector_registry import BY_NAME
from bgpdrift.detectors.interface import Detector, ModelContent
from bgpdrift.errors import ArtifactError, BgpdriftError, NewerSchemaError, TransientError, UnfinishedArtifactError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact, Identity, is_same_content
from bgpdrift.models.paths import backup_paths, current_path
from bgpdrift.models.quarantine import quarantine_current
from bgpdrift.models.self_test import run_self_test
from bgpdrift.process.durable import write_durably
from bgpdrift.verdicts.calibration import Calibration

Build = Callable[[ModelContent], Detector]
Quarantine = Callable[[Path, str, Identity, str, float], Path | None]

RETRY_AFTER_S = 1.0
"""A complete file that fails is refused only if it has not changed for this long."""
SETTLE_S = 60.0
"""An unfinished file is refused only if it has not changed for this long, because a copy over a network can pause."""
MAX_QUARANTINE_TRIES = 30


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified model, ready to score.

    Attributes
    ----------
    artifact : Artifact
        Its metadata, without arrays.
    detector : Detector
        Built and self-tested.
    calibration : Calibration
        Calibration of the model.
    source : str
        The file, for people.
    identity : Identity or None
        Identity of the current file; None for a backup or the packaged default.
    changed_at : float or None
        Wall clock, epoch seconds, when that file was written or renamed.
    load_s : float
        From opening the file to the end of the self-test.
    """

    artifact: Artifact
    detector: Detector
    calibration: Calibration
    source: str
    identity: Identity | None = None
    changed_at: float | None = None
    load_s: float = 0.0

    @property
    def version(self) -> str:
        """The version that score rows name."""
        return self.artifact.version


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not used, the reason, and its new path ("" if it was not moved)."""

    file: str
    reason: str
    moved_to: str = ""

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A file that failed once, and is tried again at ``retry_at`` (monotonic, seconds) unless it changes before."""

    identity: Identity
    retry_at: float
    problem: str


@dataclass(frozen=True, slots=True)
class LoadAttempt:
    """The result of one attempt: a model to use, if any, files that failed, and a problem for the status line."""

    loaded: LoadedModel | None = None
    refused: tuple[Refusal, ...] = ()
    problem: str = ""


def builder(model: str, history_minutes: int) -> Build:
    """Return the function that builds a model's detector; for an unknown model it raises `ArtifactError`.

    Only the code of that detector is imported, so that the services fit a small machine.
    """
    record = BY_NAME.get(model)
    if record is None:
        return _unknown_detector(model)
    build = record.load_builder()
    return lambda content: build(content, history_minutes=history_minutes)


def _unknown_detector(model: str) -> Build:
    def build(content: ModelContent) -> Detector:
        raise ArtifactError(f"{content.model}: this version of the program has no detector {model}")

    return build


def default_bytes(model: str) -> bytes | None:
    """Read the packaged default of a model; None for a model that must be trained."""
    record = BY_NAME.get(model)
    return record.read_default_model() if record else None


def publish_default(folder: Path, model: str) -> bool:
    """Write the packaged default as the current file if there is no file; True if it was written."""
    path, raw = current_path(folder, model), default_bytes(model)
    if raw is None or path.exists() or backup_paths(folder, model):
        return False
    artifacts.from_bytes(raw, f"default {model}", model)
    write_durably(path, raw)
    return True


def identity_at(path: Path) -> Identity | None:
    """Return the identity of a file, with symbolic links followed; None if there is none or it cannot be seen."""
    try:
        return artifacts.identity_of(path.stat())
    except OSError:
        return None


class ModelSource:
    """The model files of one detector. One thread at a time may call `try_load`.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    model : str
        The model.
    build : callable
        From `builder`.
    clock : Clock, optional
        Clock; by default that of the system.
    quarantine : callable
        Moves a file that failed.
    settle_s : float
        How long an unfinished file must not have changed before it is refused, seconds.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        build: Build,
        clock: Clock | None = None,
        quarantine: Quarantine = quarantine_current,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._folder, self._model, self._build = folder, model, build
        self._clock, self._quarantine = clock or SystemClock(), quarantine
        self._path, self._settle_s = current_path(folder, model), settle_s
        self._is_first, self._has_model = True, False
        self._judged: Identity | None = None
        self._judged_content = b""
        self._suspect: _Suspect | None = None
        self._to_quarantine: tuple[Identity, str, int] | None = None
        self._failed_live: list[tuple[LoadedModel, str, bool]] = []
        self._latest_digest = ""
        self._bad_digests: dict[str, str] = {}

    @property
    def path(self) -> Path:
        """The current file."""
        return self._path

    @property
    def has_changed(self) -> bool:
        """Whether the current file differs from the one judged last; one stat, from any thread."""
        return self._is_first or identity_at(self._path) != self._judged

    @property
    def retry_in_s(self) -> float:
        """Seconds until a file that failed is tried again; infinite if there is none."""
        suspect = self._suspect
        return math.inf if suspect is None else max(0.0, suspect.retry_at - self._clock.monotonic())

    def try_load(self) -> LoadAttempt:
        """Load the current file if it changed, or a backup or the default if there is no model."""
        now = self._clock.monotonic()
        refused = self._take_live_failures()
        is_first, self._is_first = self._is_first, False
        identity = identity_at(self._path)
        loaded, problem = None, ""
        if identity is None:
            self._judged = self._suspect = None
            if self._has_model and not is_first:
                problem = f"{self._path.name} is gone"
        elif self._suspect is not None and self._suspect.identity == identity and self.retry_in_s > 0.0:
            problem = self._suspect.problem
        elif identity != self._judged:
            loaded, problem = self._try_current(now, refused)
        self._try_quarantine(refused)
        if loaded is None and not self._has_model and (is_first or refused):
            loaded = self._fall_back(refused)
        if loaded is not None:
            self._has_model, self._latest_digest = True, loaded.artifact.digest
        return LoadAttempt(loaded, tuple(refused), problem)

    def report_failure(self, loaded: LoadedModel, reason: str, *, has_other: bool) -> None:
        """Report that a verified model failed on live windows; the next attempt refuses its file. From any thread.

        Parameters
        ----------
        loaded : LoadedModel
            The model that failed.
        reason : str
            For the note beside the file.
        has_other : bool
            Whether the detector still has another model.
        """
        self._bad_digests[loaded.artifact.digest] = reason
        self._failed_live.append((loaded, reason, has_other))

    def _try_current(self, now: float, refused: list[Refusal]) -> tuple[LoadedModel | None, str]:
        identity, content = identity_at(self._path), b""
        try:
            begun = self._clock.monotonic()
            file = artifacts.read_once(self._path)
            identity, content = file.identity, hashlib.sha256(file.raw).digest()
            if self._was_judged(identity, content):
                self._judged, self._suspect = identity, None
                return None, ""
            loaded = self._verify(file.raw, self._path.name)
        except OSError as error:
            # Access denied, an input error, a stale handle: no evidence against the model, and possibly temporary.
            return None, f"{self._path.name} cannot be read: {error.strerror}"
        except Exception as error:
            reason = _describe(error, self._path.name)
            if self._suspect is None or self._suspect.identity != identity:
                wait_s = self._settle_s if isinstance(error, UnfinishedArtifactError) else RETRY_AFTER_S
                problem = f"{reason} (tried again in {wait_s:.0f} s, or when it changes)"
                self._suspect = _Suspect(identity, now + wait_s, problem) if identity else None
                return None, problem
            self._judged, self._judged_content, self._suspect = identity, content, None
            if isinstance(error, NewerSchemaError):
                refused.append(Refusal(self._path.name, reason))  # stays for another host with a newer program
            elif identity is not None:
                self._to_quarantine = (identity, reason, 0)
            return None, ""
        self._judged, self._judged_content = identity, content
        self._suspect = self._to_quarantine = None
        load_s = self._clock.monotonic() - begun
        return replace(loaded, identity=identity, changed_at=file.changed_at, load_s=load_s), ""

    def _was_judged(self, identity: Identity, content: bytes) -> bool:
        """Whether only the name, the number of hard links or the mode of the file judged last has changed."""
        return self._judged is not None and is_same_content(identity, self._judged) and content == self._judged_content

    def _try_quarantine(self, refused: list[Refusal]) -> None:
        """Refuse the file that failed and quarantine it, unless another file is in its place."""
        if self._to_quarantine is None:
            return
        identity, reason, tries = self._to_quarantine
        self._to_quarantine = None
        moved_to: Path | None = None
        try:
            moved_to = self._quarantine(self._path, self._model, identity, reason, self._clock.now())
        except TransientError as error:
            if tries + 1 < MAX_QUARANTINE_TRIES:
                self._to_quarantine = (identity, reason, tries + 1)
            if tries:
                return
            reason = f"{reason} (not moved yet: {error})"
        else:
            if tries and moved_to is None:
                return
        refused.append(Refusal(self._path.name, reason, str(moved_to or "")))

    def _fall_back(self, refused: list[Refusal]) -> LoadedModel | None:
        # Only a current file replaces a loaded model. Backups and the default are for a detector without a model.
        for path in backup_paths(self._folder, self._model):
            try:
                return self._verify(artifacts.read_once(path).raw, path.name)
            except Exception as error:
                refused.append(Refusal(path.name, _describe(error, path.name)))
        raw = default_bytes(self._model)
        if raw is None:
            return None
        name = f"packaged default of {self._model}"
        try:
            return self._verify(raw, name)
        except ArtifactError as error:
            refused.append(Refusal(name, str(error)))
            return None

    def _verify(self, raw: bytes, source: str) -> LoadedModel:
        artifact = artifacts.from_bytes(raw, source, self._model)
        if artifact.digest in self._bad_digests:
            raise ArtifactError(f"{source}: {self._bad_digests[artifact.digest]}")
        calibration = Calibration.from_fields(artifact.calibration)
        return LoadedModel(artifact.metadata_only, run_self_test(artifact, self._build), calibration, source)

    def _take_live_failures(self) -> list[Refusal]:
        refused: list[Refusal] = []
        while self._failed_live:
            loaded, reason, has_other = self._failed_live.pop(0)
            if self._latest_digest == loaded.artifact.digest:  # otherwise a later model was passed to the detector
                self._has_model = has_other
            if loaded.identity is None:
                refused.append(Refusal(loaded.source, reason))
            else:
                self._to_quarantine = (loaded.identity, reason, 0)
        return refused


def _describe(error: Exception, name: str) -> str:
    return str(error) if isinstance(error, BgpdriftError) else f"{name}: {type(error).__name__}: {error}"
