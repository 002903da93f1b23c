"""bgpdrift's supervisor compared with supervisord, circus and PM2, each with the same eight small programs, in one run.

The managers run one after the other where speed is measured, and all at once where most of the time is spent waiting (idle, a
hung program, a program that always exits). The first run installs the other managers below the user's cache directory. A
manager that cannot be installed is reported and left out. ``MANAGERS=bgpdrift,PM2`` selects managers, ``MANAGERS_QUICK=1`` runs
few repetitions to check that everything works. Figures of the supervisor with the real services: `bench_supervisor`.
"""

import contextlib
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import marked_processes as processes
from benchmarks.managers import HEARTBEAT_S, LIMIT_S, MANAGERS, Manager
from bgpdrift.process.parent import adopt_orphans

QUICK = bool(os.environ.get("MANAGERS_QUICK"))
KILL_ROUNDS, STATUS_CALLS, IDLE_S, EXITS_S = (1, 3, 5.0, 8.0) if QUICK else (3, 20, 60.0, 30.0)
STOPPED_S, SETTLE_S, ORPHANS_S, AGAIN_S = 20.0, 5.0, 1.0, 5.0
BETWEEN_KILLS_S = 0.3
"""Each of eight programs is killed again after more than 1 s, so that all four managers treat it as a first failure."""
PROGRAMS = 8

Figures = dict[str, dict[str, float | None]]
"""By figure, then by manager; None for a hang that was not noticed."""

BARS = {
    "kill -9 to the new process, p50": ("ms", 50.0),
    "hung program replaced after": ("s", HEARTBEAT_S + 1.0),
    "start command to eight programs": ("s", None),
    "stop, one ignores TERM, one has descendants": ("s", 3.0),
    "processes left after that": ("", 0.0),
    "resident": ("MiB", 35.0),
    "idle CPU": ("%", 0.3),
    "status, p50": ("ms", 150.0),
    "orphans 1 s after kill -9 of it": ("", 0.0),
    "duplicates after the next start": ("", 0.0),
    f"instant exits for {EXITS_S:g} s: starts": ("", 6.0),
    f"instant exits for {EXITS_S:g} s: others restarted": ("", 0.0),
}
"""Unit, and limit for bgpdrift, in the order of the rows."""


