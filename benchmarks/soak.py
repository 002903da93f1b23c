"""Half an hour of all services at ten times the live rate, with a service killed every 20 seconds; then every row is checked.

``python -m benchmarks.soak`` trains the models on a simulated day, serves the next hours at ten times their pace, kills a
random service every 20 s and the supervisor itself twice, and starts it again. Afterwards:

- each window exists once and equals the one that an undisturbed `bgpdrift features` makes of the same messages;
- each window has one score of each model and one verdict, equal to those of undisturbed detectors;
- no hourly histogram counted a score twice;
- no process is left, and the supervisor's descriptors and memory have not grown.

The exit code is 1 if one of these fails. The live rate is that of a collector in 2013: 137,412 elements in 46 minutes of the
archives that gobgpdump tests with (a frame carries one element at least).
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.life_system import living
from benchmarks.life_world import world_of
from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.feed import running_feed
from bgpdrift.lab.demo.training import train_all
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.window_columns import FEATURE_NAMES

SPEED, EVERY_S, MINUTES, RATE = 10.0, 20.0, 30.0, 3_000.0
HISTORY_S = 26 * 3600
START_S, ARRIVE_S = 60.0, 240.0
KEPT = "score", "p_value", "is_alarm", "abstained", "model_version"
Tell = Callable[[str], None]


class Soak:
    """One run in a directory of its own.

    Parameters
    ----------
    folder : Path
        An empty directory.
    minutes, speed, rate, every_s : float
        Wall minutes, event seconds per second, messages per minute of event time, seconds between two kills.
    seed : int
        Seed of the simulation and of the kills.
    """

    def __init__(self, folder: Path, minutes: float, speed: float, rate: float, every_s: float, seed: int) -> None:
        self.folder, self.data, self.minutes, self.speed, self.every_s = (
            folder,
            folder / "data",
            minutes,
            speed,
            every_s,
        )
        self.random = random.Random(seed)
        self.past = Scenario(duration_s=HISTORY_S, rate=rate, seed=seed)
        self.live = Scenario(start=self.past.end, duration_s=minutes * 60 * speed, rate=rate, seed=seed + 1)
        self.killed: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BGPDRIFT_")},
            "BGPDRIFT_DATA_DIR": str(self.data),
            # A service that is restarting must not look like the end of the feed.
            "BGPDRIFT_WINDOWS__IDLE_CLOSE_S": "30",
            # The comparison with undisturbed detectors needs the same models until the end.
            "BGPDRIFT_RETRAIN__AUTO": "false",
        }

    def run(self, tell: Tell) -> bool:
        """Run; True if every check passed."""
        tell("simulating the history and training on it")
        self.data.mkdir(parents=True)
        url = self.data / "bgpdrift.sqlite3"
        migrate(url)
        with open_store(url) as store:
            for _, rows in world_of(self.past).hours():
                store.write_windows([{**row, "written_at": 0.0} for row in rows], None)
            for model in train_all(self.environment, time.monotonic() + 600):
                tell(f"  {model.model} {model.version}: {model.outcome}")
                self._require(model.exit_code == 0, f"{model.model} was not trained: {model.outcome}")
            expected = self._features(tell)
            wanted = (*self._simulate("--listen", "127.0.0.1:0", "--speed", str(self.speed)),)
            with running_feed(wanted, self.folder / "feed.log") as feed:
                self.environment["BGPDRIFT_FEED__URL"] = feed.url
                with self._services() as supervisor:
                    self._disturb(store, supervisor, tell)
                    self._wait_for_verdicts(store, max(start for *_, start in expected), tell)
            self._check_rows(store, expected, tell)
        left = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and self._is_ours(int(path.name))]
        self._require(not left, f"processes left after stop: {left}")
        for problem in self.problems:
            tell(f"FAILED: {problem}")
        return not self.problems

    # -- disturbances -----------------------------------------------------------------------------------------------

    def _disturb(self, store: Store, supervisor: int, tell: Tell) -> None:
        """Kill a random service at intervals, and the supervisor after each third of the time."""
        began, rounds = time.monotonic(), int(self.minutes * 60 / self.every_s)
        first = _measure(supervisor)
        for number in range(1, rounds + 1):
            time.sleep(max(0.0, began + number * self.every_s - time.monotonic()))
            status = self._status()
            if number in (rounds // 3, 2 * rounds // 3):
                os.kill(supervisor, signal.SIGKILL)
                self.killed["the supervisor"] += 1
                time.sleep(1.0)
                orphans = [pid for service in status["services"] if _is_alive(pid := service["pid"])]
                self._require(not orphans, f"alive a second after the supervisor was killed: {orphans}")
                supervisor = self._start()
                first = _measure(supervisor)
                continue
            name, pid = self.random.choice([(one["name"], one["pid"]) for one in status["services"] if one["pid"]])
            os.kill(pid, signal.SIGKILL)
            self.killed[name] += 1
            looping = [one["name"] for one in status["services"] if one["state"] == "crashloop"]
            self._require(not looping, f"in crashloop: {looping}")
            if number % 9 == 0:
                at = (store.newest_verdict_start() or int(self.live.start)) - int(self.live.start)
                memory = sum(one["rss_bytes"] for one in status["services"]) / 2**20
                progress = f"{number} of {rounds} kills, verdicts until +{at / 3600:.2f} h; "
                tell(f"{progress}services {memory:.0f} MiB, supervisor {_measure(supervisor)}")
        last = _measure(supervisor)
        self._require(last[0] <= first[0] + 3, f"the supervisor's descriptors grew from {first[0]} to {last[0]}")
        self._require(last[1] <= first[1] + 4.0, f"the supervisor grew from {first[1]} to {last[1]} MiB")

    def _wait_for_verdicts(self, store: Store, last: int, tell: Tell) -> None:
        """Wait until all windows have a verdict."""
        give_up_at = time.monotonic() + ARRIVE_S
        while time.monotonic() < give_up_at:
            if (store.newest_verdict_start() or 0) >= last and (store.newest_score_start() or 0) >= last:
                time.sleep(3.0)  # those of other collectors and models
                return
            time.sleep(0.5)
        tell("not all windows arrived in time")

    # -- checks of the result ----------------------------------------------------------------------------------------

    def _check_rows(self, store: Store, expected: Mapping[tuple[str, str, int], Mapping[str, Any]], tell: Tell) -> None:
        start, end = int(self.live.start), int(self.live.end) + 3600
        windows = {_key(row): row for row in store.windows_between(start, end)}
        missing = [key for key in expected if key not in windows]
        other = [key for key in windows if key not in expected]
        differ = [
            (key, name)
            for key, row in windows.items()
            for name in FEATURE_NAMES
            if key in expected and not _equal(row[name], expected[key][name])
        ]
        self._require(not missing, f"{len(missing)} windows are missing, the first {missing[:3]}")
        self._require(not other, f"{len(other)} windows that were not sent, the first {other[:3]}")
        self._require(
            not differ, f"{len(differ)} values differ from those of an undisturbed run, the first {differ[:3]}"
        )
        marked = [key for key, row in windows.items() if row["feed_gap"] or row["dropped"] or row["incomplete"]]
        lost = [
            key for key in marked if key[2] > start
        ]  # the first minute had begun before the collector was connected
        self._require(not lost, f"{len(lost)} windows are marked as incomplete, the first {lost[:3]}")

        judged = collections.Counter(map(_key, store.verdicts_between(start, end)))
        self._require(judged == dict.fromkeys(windows, 1), "not each window has one verdict")
        undisturbed = self._undisturbed(store, start, end)
        for model in MODELS:
            rows = {_key(row): row for row in store.scores_between(start, end, model)}
            self._require(rows.keys() == windows.keys(), f"{model}: {len(rows)} scores of {len(windows)} windows")
            versions = {row["model_version"] for row in rows.values()}
            self._require(len(versions) == 1, f"{model}: scores of {versions}")
            unequal = [
                (key, name)
                for key, row in rows.items()
                for name in KEPT
                if key in undisturbed[model] and not _equal(row[name], undisturbed[model][key][name])
            ]
            self._require(
                not unequal, f"{model}: {len(unequal)} values differ from those of an undisturbed run: {unequal[:3]}"
            )
            scored = sum(not row["abstained"] for row in rows.values())
            counted = sum(n for _, _, n, _ in store.hourly_alarms([f"score:{model}"], start, end))
            self._require(counted == scored, f"{model}: {scored} scores, histograms counted {counted}")
            tell(f"{model}: {len(rows)} scores of {len(windows)} windows, {scored} with a vote, counted {counted}")
        kills = ", ".join(f"{name} {number}" for name, number in sorted(self.killed.items()))
        tell(f"{len(windows)} of {len(expected)} windows, each once, after {self.killed.total()} kills: {kills}")

    def _undisturbed(self, store: Store, start: int, end: int) -> dict[str, dict[tuple[str, str, int], Any]]:
        """Return the scores that undisturbed detectors with the same models give to the same windows."""
        folder = self.folder / "undisturbed"
        shutil.copytree(self.data / "model_artifacts", folder / "model_artifacts")
        rows = sorted(store.windows_between(int(self.past.start), end), key=lambda row: int(row["id"]))
        changes = {"RETRAIN__AUTO": "false"}
        with living(folder, float(self.past.end), changes, self.folder / "undisturbed.log") as life:
            plain = [{name: value for name, value in row.items() if name != "id"} for row in rows]
            life.live(end, plain)
            return {model: {_key(row): row for row in life.store.scores_between(start, end, model)} for model in MODELS}

    # -- programs ------------------------------------------------------------------------------------------------------

    def _features(self, tell: Tell) -> dict[tuple[str, str, int], dict[str, Any]]:
        """Return the windows that an undisturbed program makes of the same messages, without the unfinished last minute."""
        tell("making the expected windows")
        recorded = self.folder / "live.jsonl.zst"
        subprocess.run(self._simulate("--out", str(recorded)), check=True, env=self.environment)
        command = [sys.executable, "-m", "bgpdrift.cli", "features", str(recorded)]
        done = subprocess.run(command, check=True, env=self.environment, capture_output=True, text=True)
        rows = map(json.loads, done.stdout.splitlines())
        return {_key(row): row for row in rows if row["window_start"] < self.live.end - 60}

    def _simulate(self, *words: str) -> list[str]:
        scenario = self.folder / "live.json"
        fields = {name: getattr(self.live, name) for name in ("start", "duration_s", "rate", "seed")}
        scenario.write_text(json.dumps(fields))
        return [sys.executable, "-m", "bgpdrift.cli", "simulate", "--scenario", str(scenario), *words]

    @contextlib.contextmanager
    def _services(self) -> Iterator[int]:
        try:
            yield self._start()
        finally:
            began = time.monotonic()
            self._manage("stop")
            self._require(time.monotonic() - began < START_S, "stop took too long")

    def _start(self) -> int:
        done = self._manage("start")
        self._require(done.returncode == 0, f"start: exit {done.returncode}: {done.stderr[-500:]}")
        return int(self._status()["supervisor"]["pid"])

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._manage("status", "--json").stdout)
        return status

    def _manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "run_all_services", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return f"BGPDRIFT_DATA_DIR={self.data}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return False

    def _require(self, passed: bool, problem: str) -> None:
        if not passed:
            self.problems.append(problem)


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return str(row["collector"]), str(row.get("peer", "")), int(row["window_start"])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-9 * max(1.0, abs(one))
    return bool(one == other)


def _is_alive(pid: int | None) -> bool:
    """Whether a process runs; a zombie does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _measure(pid: int) -> tuple[int, float]:
    """Return the number of open descriptors and the resident memory, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len([*Path(f"/proc/{pid}/fd").iterdir()]), round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def main() -> None:
    """Run, and exit with the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--speed", type=float, default=SPEED)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--every", type=float, default=EVERY_S)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = (options.dir or Path(temporary)).absolute()
        soak = Soak(folder, options.minutes, options.speed, options.rate, options.every, options.seed)
        began = time.monotonic()

        def tell(text: str) -> None:
            print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

        sys.exit(0 if soak.run(tell) else 1)


if __name__ == "__main__":
    main()
