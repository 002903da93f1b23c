"""Score logs: CSV files, compressed or not, read into hours without holding all rows in memory.

This module decides the meaning of columns and what is refused. Every error names the file, the line, what was expected
and what was found. `bgpdrift.lab.text_lines` reads encodings and line ends, `bgpdrift.lab.time_column` the form of
times.

A header names the columns. Times are epoch seconds, milliseconds, microseconds or nanoseconds (distinguished by their
size, one unit a file), or ISO 8601, in UTC if no zone is given.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.compression import DecompressedStream
from bgpdrift.drift.constants import DAY_S, HOUR_S
from bgpdrift.drift.hours import BoolArray, FloatArray, Hours, IntArray, merge_hours
from bgpdrift.drift.scaling import IDENTITY, Scaling, choose_scaling
from bgpdrift.drift.stray_rows import find_stray_start
from bgpdrift.errors import InputError
from bgpdrift.formatting import format_duration, format_time
from bgpdrift.lab.numbers import is_number, parse_floats
from bgpdrift.lab.text_lines import read_lines
from bgpdrift.lab.time_column import TimeForm, describe_bad_time, find_time_form, parse_times

TIME_NAMES = ("time", "timestamp", "ts", "datetime", "date", "window_start", "at", "epoch")
SCORE_NAMES = ("score", "anomaly_score", "value")
ALARM_NAMES = ("is_anomaly", "is_alarm", "anomaly", "alarm", "prediction", "y_pred")
LABEL_NAMES = ("label", "truth", "y_true", "is_true_anomaly")
CHUNK_ROWS = 1 << 15
_DELIMITERS = ",;\t|"
_FLAG_WORDS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "anomaly", "anomalous", "attack", "1.0"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "normal", "benign", "", "0.0"), False),
}
_MAX_PARTS = 16
"""Chunks of hours that are kept before they are merged."""
BUFFER_ROWS = 1 << 20
"""Rows kept, 17 bytes each, until the scaling of the scores is decided."""
_MAX_NAMED = 5
"""Rows left out that are named; the others are counted."""
_SKIP_HINT = "--skip-missing leaves out and counts such rows"


@dataclass(frozen=True, slots=True)
class Columns:
    """Places of the columns in a row; ``alarm`` and ``label`` are None if there is no such column."""

    time: int
    score: int
    alarm: int | None
    label: int | None
    delimiter: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelTally:
    """Rows by truth and alarm."""

    true_positives: int = 0
    false_positives: int = 0
    true_negatives: int = 0
    false_negatives: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ScoreLog:
    """The content of a file.

    Attributes
    ----------
    name : str
        Name of the file.
    columns : Columns
        Columns that were used.
    hours : Hours
        Hours of all rows read.
    rows, skipped : int
        Rows read, and rows left out because they have no finite score or a time that does not fit the others.
    left_out : tuple of str
        The first rows left out for their time, each as a message.
    outcomes : mapping of int to ndarray of int, shape (4,)
        True positives, false positives, true negatives and false negatives by hour, if there are labels and alarms.
    """

    name: str
    columns: Columns
    hours: Hours
    rows: int
    skipped: int
    left_out: tuple[str, ...] = ()
    outcomes: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def span(self) -> tuple[int, int]:
        """Start of the first hour and end of the last, epoch seconds."""
        return int(self.hours.starts[0]), int(self.hours.starts[-1]) + HOUR_S

    def count_labels(self, start: int, end: int) -> LabelTally | None:
        """Count labels in ``[start, end)``; None without labels or alarms."""
        if self.columns.label is None or self.columns.alarm is None:
            return None
        inside = [counts for hour, counts in self.outcomes.items() if start <= hour < end]
        return LabelTally(*map(int, np.sum(inside, axis=0))) if inside else LabelTally()


def read_score_log(
    path: Path,
    *,
    time: str = "",
    score: str = "",
    skip_missing: bool = False,
    keep_s: int | None = None,
    current_s: int = 0,
) -> ScoreLog:
    """Read a log of scores.

    Parameters
    ----------
    path : Path
        CSV with a header, plain or compressed with gzip, bzip2 or zstd; ``-`` is standard input.
    time, score : str
        Names of the columns. Empty means one of `TIME_NAMES` or `SCORE_NAMES`, or the only column left.
    skip_missing : bool
        Leave out and count rows whose score is empty, NaN or infinite, or whose time is in another unit or far behind
        all others, instead of refusing the file.
    keep_s : int, optional
        Seconds before the newest row that are kept; older hours are dropped while reading.
    current_s : int
        Seconds before the newest row that are the current window; the rows before it decide the scaling of the scores.
        In a file with more than a million rows, the first million decide.

    Raises
    ------
    InputError
        The file, its header or a row is invalid, or there is no row.
    """
    reader = _read(path, time, score, skip_missing, keep_s)
    reader.fix_scaling(current_s)
    return reader.finish()


def read_score_logs(
    reference: Path, current: Path, *, time: str = "", score: str = "", skip_missing: bool = False
) -> tuple[ScoreLog, ScoreLog]:
    """Read a reference log and a current log, whose scores have the scaling that the reference decides.

    Parameters and errors are those of `read_score_log`.
    """
    before = _read(reference, time, score, skip_missing, None)
    now = _read(current, time, score, skip_missing, None, before.scaling)
    scaling = before.scaling or choose_scaling(before.scores_waiting(), now.scores_waiting())
    return before.finish(scaling), now.finish(scaling)


def find_columns(header: Sequence[str], name: str, delimiter: str, time: str = "", score: str = "") -> Columns:
    """Find the columns by their names.

    Examples
    --------
    >>> find_columns(["window_start", "Score", "is_anomaly"], "s.csv", ",")
    Columns(time=0, score=1, alarm=2, label=None, delimiter=',', names=('window_start', 'Score', 'is_anomaly'))
    >>> find_columns(["ts", "withdrawals"], "s.csv", ",").score
    1
    """
    names = [one.strip() for one in header]
    lowered = [one.lower() for one in names]
    if all(is_number(one) for one in names):
        raise InputError(f"{name}, line 1: expected a header that names the columns, found {', '.join(names)[:80]!r}")

    def find(wanted: str, default_names: Sequence[str]) -> int | None:
        if wanted:
            if wanted not in names:
                raise InputError(f"{name}, line 1: expected a column {wanted!r}, found {', '.join(names)[:300]}")
            return names.index(wanted)
        return next((lowered.index(one) for one in default_names if one in lowered), None)

    times, scores = find(time, TIME_NAMES), find(score, SCORE_NAMES)
    alarm, label = find("", ALARM_NAMES), find("", LABEL_NAMES)
    if times is None:
        raise InputError(
            f"{name}, line 1: expected a column of times, named {', '.join(TIME_NAMES)} or given with --time; "
            f"found {', '.join(names)[:300]}"
        )
    others = [at for at in range(len(names)) if at not in (times, alarm, label)]
    if scores is None and len(others) == 1:
        scores = others[0]
    if scores is None:
        raise InputError(
            f"{name}, line 1: expected a column of scores, named {', '.join(SCORE_NAMES)} or given with --score; "
            f"found {', '.join(names)[:300]}"
        )
    alarm, label = (None if at in (times, scores) else at for at in (alarm, label))
    return Columns(times, scores, alarm, label, delimiter, tuple(names))


def _read(
    path: Path, time: str, score: str, skip_missing: bool, keep_s: int | None, scaling: Scaling | None = None
) -> "_Reader":
    if str(path) == "-":
        return _read_stream(sys.stdin.buffer, "standard input", time, score, skip_missing, keep_s, scaling)
    try:
        with path.open("rb") as raw:
            return _read_stream(raw, str(path), time, score, skip_missing, keep_s, scaling)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _read_stream(
    raw: BinaryIO, name: str, time: str, score: str, skip_missing: bool, keep_s: int | None, scaling: Scaling | None
) -> "_Reader":
    lines = read_lines(DecompressedStream(raw), name)
    begin: list[str] = []
    for line in lines:
        begin.append(line)
        if line.strip():
            break
    else:
        raise InputError(f"{name}: expected a header and rows, found an empty file")
    delimiter = max(_DELIMITERS, key=begin[-1].count)
    rows = _read_rows(chain(begin, lines), delimiter, name)
    _, header = next(rows)
    reader = _Reader(name, find_columns(header, name, delimiter, time, score), skip_missing, keep_s, scaling)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        reader.add(chunk)
    return reader


def _read_rows(lines: Iterator[str], delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the number of the line in which each begins; blank lines are passed over."""
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    number = 1
    try:
        for row in reader:
            if row:
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error) or "field limit" in str(error) or "expected after" in str(error):
            raise InputError(
                f"{name}, line {number}: expected a quoted field that ends, found a quote that is not closed ({error})"
            ) from error
        raise InputError(f"{name}, line {number}: expected CSV, found an error: {error}") from error


