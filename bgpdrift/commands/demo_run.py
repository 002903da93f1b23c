"""Runs the whole system on the simulated feed, from outside, with the same commands a user has.

Decides what a demo must show: a window for every minute of every collector, every incident of the ground truth found.
`demo_report` says how that reads.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bgpdrift.commands import demo_training
from bgpdrift.commands.demo_training import TrainedModel
from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.store import Store, open_store
from bgpdrift.store.schema import feature_windows, verdicts

MARKER = ".bgpdrift-demo"
EARLY_S, TAIL_S = 120, 1800
"""An incident belongs to a true one if it began this long before it at most, or this long after its end: what a worm or a
leak leaves behind (paths settling, routes coming back) is part of it."""
UNFINISHED_S = 180
"""The last minutes of a recording are never closed by a later one, and are not judged."""


@dataclass(frozen=True)
class Finding:
    """One incident of the ground truth and what was found of it."""

    kind: str
    start: int
    end: int
    found: tuple[int, ...]  # ids of incidents
    delay_s: int | None  # from its start to the first anomalous minute's end
    found_as: str


@dataclass(frozen=True)
class Report:
    """What a demo run did."""

    seconds: float
    simulated_hours: float
    frames: int
    windows: int
    expected: int
    missing: int
    doubled: int
    duplicates: int
    dropped: int
    session_resets: int
    explained_resets: int
    findings: tuple[Finding, ...]
    false_incidents: tuple[str, ...]
    memory: Mapping[str, int]  # bytes resident, by service
    models: tuple[TrainedModel, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether nothing is missing and everything was found."""
        found = all(finding.found for finding in self.findings)
        trained = all(model.passed for model in self.models)
        return not (self.problems or self.missing or self.doubled) and found and trained


def run_demo(folder: Path, scenario: str, limit_s: float) -> Report:
    """Run a scenario to its end.

    Raises
    ------
    InputError
        The folder holds something that is not an earlier demo.
    BgpdriftError
        Feed or services did not start.
    """
    _prepare(folder)
    truth_file = folder / "truth.json"
    began = time.monotonic()
    with _feed(folder, scenario, truth_file) as (feed, url):
        environment = {
            **os.environ,
            "BGPDRIFT_DATA_DIR": str(folder / "data"),
            "BGPDRIFT_FEED__URL": url,
            "BGPDRIFT_FEED__CLIENT": "demo",
            # The feed is held while the models train: neither a lost server nor quiet minutes that should be closed.
            "BGPDRIFT_FEED__SILENCE_S": str(limit_s),
            "BGPDRIFT_WINDOWS__IDLE_CLOSE_S": str(limit_s),
        }
        environment.pop("BGPDRIFT_CONFIG", None)
        with _services(folder, environment):
            truth = json.loads(truth_file.read_text())
            store = open_store(f"sqlite:///{folder / 'data' / 'bgpdrift.sqlite3'}")
            try:
                models, since = _train(store, feed, truth, environment, began + limit_s)
                done = _wait(store, truth, began + limit_s)
                memory = _memory(environment)
                report = judge(store, truth, folder / "data", time.monotonic() - began, memory)
                models = demo_training.heard(store, models, since, int(truth["end"]))
            finally:
                store.close()
    problems: tuple[str, ...] = () if done else (f"not finished within {limit_s:.0f} s",)
    left = _still_running(folder)
    problems += (f"processes left after stop: {left}",) if left else ()
    return Report(**{**report.__dict__, "models": tuple(models), "problems": problems})


def _train(
    store: Store,
    feed: "subprocess.Popen[bytes]",
    truth: Mapping[str, Any],
    environment: Mapping[str, str],
    until: float,
) -> tuple[list[TrainedModel], int]:
    """Train on the first day; the models, and the event time from which all of them are in force."""
    start = int(truth["start"])
    if int(truth["end"]) - start < (demo_training.HISTORY_H + 1) * 3600:
        return [], start  # too short a scenario to learn from: the rules speak alone
    print(f"gathering {demo_training.HISTORY_H} h of history to learn from", flush=True)
    if not demo_training.wait_for_history(store, start, until):
        return [], start
    with demo_training.held(feed):
        demo_training.wait_for_verdicts(store, time.monotonic() + 10.0)
        print("training the three models; the feed is held meanwhile", flush=True)
        models = demo_training.train_all(environment)
        since = int(store.newest(feature_windows) or start) + 60
    for model in models:
        how = "in force" if model.exit_code == 0 else f"NOT in force, exit {model.exit_code}"
        print(f"  {model.model} {model.version}: {how} after {model.seconds:.0f} s", flush=True)
    return models, since


