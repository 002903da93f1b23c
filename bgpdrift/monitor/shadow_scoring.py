"""What two versions of a model say of the same hour of stored windows, and of the same anomalies laid over it.

Reads windows and files, loads both versions, counts. The hour's strengths are dealt out so that within eight hours every
kind of anomaly was met in every strength. An alarm that another detector shares within ten minutes counts for nobody: it
may be an attack; and where the version in force is awake together with others, no anomaly is laid. What follows from the
counts `bgpdrift.monitor.probation_rule` decides.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, Detector, IntArray, WindowFrame
from bgpdrift.detectors.preparation import BoolArray
from bgpdrift.drift.histogram import Histogram
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.detector_output import CalmAlarms, DetectorOutput, count_episodes, find_new_alarms
from bgpdrift.models.injection import A_KIND, KINDS, Injected, inject, steps
from bgpdrift.models.loading import builder
from bgpdrift.monitor.probation_rule import Tally
from bgpdrift.scoring.histories import columns_for
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.outcomes import IS_ANOMALY

HOUR_S = 3_600
NEAR_S = 600
"""So close another detector's alarm is about the same thing."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version that can speak."""

    version: str
    detector: Detector
    calibration: Calibration
    features: tuple[str, ...]
    promised: float | None = None
    """Share of the injected anomalies it found when it was trained; None if its metadata do not say."""
    forced: bool = False
    """Published although the gate refused it, as its metadata say."""


def load_version(path: Path, model: str, history_minutes: int) -> Version:
    """Read and try a file; raises `ArtifactError` if this program cannot run it."""
    found = artifacts.read(path, model)
    detector = artifacts.run_self_test(found, builder(model, history_minutes))
    promised = found.metrics.get("injected_mean")
    return Version(
        found.version,
        detector,
        Calibration.from_fields(found.calibration),
        tuple(found.content.feature_names),
        float(promised) if isinstance(promised, int | float) else None,
        found.metrics.get("forced") is True,
    )


@dataclass(frozen=True, slots=True)
class Hour:
    """What an hour showed, and the shadow's scores by collector for ``hourly_histograms``."""

    tally: Tally
    shadow: Mapping[str, tuple[Histogram, int]]


