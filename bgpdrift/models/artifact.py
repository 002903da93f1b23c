"""A model file: learned arrays, metadata, self-test and reference hours in one ``.safetensors`` file with a digest.

This module decides which bytes are a valid file. A file is read once, and the bytes that were read are checked and parsed:
first the digest, before anything is parsed, then the schema, the model, the features and the arrays.
`bgpdrift.models.metadata` declares the fields of the metadata, `bgpdrift.models.self_test` runs the self-test. No code path
loads a pickle.
"""

import hashlib
import os
import stat as stat_module
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from bgpdrift.detectors.interface import ModelContent
from bgpdrift.errors import ArtifactError, DigestMismatchError, UnfinishedArtifactError
from bgpdrift.models.flags import DriftCause
from bgpdrift.models.metadata import (
    NO_CAUSE,
    NO_METRICS,
    NO_TRAINING,
    ArtifactMetadata,
    EvaluationMetrics,
    TrainingRecord,
    decode_metadata,
)

MAX_BYTES = 32_000_000
"""Seven times a large forest. A larger file would take memory that the detector needs."""
MAX_HEADER_BYTES = 1_000_000
MAX_ARRAYS = 512
_NUMBER_KINDS = "fiub"
_EMPTY_DIGEST = "0" * 64
_SELF_TEST = "self_test."
_REFERENCE = "reference."
_DIGEST_MARK = b'"digest":"'

Identity = tuple[int, int, int, int, int]
"""Of a file, as far as one stat shows it: device, inode, size, and the times of the last write and of the last change of
content, name or mode, in nanoseconds. A program that writes in place can set the first time back, but not the second."""
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model and its metadata.

    Attributes
    ----------
    content : ModelContent
        What the detector is built from.
    version : str
        ``<counter>``, or ``default-<n>`` for the packaged default.
    created_at : int
        Epoch seconds, UTC.
    calibration : mapping
        Fields of `bgpdrift.verdicts.calibration.Calibration`.
    metrics : EvaluationMetrics
        Figures of the evaluation.
    training : TrainingRecord
        Span, rows and seed.
    drift_cause : DriftCause
        The drift that caused the training.
    parent_version : str
        The version that it was trained to replace; empty for none.
    self_test : mapping of str to ndarray
        See `bgpdrift.models.self_test`.
    digest : str
        SHA-256 over all bytes except the digest itself; empty before the artifact is written.
    reference : mapping of str to ndarray
        Hours of out-of-sample scores, see `bgpdrift.models.reference`; empty for none.
    """

    content: ModelContent
    version: str
    created_at: int
    calibration: Mapping[str, Any] = field(default_factory=dict)
    metrics: EvaluationMetrics = NO_METRICS
    training: TrainingRecord = NO_TRAINING
    drift_cause: DriftCause = NO_CAUSE
    parent_version: str = ""
    self_test: Arrays = field(default_factory=dict)
    digest: str = ""
    reference: Arrays = field(default_factory=dict)

    @property
    def metadata_only(self) -> "Artifact":
        """The same without arrays, to be kept in memory after the detector is built."""
        return replace(self, content=replace(self.content, arrays={}), self_test={}, reference={})


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A file as it was when it was read.

    Attributes
    ----------
    raw : bytes
        All bytes.
    identity : Identity
        Identity of the open file, so that a later file in its place is not mistaken for it.
    changed_at : float
        Wall clock, epoch seconds, when it was written or renamed, whichever came later.
    """

    raw: bytes
    identity: Identity
    changed_at: float


class _SignedMetadata(msgspec.Struct):
    bgpdrift: str
    digest: str


class _Header(msgspec.Struct):
    metadata: _SignedMetadata = msgspec.field(name="__metadata__")


def to_bytes(artifact: Artifact) -> bytes:
    """Encode an artifact and sign it; equal artifacts give equal bytes."""
    content = artifact.content
    metadata = ArtifactMetadata(
        model=content.model,
        version=artifact.version,
        created_at=artifact.created_at,
        parent_version=artifact.parent_version,
        feature_names=list(content.feature_names),
        hyper_parameters=dict(content.hyper_parameters),
        calibration=dict(artifact.calibration),
        training=artifact.training,
        metrics=artifact.metrics,
        drift_cause=artifact.drift_cause,
    )
    arrays = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
    arrays |= {_SELF_TEST + name: np.ascontiguousarray(array) for name, array in artifact.self_test.items()}
    arrays |= {_REFERENCE + name: np.ascontiguousarray(array) for name, array in artifact.reference.items()}
    text = msgspec.json.encode(metadata, order="sorted").decode()
    tensors = safetensors.save(dict(sorted(arrays.items())), {"bgpdrift": text})
    # The library writes the metadata in no fixed order, so the header is encoded again before it is signed.
    length = int.from_bytes(tensors[:8], "little")
    return sign(msgspec.json.decode(tensors[8 : 8 + length]), tensors[8 + length :])


def sign(header: dict[str, Any], data: bytes) -> bytes:
    """Encode a safetensors header with the digest of the whole file in it, followed by the data."""
    header["__metadata__"]["digest"] = _EMPTY_DIGEST
    head = msgspec.json.encode(header, order="sorted")
    head += b" " * (-len(head) % 8)
    raw = len(head).to_bytes(8, "little") + head + data
    position = _find_digest(raw)
    return raw[:position] + _compute_digest(raw, position).encode() + raw[position + 64 :]