def judge(store: Store, truth: Mapping[str, Any], data: Path, seconds: float, memory: Mapping[str, int]) -> Report:
    """Compare what is in the store with the ground truth."""
    start, end = int(truth["start"]), int(truth["end"])
    collectors = list(truth["scenario"]["collectors"])
    rows = store.windows_between(start, end)
    keys = [(row["collector"], row["window_start"]) for row in rows if not row["peer"]]
    last = _last_minute(truth)
    keys = [key for key in keys if key[1] <= last]
    expected = {(name, minute) for name in collectors for minute in range(start // 60 * 60, last + 60, 60)}
    found = store.incidents_between(start - 86_400, end + 86_400)
    incidents = [incident for incident in found if incident["merged_into"] is None]
    findings = tuple(_find(item, incidents) for item in truth["incidents"])
    matched = {number for finding in findings for number in finding.found}
    false = tuple(incident["summary"] for incident in incidents if incident["id"] not in matched)
    feed = json.loads((data / "state" / "collector.json").read_text())
    cursor = store.read_cursor("feature_aggregator")
    return Report(
        seconds=seconds,
        simulated_hours=(end - start) / 3600,
        frames=int(feed["frames"]),
        windows=len(keys),
        expected=len(expected),
        missing=len(expected - set(keys)),
        doubled=len(keys) - len(set(keys)),
        duplicates=int(cursor.details.get("duplicates", 0)) if cursor else 0,
        dropped=int(feed["dropped"]),
        session_resets=len(truth["scenario"]["resets"]),
        explained_resets=sum(1 for row in rows if row["peer_reset"] and row["session_up"]),
        findings=findings,
        false_incidents=false,
        memory=memory,
    )


def _last_minute(truth: Mapping[str, Any]) -> int:
    return (int(truth["end"]) - UNFINISHED_S) // 60 * 60


def _find(item: Mapping[str, Any], incidents: list[Any]) -> Finding:
    start, end = int(item["start"]), int(item["end"])
    own = [i for i in incidents if i["started_at"] <= end + TAIL_S and i["last_seen_at"] >= start - EARLY_S]
    own = [i for i in own if i["started_at"] >= start - EARLY_S]
    first = min((i["started_at"] for i in own), default=None)
    return Finding(
        kind=str(item["kind"]),
        start=start,
        end=end,
        found=tuple(int(i["id"]) for i in own),
        delay_s=None if first is None else max(0, int(first) + 60 - start),
        found_as=", ".join(dict.fromkeys(str(i["kind"]) for i in own)),
    )


def _prepare(folder: Path) -> None:
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARKER).exists():
            raise InputError(f"{folder}: expected a folder of an earlier demo or none, found other files; choose --dir")
        if _still_running(folder):
            raise InputError(f"{folder}: a demo is still running there (pid {_still_running(folder)})")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


@contextlib.contextmanager
def _feed(folder: Path, scenario: str, truth: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    command = [sys.executable, "-m", "bgpdrift.cli", "simulate", "--scenario", scenario, "--truth", str(truth)]
    command += ["--listen", "127.0.0.1:0", "--speed", "max"]
    with (folder / "feed.log").open("wb") as log:
        feed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)  # noqa: S603
        assert feed.stdout is not None
        try:
            yield feed, _address(feed.stdout, folder)
        finally:
            feed.send_signal(signal.SIGTERM)
            try:
                feed.wait(5)
            except subprocess.TimeoutExpired:
                feed.kill()
                feed.wait()
            feed.stdout.close()


def _address(output: IO[bytes], folder: Path) -> str:
    line = output.readline().decode().strip()
    if not line.startswith("listening on "):
        raise BgpdriftError(f"the simulated feed did not start: {(folder / 'feed.log').read_text().strip() or line}")
    return line.removeprefix("listening on ")


def _manage(environment: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "run_all_services", *words]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)  # noqa: S603


@contextlib.contextmanager
def _services(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    started = _manage(environment, "start")
    try:
        if started.returncode != 0:
            raise BgpdriftError(
                f"the services did not start:\n{started.stdout}{started.stderr}logs: {folder / 'data' / 'logs'}"
            )
        yield
    finally:
        _manage(environment, "stop")


def _wait(store: Store, truth: Mapping[str, Any], deadline: float) -> bool:
    """Wait until every minute has a verdict and correlation has seen it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    start, last = int(truth["start"]), _last_minute(truth)
    hours = (last - start) / 3600
    console = Console()
    columns = (TextColumn("simulated time"), BarColumn(), TextColumn("{task.completed:.1f} of {task.total:.1f} h"))
    told = -1
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=hours)
        while time.monotonic() < deadline:
            newest = store.newest(verdicts) or start
            done = (newest - start) / 3600
            progress.update(task, completed=done)
            if not console.is_terminal and int(done / hours * 10) > told:
                told = int(done / hours * 10)
                console.print(f"simulated {done:.1f} of {hours:.1f} h")
            cursor = store.read_cursor("correlation_engine")
            if newest >= last and cursor is not None and cursor.position >= (store.newest_id(verdicts) or 0):
                return True
            time.sleep(0.5)
    return False


def _memory(environment: Mapping[str, str]) -> dict[str, int]:
    status = _manage(environment, "status", "--json")
    services = json.loads(status.stdout)["services"] if status.stdout.startswith("{") else []
    return {service["name"]: int(service["rss_bytes"] or 0) for service in services}


def _still_running(folder: Path) -> list[int]:
    """Processes whose environment names this folder's data directory."""
    wanted = f"BGPDRIFT_DATA_DIR={folder / 'data'}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
    return sorted(found)
