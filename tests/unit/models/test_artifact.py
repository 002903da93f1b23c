"""A model file: what is accepted, and that everything else is refused."""

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

from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.errors import ArtifactError, DigestMismatchError
from bgpdrift.models.artifact import (
    MAX_BYTES,
    from_bytes,
    read,
    read_once,
    run_self_test,
    to_bytes,
    with_self_test,
)
from bgpdrift.models.loading import builder

BUILD = builder("heuristic", 360)


@pytest.fixture(scope="module")
def raw(artifact) -> bytes:
    return to_bytes(artifact)


def test_what_is_written_is_read(artifact, raw: bytes) -> None:
    again = from_bytes(raw, "x", "heuristic")
    assert again.version == artifact.version
    assert again.calibration == artifact.calibration
    assert again.content.feature_names == artifact.content.feature_names
    for name, array in artifact.content.arrays.items():
        np.testing.assert_array_equal(again.content.arrays[name], array)
    run_self_test(again, BUILD)


def test_equal_models_are_equal_bytes_and_another_library_can_read_them(artifact, raw: bytes) -> None:
    assert to_bytes(artifact) == raw
    assert "thresholds" in safetensors.load(raw)


@pytest.mark.parametrize(
    ("raw_bytes", "match"),
    [
        (b"", "no model"),
        ((1 << 60).to_bytes(8, "little") + b" " * 100, "header"),
        ((2_000_000).to_bytes(8, "little") + b" " * 2_000_000, "header"),
        (pickle.dumps({"thresholds": [1.0] * 20}), "header|digest"),
        (safetensors.save({"thresholds": np.ones(3)}), "digest"),
    ],
    ids=["empty", "endless header", "huge header", "pickle", "no digest"],
)
def test_strangers_are_refused(raw_bytes: bytes, match: str) -> None:
    with pytest.raises(ArtifactError, match=match):
        from_bytes(raw_bytes, "stranger", "heuristic")


def test_damage_is_named_as_damage(raw: bytes) -> None:
    with pytest.raises(DigestMismatchError, match="damaged"):
        from_bytes(raw[:-1] + bytes([raw[-1] ^ 1]), "heuristic.safetensors", "heuristic")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"arrays": {"thresholds": np.array([np.nan])}}, "NaN"),
        ({"feature_names": ("no_such_column",)}, "no_such_column"),
        ({"feature_names": ("announced", "announced")}, "twice"),
        ({"model": "lstm"}, "'heuristic' expected"),
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
        ("schema_version", 3, "schema version 3, 2 expected; update bgpdrift first"),
        ("schema_version", 1, "schema version 1, 2 expected; it is too old, train it anew"),
        ("schema_version", "1", "unreadable"),
        ("version", "../../etc/passwd", "unreadable"),
        ("version", "9" * 65, "unreadable"),
        ("created_at", 10**30, "unreadable"),
        ("feature_names", [], "unreadable"),
        ("calibration", [1, 2], "unreadable"),
    ],
)
def test_a_right_digest_over_wrong_papers_saves_nobody(raw: bytes, resigned, field, value, match: str) -> None:
    def bend(_: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata[field] = value

    with pytest.raises(ArtifactError, match=match):
        from_bytes(resigned(raw, bend), "bent", "heuristic")


def _detector_gone(header: dict[str, Any], metadata: dict[str, Any]) -> None:
    metadata["hyper_parameters"] = {}


def _nested(header: dict[str, Any], metadata: dict[str, Any]) -> None:
    inner: Any = 1
    for _ in range(900):
        inner = [inner]
    metadata["metrics"] = {"deep": inner}


def _beyond_the_end(header: dict[str, Any], metadata: dict[str, Any]) -> None:
    header["thresholds"]["data_offsets"][1] += 10**12


@pytest.mark.parametrize("bend", [_detector_gone, _nested, _beyond_the_end])
def test_a_bent_header_is_refused_or_harmless(raw: bytes, resigned, bend: Callable[..., None]) -> None:
    """Nothing but `ArtifactError` may come of it."""
    try:
        run_self_test(from_bytes(resigned(raw, bend), "bent", "heuristic"), BUILD)
    except ArtifactError:
        return
    assert bend is _nested


def test_a_model_that_scores_otherwise_than_when_it_was_made_is_refused(artifact) -> None:
    bent = {**artifact.self_test, "scores": artifact.self_test["scores"] + 0.1}
    with pytest.raises(ArtifactError, match="self-test failed"):
        run_self_test(replace(artifact, self_test=bent), BUILD)


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
def test_a_self_test_that_cannot_be_run_is_a_failed_one(artifact, change) -> None:
    with pytest.raises(ArtifactError, match="no usable self-test"):
        run_self_test(replace(artifact, self_test=change(artifact.self_test)), BUILD)


def test_a_detector_that_breaks_while_it_is_built_or_tried_is_the_files_fault(artifact) -> None:
    def broken(content: object) -> None:
        raise IndexError("child 7 of 5")

    with pytest.raises(ArtifactError, match=r"no detector can be built.*child 7 of 5"):
        run_self_test(artifact, broken)
    with pytest.raises(ArtifactError, match="no usable self-test"):
        run_self_test(artifact, lambda content: object())


def test_a_self_test_remembers_whose_windows_it_is_made_of(artifact, windows) -> None:
    """A model pinned to the collectors it knows would say nothing of another's."""
    seen: list[tuple[str, str]] = []
    real = BUILD(artifact.content)

    class Spy:
        def score(self, frame: WindowFrame):
            seen.append((frame.collector, frame.peer))
            return real.score(frame)

    frame = replace(windows.calm(460, first=440), collector="rrc21", peer="192.0.2.1")
    again = from_bytes(to_bytes(with_self_test(artifact, Spy(), frame)), "x", "heuristic")
    run_self_test(again, lambda content: Spy())
    assert set(seen) == {("rrc21", "192.0.2.1")}


def test_a_model_that_reads_columns_it_does_not_name_gets_no_papers(artifact, windows) -> None:
    wrong = replace(artifact, content=replace(artifact.content, feature_names=("messages",)))
    with pytest.raises(ArtifactError, match="columns it does not name"):
        with_self_test(wrong, BUILD(artifact.content), windows.calm(460, first=440))


def test_a_file_that_is_not_there_is_an_error_of_the_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read(tmp_path / "none.safetensors", "heuristic")


def test_what_is_no_plain_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    """A pipe would hold its reader up for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, match in (("pipe", "not a regular file"), ("folder", "not a regular file"), ("large", "at most")):
        with pytest.raises(ArtifactError, match=match):
            read_once(tmp_path / name)


def test_the_metadata_is_json_for_people_and_small(raw: bytes) -> None:
    length = int.from_bytes(raw[:8], "little")
    metadata = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["bgpdrift"])
    assert {"model", "version", "schema_version", "calibration", "training", "metrics", "created_at"} <= set(metadata)
    assert length < 100_000
