"""How long a publish takes: every fsync in it, beside the same without any, and the child process that tries the model."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
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
        folder = Path(name)
        for label, size in SIZES.items():
            whole = _times(lambda version, folder=folder, size=size: _publish(folder, _raw(size, version)))  # type: ignore[misc]
            plain = _times(lambda version, folder=folder, size=size: _replace(folder, _raw(size, version)))  # type: ignore[misc]
            p50, p99 = _p50_p99(whole)
            ratio = p50 / _p50_p99(plain)[0]
            rows.append(_row(f"publish {label}, all fsyncs, p50", p50, "ms", "write and rename only", ratio))
            rows.append(_row(f"publish {label}, all fsyncs, p99", p99, "ms"))
        file = folder / "tried.safetensors"
        file.write_bytes(default_bytes(MODEL) or b"")
        tried = [_timed(lambda: verify_file(file, MODEL)) for _ in range(TRIALS)]
        rows.append(_row("publish: model tried in a child process", 1000 * statistics.median(tried), "ms"))
    return rows


def _publish(folder: Path, raw: bytes) -> None:
    found = artifacts.from_bytes(raw, "bench", MODEL)
    candidate = stage(folder / MODEL, MODEL, found.version, raw, verify=lambda *_: None)
    before = str(int(found.version) - 1) if found.version != "1" else ""
    publish(folder / MODEL, MODEL, candidate, expected_active=before, clock=SystemClock())
    for backup in (folder / MODEL).glob("*_backup_*"):
        backup.unlink()


def _replace(folder: Path, raw: bytes) -> None:
    new = folder / "new"
    new.write_bytes(raw)
    new.replace(folder / "plain")


_CONTENT: dict[int, Artifact] = {}


def _raw(size: int, version: int) -> bytes:
    if size not in _CONTENT:
        arrays = {"weights": np.random.default_rng(1).random(size // 8)}
        _CONTENT[size] = Artifact(ModelContent(MODEL, ("messages",), arrays), "1", 0)
    return artifacts.to_bytes(replace(_CONTENT[size], version=str(version)))


def _times(call: Callable[[int], None]) -> list[float]:
    return [_timed(lambda version=version: call(version)) for version in range(1, ROUNDS + 1)]  # type: ignore[misc]


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
