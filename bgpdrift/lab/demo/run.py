"""Runs the whole system on the simulated feed, from outside, with the commands that a user has.

This module decides the order: history, training, then the acts. The acts are those of `week` if the scenario has the form of
the week, those of `short` if it has another persistent change, and none otherwise. `judge`, `short` and `week_checks` decide
what must have happened.
"""

import contextlib
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bgpdrift import logs
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.lab.demo import history, settings, training
from bgpdrift.lab.demo.feed import Feed, running_feed
from bgpdrift.lab.demo.judge import Report, compare, last_minute
from bgpdrift.lab.demo.settings import ChangedSetting
from bgpdrift.lab.demo.short import play_short
from bgpdrift.lab.demo.stage import HOUR_S, Stage, Step
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.demo.week import play_week
from bgpdrift.lab.demo.week_plan import plan_of
from bgpdrift.lab.simulation.truth import Truth, decode_truth
from bgpdrift.process.child import Finished, run_command
from bgpdrift.settings import load
from bgpdrift.store import Store, open_store

if TYPE_CHECKING:
    from bgpdrift.lab.demo.story import Story

MARKER = ".bgpdrift-demo"
MANAGE_LIMIT_S = 90.0
MAX_SPEED = 10_000
"""Seconds of event time per second, at most. At a higher speed services fall hours behind within one poll."""


@dataclass(frozen=True)
class Programme:
    """The history, the models, the settings and the acts for a scenario.

    Attributes
    ----------
    history_h : float
        Hours of event time to train on.
    models : sequence of str
        Models to train on the history. The others keep their packaged versions.
    changed_settings : sequence of ChangedSetting
        Settings that the demo changes.
    play : callable or None
        The acts after the training.
    """

    history_h: float
    models: Sequence[str] = MODELS
    changed_settings: Sequence[ChangedSetting] = ()
    play: Callable[[Stage], list[Step]] | None = None


HISTORY_WEEK_H = 64.0
"""Two days to train on, which are also the reference, and a fifth that evaluates; the first incident begins after 68 hours."""
HISTORY_SHORT_H = 64.0
"""The same for the short demo, where a tenth evaluates; the incident begins after 67 hours."""
SHORT_MODELS = ("isolation_forest", "lstm")
"""The rules are not trained in the short demo: the packaged rules are about as good, so the gate may reject new ones."""
HISTORY_PLAIN_H = 26.5
"""The same for a scenario without a persistent change, which needs no reference: a day, and a fifth that evaluates."""


def choose_programme(truth: Truth) -> Programme:
    """Choose the acts for a scenario."""
    plan = plan_of(truth)
    if plan is not None:
        return Programme(HISTORY_WEEK_H, MODELS, settings.WEEK, lambda stage: play_week(stage, plan))
    if truth.regimes and truth.incidents:
        change_at = int(truth.regimes[0].start)
        return Programme(HISTORY_SHORT_H, SHORT_MODELS, settings.SHORT, lambda stage: play_short(stage, change_at))
    return Programme(HISTORY_PLAIN_H)


def run_demo(folder: Path, scenario: str, limit_s: float) -> Report:
    """Run a scenario to its end.

    Raises
    ------
    InputError
        The folder holds something that is not an earlier demo.
    BgpdriftError
        Feed or services did not start.
    """
    from bgpdrift.lab.demo.story import Story
    from bgpdrift.terminal import make_console

    _prepare(folder)
    logs.configure("warning", "console", service="demo")
    began = time.monotonic()
    data, truth_file = folder / "data", folder / "truth.json"
    command = [sys.executable, "-m", "bgpdrift.cli", "simulate", "--scenario", scenario, "--truth", str(truth_file)]
    command += ["--listen", "127.0.0.1:0", "--speed", str(MAX_SPEED), "--hold"]
    with _clean_end(), Story(make_console()) as story, running_feed(command, folder / "feed.log") as feed:
        truth = decode_truth(truth_file.read_bytes())
        programme = choose_programme(truth)
        environment = _environment(folder, feed.url, limit_s, programme.changed_settings)
        hours = (last_minute(truth) - int(truth.start)) / HOUR_S
        count = len(truth.incidents)
        planned = f"{count} planned incident{'' if count == 1 else 's'}"
        story.begin(hours, f"a simulated Internet is ready: {hours:.0f} hours, {planned}")
        if programme.changed_settings:
            story.tell(settings.describe(programme.changed_settings))
        deadline, steps = began + limit_s, list[Step]()
        with _services(folder, environment), open_store(data / "bgpdrift.sqlite3") as store:
            story.tell(f"all services run; data and logs are in {data}")
            models, since, problems = _train(store, feed, truth, programme, environment, data, deadline, story)
            if programme.play is not None and not problems:
                own = load(env={name: value for name, value in environment.items() if name.startswith("BGPDRIFT_")})
                steps = programme.play(Stage(store, own, environment, feed, truth, data, deadline, story))
            feed.hold(math.inf)
            feed.resume()
            if not _wait_for_end(store, truth, deadline, story):
                problems += (f"not finished within {limit_s:.0f} s",)
            memory = _read_memory(environment)
            report = compare(store, truth, data, time.monotonic() - began, memory)
            models = training.count_votes(store, models, since, int(truth.end))
            story.tell("every minute has a verdict; the services stop")
    left = _find_processes(folder)
    problems += (f"processes left after stop: {left}",) if left else ()
    return replace(report, models=tuple(models), steps=tuple(steps), problems=problems)