def from_bytes(raw: bytes, name: str, model: str) -> Artifact:
    """Check and decode the bytes of a model file; `bgpdrift.models.self_test.run_self_test` runs its self-test.

    Parameters
    ----------
    raw : bytes
        The whole file.
    name : str
        The file, for error messages.
    model : str
        The model that it must be of.

    Raises
    ------
    ArtifactError
        The file is not a usable model; `UnfinishedArtifactError` for one that is cut short, `DigestMismatchError` for
        damage, `NewerSchemaError` for a later schema.
    """
    _check_digest(raw, name)
    try:
        signed = msgspec.json.decode(raw[8 : 8 + int.from_bytes(raw[:8], "little")], type=_Header).metadata
        metadata = decode_metadata(signed.bgpdrift, name)
        arrays = safetensors.load(raw)
    except (msgspec.MsgspecError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{name}: cannot be decoded: {error}") from error
    if metadata.model != model:
        raise ArtifactError(f"{name}: expected a model {model!r}, found {metadata.model!r}")
    _check_arrays(arrays, name)
    return Artifact(
        content=ModelContent(
            model=model,
            feature_names=tuple(metadata.feature_names),
            arrays={key: array for key, array in arrays.items() if not key.startswith((_SELF_TEST, _REFERENCE))},
            hyper_parameters=metadata.hyper_parameters,
        ),
        version=metadata.version,
        created_at=metadata.created_at,
        calibration=metadata.calibration,
        metrics=metadata.metrics,
        training=metadata.training,
        drift_cause=metadata.drift_cause,
        parent_version=metadata.parent_version,
        self_test=_select(arrays, _SELF_TEST),
        digest=signed.digest,
        reference=_select(arrays, _REFERENCE),
    )


def read(path: Path, model: str) -> Artifact:
    """Read a file once and decode it; a file that cannot be read is an `ArtifactError` too."""
    try:
        raw = read_once(path).raw
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    return from_bytes(raw, path.name, model)


def read_once(path: Path) -> FileBytes:
    """Open a file, read all bytes and close it. Symbolic links are followed, because the bytes are verified anyway.

    Raises
    ------
    ArtifactError
        The path is not a regular file (reading a pipe would block), the file is too large, or it changed while it was
        read.
    OSError
        It cannot be read now; its content is unknown.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(descriptor)
        if not stat_module.S_ISREG(before.st_mode):
            raise ArtifactError(f"{path.name}: not a regular file")
        if before.st_size > MAX_BYTES:
            raise ArtifactError(f"{path.name}: {before.st_size:,} bytes, at most {MAX_BYTES:,} allowed")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(before.st_size + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not is_same_content(identity_of(before), identity_of(after)) or len(raw) != after.st_size:
        raise UnfinishedArtifactError(f"{path.name}: the file changed while it was read")
    return FileBytes(raw, identity_of(after), max(after.st_mtime, after.st_ctime))


def identity_of(status: os.stat_result) -> Identity:
    """Return the part of a stat that changes with the content; a second hard link changes it too."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_same_content(one: Identity, other: Identity) -> bool:
    """Whether two identities are of the same bytes, unless a program that wrote in place set the time of writing back.

    A rename, a second hard link and a change of mode leave the content the same.

    Examples
    --------
    >>> is_same_content((1, 2, 30, 4, 5), (1, 2, 30, 4, 6)), is_same_content((1, 2, 30, 4, 5), (1, 2, 31, 4, 5))
    (True, False)
    """
    return one[:4] == other[:4]


def _select(arrays: Arrays, prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _check_arrays(arrays: Arrays, name: str) -> None:
    if len(arrays) > MAX_ARRAYS:
        raise ArtifactError(f"{name}: {len(arrays)} arrays, at most {MAX_ARRAYS} allowed")
    for key, array in arrays.items():
        if array.dtype.kind not in _NUMBER_KINDS:
            raise ArtifactError(f"{name}: array {key[:100]}: expected numbers, found {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{name}: array {key[:100]} holds NaN or infinity")


def _check_digest(raw: bytes, name: str) -> None:
    if len(raw) < 16:
        raise UnfinishedArtifactError(f"{name}: not a model file: {len(raw)} bytes")
    header_bytes = int.from_bytes(raw[:8], "little")
    if header_bytes > min(MAX_HEADER_BYTES, len(raw) - 8):
        kind = ArtifactError if header_bytes > MAX_HEADER_BYTES else UnfinishedArtifactError
        raise kind(f"{name}: the header is longer than the file or than {MAX_HEADER_BYTES:,} bytes")
    if header_bytes == 0:
        raise UnfinishedArtifactError(f"{name}: not a model file: it begins with zeros")
    position = _find_digest(raw)
    if position < 0 or position + 64 > len(raw):
        raise ArtifactError(f"{name}: no digest in the header; bgpdrift did not write this file")
    recorded, actual = raw[position : position + 64].decode("ascii", "replace"), _compute_digest(raw, position)
    if recorded != actual:
        raise DigestMismatchError(name, recorded, actual)


def _find_digest(raw: bytes) -> int:
    """Find the 64 hexadecimal digits in the header; −1 if there are none."""
    mark = raw.find(_DIGEST_MARK, 8, 8 + int.from_bytes(raw[:8], "little"))
    return mark + len(_DIGEST_MARK) if mark >= 0 else -1


def _compute_digest(raw: bytes, position: int) -> str:
    view = memoryview(raw)
    digest = hashlib.sha256(view[:position])
    digest.update(view[position + 64 :])
    return digest.hexdigest()
