"""Measures the time of a publish with and without fsync, and of the child process that tests the model."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.clock import SystemClock
from bgpdrift.detectors.interface import ModelContent
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.loading import default_bytes
from bgpdrift.models.publication import publish, stage
from bgpdrift.models.verification import verify_file

MODEL = "heuristic"
ROUNDS = 40
TRIALS = 5
SIZES = {"844 KB": 844_000, "3.8 MB": 3_800_000}


def run() -> list[dict[str, Any]]:
    """Measure once; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for label, size in SIZES.items():
            folder = Path(name) / str(size)
            folder.mkdir()
            published, plain = _compare(folder, size)
            p50, p99 = _p50_p99(published)
            rows.append(
                _row(f"publish {label}, every fsync, p50", p50, "ms", "write and rename only", p50 / _p50_p99(plain)[0])
            )
            rows.append(_row(f"publish {label}, every fsync, p99", p99, "ms"))
        file = Path(name) / "tried.safetensors"
        file.write_bytes(default_bytes(MODEL) or b"")
        tried = [_timed(lambda: verify_file(file, MODEL)) for _ in range(TRIALS)]
        rows.append(_row("publish: a model tried in a child process", 1000 * statistics.median(tried), "ms"))
    return rows


def _compare(folder: Path, size: int) -> tuple[list[float], list[float]]:
    """Seconds of each publish, and of each write with a rename and nothing else."""
    arrays = {"weights": np.random.default_rng(1).random(size // 8)}
    model = Artifact(ModelContent(MODEL, ("messages",), arrays), "0", 0)
    published, plain = [], []
    for number in range(1, ROUNDS + 1):
        raw = artifacts.to_bytes(replace(model, version=str(number)))
        published.append(_timed(partial(_publish, folder, str(number), raw)))
        plain.append(_timed(partial(_replace, folder, raw)))
    return published, plain


def _publish(folder: Path, version: str, raw: bytes) -> None:
    """Steps 1 to 6; the child process is measured by itself."""
    candidate = stage(folder, MODEL, version, raw, verify=lambda *_: None)
    before = str(int(version) - 1) if version != "1" else ""
    publish(folder, MODEL, candidate, expected_active=before, clock=SystemClock())


def _replace(folder: Path, raw: bytes) -> None:
    new = folder / "new"
    new.write_bytes(raw)
    new.replace(folder / "plain")


def _timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _p50_p99(times: list[float]) -> tuple[float, float]:
    ordered = sorted(1000 * seconds for seconds in times)
    return statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))]


def _row(name: str, value: float, unit: str, ratio_to: str | None = None, ratio: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio_to": ratio_to, "ratio": ratio}


def main() -> None:
    """Print the figures."""
    for row in run():
        print(f"{row['name']:<44} {row['value']:>10,.2f} {row['unit']}")


if __name__ == "__main__":
    main()
