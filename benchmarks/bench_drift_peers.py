"""Measures time and memory of one drift check, 7 days and 24 hours, compared with scipy, Evidently and NannyML on the same rows.

Each runs in its own process. The first run installs the two libraries into virtual environments below the user's cache
directory. A library that cannot be installed is reported and left out. bgpdrift checks the stored hours. Folding raw rows into
hours, which a service does once when they arrive, has its own row, and so has the sum of both.

``DRIFT_ROWS=15000000`` chooses other sizes, separated by commas.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.drift.hours import Hours

SIZES = (100_000, 1_000_000, 15_000_000)
PEERS = {"evidently": ("evidently", "pandas<3"), "nannyml": ("nannyml", "pandas<3", "statsmodels")}
"""Packages installed for each library. Neither works with pandas 3 yet, and NannyML does not declare statsmodels."""
LIMIT_S = 600
DAY = 86_400
WORKER = Path(__file__).parent / "drift_peers_worker.py"


def run() -> list[dict[str, Any]]:
    """Measure every size."""
    sizes = [int(size) for size in os.environ.get("DRIFT_ROWS", "").split(",") if size] or list(SIZES)
    pythons = {"scipy": sys.executable, **{name: _environment(name) for name in PEERS}}
    rows: list[dict[str, Any]] = []
    for name, python in pythons.items():
        if not python:
            print(f"{name} does not install here: not measured", file=sys.stderr)
            rows.append(_row(f"{name}: does not install here, not measured", 0, "s"))
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="bgpdrift-drift-") as folder:
            _write(Path(folder), size)
            rows += _measured(Path(folder), size, pythons)
    return rows


def _measured(folder: Path, size: int, pythons: dict[str, str]) -> list[dict[str, Any]]:
    ours, fold = (_one(name, sys.executable, folder) for name in ("ours", "folding"))
    if ours is None or fold is None:
        raise RuntimeError("our own check failed; see above")
    what = f"drift check, {size:,} rows"
    rows = [
        _row(f"{what}: bgpdrift", 1e3 * ours["check_s"], "ms", ours["check_s"] / 0.025, "bar of 25 ms"),
        _row(f"{what}: bgpdrift, resident", ours["peak_mib"], "MiB", ours["peak_mib"] / 60, "bar of 60 MiB"),
        _row(f"{what}: bgpdrift, import and load", ours["import_s"], "s", ours["import_s"] / 0.3, "bar of 0.3 s"),
    ]
    peers = {name: _one(name, python, folder) for name, python in pythons.items() if python}
    found = {name: figures for name, figures in peers.items() if figures}
    for name, figures in peers.items():
        if figures is None:
            rows.append(_row(f"{what}: {name}, failed", 0, "s"))
            continue
        rows.append(_row(f"{what}: {name}", figures["check_s"], "s", figures["check_s"] / ours["check_s"], "bgpdrift"))
        rows.append(
            _row(
                f"{what}: {name}, resident",
                figures["peak_mib"],
                "MiB",
                figures["peak_mib"] / ours["peak_mib"],
                "bgpdrift",
            )
        )
    rows.append(_row(f"{what}: folding raw rows into hours, once", fold["check_s"], "s"))
    if found:
        fastest = min(found, key=lambda name: found[name]["check_s"])
        together = ours["check_s"] + fold["check_s"]
        rows.append(
            _row(
                f"{what}: folding and check together",
                together,
                "s",
                found[fastest]["check_s"] / together,
                f"speed of {fastest}",
            )
        )
    return rows


def _write(folder: Path, size: int) -> None:
    random = np.random.default_rng(1)
    times = np.sort(random.integers(0, 8 * DAY, size))
    season = np.exp(np.log(2.2) / 2 * np.sin(2 * np.pi * times / DAY))
    scores = random.gamma(2.0, 1.0, size) * season
    np.save(folder / "times.npy", times)
    np.save(folder / "scores.npy", scores)
    hours = Hours.from_rows(times, scores)
    names = ("starts", "bins", "counts", "totals", "squares", "alarms")
    np.savez(folder / "hours.npz", **{name: getattr(hours, name) for name in names})


def _one(name: str, python: str, folder: Path) -> dict[str, float] | None:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
        "NML_DISABLE_USAGE_LOGGING": "1",
    }
    if python == sys.executable:
        environment["PYTHONPATH"] = str(WORKER.parents[1])
    command = [python, str(WORKER), name, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, env=environment)
    except subprocess.TimeoutExpired:
        print(f"{name}: more than {LIMIT_S} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{name} failed:\n{done.stderr[-1500:]}", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment(name: str) -> str:
    """Python of a virtual environment that has the library; "" if it does not install."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bgpdrift-bench" / name
    python = cache / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True, capture_output=True, timeout=LIMIT_S)
        if subprocess.run(
            [str(python), "-c", f"import {name}"], check=False, capture_output=True, timeout=LIMIT_S
        ).returncode:
            subprocess.run(
                [str(python), "-m", "pip", "install", "-q", *PEERS[name]],
                check=True,
                capture_output=True,
                timeout=LIMIT_S,
            )
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ""
    return str(python)


def _row(name: str, value: float, unit: str, ratio: float | None = None, ratio_to: str | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "ratio_to": ratio_to}
