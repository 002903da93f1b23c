"""Which file a detector runs, and that it changes only for a better one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bgpdrift.models.artifact import from_bytes, to_bytes
from bgpdrift.models.loading import ModelSource, builder, default_bytes, publish_default
from bgpdrift.models.publication import current_path, write_whole


def _source(folder: Path) -> ModelSource:
    return ModelSource(folder, "heuristic", builder("heuristic", 360))


def _publish(folder: Path, artifact, version: str, name: str = "heuristic.safetensors") -> None:
    write_whole(folder / name, to_bytes(replace(artifact, version=version)))


def test_the_packaged_default_is_whole_and_passes_its_self_test(tmp_path: Path) -> None:
    loaded = _source(tmp_path).look().loaded
    assert loaded is not None
    assert loaded.version.startswith("default-")


def test_the_default_is_published_once_and_never_over_another(tmp_path: Path, artifact) -> None:
    assert publish_default(tmp_path / "a", "heuristic")
    assert current_path(tmp_path / "a", "heuristic").read_bytes() == default_bytes("heuristic")
    assert not publish_default(tmp_path / "a", "heuristic")
    _publish(tmp_path / "b", artifact, "7", "heuristic_backup_20260101T000000Z.safetensors")
    assert not publish_default(tmp_path / "b", "heuristic")
    assert not publish_default(tmp_path, "lstm")


def test_a_new_current_file_is_taken_over_and_an_unchanged_one_is_not_read_again(tmp_path: Path, artifact) -> None:
    _publish(tmp_path, artifact, "1")
    source = _source(tmp_path)
    assert source.look().loaded.version == "1"
    assert source.look().loaded is None
    _publish(tmp_path, artifact, "2")
    assert source.look().loaded.version == "2"


def test_a_damaged_current_file_falls_back_to_the_newest_backup_that_verifies(tmp_path: Path, artifact) -> None:
    (tmp_path / "heuristic.safetensors").write_bytes(b"half")
    _publish(tmp_path, artifact, "3", "heuristic_backup_20260101T000000Z.safetensors")
    _publish(tmp_path, artifact, "4", "heuristic_backup_20260201T000000Z.safetensors")
    (tmp_path / "heuristic_backup_20260301T000000Z.safetensors").write_bytes(b"half")
    look = _source(tmp_path).look()
    assert look.loaded.version == "4"
    assert len(look.refused) == 2


def test_a_damaged_new_file_is_named_once_and_the_old_model_goes_on(tmp_path: Path, artifact) -> None:
    _publish(tmp_path, artifact, "1")
    source = _source(tmp_path)
    source.look()
    write_whole(tmp_path / "heuristic.safetensors", b"half")
    look = source.look()
    assert look.loaded is None
    assert len(look.refused) == 1
    assert source.look().refused == ()
    _publish(tmp_path, artifact, "2")
    assert source.look().loaded.version == "2"


def test_a_detector_of_a_later_version_waits_and_says_why_its_file_is_not_used(tmp_path: Path) -> None:
    source = ModelSource(tmp_path, "lstm", None)
    assert source.look() == source.look()
    assert source.look().loaded is None
    (tmp_path / "lstm.safetensors").write_bytes(b"x")
    assert "cannot run" in source.look().refused[0]
    assert source.look().refused == ()


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path, monkeypatch) -> None:
    from bgpdrift.errors import TransientError

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "heuristic.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_default_says_what_it_was_learned_from() -> None:
    raw = default_bytes("heuristic")
    assert raw is not None
    artifact = from_bytes(raw, "default", "heuristic")
    assert artifact.training["rows"] >= 10_000
    assert artifact.training["calibration_rows"] >= 5_000
    assert artifact.metrics["alarm_share_on_calibration_rows"] * 1_440 < 2.0


def test_the_default_holds_exactly_the_rules_of_this_program(tmp_path: Path) -> None:
    """A rule added without learning the default anew would silently never fire."""
    from bgpdrift.detectors.rules import RULES

    loaded = _source(tmp_path).look().loaded
    assert loaded is not None
    assert tuple(loaded.artifact.content.hyper_parameters["rules"]) == tuple(rule.name for rule in RULES)
