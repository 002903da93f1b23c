"""One model, one ``.safetensors`` file: learned arrays and everything else about the model as JSON metadata.

Decides what a good file is. Bytes are read once, checked, and those bytes are parsed; a digest over all bytes but
itself comes before any parse, then schema, model, features, shapes, finite numbers, and last the self-test, for which
the caller hands over how to build the detector. No pickle can be loaded: there is no code path to one.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from bgpdrift.detectors.interface import Detector, ModelContent, WindowFrame
from bgpdrift.errors import ArtifactError, DigestMismatchError
from bgpdrift.store.window_columns import FEATURE_NAMES

SCHEMA_VERSION = 1
MAX_BYTES = 64_000_000
MAX_HEADER_BYTES = 4_000_000
SELF_TEST_TOLERANCE = 1e-6
_UNSIGNED = "0" * 64
_SELF_TEST = "self_test."
_DIGEST_MARK = b'"digest":"'


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
        Columns of a small frame (``window_start``, features), ``first`` and the ``scores`` expected.
    digest : str
        SHA-256 over all bytes but itself; empty before it was written.
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
    length = int.from_bytes(raw[:8], "little")
    try:
        header = msgspec.json.decode(raw[8 : 8 + length])
        papers: dict[str, Any] = msgspec.json.decode(header["__metadata__"]["bgpdrift"])
        tensors = safetensors.load(raw)
    except (msgspec.MsgspecError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{name}: unreadable: {error}") from error
    if papers.get("schema_version") != SCHEMA_VERSION:
        found = papers.get("schema_version")
        raise ArtifactError(f"{name}: schema version {found!r}, {SCHEMA_VERSION} expected")
    if papers.get("model") != model:
        raise ArtifactError(f"{name}: a model of {papers.get('model')!r}, {model!r} expected")
    unknown = sorted(set(papers.get("feature_names", ())) - set(FEATURE_NAMES))
    if unknown:
        raise ArtifactError(f"{name}: unknown features {', '.join(unknown)}")
    for key, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{name}: {key} holds NaN or infinity")
    try:
        return Artifact(
            content=ModelContent(
                model=model,
                feature_names=tuple(papers["feature_names"]),
                arrays={key: array for key, array in tensors.items() if not key.startswith(_SELF_TEST)},
                hyper_parameters=papers["hyper_parameters"],
            ),
            version=str(papers["version"]),
            created_at=int(papers["created_at"]),
            calibration=papers["calibration"],
            reference_profile=papers["reference_profile"],
            metrics=papers["metrics"],
            training=papers["training"],
            drift_cause=papers["drift_cause"],
            parent_version=papers["parent_version"],
            self_test={k.removeprefix(_SELF_TEST): v for k, v in tensors.items() if k.startswith(_SELF_TEST)},
            digest=header["__metadata__"]["digest"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{name}: metadata incomplete: {error}") from error


def read(path: Path, model: str) -> Artifact:
    """Read a file once and check it."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise ArtifactError(f"{path.name}: more than {MAX_BYTES:,} bytes")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    return from_bytes(raw, path.name, model)


def with_self_test(artifact: Artifact, detector: Detector, frame: WindowFrame) -> Artifact:
    """Keep what the detector says of a frame, for every later reader to compare with."""
    scores = detector.score(frame).score
    columns = {f"feature.{name}": values for name, values in frame.features.items()}
    test = {"window_start": frame.window_start, "first": np.array([frame.first]), "scores": scores, **columns}
    return replace(artifact, self_test=test)


def run_self_test(artifact: Artifact, build: Callable[[ModelContent], Detector]) -> Detector:
    """Build the detector and let it score the frame that came with it; raises `ArtifactError` if it says otherwise."""
    detector = build(artifact.content)
    label, test = f"{artifact.content.model} {artifact.version}", artifact.self_test
    try:
        columns = {name.removeprefix("feature."): v for name, v in test.items() if name.startswith("feature.")}
        frame = WindowFrame("self-test", "", test["window_start"], columns, {}, int(test["first"][0]))
        expected = test["scores"]
        found = detector.score(frame).score
    except (KeyError, IndexError, ValueError) as error:
        raise ArtifactError(f"{label}: no usable self-test: {error}") from error
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=SELF_TEST_TOLERANCE, atol=1e-9):
        raise ArtifactError(f"{label}: self-test failed; this program and that model do not agree")
    return detector


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
    return hashlib.sha256(raw[:place] + raw[place + 64 :]).hexdigest()
