"""The self-test of a model file: a small frame of windows and the scores that a detector must give for it.

This module decides how the frame is stored, and that a detector built from a file must reproduce the stored scores. Every
load of the model runs the test, so the frame must be small.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, Detector, FloatArray, ModelContent, WindowFrame
from bgpdrift.errors import ArtifactError
from bgpdrift.models.artifact import Artifact

MAX_SELF_TEST_MINUTES = 20_000
SCORE_TOLERANCE = 1e-6
"""Relative."""
_FEATURE = "feature."


def add_self_test(artifact: Artifact, detector: Detector, frame: WindowFrame) -> Artifact:
    """Add a frame and the detector's scores of it; without quality marks and columns that the model does not name.

    Raises
    ------
    ArtifactError
        The scores depend on columns that the model does not name. A service reads only the named columns.
    """
    names = [name for name in artifact.content.feature_names if name in frame.features]
    arrays: dict[str, npt.NDArray[Any]] = {
        "group": np.frombuffer(msgspec.json.encode([frame.collector, frame.peer]), np.uint8),
        "window_start": frame.window_start,
        "first": np.array([frame.first]),
        **{_FEATURE + name: _compact(frame.features[name]) for name in names},
    }
    stored_frame = _read_frame(arrays)
    scores = detector.score(stored_frame).score
    if not np.array_equal(detector.score(replace(stored_frame, features=frame.features)).score, scores):
        raise ArtifactError(f"{artifact.content.model}: the score depends on columns that the model does not name")
    return replace(artifact, self_test={**arrays, "scores": scores})


def run_self_test(artifact: Artifact, build: Callable[[ModelContent], Detector]) -> Detector:
    """Build the detector, score the stored frame and compare the scores with the stored ones.

    Returns
    -------
    Detector
        Built and tested.

    Raises
    ------
    ArtifactError
        No detector can be built, it raises an error, or the scores differ. Every reader of the published model runs this
        test, so any error in it is an error of the file.
    """
    label = f"{artifact.content.model} {artifact.version}"
    try:
        detector = build(artifact.content)
    except (ArtifactError, MemoryError):
        raise
    except Exception as error:
        raise ArtifactError(f"{label}: no detector can be built: {_describe(error)}") from error
    try:
        frame, expected = _read_frame(artifact.self_test), artifact.self_test["scores"]
        with np.errstate(all="ignore"):
            scores = detector.score(frame).score
    except MemoryError:
        raise
    except Exception as error:
        raise ArtifactError(f"{label}: the self-test cannot be run: {_describe(error)}") from error
    # Relative to the largest score, so that the unit of the scores does not matter.
    nearly_zero = SCORE_TOLERANCE * float(np.abs(expected).max(initial=0.0))
    if scores.shape != expected.shape or not np.allclose(scores, expected, rtol=SCORE_TOLERANCE, atol=nearly_zero):
        raise ArtifactError(f"{label}: self-test failed: the scores differ from those at the training")
    return detector


def _read_frame(arrays: Mapping[str, npt.NDArray[Any]]) -> WindowFrame:
    starts = arrays["window_start"].astype(np.int64)
    first = int(arrays["first"][0])
    collector, peer = msgspec.json.decode(arrays["group"].tobytes(), type=tuple[str, str])
    # A detector lays windows out minute by minute: a start far away would allocate all memory.
    span = int(starts[-1] - starts[0]) // MINUTE_S if starts.ndim == 1 and len(starts) else 0
    if not 0 <= first < len(starts) or span > MAX_SELF_TEST_MINUTES or (np.diff(starts) <= 0).any():
        raise ArtifactError(f"{len(starts)} windows over {span} minutes, first row to score {first}")
    columns: dict[str, FloatArray] = {
        name.removeprefix(_FEATURE): values.astype(np.float64)
        for name, values in arrays.items()
        if name.startswith(_FEATURE)
    }
    if any(values.shape != starts.shape for values in columns.values()):
        raise ArtifactError("the columns and the windows differ in length")
    return WindowFrame(collector, peer, starts, columns, {}, first)


def _compact(values: FloatArray) -> npt.NDArray[Any]:
    """Store counts as 32-bit integers where that loses nothing."""
    counts = values.astype(np.int32) if np.isfinite(values).all() and (np.abs(values) < 2**31).all() else None
    return values if counts is None or (counts != values).any() else counts


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, ArtifactError) else f"{type(error).__name__}: {error}"
