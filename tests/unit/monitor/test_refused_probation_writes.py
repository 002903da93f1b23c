"""No refused write changes what a probation stores: a good version is accepted, a bad one is rolled back."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import StoreError, TransientError
from bgpdrift.models.artifact import Artifact, from_bytes, read, to_bytes
from bgpdrift.models.loading import default_bytes
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.publication import active_version, stage
from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.probation import Probation
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.verdicts.calibration import Calibration
from helpers import windows
from helpers.refused_writes import KINDS, Kind, Refusal, RefusingStore, read_tables

MODEL, HOUR_S = "heuristic", 3_600
HISTORY_MIN, HOURS, MAX_DELAY_H = 480, 5, 7
START = windows.START + 60 * HISTORY_MIN

Tables = dict[str, list[dict[str, Any]]]


def trust(path: Path, model: str, _: int) -> None:
    read(path, model)


def make_settings(folder: Path) -> Settings:
    loaded = load(env={"BGPDRIFT_DATA_DIR": str(folder)})
    return msgspec.structs.replace(loaded, retrain=msgspec.structs.replace(loaded.retrain, probation_h=2))


@pytest.fixture(scope="module")
def good() -> Artifact:
    raw = default_bytes(MODEL)
    assert raw is not None
    return from_bytes(raw, "default", MODEL)


@pytest.fixture(scope="module")
def begun(good: Artifact, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data directories in which version 2 replaces version 1: as good as that, or one that never alarms."""
    blind = replace(good, calibration=Calibration.fit(np.linspace(0.0, 1e9, 5_000)).as_fields())
    folders = {}
    for name, second in (("accepted", good), ("rolled back", blind)):
        folders[name] = tmp_path_factory.mktemp("begun") / "data"
        settings, clock = make_settings(folders[name]), FakeClock()
        settings.artifacts_path.mkdir(parents=True)
        migrate(settings.store_url)
        with open_store(settings.store_url, clock=clock) as store:
            store.write_windows(windows.rows_of(windows.calm(HISTORY_MIN + 60 * HOURS, seed=4)), None)
            registry = ModelRegistry(settings.artifacts_path, store, clock, verify=trust)
            for version, artifact in (("1", good), ("2", second)):
                clock.advance(hours=1)
                parent = active_version(settings.artifacts_path, MODEL)
                raw = to_bytes(replace(artifact, version=version, parent_version=parent))
                file = stage(settings.artifacts_path, MODEL, version, raw, verify=trust)
                event = registry.begin_event(MODEL, "retrain")
                registry.publish(MODEL, file, expected_active=parent, event=event)
    return folders


class Watch:
    """A probation whose store refuses one write."""

    def __init__(self, folder: Path, refusal: Refusal, template: Path) -> None:
        shutil.copytree(template, folder)
        self.settings, self.clock, self.refusal = make_settings(folder), FakeClock(now=1_700_010_000.0), refusal
        self.opened: list[Store] = []
        self.probation = self.build()

    def build(self) -> Probation:
        store = RefusingStore(self.settings.store_url, self.clock, self.refusal)
        self.opened.append(store)
        folder = self.settings.artifacts_path
        registry = ModelRegistry(folder, store, self.clock, verify=trust)
        return Probation(self.settings, store, self.clock, ActiveVersions(folder), registry)

    def drain(self, at: int) -> None:
        while True:
            try:
                if not self.probation.step(at):
                    return
            except TransientError:
                continue
            except StoreError:
                self.probation = self.build()

    def run(self) -> Tables:
        for hour in range(HOURS + MAX_DELAY_H):  # no detector scores here: an hour is examined six hours after its end
            self.clock.advance(hours=1)
            self.drain(START + hour * HOUR_S)
        with open_store(self.settings.store_url) as store:
            return read_tables(store)

    def close(self) -> None:
        for store in self.opened:
            store.close()


@pytest.fixture
def watch(tmp_path: Path, begun: dict[str, Path]) -> Iterator[Callable[[str, Refusal], Tables]]:
    watches: list[Watch] = []

    def run(name: str, refusal: Refusal) -> Tables:
        watches.append(Watch(tmp_path / f"run{len(watches)}" / "data", refusal, begun[name]))
        return without_paths(watches[-1].run())

    yield run
    for made in watches:
        made.close()


def without_paths(tables: Tables) -> Tables:
    """Leave out the folder of the run."""
    for name in ("model_versions", "model_retrain_events"):
        tables[name] = [row | {"artifact_path": ""} for row in tables[name]]
    return tables


def test_the_probations_end_as_they_should(watch: Callable[[str, Refusal], Tables]) -> None:
    accepted, rolled_back = (watch(name, Refusal()) for name in ("accepted", "rolled back"))
    states = [{row["version"]: row["state"] for row in tables["model_versions"]} for tables in (accepted, rolled_back)]
    assert states == [{"1": "retired", "2": "accepted"}, {"1": "accepted", "2": "rolled_back"}]
    assert [row["key"] for row in rolled_back["alerts"]] == [f"rolled_back:{MODEL}:2"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["accepted", "rolled back"])
def test_no_refused_write_changes_what_a_probation_stores(
    name: str, kind: Kind, watch: Callable[[str, Refusal], Tables]
) -> None:
    counted = Refusal()
    expected = watch(name, counted)
    for number in range(1, counted.writes + 1):
        found = watch(name, Refusal(number, kind))
        for table, stored in expected.items():
            assert found[table] == stored, f"write {number} of {counted.writes}, {kind}: {table} differs"