def _environment(folder: Path, url: str, limit_s: float, changed: Sequence[ChangedSetting]) -> dict[str, str]:
    environment = {
        **os.environ,
        "BGPDRIFT_DATA_DIR": str(folder / "data"),
        "BGPDRIFT_FEED__URL": url,
        "BGPDRIFT_FEED__CLIENT": "demo",
        # A paused feed is neither a lost server nor quiet minutes that have to be closed.
        "BGPDRIFT_FEED__SILENCE_S": str(limit_s),
        "BGPDRIFT_WINDOWS__IDLE_CLOSE_S": str(limit_s),
    }
    environment.pop("BGPDRIFT_CONFIG", None)
    return environment | {f"BGPDRIFT_{one.name}": one.value for one in changed}


def _train(
    store: Store,
    feed: Feed,
    truth: Truth,
    programme: Programme,
    environment: Mapping[str, str],
    data: Path,
    deadline: float,
    story: "Story",
) -> tuple[list[TrainedModel], int, tuple[str, ...]]:
    """Gather the history and train on it.

    Returns the models, the event time from which all of them are active, and the problems.
    """
    hours, start = programme.history_h, int(truth.start)
    until = start + int(hours * HOUR_S)
    if int(truth.end) < until + HOUR_S:
        story.tell("the scenario is too short to train on; only the packaged rules vote")
        return [], start, ()

    def read() -> history.Position:
        return history.read_position(store, data)

    def show(now: history.Position) -> None:
        story.show_progress((now.window - start) / HOUR_S)

    story.tell(f"gathering a history of {hours:g} simulated hours to train on")
    if not history.gather_history(feed, read, until, deadline, report=show):
        return [], start, ("the feed ended before the history was gathered",) if feed.has_ended else ()
    if not history.wait_until_idle(read, deadline, report=show):
        return [], start, ("the history was not processed in time to train on it",)
    newest = read().window
    story.tell(f"{(newest + 60 - start) / HOUR_S:.1f} h have verdicts; the feed pauses while models train")
    overrun = [item for item in truth.incidents if until <= int(item.start) <= newest]
    models = training.train_all(
        environment, deadline, lambda model: story.tell(_describe_training(model)), models=programme.models
    )
    feed.resume()
    story.tell("the feed goes on")
    problems = ("the history reaches into the first incident: the feed paused too late",) if overrun else ()
    return models, newest + 60, problems


def _describe_training(model: TrainedModel) -> str:
    if model.exit_code:
        return f"  {model.model} is NOT active, exit {model.exit_code}: {model.outcome}"
    return f"  {model.model} {model.version} is active, trained on {model.windows:,} windows in {model.seconds:.0f} s"


def _prepare(folder: Path) -> None:
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARKER).exists():
            raise InputError(f"{folder}: expected a folder of an earlier demo or none, found other files; choose --dir")
        if _find_processes(folder):
            raise InputError(f"{folder}: a demo is still running there (pid {_find_processes(folder)})")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


@contextlib.contextmanager
def _clean_end() -> Iterator[None]:
    """Let TERM and HUP end the demo as Ctrl-C does, with no process left behind."""

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _manage(environment: Mapping[str, str], *arguments: str) -> Finished:
    try:
        return run_command([sys.executable, "-m", "run_all_services", *arguments], MANAGE_LIMIT_S, environment)
    except TimeoutError:
        return Finished(1, "", f"{' '.join(arguments)}: no answer within {MANAGE_LIMIT_S:g} s")


@contextlib.contextmanager
def _services(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    started = _manage(environment, "start")
    try:
        if started.exit_code != 0:
            raise BgpdriftError(
                f"the services did not start:\n{started.stdout}{started.stderr}logs: {folder / 'data' / 'logs'}"
            )
        yield
    finally:
        _manage(environment, "stop")


def _wait_for_end(store: Store, truth: Truth, deadline: float, story: "Story") -> bool:
    """Wait until every minute has a verdict that the correlation engine has read. False if the time ended first."""
    start, last = int(truth.start), last_minute(truth)
    while time.monotonic() < deadline:
        newest = store.newest_verdict_start() or start
        story.show_progress((newest - start) / HOUR_S)
        for incident in store.incidents_between(start, last):
            story.tell_incident(incident)
        if newest >= last and store.read_position("correlation_engine") >= store.newest_verdict_id():
            return True
        time.sleep(0.5)
    return False


def _read_memory(environment: Mapping[str, str]) -> dict[str, int]:
    status = _manage(environment, "status", "--json")
    services = json.loads(status.stdout)["services"] if status.stdout.startswith("{") else []
    return {service["name"]: int(service["rss_bytes"] or 0) for service in services}


def _find_processes(folder: Path) -> list[int]:
    """Return the ids of processes whose environment names the data directory of this folder."""
    variable = f"BGPDRIFT_DATA_DIR={folder / 'data'}".encode()
    pids = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                if variable in (process / "environ").read_bytes().split(b"\0"):
                    pids.append(int(process.name))
    return sorted(pids)
