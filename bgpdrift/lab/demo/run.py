"""Runs the whole system on the simulated feed, from outside, with the same commands a user has.

Decides the order: history, training, then either the whole loop (`loop`, where the scenario tells of a change) or what
the scenario has. What must have come of it `judge` and `outcome` decide, how that reads `report`.
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
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.lab.demo import history, settings, training
from bgpdrift.lab.demo.feed import Feed, running_feed
from bgpdrift.lab.demo.judge import Report, judge, last_minute
from bgpdrift.lab.demo.loop import Loop
from bgpdrift.lab.demo.outcome import Step
from bgpdrift.lab.demo.plan import Plan, plan_of
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.simulation.truth import Truth, decode_truth
from bgpdrift.settings import load
from bgpdrift.store import Store, open_store
from bgpdrift.store.schema import verdicts

if TYPE_CHECKING:
    from bgpdrift.lab.demo.story import Story

MARKER = ".bgpdrift-demo"
MANAGE_LIMIT_S = 90.0
SPEED = 10_000
"""Seconds of event time a second, at most: two and a half hours, in which nobody falls far behind."""


def run_demo(folder: Path, scenario: str, limit_s: float) -> Report:
    """Run a scenario to its end.

    Raises
    ------
    InputError
        The folder holds something that is not an earlier demo.
    BgpdriftError
        Feed or services did not start.
    """
    from rich.console import Console

    from bgpdrift.lab.demo.story import Story

    _prepare(folder)
    began = time.monotonic()
    data, truth_file = folder / "data", folder / "truth.json"
    command = [sys.executable, "-m", "bgpdrift.cli", "simulate", "--scenario", scenario, "--truth", str(truth_file)]
    command += ["--listen", "127.0.0.1:0", "--speed", str(SPEED)]
    with _clean_end(), Story(Console(highlight=False)) as story, running_feed(command, folder / "feed.log") as feed:
        truth = decode_truth(truth_file.read_bytes())
        plan = plan_of(truth)
        environment = _environment(folder, feed.url, limit_s, shortened=plan is not None)
        hours = (last_minute(truth) - int(truth.start)) / 3600
        story.begin(hours, f"a simulated Internet is ready: {hours:.0f} hours, {len(truth.incidents)} incidents")
        if plan is not None:
            story.tell(settings.told())
        deadline, steps = began + limit_s, list[Step]()
        with _services(folder, environment), open_store(f"sqlite:///{data / 'bgpdrift.sqlite3'}") as store:
            story.tell(f"all services run; data and logs in {data}")
            models, since, problems = _train(store, feed, truth, environment, data, deadline, story)
            if plan is not None and not problems:
                steps = _loop(store, feed, truth, plan, environment, data, deadline, story)
            if not _wait(store, truth, deadline, story):
                problems += (f"not finished within {limit_s:.0f} s",)
            memory = _memory(environment)
            report = judge(store, truth, data, time.monotonic() - began, memory)
            models = training.heard(store, models, since, int(truth.end))
            story.tell("every minute is judged; stopping the services")
    left = _still_running(folder)
    problems += (f"processes left after stop: {left}",) if left else ()
    return replace(report, models=tuple(models), steps=tuple(steps), problems=problems)


def _environment(folder: Path, url: str, limit_s: float, shortened: bool) -> dict[str, str]:
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
    if shortened:
        environment |= {f"BGPDRIFT_{one.name}": one.value for one in settings.SHORTENED}
    return environment


def _train(
    store: Store,
    feed: Feed,
    truth: Truth,
    environment: Mapping[str, str],
    data: Path,
    deadline: float,
    story: "Story",
) -> tuple[list[TrainedModel], int, tuple[str, ...]]:
    """Train on the first day; the models, the event time from which all of them are in force, and what went wrong."""
    hours = training.HISTORY_H if plan_of(truth) is not None else training.SHORT_HISTORY_H
    start, until = int(truth.start), int(truth.start) + int(hours * 3600)
    if int(truth.end) < until + 3600:
        story.tell("too short a scenario to learn from: the packaged rules speak alone")
        return [], start, ()

    def look() -> history.Where:
        return history.where(store, data)

    def told(now: history.Where) -> None:
        story.reach((now.newest - start) / 3600)

    story.tell(f"gathering a history of {hours:g} simulated hours to learn from")
    if not history.gather(feed, look, until, deadline, told=told):
        return [], start, ("the feed ended before the history was gathered",) if feed.ended else ()
    if not history.settle(look, deadline, told=told):
        return [], start, ("what was on its way did not arrive before the models were to be trained",)
    newest = look().newest
    story.tell(
        f"{(newest + 60 - start) / 3600:.1f} h are judged; holding the feed and training the three models on them"
    )
    overrun = [item for item in truth.incidents if until <= int(item.start) <= newest]
    models = training.train_all(environment, deadline, lambda model: story.tell(_outcome(model)))
    feed.go()
    story.tell("the feed goes on")
    problems = ("the history reached into the first incident: the feed was held too late",) if overrun else ()
    return models, newest + 60, problems


def _loop(
    store: Store,
    feed: Feed,
    truth: Truth,
    plan: Plan,
    environment: Mapping[str, str],
    data: Path,
    deadline: float,
    story: "Story",
) -> list[Step]:
    settings = load(env={name: value for name, value in environment.items() if name.startswith("BGPDRIFT_")})
    return Loop(store, settings, environment, feed, truth, plan, data, deadline, story).run()


def _outcome(model: TrainedModel) -> str:
    if model.exit_code:
        return f"  {model.model}: NOT in force, exit {model.exit_code}: {model.outcome}"
    return f"  {model.model} {model.version} in force: {model.windows:,} windows in {model.seconds:.0f} s"


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
def _clean_end() -> Iterator[None]:
    """Let a request to stop, or a terminal that closes, end the demo as Ctrl-C does: with nothing left behind."""

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _manage(environment: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "run_all_services", *words]
    try:
        return subprocess.run(  # noqa: S603 - our own program
            command, env=dict(environment), capture_output=True, text=True, check=False, timeout=MANAGE_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        said = f"{' '.join(words)}: no answer within {MANAGE_LIMIT_S:g} s"
        return subprocess.CompletedProcess(command, 1, "", said)


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


def _wait(store: Store, truth: Truth, deadline: float, story: "Story") -> bool:
    """Wait until every minute has a verdict and correlation has seen it."""
    start, last = int(truth.start), last_minute(truth)
    while time.monotonic() < deadline:
        newest = store.newest(verdicts) or start
        story.reach((newest - start) / 3600)
        for incident in store.incidents_between(start, last):
            story.incident(incident)
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
