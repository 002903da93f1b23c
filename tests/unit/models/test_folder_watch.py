"""The watch reports changes of the model file, and gives the reason if the system provides no events."""

import errno
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.models.folder_watch import RETRY_EVERY_S, FolderWatch


class FakeObserver:
    """Reports no event by itself."""

    def __init__(self, fails: OSError | None = None) -> None:
        self.fails, self.folder, self.state = fails, "", "new"

    def schedule(self, event_handler: object, path: str, *, recursive: bool = False) -> None:
        self.folder = path

    def start(self) -> None:
        if self.fails:
            raise self.fails
        self.state = "started"

    def stop(self) -> None:
        self.state = "stopped"

    def join(self, timeout: float | None = None) -> None:
        assert self.state == "stopped"

    def is_alive(self) -> bool:
        return self.state == "started"


class Makes:
    """Observers, one after the other."""

    def __init__(self) -> None:
        self.made: list[FakeObserver] = []
        self.refuses: OSError | None = None
        self.fails: OSError | None = None

    def __call__(self) -> FakeObserver:
        if self.refuses:
            raise self.refuses
        self.made.append(FakeObserver(self.fails))
        return self.made[-1]


@pytest.fixture
def makes() -> Makes:
    return Makes()


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture
def watch(tmp_path: Path, clock: FakeClock, makes: Makes, calls: list[int]):
    (tmp_path / "models").mkdir()
    made = FolderWatch(tmp_path / "models" / "lstm.safetensors", lambda: calls.append(1), clock, makes)
    yield made
    made.close()


def event(kind: str, source: str, destination: str = "") -> SimpleNamespace:
    return SimpleNamespace(event_type=kind, src_path=source, dest_path=destination)


@pytest.mark.parametrize("kind", ["created", "modified", "closed", "attrib"])
def test_every_change_of_the_file_calls_the_function(watch: FolderWatch, calls: list[int], kind: str) -> None:
    watch.dispatch(event(kind, "/x/lstm.safetensors"))
    watch.dispatch(event(kind, "/x/lstm.model.json"))
    assert calls == [1]


def test_a_rename_counts_by_its_new_name(watch: FolderWatch, calls: list[int]) -> None:
    """A handler of `modified`, or of the source of a rename only, misses every publication."""
    watch.dispatch(event("moved", "/x/candidates/lstm_2.safetensors", "/x/lstm.safetensors"))
    watch.dispatch(event("moved", "/x/lstm.safetensors", "/x/elsewhere"))
    assert calls == [1]


@pytest.mark.parametrize("kind", ["opened", "closed_no_write", "deleted"])
def test_reading_and_deleting_are_no_changes(watch: FolderWatch, calls: list[int], kind: str) -> None:
    watch.dispatch(event(kind, "/x/lstm.safetensors"))
    assert calls == []


def test_a_replaced_folder_is_watched_again(watch: FolderWatch, makes: Makes, tmp_path: Path) -> None:
    assert watch.ensure_watched()
    assert not watch.ensure_watched()
    (tmp_path / "models").rename(tmp_path / "old")
    assert not watch.ensure_watched()
    assert watch.problem == "the folder is missing"
    (tmp_path / "models").mkdir()
    assert watch.ensure_watched()
    assert [observer.state for observer in makes.made] == ["stopped", "started"]


def test_a_replaced_link_to_the_folder_is_followed(
    tmp_path: Path, clock: FakeClock, makes: Makes, calls: list[int]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "models").symlink_to("a")
    watch = FolderWatch(tmp_path / "models" / "lstm.safetensors", lambda: calls.append(1), clock, makes)
    watch.ensure_watched()
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "link").replace(tmp_path / "models")
    assert watch.ensure_watched()
    assert [Path(observer.folder).name for observer in makes.made] == ["a", "b"]
    watch.close()


def test_a_watch_that_ended_is_replaced(watch: FolderWatch, makes: Makes) -> None:
    watch.ensure_watched()
    makes.made[0].state = "dead"
    assert watch.ensure_watched()
    assert len(makes.made) == 2


@pytest.mark.parametrize("where", ["refuses", "fails"])
def test_without_a_watch_left_the_problem_is_reported_and_a_minute_later_it_tries_again(
    watch: FolderWatch, makes: Makes, clock: FakeClock, where: str
) -> None:
    setattr(makes, where, OSError(errno.EMFILE, "inotify instance limit reached"))
    assert not watch.ensure_watched()
    assert watch.problem == "inotify instance limit reached"
    tries = len(makes.made)
    watch.ensure_watched()
    assert len(makes.made) == tries
    setattr(makes, where, None)
    clock.advance(seconds=RETRY_EVERY_S)
    assert watch.ensure_watched()
    assert watch.problem == ""


@pytest.mark.parametrize("way", ["rename", "rename away first", "write in place", "touch", "link"])
def test_events_of_the_system_arrive(tmp_path: Path, clock: FakeClock, way: str) -> None:
    path, staged = tmp_path / "models" / "lstm.safetensors", tmp_path / "candidates"
    path.parent.mkdir()
    path.write_bytes(b"old")
    staged.write_bytes(b"new")
    happened = threading.Event()
    watch = FolderWatch(path, happened.set, clock)
    assert watch.ensure_watched()
    if way == "rename away first":
        path.rename(tmp_path / "backup")
    if way == "write in place":
        path.write_bytes(b"new")
    elif way == "touch":
        path.touch()
    elif way == "link":
        (tmp_path / "link").symlink_to(staged)
        (tmp_path / "link").replace(path)
    else:
        staged.replace(path)
    assert happened.wait(20)
    watch.close()
