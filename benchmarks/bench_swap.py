"""Measures swaps of a model under full load: windows missed or scored twice, the time until the new model scores, memory.

A real detector process has its own store and data directory, and more windows of 21 collectors than it can score. Meanwhile
models are published with the steps of the publish protocol: written and flushed under another name, the old file linked as a
backup, one rename, the directory flushed. A trigger in the store records every score that is written twice.
"""

import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import text

from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.models.artifact import Artifact, from_bytes, read_once, to_bytes
from bgpdrift.models.learn_default import learn_artifact
from bgpdrift.models.loading import builder
from bgpdrift.models.self_test import run_self_test
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import DetectorState
from bgpdrift.store.window_columns import FEATURE_NAMES, FEATURES, QUALITY_NAMES

SWAPS = {"heuristic": 1_000, "isolation_forest": 200, "lstm": 200}
COLLECTORS = tuple(f"rrc{number:02}" for number in range(21))
TRAINING_MINUTES = 720
"""Of each collector: quickly trained models, as large and as slow as any."""
LARGE_FOREST_BYTES = 4_000_000
PAUSE_S = (0.02, 0.06)
"""After a new model has scored, drawn anew each time so that swaps meet the detector's batches at any moment."""
SWAP_S = 0.09
"""Approximate duration of a swap and the pause after it."""
WINDOWS_A_SECOND = 1_500
"""More than any of the detectors scores here: the backlog must outlast the swaps."""
BAR_FIRST_SCORE_MS, BAR_LOAD_MS, BAR_RESIDENT_MIB = 50.0, 10.0, 80.0
START = 1_788_220_800


def run() -> list[dict[str, Any]]:
    """Measure; rows of name, value, unit and, where there is a bar, the ratio to it."""
    frames = [_calm(collector, TRAINING_MINUTES, seed) for seed, collector in enumerate(COLLECTORS)]
    rows: list[dict[str, Any]] = []
    for model, swaps in SWAPS.items():
        artifact = _trained(model, frames)
        if artifact is None:
            print(f"bench_swap: {model} cannot be trained here", file=sys.stderr)
            continue
        rows += _loads(artifact)
        if model == "isolation_forest":
            rows += _loads(_grown(artifact))
        with tempfile.TemporaryDirectory() as folder:
            rows += _swaps(Path(folder), artifact, swaps)
    with tempfile.TemporaryDirectory() as folder:
        rows.append(_waiting(Path(folder)))
    return rows


def _calm(collector: str, minutes: int, seed: int) -> WindowFrame:
    rng = np.random.default_rng(seed)
    announced = rng.poisson(200.0 * rng.lognormal(0.0, 0.25, minutes)).astype(float)
    features = {name: rng.poisson(0.05 * announced).astype(float) for name in FEATURE_NAMES}
    for name in ("moas_new", "subprefix_new", "visibility_loss", "session_down", "session_up", "bogon", "too_specific"):
        features[name] = np.zeros(minutes)
    features["announced"], features["messages"] = announced, announced * 0.5 + 1.0
    features["peers"] = rng.binomial(20, 0.9, minutes).astype(float)
    features["path_length_sum"] = np.round(announced * rng.normal(4.5, 0.1, minutes))
    quality = {name: np.zeros(minutes) for name in QUALITY_NAMES}
    return WindowFrame(collector, "", START - 60 * minutes + 60 * np.arange(minutes), features, quality, 0)


def _trained(model: str, frames: list[WindowFrame]) -> Artifact | None:
    try:
        from retrainers.training import to_artifact, train
    except ImportError:
        return learn_artifact(frames[:2], history_minutes=360) if model == "heuristic" else None
    try:
        return to_artifact(
            train(model, frames, history_minutes=360), frames, version="1", created_at=START, alarms_per_day=2.0
        )
    except Exception as error:
        print(f"bench_swap: {model}: {error}", file=sys.stderr)
        return None


