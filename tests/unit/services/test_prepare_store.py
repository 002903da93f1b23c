"""The preparation of store and artifact directory before any service starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bgpdrift.clock import FakeClock
from bgpdrift.models.loading import default_bytes
from bgpdrift.models.publication import active_version
from bgpdrift.scoring.detector_worker import open_model_source
from bgpdrift.services import prepare_store
from bgpdrift.settings import Settings, load
from bgpdrift.store import open_store


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """What runs here sets up the log of a whole process, on a stream that is closed after the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    return load()


def test_a_first_start_makes_the_store_and_touches_no_model(settings: Settings) -> None:
    assert prepare_store.main() == 0
    assert not settings.artifacts_path.exists()
    with open_store(settings.store_url) as store:
        assert store.counts()["model_versions"] == 0


def test_the_remains_of_a_crash_are_repaired_and_reported(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = settings.artifacts_path
    folder.mkdir(parents=True)
    (folder / ".lstm.safetensors.7-0.stage").write_bytes(b"half")
    (folder / "heuristic.safetensors").write_bytes(default_bytes("heuristic") or b"")
    assert prepare_store.main() == 0
    assert "lstm.safetensors.7-0.stage: removed an unfinished write" in capsys.readouterr().err
    assert list(folder.glob(".*.stage")) == []
    with open_store(settings.store_url) as store:
        assert [event.kind for event in store.retrain_events("heuristic")] == ["recover"]
        (version,) = store.model_versions("heuristic")
        (event,) = store.service_events(9, service="prepare_store")
    assert event.event == "model_recovered"
    assert "lstm.safetensors.7-0.stage" in event.details["repair"]
    assert (version.version, version.state) == (active_version(folder, "heuristic"), "active")


def test_damaged_model_files_stop_no_service(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    folder = settings.artifacts_path
    (folder / "publish_heuristic.lock").mkdir(parents=True)
    (folder / "heuristic_backup_20260101T000000Z.safetensors").write_bytes(b"half")
    assert prepare_store.main() == 0
    assert "recovery_failed" in capsys.readouterr().err


def test_the_publication_of_a_packaged_model_is_recorded_once(settings: Settings, clock: FakeClock) -> None:
    prepare_store.main()
    with open_store(settings.store_url) as store:
        open_model_source(settings, "heuristic", clock, store)
        open_model_source(settings, "heuristic", clock, store)
        (event,) = store.retrain_events()
    assert (event.kind, event.promoted) == ("publish_default", True)
    assert event.version == active_version(settings.artifacts_path, "heuristic")
