"""Which model a detector runs: the current file, else the newest backup that verifies, else the packaged default.

`ModelSource.look` compares the current file's identity (one stat) and loads only what changed: opened once, read whole,
verified, built, warmed up by its self-test. A file that fails is looked at a second time when it had a moment to be
finished, then refused once, with its reason, and set aside; it is not tried again until it changes, while the model in
force goes on. When to look, and on which thread, is `bgpdrift.models.reloading`'s.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.detector_registry import BY_NAME
from bgpdrift.detectors.interface import Detector, ModelContent
from bgpdrift.errors import ArtifactError, BgpdriftError, NewerSchemaError, TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact, Identity
from bgpdrift.models.paths import backup_paths, current_path
from bgpdrift.models.quarantine import quarantine_current
from bgpdrift.models.self_test import run_self_test
from bgpdrift.process.durable import write_durably
from bgpdrift.verdicts.calibration import Calibration

Build = Callable[[ModelContent], Detector]
SetAside = Callable[[Path, str, Identity, str, float], Path | None]

SETTLE_S = 1.0
"""A bad file may be one that is still being copied: it is judged when it stayed the same for this long."""
ASIDE_TRIES = 30


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified model, ready to score; replaced as a whole.

    Attributes
    ----------
    artifact : Artifact
        Its metadata; the arrays are the detector's alone.
    detector : Detector
        Built, warmed up and self-tested.
    calibration : Calibration
        Its own.
    source : str
        Which file, for people.
    identity : Identity or None
        Of the current file it came from; None for a backup or the packaged default.
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
        """What score rows name."""
        return self.artifact.version


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that will not be used, why, and where it lies now ("" if it was left in its place)."""

    file: str
    reason: str
    moved_to: str = ""

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class LoadAttempt:
    """What a look found: a model to take over, if any; files that failed; what hinders, for the status line."""

    loaded: LoadedModel | None = None
    refused: tuple[Refusal, ...] = ()
    notice: str = ""


def builder(model: str, history_minutes: int) -> Build:
    """How to build a model's detector; one of another name builds nothing and says so with an `ArtifactError`.

    Only that detector's code is imported: eight services must fit a small machine.
    """
    record = BY_NAME.get(model)
    if record is None:
        return _cannot(model)
    build = record.load_builder()
    return lambda content: build(content, history_minutes=history_minutes)


def _cannot(model: str) -> Build:
    def build(content: ModelContent) -> Detector:
        raise ArtifactError(f"{content.model}: this version of the program has no detector {model}")

    return build


def default_bytes(model: str) -> bytes | None:
    """The packaged default of a model; None if there is none, as for all that must be trained."""
    record = BY_NAME.get(model)
    return record.read_default_model() if record else None


def publish_default(folder: Path, model: str) -> bool:
    """Put the packaged default in place where no current file is; True if that was done."""
    path, raw = current_path(folder, model), default_bytes(model)
    if raw is None or path.exists() or backup_paths(folder, model):
        return False
    artifacts.from_bytes(raw, f"default {model}", model)
    write_durably(path, raw)
    return True


def identity_at(path: Path) -> Identity | None:
    """What lies under a name now, a symbolic link followed; None if nothing that can be seen does."""
    try:
        return artifacts.identity_of(path.stat())
    except OSError:
        return None