def _loads(artifact: Artifact) -> list[dict[str, Any]]:
    """Read, digest, parse, check, build, self-test, as often as it takes to see what it costs undisturbed."""
    model, build = artifact.content.model, builder(artifact.content.model, 360)
    assert build is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{model}.safetensors"
        path.write_bytes(to_bytes(artifact))
        took = []
        for _ in range(40):
            begun = time.perf_counter()
            run_self_test(from_bytes(read_once(path).raw, path.name, model), build)
            took.append(1e3 * (time.perf_counter() - begun))
        size = path.stat().st_size
    name = f"{model}: load, {size / 1e6:.2f} MB"
    has_bar = model != "heuristic"  # whose file is the smallest; what it costs is its self-test
    return [_row(name, min(took), "ms", *(("bar of 10 ms", BAR_LOAD_MS) if has_bar else ()))]


def _grown(artifact: Artifact) -> Artifact:
    """The same forest with its trees repeated, until its file is a large one; it scores as before."""
    trees = {name: artifact.content.arrays[name] for name in ("roots", "feature", "threshold", "left", "right", "path")}
    nodes, times = len(trees["feature"]), LARGE_FOREST_BYTES // sum(array.nbytes for array in trees.values()) + 1
    grown = {name: np.tile(array, times) for name, array in trees.items()}
    for name in ("roots", "left", "right"):
        offset = nodes * np.repeat(np.arange(times), len(trees[name]))
        grown[name] = (grown[name].astype(np.int64) + offset).astype(np.int32)
    return replace(artifact, content=replace(artifact.content, arrays={**artifact.content.arrays, **grown}))


def _swaps(folder: Path, artifact: Artifact, swaps: int) -> list[dict[str, Any]]:
    model = artifact.content.model
    seconds = swaps * SWAP_S + 5
    with _store(folder, int(seconds * WINDOWS_A_SECOND)) as store:
        models = folder / "model_artifacts"
        (models / "candidates").mkdir(parents=True)
        _publish(models, model, _renamed(artifact, 0))
        with _detector(folder, model) as process:
            _wait_for(lambda: len(store.score_columns_after(("id",), 0, 1)) > 0)
            begun, rng, renamed_at = time.time(), random.Random(1), {}
            for number in range(1, swaps + 1):
                time.sleep(rng.uniform(*PAUSE_S))
                renamed_at[str(number)] = _publish(models, model, _renamed(artifact, number))
                _wait_for(lambda: _version(store, model) == str(number), 10.0)  # noqa: B023
            time.sleep(1.0)
            ended, backlog = time.time(), _backlog(store, model)
            resident = psutil.Process(process.pid).memory_info().rss / 2**20
        return _judged(store, model, renamed_at, resident, ended - begun, backlog)


def _judged(
    store: Store, model: str, renamed_at: dict[str, float], resident: float, seconds: float, backlog: int
) -> list[dict[str, Any]]:
    waits = {
        event.details["version"]: 1e3 * (event.details["first_score_at"] - renamed_at[event.details["version"]])
        for event in store.service_events(10 * len(renamed_at) + 100)
        if event.event == "model_loaded"
        and event.details["version"] in renamed_at
        and "first_score_at" in event.details
    }
    cursor = store.read_state(f"{model}_detector", DetectorState)
    assert cursor is not None
    with store.reading() as connection:

        def count(query: str) -> int:
            return int(connection.execute(text(query)).scalar() or 0)

        scored = count("SELECT count(*) FROM scores")
        unscored = cursor.position - scored
        twice = count("SELECT count(*) FROM written_twice")
        versions = [int(row[0]) for row in connection.execute(text("SELECT model_version FROM scores ORDER BY id"))]
    backwards = sum(later < earlier for earlier, later in itertools.pairwise(versions))
    took = sorted(waits.values()) or [float("inf")]
    p99 = took[min(len(took) - 1, int(0.99 * len(took)))]
    wrong = {
        "windows unscored": unscored,
        "written twice": twice,
        "rows of a version that is no longer active": backwards,
    }
    wrong["swaps without a window scored"] = len(renamed_at) - len(set(versions) - {0})
    if backlog <= 0:
        wrong["out of windows before the end"] = 1
    label = f"{model}: {len(renamed_at):,} swaps"
    return [
        _row(f"{label}, rename to first window scored, p50", statistics.median(took), "ms"),
        _row(f"{label}, the same, p99", p99, "ms", "bar of 50 ms", BAR_FIRST_SCORE_MS),
        _row(f"{label}, the same, worst", took[-1], "ms"),
        _row(f"{label}, windows scored meanwhile", scored / seconds, "windows/s"),
        *(_row(f"{label}, {name}", found, "", "bar of none", 1.0) for name, found in wrong.items()),
        _row(f"{model}: resident after that", resident, "MiB", "bar of 80 MiB", BAR_RESIDENT_MIB),
    ]


