"""One model, one ``.safetensors`` file: learned arrays and everything else about the model as JSON metadata.

Decides what a good file is. Bytes are read once, checked, and those bytes are parsed; a digest over all bytes but
itself comes before any parse, then schema, model, features, shapes, finite numbers, and last the self-test, for which
the caller hands over how to build the detector. No pickle can be loaded: there is no code path to one.
"""

import hashlib
import os
import stat as stat_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from bgpdrift.detectors.interface import MINUTE_S, Detector, FloatArray, ModelContent, WindowFrame
from bgpdrift.errors import ArtifactError, DigestMismatchError, NewerSchemaError
from bgpdrift.store.window_columns import FEATURE_NAMES

SCHEMA_VERSION = 2
MAX_BYTES = 32_000_000
"""Seven times a large forest; whoever reads more than that into a detector has no detector any more."""
MAX_HEADER_BYTES = 1_000_000
MAX_ARRAYS = 512
MAX_SELF_TEST_MINUTES = 20_000
SELF_TEST_TOLERANCE = 1e-6
_KINDS = "fiub"
_UNSIGNED = "0" * 64
_SELF_TEST = "self_test."
_REFERENCE = "reference."
_FEATURE = "feature."
_DIGEST_MARK = b'"digest":"'

Identity = tuple[int, int, int, int]
"""Of a file's content as far as a stat tells: device, inode, size, time of the last change in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model with its papers.

    Attributes
    ----------
    content : ModelContent
        What the detector is built from.
    version : str
        ``<counter>``, or ``default-<n>``; never a clock.
    created_at : int
        Epoch seconds, UTC; for people only.
    calibration, reference_profile, metrics, training, drift_cause : mapping
        See architecture: calibration of scores, training scores' histogram, figures of the evaluation, span and rows,
        the drift that caused it.
    parent_version : str
        Which version it was trained to replace; empty for none.
    self_test : mapping of str to ndarray
        Columns of a small frame (``group``, ``window_start``, features), ``first`` and the ``scores`` expected.
    digest : str
        SHA-256 over all bytes but itself; empty before it was written.
    reference : mapping of str to ndarray
        Hours of out-of-sample scores, see `bgpdrift.models.reference`; empty in a model that has none.
    """

    content: ModelContent
    version: str
    created_at: int
    calibration: Mapping[str, Any] = field(default_factory=dict)
    reference_profile: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    drift_cause: Mapping[str, Any] = field(default_factory=dict)
    parent_version: str = ""
    self_test: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    digest: str = ""
    reference: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def metadata_only(self) -> "Artifact":
        """The same without its arrays: what is worth keeping once a detector was built from it."""
        return replace(self, content=replace(self.content, arrays={}), self_test={}, reference={})


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A file as it was when it was read, once.

    Attributes
    ----------
    raw : bytes
        All of it.
    identity : Identity
        Of the open file, so that nothing put in its place meanwhile is mistaken for it.
    changed_at : float
        Wall clock, epoch seconds, when it was written or got its name, whichever came later.
    """

    raw: bytes
    identity: Identity
    changed_at: float


class _Schema(msgspec.Struct):
    schema_version: int


class Metadata(msgspec.Struct):
    """Types and limits of the metadata; what would not fit into the store is no model either."""

    model: str
    version: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    feature_names: Annotated[list[str], Meta(min_length=1, max_length=len(FEATURE_NAMES))]
    hyper_parameters: dict[str, Any]
    calibration: dict[str, Any]
    reference_profile: dict[str, Any]
    metrics: dict[str, Any]
    training: dict[str, Any]
    drift_cause: dict[str, Any]
    parent_version: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{0,64}$")]
    created_at: Annotated[int, Meta(ge=0, le=2**53)]


class _Metadata(msgspec.Struct):
    bgpdrift: str
    digest: str


class _Header(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="__metadata__")


def to_bytes(artifact: Artifact) -> bytes:
    """Write an artifact; equal artifacts give equal bytes."""
    content = artifact.content
    papers = {
        "model": content.model,
        "version": artifact.version,
        "schema_version": SCHEMA_VERSION,
        "feature_names": list(content.feature_names),
        "hyper_parameters": dict(content.hyper_parameters),
        "calibration": dict(artifact.calibration),
        "reference_profile": dict(artifact.reference_profile),
        "metrics": dict(artifact.metrics),
        "training": dict(artifact.training),
        "drift_cause": dict(artifact.drift_cause),
        "parent_version": artifact.parent_version,
        "created_at": artifact.created_at,
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
    arrays |= {_SELF_TEST + name: np.ascontiguousarray(array) for name, array in artifact.self_test.items()}
    arrays |= {_REFERENCE + name: np.ascontiguousarray(array) for name, array in artifact.reference.items()}
    metadata = {"bgpdrift": msgspec.json.encode(papers, order="sorted").decode()}
    tensors = safetensors.save(dict(sorted(arrays.items())), metadata)
    # The library writes metadata in no fixed order, so that the digest gets a header line of our own making.
    length = int.from_bytes(tensors[:8], "little")
    header = msgspec.json.decode(tensors[8 : 8 + length])
    header["__metadata__"]["digest"] = _UNSIGNED
    head = msgspec.json.encode(header, order="sorted")
    head += b" " * (-len(head) % 8)
    raw = len(head).to_bytes(8, "little") + head + tensors[8 + length :]
    place = _digest_place(raw)
    return raw[:place] + _digest(raw, place).encode() + raw[place + 64 :]


def from_bytes(raw: bytes, name: str, model: str) -> Artifact:
    """Check bytes and read the artifact in them; the self-test is `run_self_test`.

    Parameters
    ----------
    raw : bytes
        The whole file.
    name : str
        What to call it in errors.
    model : str
        The model it must be of.

    Raises
    ------
    ArtifactError
        With what was expected and what was found; `DigestMismatchError` for damage.
    """
    _check_digest(raw, name)
    try:
        metadata = msgspec.json.decode(raw[8 : 8 + int.from_bytes(raw[:8], "little")], type=_Header).metadata
        schema = msgspec.json.decode(metadata.bgpdrift, type=_Schema).schema_version
        if schema != SCHEMA_VERSION:
            found = f"{name}: schema version {schema}, {SCHEMA_VERSION} expected"
            if schema > SCHEMA_VERSION:
                raise NewerSchemaError(f"{found}; update bgpdrift first")
            raise ArtifactError(f"{found}; it is too old, train it anew")
        papers = msgspec.json.decode(metadata.bgpdrift, type=Metadata)
        tensors = safetensors.load(raw)
    except (msgspec.MsgspecError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{name}: unreadable: {error}") from error
    if papers.model != model:
        raise ArtifactError(f"{name}: a model of {papers.model!r}, {model!r} expected")
    _check_features(papers.feature_names, name)
    _check_arrays(tensors, name)
    return Artifact(
        content=ModelContent(
            model=model,
            feature_names=tuple(papers.feature_names),
            arrays={key: array for key, array in tensors.items() if not key.startswith((_SELF_TEST, _REFERENCE))},
            hyper_parameters=papers.hyper_parameters,
        ),
        version=papers.version,
        created_at=papers.created_at,
        calibration=papers.calibration,
        reference_profile=papers.reference_profile,
        metrics=papers.metrics,
        training=papers.training,
        drift_cause=papers.drift_cause,
        parent_version=papers.parent_version,
        self_test={k.removeprefix(_SELF_TEST): v for k, v in tensors.items() if k.startswith(_SELF_TEST)},
        digest=metadata.digest,
        reference={k.removeprefix(_REFERENCE): v for k, v in tensors.items() if k.startswith(_REFERENCE)},
    )


def read(path: Path, model: str) -> Artifact:
    """Read a file once and check it; a file that cannot be read is an `ArtifactError` as well."""
    try:
        raw = read_once(path).raw
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    return from_bytes(raw, path.name, model)


def read_once(path: Path) -> FileBytes:
    """Open a file, read all bytes and close it; a symbolic link is followed, since the bytes must verify anyway.

    Raises
    ------
    ArtifactError
        Not a regular file (a pipe in its place must not hold anybody up), too large, or written to meanwhile.
    OSError
        It cannot be read now; nothing is known about its content.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(descriptor)
        if not stat_module.S_ISREG(before.st_mode):
            raise ArtifactError(f"{path.name}: not a regular file")
        if before.st_size > MAX_BYTES:
            raise ArtifactError(f"{path.name}: {before.st_size:,} bytes, at most {MAX_BYTES:,} expected")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(before.st_size + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if identity_of(before) != identity_of(after) or len(raw) != after.st_size:
        raise ArtifactError(f"{path.name}: it changed while it was read")
    return FileBytes(raw, identity_of(after), max(after.st_mtime, after.st_ctime))


def identity_of(found: os.stat_result) -> Identity:
    """What tells one content from another without reading it; a second name for the same file changes nothing."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def with_self_test(artifact: Artifact, detector: Detector, frame: WindowFrame) -> Artifact:
    """Keep what the detector says of a frame, for every later reader to compare with.

    Keep it small, a history and a few windows to score: every load of the model runs it. Marks are left out of it, and
    so is every column that the model does not read.
    """
    names = [name for name in artifact.content.feature_names if name in frame.features]
    columns = {_FEATURE + name: _compact(frame.features[name]) for name in names}
    group = np.frombuffer(msgspec.json.encode([frame.collector, frame.peer]), np.uint8)
    test: dict[str, npt.NDArray[Any]] = {
        "group": group,
        "window_start": frame.window_start,
        "first": np.array([frame.first]),
        **columns,
    }
    small = _self_test_frame(test)
    scores = detector.score(small).score
    # A service reads the columns a model names and no others.
    if not np.array_equal(detector.score(replace(small, features=frame.features)).score, scores):
        raise ArtifactError(f"{artifact.content.model}: its score depends on columns it does not name")
    return replace(artifact, self_test={**test, "scores": scores})


def run_self_test(artifact: Artifact, build: Callable[[ModelContent], Detector]) -> Detector:
    """Build the detector and let it score the frame that came with it; raises `ArtifactError` if it says otherwise.

    Whatever goes wrong in a detector built from these bytes is the bytes' fault: every reader of the published model runs
    this very test.
    """
    detector = _built(artifact, build)
    label, test = f"{artifact.content.model} {artifact.version}", artifact.self_test
    try:
        frame, expected = _self_test_frame(test), test["scores"]
        with np.errstate(all="ignore"):
            found = detector.score(frame).score
    except MemoryError:
        raise
    except Exception as error:
        raise ArtifactError(f"{label}: no usable self-test: {_said(error)}") from error
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=SELF_TEST_TOLERANCE, atol=1e-9):
        raise ArtifactError(f"{label}: self-test failed; this program and that model do not agree")
    return detector


def _built(artifact: Artifact, build: Callable[[ModelContent], Detector]) -> Detector:
    try:
        return build(artifact.content)
    except (ArtifactError, MemoryError):
        raise
    except Exception as error:
        label = f"{artifact.content.model} {artifact.version}"
        raise ArtifactError(f"{label}: no detector can be built from it: {_said(error)}") from error


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ArtifactError) else f"{type(error).__name__}: {error}"


def _self_test_frame(test: Mapping[str, npt.NDArray[Any]]) -> WindowFrame:
    starts = test["window_start"].astype(np.int64)
    first = int(test["first"][0])
    collector, peer = "self-test", ""
    if "group" in test:
        collector, peer = msgspec.json.decode(test["group"].tobytes(), type=tuple[str, str])
    # A detector lays windows out minute by minute: a far-away start would ask for all the memory there is.
    span = int(starts[-1] - starts[0]) // MINUTE_S if starts.ndim == 1 and len(starts) else 0
    if not 0 <= first < len(starts) or span > MAX_SELF_TEST_MINUTES or (np.diff(starts) <= 0).any():
        raise ArtifactError(f"{len(starts)} windows over {span} minutes, first to score {first}")
    columns: dict[str, FloatArray] = {
        name.removeprefix(_FEATURE): values.astype(np.float64)
        for name, values in test.items()
        if name.startswith(_FEATURE)
    }
    if any(values.shape != starts.shape for values in columns.values()):
        raise ArtifactError("columns of other lengths than the windows")
    return WindowFrame(collector, peer, starts, columns, {}, first)


def _compact(values: FloatArray) -> npt.NDArray[Any]:
    """Counts as integers, if that loses nothing."""
    counts = values.astype(np.int32) if np.isfinite(values).all() and (np.abs(values) < 2**31).all() else None
    return values if counts is None or (counts != values).any() else counts


def _check_features(names: list[str], label: str) -> None:
    unknown = sorted(set(names) - set(FEATURE_NAMES))
    if unknown:
        raise ArtifactError(f"{label}: unknown features {', '.join(unknown)[:200]}")
    if len(set(names)) != len(names):
        raise ArtifactError(f"{label}: a feature is named twice")


def _check_arrays(tensors: Mapping[str, npt.NDArray[Any]], label: str) -> None:
    if len(tensors) > MAX_ARRAYS:
        raise ArtifactError(f"{label}: {len(tensors)} arrays, at most {MAX_ARRAYS} expected")
    for key, array in tensors.items():
        if array.dtype.kind not in _KINDS:
            raise ArtifactError(f"{label}: {key[:100]} is of type {array.dtype}, plain numbers expected")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{label}: {key[:100]} holds NaN or infinity")


def _check_digest(raw: bytes, name: str) -> None:
    if len(raw) < 16:
        raise ArtifactError(f"{name}: {len(raw)} bytes are no model")
    if int.from_bytes(raw[:8], "little") > min(MAX_HEADER_BYTES, len(raw) - 8):
        raise ArtifactError(f"{name}: header longer than the file or {MAX_HEADER_BYTES:,} bytes")
    place = _digest_place(raw)
    if place < 0 or place + 64 > len(raw):
        raise ArtifactError(f"{name}: no digest in it; not one of our models")
    recorded, actual = raw[place : place + 64].decode("ascii", "replace"), _digest(raw, place)
    if recorded != actual:
        raise DigestMismatchError(name, recorded, actual)


def _digest_place(raw: bytes) -> int:
    """Where the 64 hex digits stand; −1 if nowhere in the header."""
    end = 8 + int.from_bytes(raw[:8], "little")
    found = raw.find(_DIGEST_MARK, 8, end)
    return found + len(_DIGEST_MARK) if found >= 0 else -1


def _digest(raw: bytes, place: int) -> str:
    view = memoryview(raw)
    digest = hashlib.sha256(view[:place])
    digest.update(view[place + 64 :])
    return digest.hexdigest()
