"""A real detector process and its model file: after a bad file it continues, records the reason and takes the next good one."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from bgpdrift.clock import SystemClock
from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.models.artifact import Artifact, to_bytes
from bgpdrift.models.learn_default import learn_artifact
from bgpdrift.models.publication import publish, stage
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.window_columns import FEATURE_NAMES, FEATURES
from helpers.store_rows import read_scores
from helpers.until import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

START = 1_788_220_800
COLLECTORS = ("rrc00", "rrc01", "rrc21")


def calm(minutes: int, seed: int) -> WindowFrame:
    rng = np.random.default_rng(seed)
    features = {name: rng.poisson(100.0, minutes).astype(float) for name in FEATURE_NAMES}
    return WindowFrame("rrc00", "", START + 60 * np.arange(minutes), features, {}, 0)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return learn_artifact([calm(6_000, 1)], history_minutes=360)


class Detector:
    """The service of the heuristic, its store and its folder."""

    def __init__(self, folder: Path, artifact: Artifact) -> None:
        self.folder, self.models, self.artifact = folder, folder / "model_artifacts", artifact
        self.current = self.models / "heuristic.safetensors"
        (self.models / "candidates").mkdir(parents=True)
        url = f"sqlite:///{folder / 'bgpdrift.sqlite3'}"
        migrate(url)
        self.store: Store = open_store(url)
        self.fed = 0
        self.log = (folder / "log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "BGPDRIFT_DATA_DIR": str(self.folder), "OMP_NUM_THREADS": "1"}
        environment["BGPDRIFT_DETECTORS__MODEL_SETTLE_S"] = "2"
        command = [sys.executable, "-m", "bgpdrift.services", "heuristic_detector"]
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)

    def feed(self, minutes: int) -> None:
        frame = calm(minutes, self.fed)
        kinds = {column.name: column.kind for column in FEATURES}
        self.store.write_windows(
            [
                {
                    "window_start": START + 60 * (self.fed + minute),
                    "collector": collector,
                    **{name: kinds[name](values[minute]) for name, values in frame.features.items()},
                }
                for minute in range(minutes)
                for collector in COLLECTORS
            ],
            None,
        )
        self.fed += minutes

    def put(self, raw: bytes | int) -> None:
        staged = self.models / "candidates" / "stage"
        staged.write_bytes(raw if isinstance(raw, bytes) else self.bytes_of(raw))
        staged.replace(self.current)

    def bytes_of(self, version: int) -> bytes:
        return to_bytes(replace(self.artifact, version=str(version)))

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = self.store.service_events(2_000, "heuristic_detector")[::-1]
        return [event.details for event in found if event.event == kind]

    def wait_for_version(self, version: int) -> None:
        """Wait until a version is loaded and has scored."""
        self.feed(2)
        until(
            lambda: str(version) in [e["version"] for e in self.events("model_loaded")], 60, f"version {version} loaded"
        )
        self.feed(1)
        until(self.is_done, 60, "all windows scored")
        assert read_scores(self.store)[len(COLLECTORS) * (self.fed - 1)]["model_version"] == str(version)

    def is_done(self) -> bool:
        return self.store.read_position("heuristic_detector") == len(COLLECTORS) * self.fed

    def counts(self, query: str) -> int:
        with self.store.reading() as connection:
            return int(connection.execute(text(query)).scalar() or 0)

    def close(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)
        self.store.close()
        self.log.close()


@pytest.fixture
def detector(tmp_path: Path, artifact: Artifact) -> Iterator[Detector]:
    made = Detector(tmp_path / "data", artifact)
    made.put(1)
    made.start()
    made.wait_for_version(1)
    yield made
    made.close()


def test_swaps_under_load_score_each_window_once(detector: Detector) -> None:
    """Versions are published while windows arrive; the last version scores the last window."""
    with detector.store.writing() as connection:
        connection.execute(text("CREATE TABLE rescored (id INTEGER)"))
        connection.execute(
            text("CREATE TRIGGER again AFTER UPDATE ON scores BEGIN INSERT INTO rescored VALUES (new.id); END")
        )
    ended = threading.Event()

    def feeding() -> None:
        while not ended.wait(0.05):
            detector.feed(1)

    feeder = threading.Thread(target=feeding)
    feeder.start()
    try:
        for version in range(2, 6):
            staged = stage(detector.models, "heuristic", str(version), detector.bytes_of(version))
            publish(detector.models, "heuristic", staged, expected_active=str(version - 1), clock=SystemClock())
    finally:
        ended.set()
        feeder.join()
    detector.wait_for_version(5)
    assert detector.counts("SELECT count(*) FROM scores") == len(COLLECTORS) * detector.fed
    assert detector.counts("SELECT count(*) FROM rescored") == 0
    versions = [int(row["model_version"]) for row in read_scores(detector.store)]
    assert versions == sorted(versions)
    assert detector.events("model_refused") == []


def test_the_old_model_continues_after_a_bad_file_a_lost_file_and_a_bad_link(detector: Detector) -> None:
    good = detector.bytes_of(2)
    for number, bad in enumerate([good[: len(good) // 2], good[:-1] + b"\x07", b"", b"\x80\x04K\x01."]):
        detector.put(bad)
        until(lambda: len(detector.events("model_refused")) > number, 60, "the refusal is recorded")  # noqa: B023
        detector.feed(1)
        until(detector.is_done, 60, "the old model continues")
    assert {event["active_version"] for event in detector.events("model_refused")} == {"1"}
    assert len(list((detector.models / "rejected").glob("*.reason.json"))) == 4
    detector.put(1)
    detector.current.unlink()
    (detector.models / "elsewhere").write_bytes(b"bad")
    detector.current.symlink_to("elsewhere")
    until(lambda: len(detector.events("model_refused")) > 4, 60, "the bad link is recorded")
    assert detector.process is not None
    assert detector.process.poll() is None
    detector.put(3)
    detector.wait_for_version(3)
    assert detector.counts("SELECT count(*) FROM scores") == len(COLLECTORS) * detector.fed


def test_changes_missed_by_the_event_queue_are_noticed(detector: Detector) -> None:
    """The event queue overflows while the process is stopped, and the folder is replaced."""
    assert detector.process is not None
    detector.process.send_signal(signal.SIGSTOP)
    a, b = detector.models / "a", detector.models / "b"
    a.touch()
    for _ in range(8_500):  # two events each, 16,384 fit
        a.rename(b)
        b.rename(a)
    detector.put(2)
    detector.process.send_signal(signal.SIGCONT)
    detector.wait_for_version(2)
    detector.models.rename(detector.folder / "old")
    (detector.models / "candidates").mkdir(parents=True)
    detector.put(3)
    detector.wait_for_version(3)
    detector.put(4)
    detector.wait_for_version(4)


def test_a_start_with_a_bad_file_uses_the_newest_backup(tmp_path: Path, artifact: Artifact) -> None:
    detector = Detector(tmp_path / "data", artifact)
    try:
        detector.put(5)
        detector.current.rename(detector.models / "heuristic_backup_20260101T000000Z.safetensors")
        detector.put(b"bad")
        detector.start()
        detector.wait_for_version(5)
        until(lambda: detector.events("model_refused"), 60, "the bad file is recorded")
        detector.put(6)
        detector.wait_for_version(6)
    finally:
        detector.close()
