"""A picture of an evaluation: announcements in the first panel, the surprisal of one detector in each panel below.

The training span is grey, labelled spans are shaded in all panels, and alarms are marks at the top of a panel. The dashed line is
the limit of the alarm budget; the ensemble has none, because its limit depends on the votes.
"""

import importlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, IntArray
from bgpdrift.errors import InputError
from bgpdrift.lab.evaluation.evaluation import Evaluation
from bgpdrift.lab.evaluation.table import cells
from bgpdrift.verdicts.quality import labelled_spans

_LABELLED, _TRAINING, _LINE, _ALARM, _MUTED = "#f6c9a8", "#e9edf1", "#1f4e79", "#c0392b", "#5b6770"


def plot(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw an evaluation into a PNG file.

    Raises
    ------
    InputError
        matplotlib is not installed, or the file cannot be written.
    """
    try:
        # By name: matplotlib is an extra, and only parts of it are typed.
        mpl, figures = importlib.import_module("matplotlib"), importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError:
        raise InputError("--plot needs matplotlib: pip install 'bgpdrift[plot]'") from None
    panels = len(evaluation.detections)
    with mpl.rc_context(
        {"font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = figures.Figure(figsize=(12.0, 2.6 + 1.4 * panels), layout="constrained")
        axes = figure.subplots(
            1 + panels, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": [1.9, *[1.0] * panels]}
        )[:, 0]
        _announcements(axes[0], evaluation)
        for axis, name in zip(axes[1:], evaluation.detections, strict=True):
            _detector(axis, evaluation, name)
        for axis in axes:
            _shade(axis, evaluation)
        _time_axis(axes[-1], evaluation.window_start)
        axes[0].set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes[0].legend(loc="upper right", ncols=3, frameon=False, bbox_to_anchor=(1.0, 1.17), borderaxespad=0.0)
        try:
            figure.savefig(path, dpi=130, format="png")
        except OSError as error:
            raise InputError(f"--plot {path}: cannot be written: {error.strerror}") from None


def _announcements(axis: Any, evaluation: Evaluation) -> None:
    times, values = with_gaps(evaluation.window_start, evaluation.announced)
    axis.plot(_dates(times), values, color=_LINE, linewidth=0.5)
    axis.set_yscale("symlog", linthresh=10.0)
    axis.set_ylabel("announced prefixes\na minute")


def _detector(axis: Any, evaluation: Evaluation, name: str) -> None:
    judged = evaluation.detections[name]
    times, values = with_gaps(judged.window_start, np.where(np.isneginf(judged.score), np.nan, judged.surprisal))
    axis.plot(_dates(times), values, color=_LINE, linewidth=0.6)
    if np.isfinite(judged.limit):
        axis.axhline(judged.limit, color=_MUTED, linewidth=0.8, linestyle="--")
    top = max(6.0, float(np.nanmax(values, initial=0.0)) * 1.05)
    axis.set_ylim(0.0, top * 1.18)
    alarmed = judged.window_start[judged.alarms]
    axis.plot(
        _dates(alarmed), np.full(len(alarmed), top * 1.1), linestyle="none", marker="|", markersize=7, color=_ALARM
    )
    axis.set_ylabel("−log10 p")
    figures = evaluation.rows[name].figures
    found = cells(figures.as_fields()) if figures else []
    note = f"AUC {found[0]}, first alarm {found[4]} min, false alarms {found[5]} a day" if found else ""
    axis.set_title(name, loc="left", fontsize=9, fontweight="bold", pad=3)
    axis.set_title(note, loc="right", fontsize=9, color=_MUTED, pad=3)


def _shade(axis: Any, evaluation: Evaluation) -> None:
    starts = evaluation.window_start
    edges = _dates(np.array([starts[0], min(evaluation.test_from, int(starts[-1]) + MINUTE_S)]))
    axis.axvspan(edges[0], edges[1], color=_TRAINING, zorder=0, linewidth=0, label="training")
    for number, (begin, end) in enumerate(labelled_spans(evaluation.truth)):
        low, high = _dates(np.array([starts[begin], starts[end] + MINUTE_S]))
        axis.axvspan(low, high, color=_LABELLED, zorder=0, linewidth=0, label="" if number else "labelled anomalous")
    axis.plot([], [], linestyle="none", marker="|", markersize=7, color=_ALARM, label="alarm")


def _time_axis(axis: Any, window_start: IntArray) -> None:
    dates = importlib.import_module("matplotlib.dates")
    locator = dates.AutoDateLocator(minticks=6, maxticks=14)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    low, high = _dates(np.array([window_start[0], window_start[-1] + MINUTE_S]))
    axis.set_xlim(low, high)
    axis.set_xlabel(f"UTC, from {low:%Y-%m-%d %H:%M}")


def with_gaps(window_start: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Put a NaN into every gap, so that no line is drawn over minutes that are missing.

    Examples
    --------
    >>> times, values = with_gaps(np.array([0, 60, 240]), np.array([1.0, 2.0, 3.0]))
    >>> times.tolist(), values.tolist()
    ([0, 60, 120, 240], [1.0, 2.0, nan, 3.0])
    """
    before = np.flatnonzero(np.diff(window_start) > MINUTE_S)
    times = np.insert(np.asarray(window_start), before + 1, window_start[before] + MINUTE_S)
    return times, np.insert(np.asarray(values, np.float64), before + 1, np.nan)


def _dates(seconds: IntArray) -> Sequence[datetime]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [epoch + timedelta(seconds=int(value)) for value in seconds]
