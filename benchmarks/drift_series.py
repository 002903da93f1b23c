"""The drift rule over a real month: every column of a feature log, checked hourly like scores, and drawn.

This module decides how a series is replayed: hourly checks by `bgpdrift.drift.rule` over the monitor's own windows
(`bgpdrift.drift.windows`) and its own persistence (`bgpdrift.drift.persistence`). After a flag the model counts as
retrained on the hours after the change, as soon as 30 of them exist, and goes on as the next version. The picture shows
whether a flagged column has a level shift; ``step`` is plain arithmetic that is independent of the rule.

``python -m benchmarks.drift_series SERIES.csv.gz… [--out PICTURE.png] [--columns a,b]`` prints the table of
docs/drift.md.
"""

import argparse
import csv
import gzip
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift.between_day_variance import estimate_between_day_variance
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.persistence import Persistence, count_check, mark_requested, needs_request
from bgpdrift.drift.report import SEVERITIES, DriftReport
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.windows import DetectorHours, collect_history, merge_series, pair_windows
from bgpdrift.errors import InputError
from bgpdrift.settings_sections import DriftSettings, RetrainSettings

DAY_H = 24
ENOUGH_H = 30
"""Hours after a change that hold a whole day to learn from, beside the fifth that only judges."""
REFERENCE_H = 168
DRAWS = 1_000
"""Of the null; half of what the monitor takes, for the sake of 25,000 checks."""
SOURCE = "RIPE NCC, Routing Information Service (RIS)"
COLOURS = {
    "drift": "#c0392b",
    "incident": "#e6a23c",
    "immaterial": "#7fb3d5",
    "none": "#b8d8b8",
    "not_enough_data": "#e5e5e5",
}
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flag:
    """A retraining request."""

    at: int
    change_point: int | None
    severity: str
    reason: str


@dataclass(slots=True)
class Replay:
    """The result for a series.

    Attributes
    ----------
    column : str
        Its name.
    starts : list of int
        Hours, epoch seconds.
    means : list of float
        Mean of each hour.
    verdicts : list of (int, str)
        Time and verdict of each check.
    flags : list of Flag
        Where a model would have been retrained.
    refused : list of Flag
        Retraining requests that were refused: below ``retrain.min_severity``.
    step : float
        See `largest_step`.
    """

    column: str
    starts: list[int]
    means: list[float]
    verdicts: list[tuple[int, str]] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    refused: list[Flag] = field(default_factory=list)
    step: float = 0.0


