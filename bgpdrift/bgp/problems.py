"""Collects what a reader could not use: the place in the file, the reason, and the number.

This module decides how problems are counted and worded. Damage makes a command exit non-zero. Records and routes of kinds that
are not read are passed over, and notes name what was read in another way than the file states; both are reported only.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from bgpdrift.formatting import escape_control

_MAX_KEPT_PROBLEMS = 1_000
_MAX_REASONS = 50
"""Reasons that are counted one by one; the texts are few, and a hostile file must not add more."""
_OTHER = "another reason"
_MAX_KINDS = 200
OTHER_KINDS = "other kinds"


class Problem(NamedTuple):
    """The reason, and the place: an offset in the uncompressed data, or the number of a line."""

    offset: int
    reason: str


class KindCounts(Counter[str]):
    """Counts by kind, for few kinds: those beyond `_MAX_KINDS`, which only a hostile file has, are counted together.

    Examples
    --------
    >>> counts = KindCounts()
    >>> for number in range(500):
    ...     counts[f"AFI/SAFI {number}/1"] += 2
    >>> len(counts), counts["AFI/SAFI 0/1"], counts[OTHER_KINDS]
    (201, 2, 600)
    """

    def __setitem__(self, kind: str, number: int) -> None:
        """Set a count; the count of a new kind without a place is added to `OTHER_KINDS`."""
        if kind not in self and kind != OTHER_KINDS and len(self) >= _MAX_KINDS:
            kind, number = OTHER_KINDS, self[OTHER_KINDS] + number
        super().__setitem__(kind, number)


@dataclass(slots=True)
class Problems:
    """Problems of a file: all are counted, the first thousand are kept.

    Attributes
    ----------
    total : int
        Number of lines, records or spans that could not be read, or only in part.
    by_reason : Counter
        The same by reason.
    first : list of Problem
        The first problems.
    places : dict of str to int
        Place of the first problem of each reason.
    skipped : Counter
        Valid records and routes of kinds that are not read (OSPF, VPN routes, …), by kind.
    notes : Counter
        Records that were read in another way than the file states, by description.
    unit : str
        What a place is: ``offset`` or ``line``.
    collector : str
        Route collector whose windows are concerned; empty if the file does not name one.
    report : ProblemReport, optional
        Also receives the count.
    """

    total: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[Problem] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=KindCounts)
    notes: Counter[str] = field(default_factory=KindCounts)
    unit: str = "offset"
    collector: str = ""
    report: "ProblemReport | None" = None

    def add(self, offset: int, reason: str) -> None:
        """Count a problem; ``reason`` is one of a few texts, without numbers."""
        self.total += 1
        if reason not in self.by_reason and len(self.by_reason) >= _MAX_REASONS:
            reason = _OTHER
        self.by_reason[reason] += 1
        self.places.setdefault(reason, offset)
        if len(self.first) < _MAX_KEPT_PROBLEMS:
            self.first.append(Problem(offset, reason))
        if self.report is not None:
            self.report.uncounted[self.collector] += 1

    def describe(self, file: str) -> Iterator[str]:
        """Describe each kind of problem in a line, the most frequent first.

        Examples
        --------
        >>> problems = Problems(unit="line")
        >>> problems.add(5, "not JSON")
        >>> problems.skipped["AFI/SAFI 1/128"] += 3
        >>> list(problems.describe("a.jsonl"))
        ['a.jsonl: 1 damaged: not JSON (first at line 5)', 'a.jsonl: 3 routes of AFI/SAFI 1/128 passed over']
        """
        name = escape_control(file)
        for reason, number in self.by_reason.most_common():
            text = escape_control(reason)
            yield f"{name}: {number:,} damaged: {text} (first at {self.unit} {self.places[reason]})"
        for kind, number in self.skipped.most_common():
            if kind.startswith("AFI/SAFI"):
                yield f"{name}: {number:,} {_plural('route', number)} of {kind} passed over"
            else:
                yield f"{name}: {number:,} {_plural('record', number)} passed over: {kind} is not read"
        for note, number in self.notes.most_common():
            yield f"{name}: {number:,} {_plural('record', number)} {note}"


class ProblemReport:
    """Problems of several files.

    Attributes
    ----------
    uncounted : Counter
        Problems that no window has counted yet, by collector.
    """

    def __init__(self) -> None:
        self._files: dict[str, Problems] = {}
        self.uncounted: Counter[str] = KindCounts()

    def open(self, file: str) -> Problems:
        """Return the problems of a file, which are empty at first."""
        problems = self._files[file] = Problems(report=self)
        return problems

    @property
    def total(self) -> int:
        """Number of problems of all files."""
        return sum(problems.total for problems in self._files.values())

    def describe(self) -> Iterator[str]:
        """Describe the problems of all files, a line for each kind."""
        for file, problems in self._files.items():
            yield from problems.describe(file)


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else noun + "s"
