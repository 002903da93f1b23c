"""Variants of the LSTM, one change at a time; the table of docs/decisions/0004-lstm.md.

``python -m benchmarks.lstm_trail [--data DIR] [--seeds N] [VARIANT…]`` trains each variant on the first two days of the
SFU files. It prints areas under the ROC curve over the later minutes: of the labelled worms, and of hours that are changed
artificially in the calm file. ``--plot FILE`` draws the scores of the released variant.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bgpdrift.detectors import lstm
from bgpdrift.detectors.interface import Detector, FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.isolation_forest import IsolationForest
from bgpdrift.detectors.smoothing import SCALES_MIN
from bgpdrift.lab.labelled_sets.reading import read_labelled
from bgpdrift.verdicts.quality import roc_auc
from retrainers import fit_isolation_forest, fit_lstm

TRAIN_MIN = 2_880
HOUR, APART = 60, 360
DATA = Path("../shared/data/labelled")
WORMS, CALM = ("Slammer", "Code_Red_I"), "RIPE_regular"
BUDGET = 2 / 1_440
_VOLUME = ("messages", "announced", "withdrawn", "duplicate", "implicit_withdrawal", "duplicate_withdrawal")
_FOLLOW = ("path_length_sum", "unique_path_length_sum", "edit_distance_sum", "origin_igp", "origin_incomplete")
Columns = dict[str, FloatArray]


def _scale(columns: Columns, at: slice, factor: Any, names: Sequence[str] = _VOLUME + _FOLLOW) -> None:
    for name in names:
        if name in columns:
            columns[name][at] = np.round(columns[name][at] * factor)


def _moved(columns: Columns, at: slice) -> None:
    part = np.round(0.6 * columns["implicit_withdrawal"][at])
    columns["implicit_withdrawal"][at] -= part
    columns["duplicate"][at] += part


def _ordered(columns: Columns, at: slice) -> None:
    order = np.argsort(columns["announced"][at], kind="stable")
    for values in columns.values():
        values[at] = values[at][order]


def _frozen(columns: Columns, at: slice) -> None:
    for values in columns.values():
        values[at] = values[at.start - 1]


_RAMP = np.exp(np.linspace(0.0, np.log(4.0), HOUR))
_BEAT = np.where(np.arange(HOUR) // 5 % 2 == 0, 2.2, 0.3)
KINDS: Mapping[str, Callable[[Columns, slice], None]] = {
    "silence": lambda columns, at: _scale(columns, at, 0.15),
    "half the peers": lambda columns, at: _scale(columns, at, 0.4),
    "other mix": _moved,
    "small messages": lambda columns, at: _scale(columns, at, 1.8, ("messages",)),
    "longer paths": lambda columns, at: _scale(columns, at, 1.2, ("path_length_sum", "unique_path_length_sum")),
    "burst": lambda columns, at: _scale(columns, at, 5.0),
    "withdrawals": lambda columns, at: _scale(columns, at, 8.0, ("withdrawn", "duplicate_withdrawal")),
    "slow ramp": lambda columns, at: _scale(columns, at, _RAMP),
    "frozen": _frozen,
    "beat": lambda columns, at: _scale(columns, at, _BEAT),
    "sorted minutes": _ordered,
}
"""Changes of an hour, every six hours: more traffic, less, another mix, and the same in another order."""


class NoNetwork(lstm.Lstm):
    """The same score of the prepared values, with the baseline as the reconstruction of every minute."""

    def reconstruct(self, z: FloatArray, known: Any, rows: Any) -> lstm.Reconstruction:
        """Reconstruct every minute as the baseline."""
        newest = lstm.steps_before(rows, lstm.DECODED_STEPS)[:, ::-1]
        decoded = np.zeros((len(newest), z.shape[1]))
        return lstm.Reconstruction(z[newest] * known[newest], decoded, np.zeros((len(newest), 1)))


@dataclass(frozen=True)
class Variant:
    """Constants that differ from the released ones, the time scales that are used, and the functions that build and fit."""

    constants: Mapping[str, Any] = field(default_factory=dict)
    scales: Sequence[int] = SCALES_MIN
    build: Callable[[ModelContent], Detector] = lstm.Lstm.from_content
    fit: Callable[..., ModelContent] = fit_lstm.fit


VARIANTS: Mapping[str, Variant] = {
    "released": Variant(),
    "isolation forest": Variant(build=IsolationForest.from_content, fit=fit_isolation_forest.fit),
    "no network": Variant(build=NoNetwork.from_content),
    "unsmoothed minutes only": Variant(scales=(1,)),
    "15 minutes only": Variant(scales=(15,)),
    "clipped at 4 both ways": Variant({"CLIP_ABOVE": 4.0}),
    "clipped at 2 above": Variant({"CLIP_ABOVE": 2.0}),
    "clipped at 0.5 above": Variant({"CLIP_ABOVE": 0.5}),
    "no reduced traffic": Variant({"REDUCED_SHARE": 0.0}),
    "no noise": Variant({"NOISE": 0.0}),
    "nothing hidden": Variant({"HIDE_SIGNAL": 0.0, "HIDE_STEP": 0.0}),
    "newest step only": Variant({"DECODED_STEPS": 1}),
    "whole hour, equal weights": Variant({"DECODED_STEPS": 12, "FADE_MIN": 1e6}),
    "steps of one minute": Variant({"STRIDE_MIN": 1}),
    "no dead zone": Variant({"DEAD_ZONE": 0.0}),
    "mean of squares over signals": Variant({"SIGNAL_EXPONENT": 2.0}),
    "latent 2": Variant({"LATENT": 2}),
    "latent 16": Variant({"LATENT": 16}),
    "200 updates": Variant({"UPDATES": (200, 200)}),
    "350 updates": Variant({"UPDATES": (350, 350)}),
    "700 updates": Variant({"UPDATES": (700, 700)}),
    "1,400 updates": Variant({"UPDATES": (1_400, 1_400)}),
}


@contextlib.contextmanager
def apply(variant: Variant) -> Iterator[None]:
    """Set the constants of a variant in detector and trainer; restore the released ones afterwards."""
    modules = (lstm, fit_lstm)
    before = [(module, name, getattr(module, name)) for module in modules for name in dir(module) if name.isupper()]
    kept_filled, kept_back = lstm.fill_missing, fit_lstm._STEPS_BACK
    for module in modules:
        for name, value in variant.constants.items():
            if hasattr(module, name):
                setattr(module, name, value)
    shape = {"steps": lstm.STEPS, "stride_min": lstm.STRIDE_MIN, "decoded_steps": lstm.DECODED_STEPS}
    fill = max(lstm.STRIDE_MIN - 1, 1)
    derived = {"FILL_MIN": fill, "LEAD_MIN": (lstm.STEPS - 1) * lstm.STRIDE_MIN + fill, "SEQUENCE_SHAPE": shape}
    for module in modules:
        for name, value in derived.items():
            if hasattr(module, name):
                setattr(module, name, value)
    fit_lstm._STEPS_BACK = torch.from_numpy(-lstm.steps_before(np.zeros(1, np.int64)))

    def fill_scales(prepared: Any) -> tuple[FloatArray, Any]:
        z, known = kept_filled(prepared)
        is_used = np.repeat(np.isin(SCALES_MIN, variant.scales), z.shape[1] // len(SCALES_MIN))
        return np.where(is_used, z, 0.0), known & is_used

    for module in modules:
        module.fill_missing = fill_scales  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        fit_lstm._STEPS_BACK = kept_back
        for module in modules:
            module.fill_missing = kept_filled  # type: ignore[attr-defined]


def changed(frame: WindowFrame, kind: str) -> tuple[WindowFrame, Any, Any]:
    """Change one hour in six; return the frame, the changed rows, and the rows of the hour after each change."""
    columns = {name: values.copy() for name, values in frame.features.items()}
    truth, after = np.zeros(len(frame), bool), np.zeros(len(frame), bool)
    rng = np.random.default_rng(0)
    for begin in range(TRAIN_MIN + 120, len(frame) - HOUR, APART):
        start = min(begin + int(rng.integers(0, 180)), len(frame) - HOUR)
        at = slice(start, start + HOUR)
        KINDS[kind](columns, at)
        truth[at], after[at.stop : at.stop + HOUR] = True, True
    return replace(frame, features=columns), truth, after & ~truth


def episodes(scores: FloatArray, threshold: float) -> int:
    """Count the alarms that are at least 15 minutes apart."""
    above = np.flatnonzero(scores > threshold)
    return int(len(above) > 0) + int((np.diff(above) > 15).sum())


def area(scores: FloatArray, truth: Any) -> float:
    """Area under the ROC curve; NaN if all minutes have the same label."""
    auc = roc_auc(scores, truth)
    return float("nan") if auc is None else auc


def measure(variant: Variant, frames: Mapping[str, tuple[WindowFrame, Any]], seed: int) -> list[float]:
    """Measure the areas of the worms, the false alarms a day on the calm file, and the areas of the changes."""
    found: list[float] = []
    for name in (*WORMS, CALM):
        frame, truth = frames[name]
        detector = variant.build(variant.fit([frame.rows(0, TRAIN_MIN, 0)], seed=seed))
        scores = detector.score(frame).score
        if name != CALM:
            found.append(area(scores[TRAIN_MIN:], truth[TRAIN_MIN:]))
            continue
        limit = float(np.quantile(scores[300:TRAIN_MIN], 1.0 - BUDGET))
        found.append(episodes(scores[TRAIN_MIN:], limit) / ((len(frame) - TRAIN_MIN) / 1_440))
        for kind in KINDS:
            other, rows, after = changed(frame, kind)
            keep = ~after
            keep[:TRAIN_MIN] = False
            found.append(area(detector.score(other).score[keep], rows[keep]))
    return found


def plot(frames: Mapping[str, tuple[WindowFrame, Any]], path: Path) -> None:
    """Draw the scores of the three files, labelled minutes shaded."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, figsize=(9, 5.4), sharex=True, layout="constrained")
    for axis, (name, (frame, truth)) in zip(axes, frames.items(), strict=True):
        detector = lstm.Lstm.from_content(fit_lstm.fit([frame.rows(0, TRAIN_MIN, 0)], seed=0))
        hours = (frame.window_start - frame.window_start[0]) / 3_600
        axis.semilogy(hours, np.maximum(detector.score(frame).score, 0.05), lw=0.5, color="#1f5a96")
        axis.fill_between(hours, 0.05, 50, where=truth, color="#d9822b", alpha=0.25, lw=0)
        axis.axvspan(0, TRAIN_MIN / 60, color="0.93", zorder=0)
        axis.set_ylim(0.05, 50)
        axis.set_title(f"{name} (grey: trained on)", fontsize=9, loc="left")
    axes[1].set_ylabel("score, spreads beyond the dead zone")
    axes[-1].set_xlabel("hours. Data: RIPE NCC RIS; labels SFU CNL", fontsize=8)
    figure.savefig(path, dpi=80)


def main() -> int:
    """Print one line for each variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", help="names; all by default")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    frames = {}
    for name in (*WORMS, CALM):
        (given,) = read_labelled(options.data / f"{name}.csv.gz")
        frame = WindowFrame(given.collector, given.peer, given.window_start, given.features, given.quality)
        frames[name] = (frame, given.truth)
    if options.plot:
        plot(frames, options.plot)
        return 0
    print("| variant | Slammer | Code Red I | false alarms a day |", " | ".join(KINDS), "| mean of kinds |")
    print("|---" * (len(KINDS) + 5) + "|")
    for name in options.variants or VARIANTS:
        begin = time.perf_counter()
        with apply(VARIANTS[name]):
            rows = np.array([measure(VARIANTS[name], frames, seed) for seed in range(options.seeds)])
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        cells = [
            f"{mean[0]:.3f}",
            f"{mean[1]:.3f}" + (f" ± {spread[1]:.3f}" if len(rows) > 1 else ""),
            f"{mean[2]:.1f}",
        ]
        cells += [f"{value:.2f}" for value in mean[3:]] + [f"{mean[3:].mean():.3f}"]
        print("|", " | ".join([name, *cells]), f"| <!-- {time.perf_counter() - begin:.0f} s -->", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