def read_columns(path: Path) -> tuple[NDArray[np.int64], dict[str, FloatArray]]:
    """Read a log with a header: times (epoch seconds) and every column of numbers."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        header, *rows = csv.reader(file)
    times = np.array([int(datetime.fromisoformat(row[0]).timestamp()) for row in rows], dtype=np.int64)
    columns = {}
    for place, name in enumerate(header[1:], 1):
        try:
            values = np.array([_number(row[place]) for row in rows])
        except ValueError:
            continue  # names and identifiers
        if np.isfinite(values).any():
            columns[name] = values
    return times, columns


def _number(text: str) -> float:
    if "_" in text:
        raise ValueError(f"{text!r} is an identifier")  # float() would take 20251101_0000 for a number
    return float(text) if text else np.nan


def replay(column: str, times: NDArray[np.int64], values: FloatArray, settings: DriftSettings) -> Replay:
    """Check a series once for each of its hours."""
    good = np.isfinite(values)
    hours = Hours.from_rows(times[good], values[good])
    result = Replay(column, hours.starts.tolist(), (hours.totals / np.maximum(hours.n, 1)).tolist())
    result.step = largest_step(hours)
    state, version, flagged = Persistence("1"), 1, set[int]()
    profile: dict[str, Hours] = {}
    earlier: list[dict[str, Hours]] = []
    born, resume = int(hours.starts[0]), 0
    for at in range(int(hours.starts[0]) + DAY_H * HOUR_S, int(hours.starts[-1]) + 2 * HOUR_S, HOUR_S):
        if at < resume:
            continue
        live = {column: hours.between(born, at)}
        scores = DetectorHours(at, live, profile, {} if profile else live, {}, flagged, earlier=earlier)
        report = _check(scores, column, str(version), settings)
        result.verdicts.append((at, report.verdict))
        if report.verdict == "drift":
            flagged.add(at - HOUR_S)
        rest_s = RetrainSettings().cooldown_h * HOUR_S
        state = count_check(state, report.verdict, report.severity, str(version), at, rest_s)
        if needs_request(state, report.verdict, settings.persistence_checks):
            flag = Flag(at, report.change_point, report.severity, report.reason)
            state = mark_requested(state, at, report.severity)
            if SEVERITIES.index(report.severity) < SEVERITIES.index(RetrainSettings().min_severity):
                result.refused.append(flag)
                continue
            result.flags.append(flag)
            change = report.change_point or at - DAY_H * HOUR_S
            resume = max(at, change + ENOUGH_H * HOUR_S)
            earlier.append(merge_series(profile, {column: hours.between(born, resume)}))
            born, version, flagged = resume, version + 1, set()
            profile = {column: hours.between(max(change, resume - REFERENCE_H * HOUR_S), resume)}
    return result


def _check(scores: DetectorHours, column: str, version: str, settings: DriftSettings) -> DriftReport:
    pairs = pair_windows(scores, settings)
    variance = estimate_between_day_variance(collect_history(scores), pairs[0].current_span[0])
    comparisons = [compare(pair, settings, between_day_variance=variance, draws=DRAWS) for pair in pairs]
    return decide(comparisons, model=column, model_version=version, at=scores.at, settings=settings)


def largest_step(hours: Hours, side_d: int = 3) -> float:
    """How large the largest step between days is, in units of how much days differ anyway.

    The median of the ``side_d`` days after a midnight less that of those before, through the median absolute day-to-day
    difference of daily medians (times 1.4826, as a standard deviation). Of steady days it is about 1 to 3.
    """
    days = hours.starts // (DAY_H * HOUR_S)
    means = hours.totals / np.maximum(hours.n, 1)
    daily = np.array([np.median(means[days == day]) for day in np.unique(days) if (days == day).sum() >= DAY_H // 2])
    if len(daily) < 2 * side_d:
        return 0.0
    ordinary = 1.4826 * float(np.median(np.abs(np.diff(daily)))) / np.sqrt(2)
    steps = [
        abs(float(np.median(daily[day : day + side_d]) - np.median(daily[day - side_d : day])))
        for day in range(side_d, len(daily) - side_d + 1)
    ]
    return float(max(steps) / ordinary) if ordinary > 0 else 0.0


def table(replays: Sequence[Replay]) -> Iterator[str]:
    """Build the table of docs/drift.md, most flags first."""
    yield "| column | flags | at | refused | checks with verdict drift / incident / immaterial / none | step |"
    yield "|---|---|---|---|---|---|"
    for result in sorted(replays, key=lambda one: (-len(one.flags), one.column)):
        count = Counter(verdict for _, verdict in result.verdicts)
        counts = " / ".join(str(count[name]) for name in ("drift", "incident", "immaterial", "none"))
        when = ", ".join(f"{datetime.fromtimestamp(flag.at, UTC):%m-%d %Hh}" for flag in result.flags)
        cells = (
            f"`{result.column}`",
            len(result.flags),
            when or "–",
            len(result.refused),
            counts,
            f"{result.step:.1f}",
        )
        yield f"| {' | '.join(map(str, cells))} |"


def draw(replays: Sequence[Replay], path: Path, across: int = 6) -> None:
    """Draw one small picture a column: hourly means, verdicts as a band below, flags as lines."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    down = -(-len(replays) // across)
    figure, axes = plt.subplots(down, across, figsize=(3.2 * across, 1.75 * down), squeeze=False)
    for axis in axes.flat[len(replays) :]:
        axis.set_visible(False)
    for axis, result in zip(axes.flat, sorted(replays, key=lambda one: (-len(one.flags), one.column)), strict=False):
        start = result.starts[0]
        days = (np.array(result.starts) - start) / 86_400
        axis.plot(days, result.means, color="#444444", linewidth=0.5)
        low, high = np.percentile(result.means, [0.5, 99.5])
        room = (high - low) or 1.0
        axis.set_ylim(low - 0.25 * room, high + 0.1 * room)
        for name, colour in COLOURS.items():
            at = [(moment - start) / 86_400 - 1 / DAY_H for moment, verdict in result.verdicts if verdict == name]
            axis.broken_barh(
                [(x, 1 / DAY_H) for x in at], (0.0, 0.08), transform=axis.get_xaxis_transform(), color=colour
            )
        for flag in result.refused:
            axis.axvline((flag.at - start) / 86_400, color=COLOURS["incident"], linewidth=0.8)
        for flag in result.flags:
            axis.axvline((flag.at - start) / 86_400, color=COLOURS["drift"], linewidth=1.2)
            if flag.change_point is not None:
                axis.axvline((flag.change_point - start) / 86_400, color=COLOURS["drift"], linewidth=0.8, linestyle=":")
        axis.set_title(f"{result.column}: {len(result.flags)}", fontsize=7, pad=2)
        axis.tick_params(labelsize=5, length=2, pad=1)
    first = datetime.fromtimestamp(min(result.starts[0] for result in replays), UTC)
    handles = [Patch(color=colour, label=name.replace("_", " ")) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="lower right", ncols=len(handles), fontsize=8, frameon=False)
    figure.text(
        0.01,
        0.004,
        f"Hourly means; days since {first:%Y-%m-%d}. Below: verdict of each check. Red: a model would be retrained, dotted: "
        f"since when; orange: too mild to retrain. Number: flags. Data: {SOURCE}.",
        fontsize=8,
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1), h_pad=0.6, w_pad=0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=64)
    plt.close(figure)


