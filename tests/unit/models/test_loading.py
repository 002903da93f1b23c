"""Which file a detector loads, and that a bad file never replaces a loaded model."""

import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import ArtifactError, TransientError
from bgpdrift.models.artifact import from_bytes, to_bytes
from bgpdrift.models.loading import (
    RETRY_AFTER_S,
    SETTLE_S,
    LoadAttempt,
    ModelSource,
    builder,
    default_bytes,
    publish_default,
)
from bgpdrift.models.publication import current_path

BUILD = builder("heuristic", 360)


class Shelf:
    """The artifact folder of one detector, and its model source."""

    def __init__(self, folder: Path, clock: FakeClock, bytes_of: Callable[[str], bytes], **source: Any) -> None:
        self.folder, self.clock, self.bytes_of = folder, clock, bytes_of
        self.current = current_path(folder, "heuristic")
        self.source = ModelSource(folder, "heuristic", BUILD, clock, **source)

    def put(self, raw: bytes | str, name: str = "heuristic.safetensors") -> None:
        """Place bytes, or a good model of a version, by a rename."""
        stage = self.folder / "stage"
        stage.write_bytes(raw if isinstance(raw, bytes) else self.bytes_of(raw))
        stage.replace(self.folder / name)

    def load(self) -> LoadAttempt:
        return self.source.try_load()

    def load_until_judged(self) -> LoadAttempt:
        """Try twice, the second time when a bad file is no longer waited for."""
        first = self.load()
        self.clock.advance(seconds=SETTLE_S)
        return self.load() if first.loaded is None else first


@pytest.fixture
def shelf(tmp_path: Path, clock: FakeClock, bytes_of) -> Shelf:
    return Shelf(tmp_path, clock, bytes_of)


@pytest.fixture
def at_work(shelf: Shelf) -> Shelf:
    """A shelf whose active version is 1."""
    shelf.put("1")
    loaded = shelf.load().loaded
    assert loaded is not None
    assert loaded.version == "1"
    return shelf


def next_good_one_is_taken(shelf: Shelf, version: str = "99") -> bool:
    shelf.put(version)
    loaded = shelf.load().loaded
    return loaded is not None and loaded.version == version


def test_the_packaged_default_is_whole_and_passes_its_self_test(shelf: Shelf) -> None:
    loaded = shelf.load().loaded
    assert loaded is not None
    assert loaded.version.startswith("default-")
    assert loaded.identity is None


def test_the_default_is_published_once_and_never_over_another(tmp_path: Path, bytes_of) -> None:
    assert publish_default(tmp_path / "a", "heuristic")
    assert current_path(tmp_path / "a", "heuristic").read_bytes() == default_bytes("heuristic")
    assert not publish_default(tmp_path / "a", "heuristic")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "heuristic_backup_20260101T000000Z.safetensors").write_bytes(bytes_of("7"))
    assert not publish_default(tmp_path / "b", "heuristic")
    assert not publish_default(tmp_path, "lstm")


def test_a_changed_current_file_is_loaded_and_an_unchanged_one_is_not_read_again(at_work: Shelf) -> None:
    assert at_work.load() == LoadAttempt()
    at_work.put("2")
    assert at_work.source.has_changed
    assert at_work.load().loaded.version == "2"
    assert not at_work.source.has_changed


def test_a_second_hard_link_is_no_change_and_a_touch_is(at_work: Shelf) -> None:
    """Before each publish the current file gets a backup's name: that must not cost a load."""
    os.link(at_work.current, at_work.folder / "heuristic_backup_20260101T000000Z.safetensors")
    assert at_work.load() == LoadAttempt()
    assert not at_work.source.has_changed
    os.utime(at_work.current, (1, 1))
    assert at_work.load().loaded.version == "1"


def test_a_model_written_in_place_with_equal_size_and_time_is_loaded(at_work: Shelf) -> None:
    before = at_work.current.stat()
    at_work.current.write_bytes(at_work.bytes_of("2"))
    os.utime(at_work.current, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = at_work.current.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)

    assert at_work.source.has_changed
    assert at_work.load().loaded.version == "2"
    assert not at_work.source.has_changed


def test_a_loaded_model_keeps_its_metadata_and_detector_without_arrays(at_work: Shelf) -> None:
    at_work.put("2")
    loaded = at_work.load().loaded
    assert loaded.artifact.training.rows > 0
    assert not loaded.artifact.content.arrays
    assert not loaded.artifact.self_test
    assert loaded.changed_at >= at_work.current.stat().st_mtime


