"""What a person or a program sees of a run: a progress bar on a terminal, one JSON line a phase otherwise.

Decides nothing; the worker says what happened, and the parent how it ended.
"""

import sys
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

WEIGHTS = {"read": 5, "fit": 25, "calibrate": 40, "evaluate": 20, "gate": 1, "stage": 6, "publish": 3}
"""Share of each phase in the bar, per cent: about what it takes."""


class Report(Protocol):
    """Where lines go."""

    def hear(self, line: Mapping[str, Any]) -> None:
        """A line of the worker."""
        ...

    def finish(self, line: Mapping[str, Any]) -> None:
        """The last line."""
        ...


LEAST_PROGRESS = 0.01
"""Share of the whole between two lines of progress."""


def done(phase: str, share: float) -> float:
    """How much of a whole run is done, 0 to 1, at a share of a phase.

    Examples
    --------
    >>> done("read", 1.0), done("fit", 0.4)
    (0.05, 0.15)
    """
    names = list(WEIGHTS)
    before = sum(WEIGHTS[name] for name in names[: names.index(phase)]) if phase in WEIGHTS else 0
    return round((before + WEIGHTS.get(phase, 0) * share) / 100.0, 4)


class JsonLines:
    """One object a line on standard output.

    Parameters
    ----------
    model : str
        Stands in each.
    tell_progress : bool
        Also within a phase, for those who watch the file it goes to: each time another hundredth of the whole is done.
    """

    def __init__(self, model: str, tell_progress: bool = False) -> None:
        self._model, self._tell_progress = model, tell_progress
        self._told = -1.0

    def hear(self, line: Mapping[str, Any]) -> None:
        """Print a phase, or how far it is."""
        if line["event"] == "retrain.progress":
            self._hear_progress(line)
        elif line["event"] != "retrain.result":
            self._print(line)

    def _hear_progress(self, line: Mapping[str, Any]) -> None:
        so_far = done(str(line["phase"]), float(line["share"]))
        if self._tell_progress and so_far >= self._told + LEAST_PROGRESS:
            self._told = so_far
            self._print({**line, "done": so_far})

    def finish(self, line: Mapping[str, Any]) -> None:
        """Print the end."""
        self._print({"event": "retrain.finished", **line})

    def _print(self, line: Mapping[str, Any]) -> None:
        sys.stdout.write(msgspec.json.encode({"model": self._model, **line}).decode() + "\n")
        sys.stdout.flush()


class Bar:
    """A progress bar, then the gate's checks and one line of result."""

    def __init__(self, model: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task(f"retrain_{model}", total=100)
        self._model, self._begun = model, False

    def hear(self, line: Mapping[str, Any]) -> None:
        """Move the bar."""
        if not self._begun:
            self._progress.start()
            self._begun = True
        if line["event"] == "retrain.progress":
            phase = str(line["phase"])
            so_far = 100.0 * done(phase, float(line["share"]))
            self._progress.update(self._task, completed=so_far, description=f"retrain_{self._model}: {phase}")

    def finish(self, line: Mapping[str, Any]) -> None:
        """Say what came of it."""
        from rich.table import Table
        from rich.text import Text

        self._progress.stop()
        if line.get("checks"):
            table = Table("check", "value", "threshold", "", "what it says", box=None)
            for check in line["checks"]:
                numbers = ("–" if check[name] is None else f"{check[name]:g}" for name in ("value", "threshold"))
                table.add_row(check["check"], *numbers, "ok" if check["passed"] else "NO", Text(check["sentence"]))
            self._console.print(table)
        version = f" version {line['version']}" if line.get("version") else ""
        reason = f": {line['reason']}" if line.get("reason") else ""
        self._console.print(Text(f"{self._model}{version}: {line['outcome']} in {line['seconds']:.1f} s{reason}"))


def report_for(model: str, as_json: bool, tell_progress: bool = False) -> Report:
    """Choose by who looks."""
    return Bar(model) if sys.stdout.isatty() and not as_json else JsonLines(model, tell_progress)
