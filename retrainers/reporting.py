"""The output of a run: a progress bar on a terminal, one JSON line per phase otherwise."""

import sys
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

WEIGHTS = {"read": 5, "fit": 25, "calibrate": 40, "evaluate": 20, "gate": 1, "stage": 6, "publish": 3}
"""Share of each phase in the progress of a run, per cent; about the share of its duration."""
MIN_PROGRESS_STEP = 0.01
"""Share of the whole run between two lines of progress."""


class Reporter(Protocol):
    """Receives the lines of a run."""

    def report(self, line: Mapping[str, Any]) -> None:
        """Receive a line of the worker."""
        ...

    def finish(self, line: Mapping[str, Any]) -> None:
        """Receive the last line."""
        ...


def compute_progress(phase: str, share: float) -> float:
    """Compute the progress of the whole run, 0 to 1, from the progress of a phase.

    Examples
    --------
    >>> compute_progress("read", 1.0), compute_progress("fit", 0.4)
    (0.05, 0.15)
    """
    names = list(WEIGHTS)
    before = sum(WEIGHTS[name] for name in names[: names.index(phase)]) if phase in WEIGHTS else 0
    return round((before + WEIGHTS.get(phase, 0) * share) / 100.0, 4)


class JsonLines:
    """Prints one JSON object a line on standard output.

    Parameters
    ----------
    model : str
        Part of each line.
    report_progress : bool
        Also print progress within a phase, each time another hundredth of the run is done.
    """

    def __init__(self, model: str, report_progress: bool = False) -> None:
        self._model, self._report_progress = model, report_progress
        self._last_progress = -1.0

    def report(self, line: Mapping[str, Any]) -> None:
        """Print the end of a phase, or the progress."""
        if line["event"] == "retrain.progress":
            self._print_progress(line)
        elif line["event"] != "retrain.result":
            self._print(line)

    def _print_progress(self, line: Mapping[str, Any]) -> None:
        progress = compute_progress(str(line["phase"]), float(line["share"]))
        if self._report_progress and progress >= self._last_progress + MIN_PROGRESS_STEP:
            self._last_progress = progress
            self._print({**line, "done": progress})

    def finish(self, line: Mapping[str, Any]) -> None:
        """Print the result."""
        self._print({"event": "retrain.finished", **line})

    def _print(self, line: Mapping[str, Any]) -> None:
        sys.stdout.write(msgspec.json.encode({"model": self._model, **line}).decode() + "\n")
        sys.stdout.flush()


class ProgressBar:
    """Shows a progress bar, then the checks of the gate and one line with the result."""

    def __init__(self, model: str) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from bgpdrift.terminal import make_console

        self._console = make_console()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task(f"retrain_{model}", total=100)
        self._model, self._is_started = model, False

    def report(self, line: Mapping[str, Any]) -> None:
        """Update the bar."""
        if not self._is_started:
            self._progress.start()
            self._is_started = True
        if line["event"] == "retrain.progress":
            phase = str(line["phase"])
            completed = 100.0 * compute_progress(phase, float(line["share"]))
            self._progress.update(self._task, completed=completed, description=f"retrain_{self._model}: {phase}")

    def finish(self, line: Mapping[str, Any]) -> None:
        """Print the checks and the result."""
        from rich.table import Table
        from rich.text import Text

        self._progress.stop()
        if line.get("checks"):
            table = Table("check", "value", "threshold", "passed", "message", box=None)
            for check in line["checks"]:
                numbers = ("–" if check[name] is None else f"{check[name]:g}" for name in ("value", "threshold"))
                table.add_row(check["name"], *numbers, "yes" if check["passed"] else "NO", Text(check["message"]))
            self._console.print(table)
        version = f" version {line['version']}" if line.get("version") else ""
        reason = f": {line['reason']}" if line.get("reason") else ""
        self._console.print(Text(f"{self._model}{version}: {line['outcome']} in {line['seconds']:.1f} s{reason}"))


def choose_reporter(model: str, as_json: bool, report_progress: bool = False) -> Reporter:
    """Choose the bar on a terminal, JSON lines otherwise."""
    return ProgressBar(model) if sys.stdout.isatty() and not as_json else JsonLines(model, report_progress)
