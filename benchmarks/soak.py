"""An hour of all services at ten times the live rate among faults and hostile frames; then every row is checked.

``python -m benchmarks.soak`` trains the models on a simulated day and serves the next hours, with a hostile frame after every
nine honest ones (`benchmarks.hostile_feed`). Every 20 s a fault happens, chosen at random (`benchmarks.soak_faults`): a service
is killed or paused, the supervisor is killed, everything is paused, the database refuses writes, the disk is full. Required:

- each window of an honest collector exists once and equals the one that an undisturbed `bgpdrift features` makes of the
  honest messages, or is marked as incomplete;
- each window has one score of each model and one verdict; the scores equal those of undisturbed detectors;
- no hourly histogram counted a score twice;
- no service is in a crash loop, and a pause of everything ends none;
- no process is left; memory, descriptors and number of files are the same in the last third as in the one before.

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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.life_system import living
from benchmarks.life_world import world_of
from benchmarks.soak_faults import Faults, mount_small_disk
from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.feed import running_feed
from bgpdrift.lab.demo.training import train_all
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.window_columns import FEATURE_NAMES

SPEED, EVERY_S, MINUTES, RATE = 10.0, 20.0, 60.0, 3_000.0
DISK_MIB = 3_000
HISTORY_S = 26 * 3600
START_S, ARRIVE_S, SETTLE_S = 60.0, 600.0, 90.0
LONG_UP_S = 60.0
"""A process younger than this has not reached its size."""
MEMORY_FACTOR, MEMORY_MIB, MORE_DESCRIPTORS, MORE_FILES = 1.15, 12.0, 4, 40
"""Allowed growth from the second third of the time to the last."""
MARKS = "incomplete", "feed_gap", "dropped", "late"
KEPT = "score", "p_value", "is_alarm", "abstained", "model_version"
WEIGHTS = {"kill": 8, "pause": 4, "lock": 4, "disk": 3, "pause all": 1, "kill supervisor": 1}
Tell = Callable[[str], None]
Measured = dict[str, list[tuple[float, float]]]
"""By name: time since the beginning, value."""


class Soak:
    """One run in a directory of its own.

    Parameters
    ----------
    folder : Path
        An empty directory.
    minutes, speed, rate, every_s : float
        Wall minutes, event seconds per second, messages per minute of event time, seconds between two faults.
    seed : int
        Seed of the simulation, the hostile frames and the faults.
    """

    def __init__(self, folder: Path, minutes: float, speed: float, rate: float, every_s: float, seed: int) -> None:
        self.folder, self.data, self.minutes, self.speed, self.every_s, self.seed = (
            folder,
            folder / "data",
            minutes,
            speed,
            every_s,
            seed,
        )
        self.random = random.Random(seed)
        self.past = Scenario(duration_s=HISTORY_S, rate=rate, seed=seed)
        self.live = Scenario(start=self.past.end, duration_s=minutes * 60 * speed, rate=rate, seed=seed + 1)
        self.happened: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []
        self.measured: dict[str, Measured] = {"memory": {}, "descriptors": {}, "files": {}}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BGPDRIFT_")},
            "BGPDRIFT_DATA_DIR": str(self.data),
            # A service that is restarting must not look like the end of the feed.
            "BGPDRIFT_WINDOWS__IDLE_CLOSE_S": "240",
            # The comparison with undisturbed detectors needs the same models until the end.
            "BGPDRIFT_RETRAIN__AUTO": "false",
            # A kill a minute for each service is more than the hour allows that is no fault of the service.
            "BGPDRIFT_SUPERVISOR__RESTART_LONG_LIMIT": "1000",
        }

    def run(self, tell: Tell) -> bool:
        """Run; True if every check passed."""
        with mount_small_disk(self.data, DISK_MIB) as owns_disk:
            tell(f"the data directory is {'a file system of its own' if owns_disk else 'a directory'}")
            passed = self._run(Faults(self.data, owns_disk, self.random), tell)
            if not passed and owns_disk:  # for an examination; the file system is gone afterwards
                shutil.copytree(self.data, self.folder / "failed", ignore=shutil.ignore_patterns("*.sock"))
            return passed

    def _run(self, faults: Faults, tell: Tell) -> bool:
        tell("simulating the history and training on it")
        url = self.data / "bgpdrift.sqlite3"
        migrate(url)
        with open_store(url, busy_timeout_s=120.0) as store:
            for _, rows in world_of(self.past).hours():
                store.write_windows([{**row, "written_at": 0.0} for row in rows], None)
            for model in train_all(self.environment, time.monotonic() + 900):
                tell(f"  {model.model} {model.version}: {model.outcome}")
                self._require(model.exit_code == 0, f"{model.model} was not trained: {model.outcome}")
            with running_feed(self._feed_command(), self.folder / "feed.log") as feed:
                self.environment["BGPDRIFT_FEED__URL"] = feed.url
                with self._services() as supervisor:
                    self._disturb(supervisor, faults, tell)
                    self._wait_for_verdicts(store, int(self.live.end) - 120, tell)
            self._check_growth(tell)
            self._check_rows(store, self._features(tell), tell)
        left = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and self._is_ours(int(path.name))]
        self._require(not left, f"processes left after stop: {left}")
        for problem in self.problems:
            tell(f"FAILED: {problem}")
        return not self.problems

    # -- disturbances -----------------------------------------------------------------------------------------------

    def _disturb(self, supervisor: int, faults: Faults, tell: Tell) -> None:
        """Let a fault happen at intervals, and measure before each."""
        began, number = time.monotonic(), 0
        while (passed_s := time.monotonic() - began) < self.minutes * 60:
            status = self._settled_status(tell)
            self._measure(supervisor, status, passed_s)
            number += 1
            (fault,) = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
            what, supervisor = self._disturb_once(fault, supervisor, status, faults)
            self.happened[fault] += 1
            memory = sum(one["rss_bytes"] for one in status["services"]) / 2**20
            progress = next(one["message"] for one in status["services"] if one["name"] == "feature_aggregator")
            tell(f"{number}: {what}; services {memory:.0f} MiB; {progress}")
            time.sleep(max(0.0, began + passed_s + self.every_s - time.monotonic()))
        self._settled_status(tell)

    def _disturb_once(self, fault: str, supervisor: int, status: Mapping[str, Any], faults: Faults) -> tuple[str, int]:
        """Let one fault happen; return what it was, and the supervisor that runs afterwards."""
        pids = {one["name"]: int(one["pid"]) for one in status["services"] if one["pid"]}
        match fault:
            case "kill":
                return faults.kill_service(pids), supervisor
            case "pause":
                return faults.pause_service(pids), supervisor
            case "lock":
                return faults.refuse_writes(), supervisor
            case "disk":
                return faults.fill_disk({**pids, "supervisor": supervisor}), supervisor
            case "pause all":
                what = faults.pause_machine(supervisor, pids)
                time.sleep(2.0)
                after = {one["name"]: one["pid"] for one in self._status()["services"]}
                ended = [name for name, pid in pids.items() if after[name] != pid]
                self._require(not ended, f"{what}: ended {ended}")
                return what, supervisor
        os.kill(supervisor, signal.SIGKILL)
        time.sleep(1.0)
        orphans = [name for name, pid in pids.items() if _is_alive(pid)]
        self._require(not orphans, f"alive a second after the supervisor was killed: {orphans}")
        return "supervisor killed", self._start()

    def _settled_status(self, tell: Tell) -> dict[str, Any]:
        """Wait until every service is ready again; a crash loop is a problem."""
        give_up_at = time.monotonic() + SETTLE_S
        while True:
            status = self._status()
            states = {one["name"]: one["state"] for one in status["services"]}
            looping = [name for name, state in states.items() if state == "crashloop"]
            if looping or time.monotonic() >= give_up_at:
                rest = {one["name"]: one["message"] for one in status["services"] if one["state"] != "ready"}
                self._require(False, f"not ready {SETTLE_S:.0f} s after a fault, or in crashloop: {rest}")
                tell(f"not ready: {rest}")
                return status
            if set(states.values()) == {"ready"}:
                return status
            time.sleep(1.0)

    def _measure(self, supervisor: int, status: Mapping[str, Any], at: float) -> None:
        """Note memory, descriptors and files."""
        processes = [("supervisor", supervisor, float(status["supervisor"]["uptime_s"]))]
        processes += [(one["name"], int(one["pid"] or 0), float(one["uptime_s"])) for one in status["services"]]
        for name, pid, uptime_s in processes:
            if uptime_s >= LONG_UP_S:
                with contextlib.suppress(OSError):
                    descriptors, mebibytes = _measure_process(pid)
                    self.measured["memory"].setdefault(name, []).append((at, mebibytes))
                    self.measured["descriptors"].setdefault(name, []).append((at, float(descriptors)))
        files = sum(len(names) for _, _, names in os.walk(self.data))
        self.measured["files"].setdefault("data directory", []).append((at, float(files)))

    def _wait_for_verdicts(self, store: Store, last: int, tell: Tell) -> None:
        """Wait until all windows of honest collectors have a verdict."""
        give_up_at = time.monotonic() + ARRIVE_S
        while time.monotonic() < give_up_at:
            rows = store.verdicts_between(last, last + 1)
            if {row["collector"] for row in rows} >= set(self.live.collectors):
                time.sleep(5.0)  # the histograms
                return
            time.sleep(1.0)
        tell("not all windows arrived in time")

    # -- checks of the result ----------------------------------------------------------------------------------------

    def _check_growth(self, tell: Tell) -> None:
        """Compare the medians of the last third of the time with those of the third before."""
        third_s = self.minutes * 60 / 3
        limits = {
            "memory": lambda before: before * MEMORY_FACTOR + MEMORY_MIB,
            "descriptors": lambda before: before + MORE_DESCRIPTORS,
            "files": lambda before: before + MORE_FILES,
        }
        for what, series in self.measured.items():
            texts = []
            for name, values in sorted(series.items()):
                before = [value for at, value in values if third_s <= at < 2 * third_s]
                after = [value for at, value in values if at >= 2 * third_s]
                if not before or not after:
                    texts.append(f"{name} not measured")
                    continue
                middle, last = statistics.median(before), statistics.median(after)
                texts.append(f"{name} {middle:.0f} → {last:.0f}")
                self._require(last <= limits[what](middle), f"{what} of {name} grew from {middle:.0f} to {last:.0f}")
            tell(f"{what}: {', '.join(texts)}")

    def _check_rows(self, store: Store, expected: Mapping[tuple[str, str, int], Mapping[str, Any]], tell: Tell) -> None:
        start, end = int(self.live.start), int(self.live.end) + 3600
        first, last = min(at for *_, at in expected), max(at for *_, at in expected)
        stored = collections.Counter(map(_key, store.windows_between(start, end)))
        self._require(set(stored.values()) == {1}, "a window exists twice")
        between = store.windows_between(first, last + 1)
        windows = {_key(row): row for row in between if row["collector"] in self.live.collectors}
        missing = [key for key in expected if key not in windows]
        other = [key for key in windows if key not in expected]
        differ = {
            key: [name for name in FEATURE_NAMES if not _equal(row[name], expected[key][name])]
            for key, row in windows.items()
            if key in expected
        }
        marked = {key for key, row in windows.items() if any(row[mark] for mark in MARKS)}
        unmarked = {key: names for key, names in differ.items() if names and key not in marked}
        self._require(not missing, f"{len(missing)} windows are missing, the first {missing[:3]}")
        self._require(not other, f"{len(other)} windows that were not sent, the first {other[:3]}")
        examples = list(unmarked.items())[:3]
        self._require(not unmarked, f"{len(unmarked)} unmarked windows differ from an undisturbed run: {examples}")
        wrong = sum(bool(names) for names in differ.values())
        tell(
            f"{len(windows)} of {len(expected)} windows of honest collectors, each once: {len(windows) - wrong} exactly "
            f"right, {wrong} others; {len(marked)} are marked. All collectors together have {len(stored)} windows"
        )

        judged = collections.Counter(map(_key, store.verdicts_between(start, end)))
        self._require(judged == dict.fromkeys(stored, 1), "not each window has one verdict")
        undisturbed = self._undisturbed(store, start, end)
        for model in MODELS:
            rows = {_key(row): row for row in store.scores_between(start, end, model)}
            self._require(rows.keys() == stored.keys(), f"{model}: {len(rows)} scores of {len(stored)} windows")
            versions = {row["model_version"] for row in rows.values()}
            self._require(len(versions) == 1, f"{model}: scores of {versions}")
            unequal = [
                (key, name)
                for key, row in rows.items()
                for name in KEPT
                # Windows of invented collectors arrive in any order, and a score depends on the windows before it.
                if key in windows and not _equal(row[name], undisturbed[model][key][name])
            ]
            self._require(
                not unequal, f"{model}: {len(unequal)} values differ from those of an undisturbed run: {unequal[:3]}"
            )
            scored = sum(not row["abstained"] for row in rows.values())
            counted = sum(n for _, _, n, _ in store.hourly_alarms([f"score:{model}"], start, end))
            self._require(counted == scored, f"{model}: {scored} scores, histograms counted {counted}")
            tell(f"{model}: {len(rows)} scores of {len(stored)} windows, {scored} with a vote, counted {counted}")
        faults = ", ".join(f"{name} {number}" for name, number in sorted(self.happened.items()))
        tell(f"{self.happened.total()} faults: {faults}")

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
        python = [sys.executable, "-m", "bgpdrift.cli"]
        simulate = [*python, "simulate", "--scenario", str(self._write_scenario()), "--out", str(recorded)]
        subprocess.run(simulate, check=True, env=self.environment)
        done = subprocess.run(
            [*python, "features", str(recorded)], check=True, env=self.environment, capture_output=True, text=True
        )
        rows = map(json.loads, done.stdout.splitlines())
        # Collector and feed begin within the first minute.
        begin, end = self.live.start + 60, self.live.end - 60
        return {_key(row): row for row in rows if begin <= row["window_start"] < end}

    def _write_scenario(self) -> Path:
        path = self.folder / "live.json"
        path.write_text(
            json.dumps({name: getattr(self.live, name) for name in ("start", "duration_s", "rate", "seed")})
        )
        return path

    def _feed_command(self) -> list[str]:
        options = ["--speed", str(self.speed), "--seed", str(self.seed)]
        return [sys.executable, "-m", "benchmarks.hostile_feed", str(self._write_scenario()), *options]

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


def _measure_process(pid: int) -> tuple[int, float]:
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