class Session:
    """One manager with one fleet in a directory of its own; its end kills everything that was started."""

    def __init__(self, kind: type[Manager], fleet: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        self.mark, self.fleet = secrets.token_hex(8), fleet
        self.manager = kind(Path(self._folder.name), self.mark)

    def __enter__(self) -> "Session":
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        processes.end_all(self.mark)
        self._folder.cleanup()

    def start(self) -> float:
        """Start; returns the seconds until all eight programs exist and the manager's command has returned."""
        began = time.perf_counter()
        self.manager.start(self.fleet)
        self._until(lambda: len(self._names_started()) == PROGRAMS, "eight programs")
        return time.perf_counter() - began

    def kill_ms(self, name: str) -> float:
        """Kill one program; returns the milliseconds until a new process has replaced it."""
        manager, (victim,) = self.manager.pid(), processes.fleet(self.mark)[name]
        before, first_seen = processes.children_of(manager), dict[int, float]()
        os.kill(victim, signal.SIGKILL)
        began = time.perf_counter()
        while time.perf_counter() - began < LIMIT_S:
            for pid in processes.children_of(manager) - before:
                first_seen.setdefault(pid, time.perf_counter() - began)
                if name in processes.words_of(pid):
                    return 1e3 * first_seen[pid]
            time.sleep(0.0005)
        raise RuntimeError(f"{self.manager.name}: {name} was not restarted")

    def starts(self, until_s: float | None = None) -> dict[str, int]:
        """Return the number of starts of each program, in total or in the first seconds of the last program."""
        lines = [line.split() for line in self.manager.record.read_text().splitlines()]
        last_name = f"child{PROGRAMS}"
        first = next((float(at) for name, _, at in lines if name == last_name), 0.0)
        counts = dict.fromkeys({name for name, _, _ in lines}, 0)
        for name, _, at in lines:
            counts[name] += until_s is None or float(at) <= first + until_s
        return counts

    def _names_started(self) -> set[str]:
        record = self.manager.record
        return {line.split()[0] for line in record.read_text().splitlines()} if record.exists() else set()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        give_up_at = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > give_up_at:
                output = (self.manager.folder / "output.txt").read_text()[-1500:]
                raise RuntimeError(f"{self.manager.name}: no {what}: {output}")
            time.sleep(0.002)


def run() -> list[dict[str, Any]]:
    """Measure everything; returns the rows in the order of the figures."""
    # Orphans are reaped here at once: with a slow process 1 the pid of a dead manager would stay in use, and circus would not
    # start again.
    adopt_orphans()
    chosen = [name for name in os.environ.get("MANAGERS", "").split(",") if name]
    kinds, rows = [], [_row("load of the machine before", os.getloadavg()[0], "")]
    for kind in MANAGERS:
        if chosen and kind.name not in chosen:
            continue
        if reason := kind.install():
            print(f"{kind.name} cannot be installed: {reason}", file=sys.stderr)
            rows.append(_row(f"{kind.name}: cannot be installed, not measured", 0, ""))
        else:
            kinds.append(kind)
    figures: Figures = {what: {} for what in BARS}
    for kind in kinds:
        _speed(kind, figures)
        _killed(kind, figures)
        _stopped(kind, figures)
    _waiting(kinds, figures)
    _exiting(kinds, figures)
    for what, values in figures.items():
        rows += _rows(what, values)
    rows.append(_row("load of the machine after", os.getloadavg()[0], ""))
    return rows


def _speed(kind: type[Manager], figures: Figures) -> None:
    """Measure start, restart after a kill, and status."""
    session = Session(kind, "plain")
    try:
        figures["start command to eight programs"][kind.name] = session.start()
        time.sleep(2.0)
        restarts_ms = []
        for _ in range(KILL_ROUNDS):
            for number in range(1, PROGRAMS + 1):
                restarts_ms.append(session.kill_ms(f"child{number}"))
                time.sleep(BETWEEN_KILLS_S)
        figures["kill -9 to the new process, p50"][kind.name] = statistics.median(restarts_ms)
        status_ms = []
        for _ in range(STATUS_CALLS):
            began = time.perf_counter()
            session.manager.status()
            status_ms.append(1e3 * (time.perf_counter() - began))
        figures["status, p50"][kind.name] = statistics.median(status_ms)
    finally:
        session.__exit__()


def _killed(kind: type[Manager], figures: Figures) -> None:
    """Kill the manager; count the programs that survive it, and those that run twice after its next start."""
    with Session(kind, "plain") as session:
        time.sleep(2.0)
        manager = session.manager.pid()
        os.kill(manager, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(manager, 0)
        time.sleep(ORPHANS_S)
        orphans = processes.fleet(session.mark)
        figures["orphans 1 s after kill -9 of it"][kind.name] = sum(map(len, orphans.values()))
        session.manager.record.unlink()
        session.start()
        time.sleep(AGAIN_S)
        duplicates = [name for name, pids in processes.fleet(session.mark).items() if len(pids) > 1]
        figures["duplicates after the next start"][kind.name] = len(duplicates)


def _stopped(kind: type[Manager], figures: Figures) -> None:
    """Stop a fleet in which one program ignores TERM and one has a child and a daemon."""
    with Session(kind, "hard") as session:
        time.sleep(2.0)
        pid, began = session.manager.pid(), time.perf_counter()
        session.manager.stop()
        while processes.is_alive(pid) and time.perf_counter() - began < LIMIT_S:
            time.sleep(0.005)
        figures["stop, one ignores TERM, one has descendants"][kind.name] = time.perf_counter() - began
        figures["processes left after that"][kind.name] = len(processes.marked(session.mark))


def _waiting(kinds: list[type[Manager]], figures: Figures) -> None:
    """Measure idle managers; then suspend a program of each for 20 s."""
    with _sessions(kinds, "plain") as sessions:
        time.sleep(SETTLE_S)
        pids = {session.manager.name: session.manager.pid() for session in sessions}
        before = {name: (processes.cpu_s(pid), time.perf_counter()) for name, pid in pids.items()}
        time.sleep(IDLE_S)
        for name, pid in pids.items():
            cpu_s, at = before[name]
            figures["idle CPU"][name] = 100.0 * (processes.cpu_s(pid) - cpu_s) / (time.perf_counter() - at)
            figures["resident"][name] = processes.resident_mib(pid)
        replaced_s = figures["hung program replaced after"]
        replaced_s.update(dict.fromkeys(pids))
        victims = {session.manager.name: processes.fleet(session.mark)["child3"][0] for session in sessions}
        others = {name: processes.children_of(pid) for name, pid in pids.items()}
        began = dict[str, float]()
        for name, victim in victims.items():
            began[name] = time.perf_counter()
            os.kill(victim, signal.SIGSTOP)
        while time.perf_counter() - min(began.values()) < STOPPED_S:
            for name, victim in victims.items():
                if replaced_s[name] is None and not processes.is_alive(victim):
                    new = processes.children_of(pids[name]) - others[name]
                    if any("child3" in processes.words_of(pid) for pid in new):
                        replaced_s[name] = time.perf_counter() - began[name]
            time.sleep(0.01)


def _exiting(kinds: list[type[Manager]], figures: Figures) -> None:
    """Run one program that exits at once beside seven that do not."""
    with _sessions(kinds, "exits") as sessions:
        time.sleep(EXITS_S + 1.0)
        for session in sessions:
            name, within = session.manager.name, session.starts(EXITS_S)
            exits = f"child{PROGRAMS}"
            figures[f"instant exits for {EXITS_S:g} s: starts"][name] = within[exits]
            others = sum(count for other, count in session.starts().items() if other != exits) - (PROGRAMS - 1)
            figures[f"instant exits for {EXITS_S:g} s: others restarted"][name] = others


@contextlib.contextmanager
def _sessions(kinds: list[type[Manager]], fleet: str) -> Iterator[list[Session]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Session(kind, fleet)) for kind in kinds]


def _rows(what: str, values: dict[str, float | None]) -> list[dict[str, Any]]:
    unit, bar = BARS[what]
    rows, own = [], values.get("bgpdrift")
    for name, value in values.items():
        if value is None:
            rows.append(_row(f"{name}: {what}: not noticed in", STOPPED_S, unit))
        elif name == "bgpdrift":
            ratio = value / bar if bar else None
            rows.append(_row(f"{name}: {what}", value, unit, ratio, None if bar is None else f"bar {bar:g}"))
        else:
            ratio = value / own if own else None
            rows.append(_row(f"{name}: {what}", value, unit, ratio, "bgpdrift" if ratio is not None else None))
    return rows


def _row(name: str, value: float, unit: str, ratio: float | None = None, ratio_to: str | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "ratio_to": ratio_to}


def main() -> None:
    """Print the rows."""
    for row in run():
        against = f"   {row['ratio']:.2f} x {row['ratio_to']}" if row["ratio"] is not None else ""
        print(f"{row['name']:<66} {row['value']:>10.2f} {row['unit']}{against}")


if __name__ == "__main__":
    main()
