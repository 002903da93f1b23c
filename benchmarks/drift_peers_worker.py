"""One drift check of one library in its own process, so that time and memory are those of that library.

Runs under whichever interpreter has the library; needs nothing of bgpdrift but for bgpdrift. Prints one line of JSON:
``import_s``, ``check_s`` (median of several), ``peak_mib`` (resident), ``before_mib`` (resident before the check, data loaded).

``python drift_peers_worker.py <ours|folding|scipy|evidently|nannyml> <folder>``
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

DAY = 86_400


def main() -> None:
    """Import, load, check, report."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    begun = time.perf_counter()
    check = {"ours": ours, "folding": folding, "scipy": scipy, "evidently": evidently, "nannyml": nannyml}[name](folder)
    ready = time.perf_counter()
    before = _peak_mib()
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < 1.0 and len(taken) < 30):
        started = time.perf_counter()
        check()
        taken.append(time.perf_counter() - started)
        if sum(taken) > 30:
            break
    found = {
        "import_s": ready - begun,
        "check_s": statistics.median(taken),
        "peak_mib": _peak_mib(),
        "before_mib": before,
    }
    print(json.dumps(found))


def ours(folder: Path) -> Callable[[], object]:
    """Check the stored hours: the cost of one check."""
    import numpy as np

    from bgpdrift.drift.hours import Hours
    from bgpdrift.drift.rule import compare, decide
    from bgpdrift.drift.windows import WindowPair
    from bgpdrift.settings_sections import DriftSettings

    kept = np.load(folder / "hours.npz")
    hours = {"scores": Hours(*(kept[name] for name in ("starts", "bins", "counts", "totals", "squares", "alarms")))}
    settings = DriftSettings()

    def check() -> object:
        pair = WindowPair(
            window="24h/7d",
            reference_kind="rolling",
            current=hours,
            reference=hours,
            current_span=(7 * DAY, 8 * DAY),
            reference_span=(0, 7 * DAY),
        )
        return decide([compare(pair, settings)], model="", model_version="", at=8 * DAY, settings=settings)

    return check


def folding(folder: Path) -> Callable[[], object]:
    """Fold raw rows into hours, which a service does once when scores arrive."""
    import numpy as np

    from bgpdrift.drift.hours import Hours

    times, scores = np.load(folder / "times.npy"), np.load(folder / "scores.npy")
    return lambda: Hours.from_rows(times, scores)


def scipy(folder: Path) -> Callable[[], object]:
    """Two-sample KS of the raw rows."""
    import numpy as np

    reference, current = _split(np.load(folder / "times.npy"), np.load(folder / "scores.npy"))
    ks_2samp = import_module("scipy.stats").ks_2samp
    return lambda: ks_2samp(current, reference, method="asymp")


def evidently(folder: Path) -> Callable[[], object]:
    """Drift of one column with the library's own choice of test."""
    import numpy as np

    reference, current = _split(np.load(folder / "times.npy"), np.load(folder / "scores.npy"))
    report, drift = import_module("evidently").Report, import_module("evidently.metrics").ValueDrift
    pd = import_module("pandas")
    before, now = pd.DataFrame({"score": reference}), pd.DataFrame({"score": current})
    return lambda: report([drift(column="score")]).run(now, before).dict()


def nannyml(folder: Path) -> Callable[[], object]:
    """Univariate drift by day with the library's default method."""
    import numpy as np

    times, scores = np.load(folder / "times.npy"), np.load(folder / "scores.npy")
    pd, library = import_module("pandas"), import_module("nannyml")
    rows = pd.DataFrame({"at": pd.to_datetime(times, unit="s"), "score": scores})
    before, now = rows[times < 7 * DAY], rows[times >= 7 * DAY]

    def check() -> object:
        calculator = library.UnivariateDriftCalculator(
            column_names=["score"], timestamp_column_name="at", chunk_period="D"
        )
        return calculator.fit(before).calculate(now)

    return check


def _split(times: Any, scores: Any) -> tuple[Any, Any]:
    return scores[times < 7 * DAY], scores[times >= 7 * DAY]


def _peak_mib() -> float:
    """Peak memory of this process alone; ``ru_maxrss`` would include the memory of the parent at the start."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
