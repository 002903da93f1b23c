"""What happened in a life, in event time: incidents, questions, wishes to retrain, versions, probations, as lines and figures.

Looks at the store after every hour and writes down what is new. Decides nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bgpdrift.detector_registry import MODELS
from bgpdrift.store import Store

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was seen for the first time at ``at`` (event time, to the hour)."""

    at: int
    kind: str
    """``incident``, ``question``, ``wish``, ``version``, ``check``, ``probation``."""
    subject: str
    state: str
    text: str = ""

    def line(self, start: int) -> str:
        """One line, with the time since ``start``.

        Examples
        --------
        >>> Happening(93_600, "version", "lstm 2", "accepted").line(0)
        'day  1 02.00 h  version lstm 2: accepted'
        """
        return f"{self.when(start)}  {self.kind} {self.subject}: {self.state}{'; ' if self.text else ''}{self.text}"

    def when(self, start: int) -> str:
        """Event time since ``start``, e.g. ``day  1 02.00 h``."""
        return _day(self.at - start)


class Chronicle:
    """Keeps what was seen.

    Parameters
    ----------
    store : Store
        Where to look.
    start : int
        Event time that is day 0.
    tell : callable
        Hears of each.
    """

    def __init__(self, store: Store, start: int, tell: Callable[[Happening], None] = lambda _: None) -> None:
        self._store, self._start, self._tell = store, start, tell
        self._seen: dict[tuple[str, str], str] = {}
        self.happenings: list[Happening] = []

    def look(self, now: int) -> None:
        """Write down what is new."""
        for row in self._store.incidents_between(now - 40 * 86_400, now + HOUR_S):
            if row["merged_into"] is None:
                since = _day(int(row["started_at"]) - self._start)
                self._note(now, "incident", str(row["id"]), row["state"], f"{row['kind']} since {since}")
        for row in self._store.approvals():
            self._note(now, "question", str(row["id"]), row["state"], f"{row['kind']} {row['subject']}")
        for row in reversed(self._store.triggers()):
            text = f"{row['model']} by {row['requested_by']}"
            why = row["refused_because"] or row["reason"].get("waiting_for") or row["reason"].get("reason") or ""
            self._note(now, "wish", str(row["id"]), row["state"], f"{text}: {why}"[:240])
        for row in self._store.model_versions():
            self._note(now, "version", f"{row['model']} {row['version']}", row["state"])
        for model in MODELS:
            for kind, name in (("check", f"drift:{model}"), ("probation", f"probation:{model}")):
                cursor = self._store.read_cursor(name)
                if cursor is not None:
                    state, text = _said(kind, cursor.details)
                    self._note(now, kind, model, state, text)

    def first(self, kind: str, subject: str = "", state: str = "", since: int = 0) -> Happening | None:
        """First happening of a kind from some event time on, if any; "" is any."""
        return next(iter(self.all(kind, subject, state, since)), None)

    def all(self, kind: str, subject: str = "", state: str = "", since: int = 0) -> list[Happening]:
        """Happenings of a kind; a subject may be a beginning."""
        return [
            one
            for one in self.happenings
            if one.kind == kind and one.subject.startswith(subject) and state in ("", one.state) and one.at >= since
        ]

    def _note(self, now: int, kind: str, subject: str, state: str, text: str = "") -> None:
        if self._seen.get((kind, subject)) == state:
            return
        self._seen[kind, subject] = state
        self.happenings.append(Happening(now, kind, subject, state, text))
        self._tell(self.happenings[-1])


def _day(seconds: int) -> str:
    hours = seconds / HOUR_S
    return f"day {int(hours // 24):2} {hours % 24:05.2f} h"


def _said(kind: str, details: Mapping[str, Any]) -> tuple[str, str]:
    verdict = str(details.get("verdict", ""))
    if kind == "check" and verdict == "drift":
        verdict += f" {details.get('severity', '')}"
    return verdict, str(details.get("reason", ""))[:200]