def fill(page: Path, picture: Path | None, rows: Sequence[str]) -> None:
    """Put picture and table between the two marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- drift_series -->\n")
    _, end, after = rest.partition("<!-- /drift_series -->")
    if not begin or not end:
        raise InputError(f"{page}: expected <!-- drift_series --> and <!-- /drift_series -->, each on a line")
    shown = []
    if picture is not None:
        link = picture.resolve().relative_to(page.resolve().parent).as_posix()
        shown = [f"![Hourly means of every column, verdicts of the checks, flags]({link})", ""]
    page.write_text(before + begin + "\n".join([*shown, *rows]) + "\n" + end + after, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Replay, print the table, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_series", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="logs with a header; the first column is the time")
    parser.add_argument("--columns", default="", help="only these, joined by commas")
    parser.add_argument("--out", type=Path, help="where the picture goes (needs matplotlib, the `plot` extra)")
    parser.add_argument("--page", type=Path, help="where picture and table go, between their two marks")
    parser.add_argument("--keep", type=Path, help="outcomes, one column a line; those it holds are not made again")
    options = parser.parse_args(argv)
    began, replays = time.monotonic(), _kept(options.keep)
    for path in options.files:
        times, columns = read_columns(path)
        wanted = set(options.columns.split(",")) if options.columns else set(columns)
        for name in sorted(wanted & set(columns) - {result.column for result in replays}):
            result = replay(name, times, columns[name], DriftSettings())
            replays.append(result)
            print(f"{name}: {len(result.flags)}", file=sys.stderr, flush=True)
            if options.keep:
                with options.keep.open("ab") as file:
                    file.write(msgspec.json.encode(result) + b"\n")
    print("\n".join(table(replays)))
    flagged = sum(len(result.flags) > 1 for result in replays)
    checks = sum(len(result.verdicts) for result in replays)
    took = time.monotonic() - began
    print(f"\n{len(replays)} columns, {checks} checks in {took:.0f} s; {flagged} columns with more than one flag")
    if options.out:
        draw(replays, options.out)
        print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")
    if options.page:
        fill(options.page, options.out, list(table(replays)))
    return 0


def _kept(path: Path | None) -> list[Replay]:
    if path is None or not path.exists():
        return []
    return [msgspec.json.decode(line, type=Replay) for line in path.read_bytes().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