def test_a_damaged_current_file_falls_back_to_the_newest_backup_that_verifies(shelf: Shelf) -> None:
    shelf.put(b"half")
    shelf.put("3", "heuristic_backup_20260101T000000Z.safetensors")
    shelf.put("4", "heuristic_backup_20260201T000000Z.safetensors")
    shelf.put(b"half", "heuristic_backup_20260301T000000Z.safetensors")
    attempt = shelf.load()
    assert attempt.loaded.version == "4"
    assert [refusal.file for refusal in attempt.refused] == ["heuristic_backup_20260301T000000Z.safetensors"]
    shelf.clock.advance(seconds=SETTLE_S)
    assert [refusal.file for refusal in shelf.load().refused] == ["heuristic.safetensors"]
    assert next_good_one_is_taken(shelf)


def test_a_damaged_new_file_is_quarantined_with_a_reason_and_reported_once(at_work: Shelf) -> None:
    at_work.put(b"half a model, no more than that")
    attempt = at_work.load_until_judged()
    assert attempt.loaded is None
    (refusal,) = attempt.refused
    assert "header is longer than the file" in refusal.reason
    assert not at_work.current.exists()
    assert Path(refusal.moved_to).read_bytes() == b"half a model, no more than that"
    note = json.loads(Path(refusal.moved_to.removesuffix(".safetensors") + ".reason.json").read_text())
    assert note["reason"] == refusal.reason
    assert at_work.load().refused == ()
    assert next_good_one_is_taken(at_work)