class ShadowScoring:
    """Lets versions speak on what is stored.

    Parameters
    ----------
    settings, store
        Of the monitor.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store

    def hour(self, model: str, new: Version, old: Version | None, start: int) -> Hour:
        """Score an hour of event time with both.

        Parameters
        ----------
        model : str
            Whose versions.
        new, old : Version
            In force, and before; ``old`` None if there is none.
        start : int
            Of the hour, epoch seconds.
        """
        end = start + HOUR_S
        frames = self._frames([new] if old is None else [new, old], start, end)
        shared = self._alarms_of_others(model, start, end)
        calm = (CalmAlarms(), CalmAlarms())
        tally, shadow = Tally(), dict[str, tuple[Histogram, int]]()
        for frame in frames:
            voice, before = self._voice(new, frame), None if old is None else self._voice(old, frame)
            calm[0].add(frame, voice)
            counts = frame.clean[frame.first :] & voice.spoken
            if before is not None:
                calm[1].add(frame, before)
                shadow[frame.collector] = _histogram(before)
                counts &= before.spoken
            alone = counts & ~_near(frame.to_score, shared.get(frame.collector, np.zeros(0, np.int64)))
            tally += Tally(
                minutes=int(counts.sum()),
                alarms=count_episodes(frame.to_score, voice.is_alarm & alone),
                shadow_alarms=0 if before is None else count_episodes(frame.to_score, before.is_alarm & alone),
            )
        return Hour(tally + self._on_injected(model, new, old, frames, calm, shared, start), shadow)

    def labels(self, new: Version, old: Version, rows: Sequence[Mapping[str, Any]]) -> Tally:
        """Ask both about what people labelled: right is to alarm in an anomaly, and to be quiet in what is none."""
        tally = Tally()
        for row in rows:
            start, end, place = int(row["starts_at"]), int(row["ends_at"]), str(row["collector"])
            frames = [frame for frame in self._frames([new, old], start, end) if place in ("", frame.collector)]
            if not frames:
                continue
            truth = IS_ANOMALY[str(row["label"])]
            said = [any(self._voice(one, frame).is_alarm.any() for frame in frames) for one in (new, old)]
            tally += Tally(labels=1, right=int(said[0] == truth), shadow_right=int(said[1] == truth))
        return tally

    def _on_injected(
        self,
        model: str,
        new: Version,
        old: Version | None,
        frames: Sequence[WindowFrame],
        calm: tuple[CalmAlarms, CalmAlarms],
        shared: Mapping[str, IntArray],
        start: int,
    ) -> Tally:
        tally, asked = Tally(), [new] if old is None else [new, old]
        history = max(one.detector.history_minutes for one in asked)
        for laid in dealt(model, frames, history, start):
            others = _near(laid.frame.to_score, shared.get(laid.frame.collector, np.zeros(0, np.int64)))
            if (calm[0].at(laid.frame) & others).any():
                continue  # it is awake, and not alone: what it would say of one more anomaly cannot be told
            heard = [
                bool(find_new_alarms(self._voice(one, laid.frame), known.at(laid.frame)).any())
                for one, known in zip(asked, calm, strict=False)
            ]
            tally += Tally(injected=1, found=int(heard[0]), shadow_found=int(heard[-1]) if old else 0)
        return tally

    def _frames(self, versions: Sequence[Version], start: int, end: int) -> list[WindowFrame]:
        columns = columns_for(*(one.features for one in versions))
        begin = start - max(one.detector.history_minutes for one in versions) * MINUTE_S
        found = []
        for collector, peer, _ in self._store.window_groups(start, end):
            if not peer:
                rows = self._store.window_columns(columns, collector, "", begin, end)
                found.append(_frame(collector, columns, rows, start))
        return found

    def _alarms_of_others(self, model: str, start: int, end: int) -> dict[str, IntArray]:
        minutes: dict[str, list[int]] = {}
        for row in self._store.scores_between(start - NEAR_S, end + NEAR_S):
            if row["model"] != model and row["is_alarm"] and not row["peer"]:
                minutes.setdefault(str(row["collector"]), []).append(int(row["window_start"]))
        return {place: np.unique(np.array(found, np.int64)) for place, found in minutes.items()}

    def _voice(self, version: Version, frame: WindowFrame) -> DetectorOutput:
        return DetectorOutput.of(version.detector, version.calibration, frame, self._settings)


def dealt(model: str, frames: Sequence[WindowFrame], history_minutes: int, start: int) -> list[Injected]:
    """One anomaly of each kind for an hour; the same hour gives the same."""
    usable = [frame for frame in frames if frame.clean.any()]
    strengths, number, found = steps(A_KIND), start // HOUR_S, list[Injected]()
    for order, kind in enumerate(KINDS):
        factor = float(strengths[(3 * number + 5 * order) % A_KIND])
        seed = zlib.crc32(f"{model}:{start}:{kind}".encode())
        found += inject(usable, seed, history_minutes, [kind], factors=[factor])
    return found


def _frame(collector: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], start: int) -> WindowFrame:
    values = dict(zip(columns, np.array(rows, np.float64).reshape(len(rows), len(columns)).T.copy(), strict=True))
    starts = values["window_start"].astype(np.int64)
    features = {name: values[name] for name in FEATURE_NAMES if name in values}
    marks = {name: values[name] for name in QUALITY_NAMES}
    return WindowFrame(collector, "", starts, features, marks, int(np.searchsorted(starts, start)))


def _near(minutes: IntArray, others: IntArray) -> BoolArray:
    """Which minutes have another detector's alarm close by."""
    if not len(others):
        return np.zeros(len(minutes), bool)
    after = np.searchsorted(others, minutes - NEAR_S, side="left")
    until = np.searchsorted(others, minutes + NEAR_S, side="right")
    return np.asarray(until > after)


def _histogram(voice: DetectorOutput) -> tuple[Histogram, int]:
    usable = voice.spoken & np.isfinite(voice.scores.score)
    return Histogram.of(voice.scores.score[usable].tolist()), int((voice.is_alarm & usable).sum())
