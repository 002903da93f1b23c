"""Which model a detector runs: the current file, else the newest backup that verifies, else the packaged default.

`ModelSource.look` compares the file's identity (one stat) and loads only what changed; a file that fails is named once
and not tried again until it changes, while the model in force goes on. Watching by events comes on top of this poll.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bgpdrift.detectors.heuristic import NAME as HEURISTIC
from bgpdrift.detectors.heuristic import Heuristic
from bgpdrift.detectors.interface import Detector, ModelContent
from bgpdrift.errors import ArtifactError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.publication import backup_paths, current_path, write_whole
from bgpdrift.verdicts.calibration import Calibration

Build = Callable[[ModelContent], Detector]
Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified model, ready to score; replaced as a whole."""

    artifact: Artifact
    detector: Detector
    calibration: Calibration
    source: str

    @property
    def version(self) -> str:
        """What score rows name."""
        return self.artifact.version


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found: a model to take over, if any, and the files that failed, with the reason."""

    loaded: LoadedModel | None = None
    refused: tuple[str, ...] = ()


def builder(model: str, history_minutes: int) -> Build | None:
    """How to build a model's detector in this version of the program; None if it cannot yet."""
    if model == HEURISTIC:
        return lambda content: Heuristic.from_content(content, history_minutes)
    return None


def default_bytes(model: str) -> bytes | None:
    """The packaged default of a model; None if there is none, as for all that must be trained."""
    file = resources.files("bgpdrift.detectors") / "defaults" / f"{model}.safetensors"
    return file.read_bytes() if file.is_file() else None


def publish_default(folder: Path, model: str) -> bool:
    """Put the packaged default in place where no current file is; True if that was done."""
    path, raw = current_path(folder, model), default_bytes(model)
    if raw is None or path.exists() or backup_paths(folder, model):
        return False
    artifacts.from_bytes(raw, f"default {model}", model)
    write_whole(path, raw)
    return True


class ModelSource:
    """The model files of one detector."""

    def __init__(self, folder: Path, model: str, build: Build | None) -> None:
        self._folder, self._model, self._build = folder, model, build
        self._seen: Identity | None = None
        self._looked = False
        self._holding = False

    def look(self) -> Look:
        """Look at the current file once; load what is new."""
        identity = _identity(current_path(self._folder, self._model))
        if self._looked and identity == self._seen and (self._holding or identity is None):
            return Look()
        first, changed = not self._looked, identity != self._seen
        self._seen, self._looked = identity, True
        if self._build is None:
            return Look(refused=(f"{self._model}: this version cannot run one yet",) if identity and changed else ())
        if not (first or changed):
            return Look()
        refused: list[str] = []
        # A model in force is only ever replaced by a current file; backups and the default are for when there is none.
        places = [current_path(self._folder, self._model)] if identity else []
        if not self._holding:
            places += backup_paths(self._folder, self._model)
        for path in places:
            try:
                loaded = self._verified(artifacts.read(path, self._model), path.name)
            except ArtifactError as error:
                refused.append(str(error))
                continue
            self._holding = True
            return Look(loaded, tuple(refused))
        raw = None if self._holding else default_bytes(self._model)
        if raw is not None:
            name = f"packaged default of {self._model}"
            self._holding = True
            return Look(self._verified(artifacts.from_bytes(raw, name, self._model), name), tuple(refused))
        return Look(None, tuple(refused))

    def _verified(self, artifact: Artifact, source: str) -> LoadedModel:
        assert self._build is not None
        detector = artifacts.run_self_test(artifact, self._build)
        return LoadedModel(artifact, detector, Calibration.from_fields(artifact.calibration), source)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
