"""Score logs: CSV files, compressed or not, read into hours without holding all rows in memory.

Decides the meaning of columns, the form of times and what is refused. Every error names the file, the line, what was
expected and what was found.

A header names the columns. Times are epoch seconds, milliseconds, microseconds or nanoseconds (distinguished by their
size), or ISO 8601, in UTC if no zone is given.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.compression import DecompressedStream
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.hours import FloatArray, Hours, merge_hours
from bgpdrift.errors import InputError

TIME_NAMES = ("time", "timestamp", "ts", "datetime", "date", "window_start", "at", "epoch")
SCORE_NAMES = ("score", "anomaly_score", "value")
ALARM_NAMES = ("is_anomaly", "is_alarm", "anomaly", "alarm", "prediction", "y_pred")
LABEL_NAMES = ("label", "truth", "y_true", "is_true_anomaly")
CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20
_DELIMITERS = ",;\t|"
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Number above which a time is in this many units a second. Seconds reach 1e11 in the year 5138."""
_FLAG_WORDS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "anomaly", "anomalous", "attack", "1.0"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "normal", "benign", "", "0.0"), False),
}
_MAX_PARTS = 16
"""Chunks of hours that are kept before they are merged."""


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
        Rows read, and rows skipped because they have no finite score.
    outcomes : mapping of int to ndarray of int, shape (4,)
        True positives, false positives, true negatives and false negatives by hour, if there are labels and alarms.
    """

    name: str
    columns: Columns
    hours: Hours
    rows: int
    skipped: int
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
    path: Path, *, time: str = "", score: str = "", skip_missing: bool = False, keep_s: int | None = None
) -> ScoreLog:
    """Read a log of scores.

    Parameters
    ----------
    path : Path
        CSV with a header, plain or compressed with gzip, bzip2 or zstd; ``-`` is standard input.
    time, score : str
        Names of the columns. Empty means one of `TIME_NAMES` or `SCORE_NAMES`, or the only column left.
    skip_missing : bool
        Skip and count rows whose score is empty, NaN or infinite, instead of refusing the file.
    keep_s : int, optional
        Seconds before the newest row that are kept; older hours are dropped while reading.

    Raises
    ------
    InputError
        The file, its header or a row is invalid, or there is no row.
    """
    if str(path) == "-":
        return _read(sys.stdin.buffer, "standard input", time, score, skip_missing, keep_s)
    try:
        with path.open("rb") as raw:
            return _read(raw, str(path), time, score, skip_missing, keep_s)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


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
    if all(_is_number(one) for one in names):
        raise InputError(f"{name}, line 1: a header that names the columns expected, found {', '.join(names)[:80]!r}")

    def find(wanted: str, default_names: Sequence[str]) -> int | None:
        if wanted:
            if wanted not in names:
                raise InputError(f"{name}, line 1: a column {wanted!r} expected, found {', '.join(names)[:300]}")
            return names.index(wanted)
        return next((lowered.index(one) for one in default_names if one in lowered), None)

    times, scores = find(time, TIME_NAMES), find(score, SCORE_NAMES)
    alarm, label = find("", ALARM_NAMES), find("", LABEL_NAMES)
    if times is None:
        raise InputError(
            f"{name}, line 1: a column of times expected, named {', '.join(TIME_NAMES)} or given with --time; "
            f"found {', '.join(names)[:300]}"
        )
    others = [at for at in range(len(names)) if at not in (times, alarm, label)]
    if scores is None and len(others) == 1:
        scores = others[0]
    if scores is None:
        raise InputError(
            f"{name}, line 1: a column of scores expected, named {', '.join(SCORE_NAMES)} or given with --score; "
            f"found {', '.join(names)[:300]}"
        )
    alarm, label = (None if at in (times, scores) else at for at in (alarm, label))
    return Columns(times, scores, alarm, label, delimiter, tuple(names))


def _read(raw: BinaryIO, name: str, time: str, score: str, skip_missing: bool, keep_s: int | None) -> ScoreLog:
    chunks = _split_lines(DecompressedStream(raw), name)
    first, lines = next(chunks, (1, []))
    if not lines:
        raise InputError(f"{name}: a header and rows expected, the file is empty")
    header = lines.pop(0).lstrip("\ufeff")
    delimiter = max(_DELIMITERS, key=header.count)
    columns = find_columns(next(csv.reader([header], delimiter=delimiter), []), name, delimiter, time, score)
    parts: list[Hours] = []
    outcomes: dict[int, NDArray[np.int64]] = {}
    rows = skipped = 0
    for number, chunk in _prepend(first + 1, lines, chunks):
        read = _parse_rows(chunk, number, columns, name, skip_missing)
        rows, skipped = rows + len(read.scores), skipped + read.skipped
        if len(read.scores):
            parts.append(Hours.from_rows(read.times, read.scores, read.alarms))
            _count_outcomes(outcomes, read)
        if len(parts) >= _MAX_PARTS:
            parts = [_drop_old(merge_hours(parts), keep_s)]
    if not rows:
        left_out = f", {skipped:,} skipped without a finite score" if skipped else ""
        raise InputError(f"{name}: rows expected below the header, found none{left_out}")
    return ScoreLog(name, columns, _drop_old(merge_hours(parts), keep_s), rows, skipped, outcomes)


@dataclass(slots=True, eq=False)
class _Rows:
    times: FloatArray
    scores: FloatArray
    alarms: NDArray[np.bool_] | None
    labels: NDArray[np.bool_] | None
    skipped: int


def _parse_rows(lines: list[str], number: int, columns: Columns, name: str, skip_missing: bool) -> _Rows:
    """Parse a chunk of lines; ``number`` is the number of the first one."""
    try:
        rows = list(csv.reader(lines, delimiter=columns.delimiter))
    except csv.Error as error:
        raise InputError(f"{name}, near line {number}: CSV expected: {error}") from error
    width = len(columns.names)
    at = np.arange(number, number + len(rows))
    if set(map(len, rows)) != {width}:
        filled = [place for place, row in enumerate(rows) if row]
        rows, at = [rows[place] for place in filled], at[filled]
        for line, row in zip(at, rows, strict=True):
            if len(row) != width:
                raise InputError(f"{name}, line {line}: {width} columns as in the header expected, found {len(row)}")
    skipped = 0
    if skip_missing:
        kept = [place for place, row in enumerate(rows) if _is_number(row[columns.score])]
        skipped = len(rows) - len(kept)
        rows, at = [rows[place] for place in kept], at[kept]
    scores = _parse_scores([row[columns.score] for row in rows], at, columns, name)
    times = _parse_times([row[columns.time] for row in rows], at, columns, name)
    flags = [
        None if column is None else _parse_flags([row[column] for row in rows], at, columns.names[column], name)
        for column in (columns.alarm, columns.label)
    ]
    return _Rows(times, scores, flags[0], flags[1], skipped)


def _parse_scores(texts: list[str], at: NDArray[np.int64], columns: Columns, name: str) -> FloatArray:
    values = _parse_floats(texts)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        place = int(bad[0])
        raise InputError(
            f"{name}, line {at[place]}: a finite number expected as {columns.names[columns.score]!r}, found "
            f"{texts[place][:40]!r}; --skip-missing skips and counts such rows"
        )
    return values


def _parse_times(texts: list[str], at: NDArray[np.int64], columns: Columns, name: str) -> FloatArray:
    if not texts:
        return np.zeros(0)
    if _is_number(texts[0]):
        values = _parse_floats(texts)
        largest = float(np.nanmax(values))
        values /= next((a_second for bound, a_second in _UNITS if largest > bound), 1.0)
    else:
        values = _parse_iso(texts)
    bad = np.flatnonzero(~((values >= 0) & (values < _UNITS[-1][0])))
    if len(bad):
        place = int(bad[0])
        raise InputError(
            f"{name}, line {at[place]}: epoch seconds or milliseconds (UTC) or an ISO 8601 time expected as "
            f"{columns.names[columns.time]!r}, found {texts[place][:40]!r}"
        )
    return values


def _parse_iso(texts: list[str]) -> FloatArray:
    """Parse ISO 8601 times to epoch seconds, NaN if a text is not one."""
    bare = [text.strip().removesuffix("Z").removesuffix("+00:00") for text in texts]
    if all(len(text) >= 10 and "+" not in text and text.count("-") == 2 and text[4:5] == "-" for text in bare):
        with suppress(ValueError):
            return np.asarray(np.array(bare, dtype="datetime64[us]").astype(np.int64) / 1e6)
    return np.array([_parse_iso_time(text) for text in texts])


def _parse_iso_time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _parse_flags(texts: list[str], at: NDArray[np.int64], column: str, name: str) -> NDArray[np.bool_]:
    values = [_FLAG_WORDS.get(text.strip().lower()) for text in texts]
    if None in values:
        place = values.index(None)
        raise InputError(
            f"{name}, line {at[place]}: 0 or 1, true or false expected as {column!r}, found {texts[place][:40]!r}"
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


def _drop_old(hours: Hours, keep_s: int | None) -> Hours:
    return (
        hours
        if keep_s is None or not len(hours)
        else hours.between(int(hours.starts[-1]) - keep_s, int(hours.starts[-1]) + 1)
    )


def _split_lines(plain: DecompressedStream, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield whole lines, about a megabyte at a time: (number of the first, from 1; lines)."""
    number, rest = 1, b""
    while data := plain.read(CHUNK_BYTES):
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise InputError(f"{name}: lines of text expected, found a line of more than {MAX_LINE_BYTES:,} bytes")
        if newline:
            lines = _decode(whole, number, name)
            yield number, lines
            number += len(lines)
    if plain.problem:
        raise InputError(f"{name}: {plain.problem}")
    if rest:
        yield number, _decode(rest, number, name)


def _decode(raw: bytes, number: int, name: str) -> list[str]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + raw.count(b"\n", 0, error.start)
        raise InputError(f"{name}, line {line}: UTF-8 text expected, found byte {raw[error.start]:#04x}") from error
    if "\0" in text:
        line = number + text.count("\n", 0, text.index("\0"))
        raise InputError(f"{name}, line {line}: text expected, found a zero byte")
    return text.replace("\r\n", "\n").split("\n")


def _prepend(number: int, lines: list[str], chunks: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    if lines:
        yield number, lines
    yield from chunks


def _parse_floats(texts: list[str]) -> FloatArray:
    """Parse numbers, NaN if a text is not one."""
    try:
        return np.fromiter(map(float, texts), float, len(texts))
    except ValueError:
        return np.array([_parse_number(text) for text in texts])


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _is_number(text: str) -> bool:
    return bool(np.isfinite(_parse_number(text)))