def test_a_file_that_is_still_being_copied_is_not_refused(at_work: Shelf) -> None:
    """Every check finds half a file damaged; the only difference is that the file continues to change."""
    whole = at_work.bytes_of("2")
    with at_work.current.open("wb") as file:
        for part in range(4):
            file.write(whole[part * len(whole) // 4 : (part + 1) * len(whole) // 4])
            file.flush()
            attempt = at_work.load()
            at_work.clock.advance(seconds=RETRY_AFTER_S / 2)
            if part < 3:
                assert attempt.loaded is None
                assert attempt.refused == ()
                assert "tried again" in attempt.problem or not attempt.problem
    attempt = at_work.load() if attempt.loaded is None else attempt
    assert attempt.loaded.version == "2"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_an_upload_that_pauses_is_waited_for_and_loaded_when_it_is_complete(at_work: Shelf, share: float) -> None:
    whole = at_work.bytes_of("2")
    cut = int(share * len(whole))
    with at_work.current.open("wb") as file:
        file.write(whole[:cut])
        file.flush()
        for _ in range(40):
            attempt = at_work.load()
            assert attempt.loaded is None
            assert attempt.refused == ()
            assert "tried again" in attempt.problem
            at_work.clock.advance(seconds=RETRY_AFTER_S)
        file.write(whole[cut:])
    assert at_work.load().loaded.version == "2"
    assert not (at_work.folder / "rejected").exists()


def test_a_complete_file_that_fails_is_refused_after_a_second(at_work: Shelf) -> None:
    at_work.put(pickle.dumps({"thresholds": [1.0] * 20}))
    assert at_work.load().refused == ()
    at_work.clock.advance(seconds=RETRY_AFTER_S)
    assert at_work.load().refused


def _mutations(good: bytes, resigned: Callable[..., bytes]) -> list[bytes]:
    """A thousand ways to be wrong: most unsigned, some signed as if they were ours."""
    rng = random.Random(3)

    def papers_changed(**values: Any) -> bytes:
        return resigned(good, lambda header, metadata: metadata.update(values))

    def header_changed(name: str, value: Any) -> bytes:
        return resigned(good, lambda header, metadata: header["thresholds"].update({name: value}))

    length = int.from_bytes(good[:8], "little")
    nan_weights = good[:-8] + b"\xff" * 8
    found = [
        b"",
        good[:8],
        pickle.dumps({"thresholds": [1.0] * 20}),
        (1 << 62).to_bytes(8, "little") + good[8:],
        (2_000_000).to_bytes(8, "little") + b" " * 2_000_000 + good,
        good + b"\0",
        resigned(nan_weights, lambda header, metadata: None),
        papers_changed(schema_version=3),
        papers_changed(schema_version=0),
        papers_changed(model="lstm"),
        papers_changed(feature_names=["no_such_column"]),
        papers_changed(hyper_parameters={}),
        papers_changed(calibration={}),
        papers_changed(version=""),
        header_changed("dtype", "F32"),
        header_changed("shape", [1, 1]),
        header_changed("data_offsets", [0, 10**15]),
    ]
    while len(found) < 1_000:
        damaged = bytearray(good)
        match rng.randrange(4):
            case 0:
                damaged[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
            case 1:
                del damaged[rng.randrange(len(good)) :]
            case 2:
                at = rng.randrange(len(good) - 64)
                damaged[at : at + 64] = rng.randbytes(64)
            case _:
                damaged[rng.randrange(8 + length)] ^= 1 << rng.randrange(8)
        found.append(bytes(damaged))
    return found


def test_a_thousand_bad_files_are_all_refused_and_the_old_model_stays_loaded(
    tmp_path: Path, clock: FakeClock, bytes_of, resigned
) -> None:
    shelf = Shelf(tmp_path, clock, bytes_of, quarantine=lambda *_: None)
    shelf.put("1")
    assert shelf.load().loaded.version == "1"
    reasons = set()
    for number, bad in enumerate(_mutations(bytes_of("2"), resigned)):
        shelf.put(bad)
        os.utime(shelf.current, (number, number))
        attempt = shelf.load_until_judged()
        assert attempt.loaded is None
        assert len(attempt.refused) == 1
        reasons.add(attempt.refused[0].reason.partition(":")[2][:12])
    assert len(reasons) > 5
    assert next_good_one_is_taken(shelf)


def test_a_self_test_that_does_not_match_is_refused_by_the_detector_too(at_work: Shelf, artifact) -> None:
    from dataclasses import replace

    bent = {**artifact.self_test, "scores": artifact.self_test["scores"] * 1.01 + 0.1}
    at_work.put(to_bytes(replace(artifact, version="2", self_test=bent)))
    (refusal,) = at_work.load_until_judged().refused
    assert "self-test failed" in refusal.reason
    assert Path(refusal.moved_to).name == "heuristic_2.safetensors"
    assert next_good_one_is_taken(at_work)


def test_a_model_of_a_later_schema_is_refused_and_stays_in_place(at_work: Shelf, resigned) -> None:
    at_work.put(resigned(at_work.bytes_of("2"), lambda header, metadata: metadata.update(schema_version=3)))
    (refusal,) = at_work.load_until_judged().refused
    assert "update bgpdrift first" in refusal.reason
    assert refusal.moved_to == ""
    assert at_work.current.exists()
    assert at_work.load() == LoadAttempt()
    assert next_good_one_is_taken(at_work)


def test_a_deleted_current_file_is_reported_and_the_model_stays_loaded(at_work: Shelf) -> None:
    at_work.current.unlink()
    attempt = at_work.load()
    assert attempt.loaded is None
    assert attempt.refused == ()
    assert attempt.problem == "heuristic.safetensors is gone"
    assert next_good_one_is_taken(at_work)


def test_a_bad_first_model_without_a_backup_leaves_the_detector_without_a_model(
    tmp_path: Path, clock, bytes_of
) -> None:
    """A model that has to be trained has no packaged default to fall back on."""
    source = ModelSource(tmp_path, "trained_only", BUILD, clock)
    (tmp_path / "trained_only.safetensors").write_bytes(bytes_of("1"))
    assert source.try_load().loaded is None
    clock.advance(seconds=RETRY_AFTER_S)
    attempt = source.try_load()
    assert attempt.loaded is None
    assert "expected a model 'trained_only'" in attempt.refused[0].reason


def test_a_symbolic_link_is_followed_and_its_replacement_is_noticed(at_work: Shelf) -> None:
    at_work.put("2", "two")
    at_work.put("3", "three")
    for target, version in (("two", "2"), ("three", "3"), ("two", "2")):
        link = at_work.folder / "link"
        link.symlink_to(target)
        link.replace(at_work.current)
        assert at_work.load().loaded.version == version


def test_a_symbolic_link_to_a_bad_file_is_refused_and_stays_in_place(at_work: Shelf) -> None:
    (at_work.folder / "bad").write_bytes(b"bad")
    at_work.current.unlink()
    at_work.current.symlink_to("bad")
    (refusal,) = at_work.load_until_judged().refused
    assert refusal.moved_to == ""
    assert at_work.current.is_symlink()
    assert at_work.load() == LoadAttempt()
    at_work.put("2", "bad")  # what it leads to is replaced by a good one
    assert at_work.load().loaded.version == "2"


@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling link"])
def test_an_irregular_file_in_place_of_the_model_does_not_block(at_work: Shelf, kind: str) -> None:
    at_work.current.unlink()
    if kind == "pipe":
        os.mkfifo(at_work.current)
    elif kind == "folder":
        at_work.current.mkdir()
    else:
        at_work.current.symlink_to("nowhere")
    attempt = at_work.load_until_judged()
    assert attempt.loaded is None
    assert bool(attempt.refused) == (kind != "dangling link")
    at_work.current.rmdir() if kind == "folder" else at_work.current.unlink()
    assert next_good_one_is_taken(at_work)


def test_a_replaced_directory_is_noticed(tmp_path: Path, clock, bytes_of) -> None:
    (tmp_path / "models").mkdir()
    shelf = Shelf(tmp_path / "models", clock, bytes_of)
    shelf.put("1")
    shelf.load()
    (tmp_path / "models").rename(tmp_path / "old")
    assert "gone" in shelf.load().problem
    (tmp_path / "models").mkdir()
    shelf.put("2")
    assert shelf.load().loaded.version == "2"


def test_a_disk_error_refuses_no_model_and_is_tried_again(at_work: Shelf) -> None:
    at_work.current.unlink()
    at_work.current.symlink_to("/proc/self/mem")  # reading its beginning is an input/output error
    for _ in range(3):
        attempt = at_work.load_until_judged()
        assert attempt.refused == ()
        assert "cannot be read: Input/output error" in attempt.problem
    assert next_good_one_is_taken(at_work)


def test_a_bad_file_is_refused_at_once_and_moved_when_the_publish_lock_is_free(
    tmp_path: Path, clock: FakeClock, bytes_of
) -> None:
    busy = [True]

    def aside(path: Path, *_: object) -> Path | None:
        if busy:
            raise TransientError("another process is publishing it")
        path.unlink()
        return tmp_path / "rejected"

    shelf = Shelf(tmp_path, clock, bytes_of, quarantine=aside)
    shelf.put("1")
    shelf.load()
    shelf.put(b"bad")
    (refusal,) = shelf.load_until_judged().refused
    assert "not moved yet" in refusal.reason
    busy.clear()
    (moved,) = shelf.load().refused
    assert moved.moved_to == str(tmp_path / "rejected")
    assert shelf.load().refused == ()


def test_a_model_that_fails_on_live_windows_is_refused_and_so_are_its_copies(at_work: Shelf) -> None:
    at_work.put("2")
    loaded = at_work.load().loaded
    at_work.source.report_failure(loaded, "version 2 fails on live windows", has_other=True)
    (refusal,) = at_work.load().refused
    assert Path(refusal.moved_to).name == "heuristic_2.safetensors"
    at_work.put("2")
    assert "fails on live windows" in at_work.load_until_judged().refused[0].reason
    assert next_good_one_is_taken(at_work)


def test_a_backup_replaces_a_first_model_that_fails_on_live_windows(shelf: Shelf) -> None:
    shelf.put("2")
    shelf.put("1", "heuristic_backup_20260101T000000Z.safetensors")
    loaded = shelf.load().loaded
    shelf.source.report_failure(loaded, "fails", has_other=False)
    attempt = shelf.load()
    assert attempt.loaded.version == "1"
    assert len(attempt.refused) == 1


def test_a_model_without_a_detector_in_this_program_is_refused_with_its_name(artifact) -> None:
    with pytest.raises(ArtifactError, match="has no detector oracle"):
        builder("oracle", 360)(artifact.content)


def test_the_default_records_its_training_windows() -> None:
    raw = default_bytes("heuristic")
    assert raw is not None
    artifact = from_bytes(raw, "default", "heuristic")
    assert artifact.training.rows >= 10_000
    assert artifact.training.calibration_rows >= 5_000
    assert artifact.metrics.alarm_share_on_calibration_rows * 1_440 < 2.0


def test_the_default_has_exactly_the_rules_of_this_program(shelf: Shelf) -> None:
    """A rule added without learning the default anew would silently never fire."""
    from bgpdrift.detectors.rules import RULES

    loaded = shelf.load().loaded
    assert loaded is not None
    assert tuple(loaded.artifact.content.hyper_parameters["rules"]) == tuple(rule.name for rule in RULES)