@dataclass(slots=True, eq=False)
class _Rows:
    times: FloatArray
    scores: FloatArray
    alarms: NDArray[np.bool_] | None
    labels: NDArray[np.bool_] | None


@dataclass(slots=True, eq=False)
class _Reader:
    """Rows read so far."""

    name: str
    columns: Columns
    skip_missing: bool
    keep_s: int | None
    scaling: Scaling | None
    """None until it is decided."""
    form: TimeForm | None = None
    waiting: list[_Rows] = field(default_factory=list)
    """Rows read before the scaling is decided."""
    counts: dict[int, int] = field(default_factory=dict)
    """Rows by hour."""
    parts: list[Hours] = field(default_factory=list)
    outcomes: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    first_lines: dict[int, tuple[int, str]] = field(default_factory=dict)
    """First line of each hour, with the text of its time."""
    rows: int = 0
    skipped: int = 0
    left_out: list[str] = field(default_factory=list)

    def add(self, chunk: list[tuple[int, list[str]]]) -> None:
        """Add some rows."""
        read = self._parse(chunk)
        self.rows += len(read.scores)
        if not len(read.scores):
            return
        _count_outcomes(self.outcomes, read)
        if self.scaling is not None:
            self._fold(read, self.scaling)
            return
        self.waiting.append(read)
        if sum(len(one.scores) for one in self.waiting) >= BUFFER_ROWS:
            self.fix_scaling(DAY_S)

    def scores_waiting(self) -> FloatArray:
        """Return the scores of all rows that wait for the scaling, without those far behind all others."""
        return self._split_waiting(0)[0]

    def fix_scaling(self, current_s: int) -> None:
        """Decide the scaling from the rows that wait; the last ``current_s`` seconds are the current window."""
        if self.scaling is None:
            self.scaling = choose_scaling(*self._split_waiting(current_s))

    def _split_waiting(self, current_s: int) -> tuple[FloatArray, FloatArray]:
        """Scores before and within the last seconds."""
        if not self.waiting:
            return np.zeros(0), np.zeros(0)
        times = np.concatenate([one.times for one in self.waiting])
        scores = np.concatenate([one.scores for one in self.waiting])
        last = self._last_known_hour()
        known, since = times < last + HOUR_S, last + HOUR_S - current_s
        kept = known if self.keep_s is None else known & (times >= last - self.keep_s)
        return scores[kept & (times < since)], scores[kept & (times >= since)]

    def finish(self, scaling: Scaling | None = None) -> ScoreLog:
        """Return the log of all rows, with the scaling that was decided or is given."""
        fixed = self.scaling or scaling or IDENTITY
        for read in self.waiting:
            self._fold(read, fixed)
        self.waiting = []
        hours = self._merge()
        stray = find_stray_start(hours.starts, hours.n)
        if stray is not None:
            line, text = self.first_lines[stray]
            last = int(hours.starts[hours.starts < stray][-1]) + HOUR_S
            self._leave_out(
                f"{self.name}, line {line}: expected a time near the others, which end at {format_time(last)} UTC, "
                f"found {text[:40]!r}, {format_time(stray)} UTC, {format_duration(stray - last)} later"
            )
            behind = hours.starts >= stray
            self.skipped, self.rows = self.skipped + int(hours.n[behind].sum()), self.rows - int(hours.n[behind].sum())
            self.outcomes = {hour: counts for hour, counts in self.outcomes.items() if hour < stray}
            hours = hours.select(~behind)
        if not self.rows:
            left_out = f", {self.skipped:,} left out" if self.skipped else ""
            raise InputError(f"{self.name}: expected rows below the header, found none{left_out}")
        return ScoreLog(
            self.name, self.columns, hours, self.rows, self.skipped, tuple(self.left_out[:_MAX_NAMED]), self.outcomes
        )

    def _last_known_hour(self) -> int:
        """Start of the newest hour, without rows far behind all others."""
        starts = np.array(sorted(self.counts), np.int64)
        stray = find_stray_start(starts, np.array([self.counts[start] for start in starts.tolist()]))
        return int((starts if stray is None else starts[starts < stray])[-1])

    def _fold(self, read: _Rows, scaling: Scaling) -> None:
        self.parts.append(Hours.from_rows(read.times, read.scores, read.alarms, scaling))
        if len(self.parts) >= _MAX_PARTS:
            self._merge()

    def _merge(self) -> Hours:
        merged = merge_hours(self.parts)
        if self.keep_s is not None and len(merged):
            merged = merged.between(self._last_known_hour() - self.keep_s, int(merged.starts[-1]) + 1)
        self.parts = [merged]
        return merged

    def _parse(self, chunk: list[tuple[int, list[str]]]) -> _Rows:
        columns, width = self.columns, len(self.columns.names)
        for line, row in chunk:
            if len(row) != width:
                raise InputError(
                    f"{self.name}, line {line}: expected {width} columns as in the header, found {len(row)}"
                )
        at, rows = np.array([line for line, _ in chunk]), [row for _, row in chunk]
        score_texts, time_texts = ([row[place] for row in rows] for place in (columns.score, columns.time))
        self.form = self.form or find_time_form(time_texts)
        scores, (times, is_bad_time) = parse_floats(score_texts), parse_times(time_texts, self.form)
        is_bad_score = ~np.isfinite(scores)
        self._report_bad_scores(np.flatnonzero(is_bad_score), at, score_texts)
        for place in np.flatnonzero(is_bad_time & ~is_bad_score).tolist():
            reason = describe_bad_time(time_texts[place], self.form, columns.names[columns.time])
            self._leave_out(f"{self.name}, line {at[place]}: {reason}")
        kept = np.flatnonzero(~(is_bad_score | is_bad_time))
        self.skipped += len(rows) - len(kept)
        if len(kept) < len(rows):
            at, rows, scores, times = at[kept], [rows[place] for place in kept], scores[kept], times[kept]
        hours, firsts, counts = np.unique(times // HOUR_S, return_index=True, return_counts=True)
        for hour, place, n in zip(hours.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            start = int(hour) * HOUR_S
            self.first_lines.setdefault(start, (int(at[place]), rows[place][columns.time]))
            self.counts[start] = self.counts.get(start, 0) + n
        flags: list[BoolArray | None] = [
            None
            if column is None
            else _parse_flags([row[column] for row in rows], at, columns.names[column], self.name)
            for column in (columns.alarm, columns.label)
        ]
        return _Rows(times, scores, flags[0], flags[1])

    def _report_bad_scores(self, places: IntArray, at: IntArray, texts: list[str]) -> None:
        if len(places) and not self.skip_missing:
            place = int(places[0])
            raise InputError(
                f"{self.name}, line {at[place]}: expected a finite number as "
                f"{self.columns.names[self.columns.score]!r}, found {texts[place][:40]!r}; {_SKIP_HINT}"
            )

    def _leave_out(self, message: str) -> None:
        """Refuse the file because of a row, or remember that the row was left out."""
        if not self.skip_missing:
            raise InputError(f"{message}; {_SKIP_HINT}")
        if len(self.left_out) < _MAX_NAMED:
            self.left_out.append(message)


def _parse_flags(texts: list[str], at: NDArray[np.int64], column: str, name: str) -> NDArray[np.bool_]:
    values = [_FLAG_WORDS.get(text.strip().lower()) for text in texts]
    if None in values:
        place = values.index(None)
        raise InputError(
            f"{name}, line {at[place]}: expected 0 or 1, true or false as {column!r}, found {texts[place][:40]!r}"
        )
    return np.array(values, dtype=bool)


def _count_outcomes(outcomes: dict[int, NDArray[np.int64]], read: _Rows) -> None:
    if read.alarms is None or read.labels is None:
        return
    hours = (read.times // HOUR_S).astype(np.int64) * HOUR_S
    kinds = np.where(read.labels, np.where(read.alarms, 0, 3), np.where(read.alarms, 1, 2))
    for hour in np.unique(hours):
        counts = np.bincount(kinds[hours == hour], minlength=4)
        outcomes[int(hour)] = outcomes.get(int(hour), np.zeros(4, np.int64)) + counts
