"""Prints the progress of a demo: one line for each event, and a progress bar on a terminal."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from bgpdrift.formatting import format_time
from bgpdrift.lab.demo.messages import describe_change
from bgpdrift.lab.demo.timeline import StateChange

_REPORT_EVERY_H = 10.0
"""Event time between two progress lines where there is no bar."""


class Story:
    """Prints lines with the seconds since the start, and how far event time is.

    Parameters
    ----------
    console : Console
        Console to print on.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._hours, self._began = console, 0.0, time.monotonic()
        columns = (
            TextColumn("       simulated time"),
            BarColumn(),
            TextColumn("{task.completed:.1f} of {task.total:.1f} h"),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task: TaskID | None = None
        self._reported_h = 0.0
        self._incidents: dict[int, str] = {}
        self._requests: set[str] = set()

    def __enter__(self) -> "Story":
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the bar."""
        self._progress.stop()

    def begin(self, hours: float, text: str) -> None:
        """Print the first line; `hours` is the length of the scenario in event time."""
        self._hours, self._task = hours, self._progress.add_task("", total=hours)
        self.tell(text)

    def tell(self, text: str) -> None:
        """Print a line."""
        stamp = f"{time.monotonic() - self._began:4.0f} s "
        self._console.print(Text(stamp + text), soft_wrap=True)

    def show_progress(self, hours: float) -> None:
        """Show how far event time is."""
        if self._task is not None:
            self._progress.update(self._task, completed=max(0.0, min(hours, self._hours)))
        if not self._console.is_terminal and hours >= self._reported_h + _REPORT_EVERY_H:
            self._reported_h = hours // _REPORT_EVERY_H * _REPORT_EVERY_H
            self.tell(f"simulated {hours:.1f} of {self._hours:.1f} h")

    def tell_change(self, change: StateChange, start: int) -> None:
        """Print the message of a state change, and of equal requests only the first; incidents have lines of their own."""
        text = describe_change(change)
        if text and (change.kind != "request" or text not in self._requests):
            self._requests.add(text)
            self.tell(f"  {change.when(start)}  {text}")

    def tell_incident(self, row: Mapping[str, Any]) -> None:
        """Print once that an incident is open, and once that it is closed, with its explanation."""
        state = self._incidents.get(row["id"])
        if row["merged_into"] is not None or state == row["state"]:
            return
        if state is None:
            self.tell(f"incident {row['id']} opened, first anomaly at {format_time(row['started_at'])}: {row['kind']}")
        if row["state"] == "closed":
            self.tell(f"incident {row['id']} closed, last anomaly at {format_time(row['last_seen_at'])}: {row['kind']}")
        self._incidents[row["id"]] = row["state"]
