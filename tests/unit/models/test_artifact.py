"""Which bytes are accepted as a model file, and how others are refused."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors

from bgpdrift.detectors.interface import Scores, WindowFrame
from bgpdrift.errors import ArtifactError, DigestMismatchError
from bgpdrift.models.artifact import MAX_BYTES, from_bytes, read, read_once, to_bytes
from bgpdrift.models.loading import builder
from bgpdrift.models.self_test import add_self_test, run_self_test

BUILD = builder("heuristic", 360)


@pytest.fixture(scope="module")
def raw(artifact) -> bytes:
    return to_bytes(artifact)


def test_an_artifact_survives_encoding_and_decoding(artifact, raw: bytes) -> None:
    again = from_bytes(raw, "x", "heuristic")
    assert again.version == artifact.version
    assert again.calibration == artifact.calibration
    assert (again.training, again.metrics) == (artifact.training, artifact.metrics)
    assert again.content.feature_names == artifact.content.feature_names
    for name, array in artifact.content.arrays.items():
        np.testing.assert_array_equal(again.content.arrays[name], array)
    run_self_test(again, BUILD)


def test_equal_models_give_equal_bytes_that_another_library_can_read(artifact, raw: bytes) -> None:
    assert to_bytes(artifact) == raw
    assert "thresholds" in safetensors.load(raw)


@pytest.mark.parametrize(
    ("raw_bytes", "match"),
    [
        (b"", "not a model file"),
        ((1 << 60).to_bytes(8, "little") + b" " * 100, "header"),
        ((2_000_000).to_bytes(8, "little") + b" " * 2_000_000, "header"),
        (pickle.dumps({"thresholds": [1.0] * 20}), "header|digest"),
        (safetensors.save({"thresholds": np.ones(3)}), "digest"),
    ],
    ids=["empty", "endless header", "huge header", "pickle", "no digest"],
)
def test_bytes_that_are_no_model_file_are_refused(raw_bytes: bytes, match: str) -> None:
    with pytest.raises(ArtifactError, match=match):
        from_bytes(raw_bytes, "other", "heuristic")


def test_damaged_bytes_give_a_digest_mismatch(raw: bytes) -> None:
    with pytest.raises(DigestMismatchError, match="damaged"):
        from_bytes(raw[:-1] + bytes([raw[-1] ^ 1]), "heuristic.safetensors", "heuristic")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"arrays": {"thresholds": np.array([np.nan])}}, "NaN"),
        ({"feature_names": ("no_such_column",)}, "no_such_column"),
        ({"feature_names": ("announced", "announced")}, "twice"),
        ({"model": "lstm"}, "expected a model 'heuristic'"),
    ],
    ids=["NaN weights", "unknown feature", "feature twice", "other model"],
)
def test_whole_files_with_wrong_content_are_refused(artifact, change, match: str) -> None:
    wrong = to_bytes(replace(artifact, content=replace(artifact.content, **change)))
    with pytest.raises(ArtifactError, match=match):
        from_bytes(wrong, "wrong", "heuristic")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("schema_version", 3, "expected schema version 2, found the newer 3; update bgpdrift first"),
        ("schema_version", 1, "expected schema version 2, found the older 1; train the model again"),
        ("schema_version", "1", "cannot be decoded"),
        ("version", "../../etc/passwd", "cannot be decoded"),
        ("version", "9" * 65, "cannot be decoded"),
        ("created_at", 10**30, "cannot be decoded"),
        ("feature_names", [], "cannot be decoded"),
        ("calibration", [1, 2], "cannot be decoded"),
        ("metrics", {"injected": [0.5]}, "cannot be decoded"),
        ("training", {"rows": "many"}, "cannot be decoded"),
    ],
)
def test_wrong_metadata_are_refused_although_the_digest_is_right(
    raw: bytes, resigned, field, value, match: str
) -> None:
    def change_field(_: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata[field] = value

    with pytest.raises(ArtifactError, match=match):
        from_bytes(resigned(raw, change_field), "changed", "heuristic")


def remove_hyper_parameters(header: dict[str, Any], metadata: dict[str, Any]) -> None:
    metadata["hyper_parameters"] = {}


def nest_deeply(header: dict[str, Any], metadata: dict[str, Any]) -> None:
    inner: Any = 1
    for _ in range(900):
        inner = [inner]
    metadata["metrics"] = {"deep": inner}


def extend_array(header: dict[str, Any], metadata: dict[str, Any]) -> None:
    header["thresholds"]["data_offsets"][1] += 10**12


@pytest.mark.parametrize("change", [remove_hyper_parameters, nest_deeply, extend_array])
def test_a_changed_header_is_refused_with_an_artifact_error_or_ignored(
    raw: bytes, resigned, change: Callable[..., None]
) -> None:
    try:
        run_self_test(from_bytes(resigned(raw, change), "changed", "heuristic"), BUILD)
    except ArtifactError:
        return
    assert change is nest_deeply


def test_scores_of_a_tiny_unit_are_compared_as_exactly_as_others(artifact) -> None:
    """The self-test holds scores of 1e-13, which no detector of this program gives."""
    changed = {**artifact.self_test, "scores": 1e-13 * artifact.self_test["scores"]}
    detector = BUILD(artifact.content)

    class Tiny:
        history_minutes = detector.history_minutes

        def __init__(self, unit: float) -> None:
            self.unit = unit

        def score(self, frame: WindowFrame) -> Scores:
            scores = detector.score(frame)
            return replace(scores, score=self.unit * scores.score)

    assert run_self_test(replace(artifact, self_test=changed), lambda _: Tiny(1e-13))
    with pytest.raises(ArtifactError, match="self-test failed"):
        run_self_test(replace(artifact, self_test=changed), lambda _: Tiny(2e-13))


def test_a_model_whose_scores_differ_from_those_at_its_training_is_refused(artifact) -> None:
    changed = {**artifact.self_test, "scores": artifact.self_test["scores"] + 0.1}
    with pytest.raises(ArtifactError, match="self-test failed"):
        run_self_test(replace(artifact, self_test=changed), BUILD)


@pytest.mark.parametrize(
    "change",
    [
        lambda test: {},
        lambda test: {**test, "first": np.array([10**9])},
        lambda test: {**test, "first": np.array([-1])},
        lambda test: {**test, "window_start": test["window_start"] * 10**6},
        lambda test: {**test, "window_start": test["window_start"][::-1].copy()},
        lambda test: {**test, "feature.announced": test["feature.announced"][:5]},
        lambda test: {**test, "group": np.frombuffer(b"not json", np.uint8)},
    ],
    ids=["none", "nothing to score", "before the first", "years of minutes", "backwards", "short column", "no group"],
)
def test_a_self_test_that_cannot_be_run_has_failed(artifact, change) -> None:
    with pytest.raises(ArtifactError, match="the self-test cannot be run"):
        run_self_test(replace(artifact, self_test=change(artifact.self_test)), BUILD)


def test_an_error_while_a_detector_is_built_or_tested_is_an_error_of_the_file(artifact) -> None:
    def broken(content: object) -> None:
        raise IndexError("child 7 of 5")

    with pytest.raises(ArtifactError, match=r"no detector can be built.*child 7 of 5"):
        run_self_test(artifact, broken)
    with pytest.raises(ArtifactError, match="the self-test cannot be run"):
        run_self_test(artifact, lambda content: object())


def test_a_self_test_keeps_the_collector_and_peer_of_its_windows(artifact, windows) -> None:
    """A model that knows only its own collectors would abstain for another one."""
    seen: list[tuple[str, str]] = []
    real = BUILD(artifact.content)

    class Spy:
        def score(self, frame: WindowFrame):
            seen.append((frame.collector, frame.peer))
            return real.score(frame)

    frame = replace(windows.calm(460, first=440), collector="rrc21", peer="192.0.2.1")
    again = from_bytes(to_bytes(add_self_test(artifact, Spy(), frame)), "x", "heuristic")
    run_self_test(again, lambda content: Spy())
    assert set(seen) == {("rrc21", "192.0.2.1")}


def test_a_model_that_reads_columns_it_does_not_name_gets_no_self_test(artifact, windows) -> None:
    wrong = replace(artifact, content=replace(artifact.content, feature_names=("messages",)))
    with pytest.raises(ArtifactError, match="columns that the model does not name"):
        add_self_test(wrong, BUILD(artifact.content), windows.calm(460, first=440))


def test_a_missing_file_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read(tmp_path / "none.safetensors", "heuristic")


def test_irregular_and_too_large_files_are_not_read(tmp_path: Path) -> None:
    """A read of a pipe would block."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, match in (("pipe", "not a regular file"), ("folder", "not a regular file"), ("large", "at most")):
        with pytest.raises(ArtifactError, match=match):
            read_once(tmp_path / name)


def test_the_metadata_are_small_readable_json(raw: bytes) -> None:
    length = int.from_bytes(raw[:8], "little")
    metadata = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["bgpdrift"])
    assert {"model", "version", "schema_version", "calibration", "training", "metrics", "created_at"} <= set(metadata)
    assert length < 100_000
