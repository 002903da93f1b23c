"""A model file: what is accepted, and that everything else is refused."""

import json
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
from safetensors import numpy as safetensors

from bgpdrift.errors import ArtifactError, DigestMismatchError
from bgpdrift.models.artifact import from_bytes, read, run_self_test, to_bytes
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
    np.testing.assert_array_equal(again.content.arrays["thresholds"], artifact.content.arrays["thresholds"])
    run_self_test(again, BUILD)


def test_equal_models_are_equal_bytes_and_another_library_can_read_them(artifact, raw: bytes) -> None:
    assert to_bytes(artifact) == raw
    assert "thresholds" in safetensors.load(raw)


def test_a_thousand_damages_are_all_refused(raw: bytes) -> None:
    """Flipped bits, cut ends, zeroed stretches: the digest is checked before anything is parsed."""
    rng = random.Random(3)
    for _ in range(1_000):
        damaged = bytearray(raw)
        match rng.randrange(3):
            case 0:
                damaged[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            case 1:
                del damaged[rng.randrange(len(raw)) :]
            case _:
                at = rng.randrange(len(raw) - 64)
                damaged[at : at + 64] = rng.randbytes(64)
        with pytest.raises(ArtifactError):
            from_bytes(bytes(damaged), "damaged", "heuristic")


@pytest.mark.parametrize(
    ("raw_bytes", "match"),
    [
        (b"", "no model"),
        ((1 << 60).to_bytes(8, "little") + b" " * 100, "header"),
        (pickle.dumps({"thresholds": [1.0] * 20}), "header|digest"),
        (safetensors.save({"thresholds": np.ones(3)}), "digest"),
    ],
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
        ({"model": "lstm"}, "'heuristic' expected"),
    ],
)
def test_whole_files_with_wrong_content_are_refused(artifact, change, match: str) -> None:
    wrong = to_bytes(replace(artifact, content=replace(artifact.content, **change)))
    with pytest.raises(ArtifactError, match=match):
        from_bytes(wrong, "wrong", "heuristic")


def test_another_schema_is_refused(raw: bytes, monkeypatch) -> None:
    import bgpdrift.models.artifact as module

    monkeypatch.setattr(module, "SCHEMA_VERSION", 2)
    with pytest.raises(ArtifactError, match="schema version 1, 2 expected"):
        from_bytes(raw, "old", "heuristic")


def test_a_model_that_scores_otherwise_than_when_it_was_made_is_refused(artifact) -> None:
    bent = {**artifact.self_test, "scores": artifact.self_test["scores"] + 0.1}
    with pytest.raises(ArtifactError, match="self-test failed"):
        run_self_test(replace(artifact, self_test=bent), BUILD)
    with pytest.raises(ArtifactError, match="no usable self-test"):
        run_self_test(replace(artifact, self_test={}), BUILD)


def test_a_file_that_is_not_there_is_an_error_of_the_artifact(tmp_path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read(tmp_path / "none.safetensors", "heuristic")


def test_the_metadata_is_json_for_people(raw: bytes) -> None:
    length = int.from_bytes(raw[:8], "little")
    papers = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["bgpdrift"])
    assert {"model", "version", "schema_version", "calibration", "training", "metrics", "created_at"} <= set(papers)
