"""New models are loaded beside the scoring, with file system events and without."""

import errno
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bgpdrift.clock import FakeClock, SystemClock
from bgpdrift.models.folder_watch import Observer, system_observer
from bgpdrift.models.loading import LoadAttempt, LoadedModel, ModelSource, builder
from bgpdrift.models.reloading import PollingReloader, WatchingReloader


class SilentObserver:
    """An observer that never fires, as on NFS, or after its queue overflowed."""

    def schedule(self, event_handler: object, path: str, *, recursive: bool = False) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...
    def is_alive(self) -> bool:
        return True


def limited() -> Observer:
    raise OSError(errno.EMFILE, "inotify instance limit reached")


@pytest.fixture
def put(tmp_path: Path, bytes_of) -> Callable[[str], None]:
    (tmp_path / "models").mkdir()

    def place(version: str) -> None:
        stage = tmp_path / "stage"
        stage.write_bytes(bytes_of(version))
        stage.replace(tmp_path / "models" / "heuristic.safetensors")

    place("1")
    return place


@pytest.fixture
def watched(tmp_path: Path, put):
    made: list[WatchingReloader] = []

    def start(make: Callable[[], Observer] = system_observer, poll_s: float = 60.0) -> WatchingReloader:
        source = ModelSource(tmp_path / "models", "heuristic", builder("heuristic", 360))
        made.append(WatchingReloader(source, SystemClock(), poll_s, make))
        first = made[-1].take()
        assert first is not None
        assert first.loaded is not None
        return made[-1]

    yield start
    for models in made:
        models.close()


def next_attempt(models: WatchingReloader) -> LoadAttempt:
    """Sleep until the wake-up, as a service does."""
    while True:
        assert models.wake_fd is not None
        assert select.select([models.wake_fd], [], [], 20)[0], "no wake-up"
        attempt = models.take()
        if attempt is not None:
            return attempt


def next_model(models: WatchingReloader) -> LoadedModel:
    while (attempt := next_attempt(models)).loaded is None:
        pass
    return attempt.loaded


def test_an_event_wakes_the_service_before_the_next_poll(watched, put) -> None:
    models = watched()
    assert models.problem == ""
    put("2")
    assert next_model(models).version == "2"


@pytest.mark.parametrize("make", [SilentObserver, limited], ids=["no events", "no watch left"])
def test_without_events_polling_finds_the_model(watched, put, make) -> None:
    models = watched(make, poll_s=0.01)
    problem = "new models are noticed by polling only: inotify instance limit reached"
    assert models.problem == (problem if make is limited else "")
    put("2")
    assert next_model(models).version == "2"


@pytest.mark.parametrize("make", [SilentObserver, system_observer], ids=["no events", "events"])
def test_models_are_found_after_the_folder_or_a_link_to_it_is_replaced(watched, put, tmp_path: Path, make) -> None:
    models = watched(make, poll_s=0.01)
    (tmp_path / "models").rename(tmp_path / "old")
    (tmp_path / "models").mkdir()
    put("2")
    assert next_model(models).version == "2"
    (tmp_path / "models").rename(tmp_path / "older")
    (tmp_path / "models").symlink_to("old")  # holds version 1
    assert next_model(models).version == "1"
    put("3")
    assert next_model(models).version == "3"


def test_a_bad_file_is_reported_and_the_next_good_one_is_loaded(watched, put, tmp_path: Path) -> None:
    models = watched(poll_s=0.01)
    (tmp_path / "models" / "heuristic.safetensors").write_bytes(b"not a model at all")
    while not (attempt := next_attempt(models)).refused:
        assert attempt.loaded is None
    assert "header is longer" in attempt.refused[0].reason
    put("2")
    assert next_model(models).version == "2"


def test_a_load_that_raises_an_error_is_tried_again(tmp_path: Path, put, capsys) -> None:
    class Breaks(ModelSource):
        broken = 0

        def try_load(self) -> LoadAttempt:
            self.broken += 1
            if self.broken == 2:
                raise RuntimeError("no such luck")
            return super().try_load()

    source = Breaks(tmp_path / "models", "heuristic", builder("heuristic", 360))
    models = WatchingReloader(source, SystemClock(), 0.01, SilentObserver)
    models.take()
    assert "no such luck" in next_attempt(models).problem
    put("2")
    assert next_model(models).version == "2"
    models.close()


def test_a_slow_load_is_reported_and_does_not_block_the_service(tmp_path: Path, put, clock: FakeClock) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(ModelSource):
        def try_load(self) -> LoadAttempt:
            if not self._is_first:
                begun.set()
                go_on.wait(20)
            return super().try_load()

    models = WatchingReloader(
        Slow(tmp_path / "models", "heuristic", builder("heuristic", 360)), clock, 0.01, SilentObserver
    )
    models.take()
    assert begun.wait(20)
    assert models.problem == ""
    clock.advance(seconds=7)
    assert models.problem == "heuristic.safetensors has been loading for 7 s"
    assert models.take() is None
    models.yield_to_load()
    go_on.set()
    models.close()


def test_closing_leaves_no_descriptor_open(watched) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    models = watched()
    models.close()
    models.close = lambda: None
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_polling_reloader_tries_once_a_second(tmp_path: Path, put, clock: FakeClock) -> None:
    models = PollingReloader(ModelSource(tmp_path / "models", "heuristic", builder("heuristic", 360), clock), clock)
    assert models.take().loaded.version == "1"
    put("2")
    assert models.take() is None
    clock.advance(seconds=1)
    assert models.take().loaded.version == "2"
