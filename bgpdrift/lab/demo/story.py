"""What a person sees while the demo runs: a line for everything that happens, and a bar where there is a terminal.

Decides nothing.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from bgpdrift.lab.demo.chronicle import Happening
from bgpdrift.lab.demo.messages import said

_EVERY_H = 10.0  # without a bar


class Story:
    """Lines with the seconds since the beginning, and how far simulated time is.

    Parameters
    ----------
    console : Console
        Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._hours, self._began = console, 0.0, time.monotonic()
        shown = (
            TextColumn("       simulated time"),
            BarColumn(),
            TextColumn("{task.completed:.1f} of {task.total:.1f} h"),
        )
        self._progress = Progress(*shown, console=console, disable=not console.is_terminal, transient=True)
        self._task: TaskID | None = None
        self._told_h = 0.0
        self._incidents: dict[int, str] = {}

    def __enter__(self) -> "Story":
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the bar away."""
        self._progress.stop()

    def begin(self, hours: float, text: str) -> None:
        """Say what will happen, and how much simulated time that is."""
        self._hours, self._task = hours, self._progress.add_task("", total=hours)
        self.tell(text)

    def tell(self, text: str) -> None:
        """Print a line."""
        stamp = f"{time.monotonic() - self._began:4.0f} s "
        self._console.print(Text(stamp + text), soft_wrap=True)

    def reach(self, hours: float) -> None:
        """Say how far simulated time is."""
        if self._task is not None:
            self._progress.update(self._task, completed=max(0.0, min(hours, self._hours)))
        if not self._console.is_terminal and hours >= self._told_h + _EVERY_H:
            self._told_h = hours // _EVERY_H * _EVERY_H
            self.tell(f"simulated {hours:.1f} of {self._hours:.1f} h")

    def happened(self, one: Happening, start: int) -> None:
        """Print what became of a drift, a question, a wish or a version; incidents have lines of their own."""
        text = said(one)
        if text:
            self.tell(f"  {one.when(start)}  {text}")

    def incident(self, row: Mapping[str, Any]) -> None:
        """Say that an incident was opened, and what it was when it is over: each once."""
        known = self._incidents.get(row["id"])
        if row["merged_into"] is not None or known == row["state"]:
            return
        if known is None:
            self.tell(f"incident {row['id']} opened at {_at(row['started_at'])}, looks like: {row['kind']}")
        if row["state"] == "closed":
            self.tell(f"incident {row['id']} closed, its last anomaly at {_at(row['last_seen_at'])}: {row['kind']}")
        self._incidents[row["id"]] = row["state"]


def _at(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