def _waiting(folder: Path) -> dict[str, Any]:
    """What a detector holds that has no model yet."""
    with _store(folder, 100) as store, _detector(folder, "lstm") as process:
        _wait_for(lambda: store.read_state("lstm_detector", DetectorState) is not None)
        resident = psutil.Process(process.pid).memory_info().rss / 2**20
    return _row("a detector that waits for a model: resident", resident, "MiB", "bar of 80 MiB", BAR_RESIDENT_MIB)


@contextmanager
def _store(folder: Path, windows: int) -> Iterator[Store]:
    url = folder / "bgpdrift.sqlite3"
    migrate(url)
    with open_store(url) as store:
        minutes = windows // len(COLLECTORS) + 1
        kinds = {column.name: column.kind for column in FEATURES}
        frames = [_calm(collector, min(minutes, 2_000), 100 + seed) for seed, collector in enumerate(COLLECTORS)]
        for begin in range(0, minutes, 500):
            store.write_windows(
                [
                    {
                        "window_start": START + 60 * minute,
                        "collector": frame.collector,
                        **{name: kinds[name](v[minute % len(frame)]) for name, v in frame.features.items()},
                    }
                    for minute in range(begin, min(begin + 500, minutes))
                    for frame in frames
                ],
                None,
            )
        with store.writing() as connection:
            connection.execute(text("CREATE TABLE written_twice (id INTEGER)"))
            connection.execute(
                text("CREATE TRIGGER twice AFTER UPDATE ON scores BEGIN INSERT INTO written_twice VALUES (new.id); END")
            )
        yield store


@contextmanager
def _detector(folder: Path, model: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "BGPDRIFT_DATA_DIR": str(folder), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "bgpdrift.services", f"{model}_detector"]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            yield process
        except BaseException:
            print((folder / "log").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _renamed(artifact: Artifact, number: int) -> bytes:
    return to_bytes(replace(artifact, version=str(number)))


def _publish(models: Path, model: str, raw: bytes) -> float:
    """Put a file in place as a publication does; the wall clock just before the rename."""
    staged, current, backup = models / "candidates" / "next", models / f"{model}.safetensors", models / "backup"
    with staged.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    if current.exists():
        backup.unlink(missing_ok=True)
        os.link(current, backup)
    at = time.time()
    staged.replace(current)
    directory = os.open(models, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    return at


def _backlog(store: Store, model: str) -> int:
    return store.newest_window_id() - store.read_position(f"{model}_detector")


def _version(store: Store, model: str) -> str:
    cursor = store.read_state(f"{model}_detector", DetectorState)
    return cursor.state.model_version if cursor else ""


def _wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the detector does not do its work")
        time.sleep(0.02)


def _row(name: str, value: float, unit: str, ratio_to: str = "", bar: float | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "ratio_to": ratio_to,
        "ratio": None if bar is None else value / bar,
    }


def main() -> int:
    """Print the rows; 1 if a bar was missed. Arguments like ``heuristic=100`` choose models and how many swaps."""
    chosen = dict(argument.split("=") for argument in sys.argv[1:])
    if chosen:
        SWAPS.clear()
        SWAPS.update({model: int(swaps) for model, swaps in chosen.items()})
    rows = run()
    for row in rows:
        ratio = f"  {row['ratio']:.2f} × {row['ratio_to']}" if row["ratio"] is not None else ""
        print(f"{row['name']:<75} {row['value']:>12,.2f} {row['unit']}{ratio}")
    print(json.dumps({"missed": [row["name"] for row in rows if row["ratio"] is not None and row["ratio"] > 1]}))
    return int(any(row["ratio"] is not None and row["ratio"] > 1 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