class ModelSource:
    """The model files of one detector; one thread at a time may call `look`."""

    def __init__(
        self,
        folder: Path,
        model: str,
        build: Build,
        clock: Clock | None = None,
        aside: SetAside = quarantine_current,
    ) -> None:
        self._folder, self._model, self._build = folder, model, build
        self._clock, self._set_aside = clock or SystemClock(), aside
        self._path = current_path(folder, model)
        self._looked = self._holding = False
        self._judged: Identity | None = None
        self._suspect: tuple[Identity, float] | None = None
        self._aside: tuple[Identity, str, int] | None = None
        self._failed_live: list[tuple[LoadedModel, str, bool]] = []
        self._handed_over = ""
        self._bad_digests: dict[str, str] = {}

    @property
    def path(self) -> Path:
        """The current file."""
        return self._path

    @property
    def has_changed(self) -> bool:
        """Whether the current file is another than the one judged last; one stat, from any thread."""
        return not self._looked or identity_at(self._path) != self._judged

    @property
    def settles_in_s(self) -> float:
        """Seconds until a file that failed is worth another look; infinite if there is none."""
        suspect = self._suspect
        return math.inf if suspect is None else max(0.0, suspect[1] + SETTLE_S - self._clock.monotonic())

    def look(self) -> LoadAttempt:
        """Look at the current file once; load what is new."""
        now = self._clock.monotonic()
        refused = self._take_failures()
        first, self._looked = not self._looked, True
        identity = identity_at(self._path)
        loaded, notice = None, ""
        if identity is None:
            self._judged = self._suspect = None
            if self._holding and not first:
                notice = f"{self._path.name} is gone"
        elif identity != self._judged and not self._is_settling(identity):
            loaded, notice = self._try_current(now, refused)
        self._try_aside(refused)
        if loaded is None and not self._holding and (first or refused):
            loaded = self._fall_back(refused)
        if loaded is not None:
            self._holding, self._handed_over = True, loaded.artifact.digest
        return LoadAttempt(loaded, tuple(refused), notice)

    def failed(self, loaded: LoadedModel, reason: str, *, holding: bool) -> None:
        """Say that a model failed on live windows, though it had verified: its file is refused at the next look.

        ``holding`` says whether the detector still has another one. For any thread.
        """
        self._bad_digests[loaded.artifact.digest] = reason
        self._failed_live.append((loaded, reason, holding))

    def _is_settling(self, identity: Identity) -> bool:
        return self._suspect is not None and self._suspect[0] == identity and self.settles_in_s > 0.0

    def _try_current(self, now: float, refused: list[Refusal]) -> tuple[LoadedModel | None, str]:
        identity = identity_at(self._path)
        try:
            begun = self._clock.monotonic()
            file = artifacts.read_once(self._path)
            identity = file.identity
            loaded = self._verified(file.raw, self._path.name)
        except OSError as error:
            # Denied, an input error, a stale handle: says nothing about the model, and may be over at the next look.
            return None, f"{self._path.name} cannot be read: {error.strerror}"
        except Exception as error:
            reason = _reason(error, self._path.name)
            if self._suspect is None or self._suspect[0] != identity:
                self._suspect = (identity, now) if identity else None
                return None, f"{reason} (looked at again in {SETTLE_S:.0f} s)"
            self._judged, self._suspect = identity, None
            if isinstance(error, NewerSchemaError):
                refused.append(Refusal(self._path.name, reason))  # stays: on a shared folder another host may be newer
            elif identity is not None:
                self._aside = (identity, reason, 0)
            return None, ""
        self._judged, self._suspect, self._aside = identity, None, None
        load_s = self._clock.monotonic() - begun
        return replace(loaded, identity=identity, changed_at=file.changed_at, load_s=load_s), ""

    def _try_aside(self, refused: list[Refusal]) -> None:
        """Refuse the file that failed and move it out of the way, unless another has taken its place."""
        if self._aside is None:
            return
        identity, reason, tries = self._aside
        self._aside = None
        moved: Path | None = None
        try:
            moved = self._set_aside(self._path, self._model, identity, reason, self._clock.now())
        except TransientError as error:
            if tries + 1 < ASIDE_TRIES:
                self._aside = (identity, reason, tries + 1)
            if tries:
                return
            reason = f"{reason} (stays in its place for now: {error})"
        else:
            if tries and moved is None:
                return
        refused.append(Refusal(self._path.name, reason, str(moved or "")))

    def _fall_back(self, refused: list[Refusal]) -> LoadedModel | None:
        # A model in force is only ever replaced by a current file; backups and the default are for when there is none.
        for path in backup_paths(self._folder, self._model):
            try:
                return self._verified(artifacts.read_once(path).raw, path.name)
            except Exception as error:
                refused.append(Refusal(path.name, _reason(error, path.name)))
        raw = default_bytes(self._model)
        if raw is None:
            return None
        name = f"packaged default of {self._model}"
        try:
            return self._verified(raw, name)
        except ArtifactError as error:
            refused.append(Refusal(name, str(error)))
            return None

    def _verified(self, raw: bytes, source: str) -> LoadedModel:
        artifact = artifacts.from_bytes(raw, source, self._model)
        if artifact.digest in self._bad_digests:
            raise ArtifactError(f"{source}: {self._bad_digests[artifact.digest]}")
        calibration = Calibration.from_fields(artifact.calibration)
        return LoadedModel(artifact.metadata_only, run_self_test(artifact, self._build), calibration, source)

    def _take_failures(self) -> list[Refusal]:
        refused: list[Refusal] = []
        while self._failed_live:
            loaded, reason, holding = self._failed_live.pop(0)
            if self._handed_over == loaded.artifact.digest:  # else the next one is under way to the detector already
                self._holding = holding
            if loaded.identity is None:
                refused.append(Refusal(loaded.source, reason))
            else:
                self._aside = (loaded.identity, reason, 0)
        return refused


def _reason(error: Exception, name: str) -> str:
    return str(error) if isinstance(error, BgpdriftError) else f"{name}: {type(error).__name__}: {error}"
