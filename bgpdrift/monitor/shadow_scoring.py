"""Shadow scoring: counts what two versions of a model output on the same hour of stored windows, and on injected anomalies.

This module decides what counts. An alarm that another detector shares within ten minutes counts for neither version, because
it may be an attack. Where the active version alarms together with another detector, no anomaly is injected. The factors of the
injected anomalies depend on the hour, so that within eight hours every kind occurs at every strength.
`bgpdrift.monitor.probation_rule` decides what follows from the counts.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, BoolArray, Detector, IntArray, WindowFrame
from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.detector_output import CalmAlarms, DetectorOutput, count_episodes, find_new_alarms
from bgpdrift.models.injection import KINDS, PER_KIND, Injected, compute_strengths, inject
from bgpdrift.models.loading import builder
from bgpdrift.models.self_test import run_self_test
from bgpdrift.monitor.probation_rule import add_tallies
from bgpdrift.scoring.histories import select_columns
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import ProbationTally
from bgpdrift.store.outcomes import Outcome
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.outcomes import IS_ANOMALY

HOUR_S = 3_600
SHARED_ALARM_S = 600
"""Alarms of two detectors at most this far apart count as shared."""


@dataclass(frozen=True, slots=True)
class Version:
    """A loaded version."""

    version: str
    detector: Detector
    calibration: Calibration
    features: tuple[str, ...]
    trained_detection: float | None = None
    """Share of the injected anomalies that it found at training; None if its metadata does not state it."""
    is_forced: bool = False
    """Whether it was published although the gate rejected it, according to its metadata."""


def load_version(path: Path, model: str, history_minutes: int) -> Version:
    """Load a model file.

    Raises
    ------
    ArtifactError
        The file is damaged, or this program cannot run it.
    """
    artifact = artifacts.read(path, model)
    detector = run_self_test(artifact, builder(model, history_minutes))
    return Version(
        artifact.version,
        detector,
        Calibration.from_fields(artifact.calibration),
        tuple(artifact.content.feature_names),
        trained_detection=artifact.metrics.injected_mean,
        is_forced=artifact.metrics.forced,
    )


@dataclass(frozen=True, slots=True)
class ShadowHour:
    """Counts of one hour, and the shadow's scores and alarms by collector for ``hourly_histograms``."""

    tally: ProbationTally
    shadow: Mapping[str, tuple[ExactValues, int]]


class ShadowScoring:
    """Scores stored windows with several versions.

    Parameters
    ----------
    settings, store
        Settings and store of the monitor.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store

    def score_hour(self, model: str, new: Version, shadow: Version | None, start: int) -> ShadowHour:
        """Score an hour of event time with both versions.

        Parameters
        ----------
        model : str
            Name of the model.
        new, shadow : Version
            Active version and the version before it; ``shadow`` is None if there is none.
        start : int
            Start of the hour, epoch seconds.
        """
        end = start + HOUR_S
        frames = self._read_frames([new] if shadow is None else [new, shadow], start, end)
        other_alarms = self._read_other_alarms(model, start, end)
        calm = (CalmAlarms(), CalmAlarms())
        tally, shadow_scores = ProbationTally(), dict[str, tuple[ExactValues, int]]()
        for frame in frames:
            output = self._score(new, frame)
            shadow_output = None if shadow is None else self._score(shadow, frame)
            calm[0].add(frame, output)
            counted = frame.clean[frame.first :] & output.has_vote
            if shadow_output is not None:
                calm[1].add(frame, shadow_output)
                shadow_scores[frame.collector] = _count_output(shadow_output)
                counted &= shadow_output.has_vote
            unshared = counted & ~_find_shared(frame, other_alarms)
            shadow_alarms = (
                0 if shadow_output is None else count_episodes(frame.to_score, shadow_output.is_alarm & unshared)
            )
            hour = ProbationTally(
                minutes=int(counted.sum()),
                alarms=count_episodes(frame.to_score, output.is_alarm & unshared),
                shadow_alarms=shadow_alarms,
            )
            tally = add_tallies(tally, hour)
        injected = self._count_injected(model, new, shadow, frames, calm, other_alarms, start)
        return ShadowHour(add_tallies(tally, injected), shadow_scores)

    def compare_with_labels(self, new: Version, shadow: Version, labels: Sequence[Outcome]) -> ProbationTally:
        """Count the labels with which each version agrees: it alarms in an anomaly, and raises no alarm otherwise."""
        tally = ProbationTally()
        for label in labels:
            frames = self._read_frames([new, shadow], label.starts_at, label.ends_at)
            frames = [frame for frame in frames if label.collector in ("", frame.collector)]
            if not frames:
                continue
            is_anomaly = IS_ANOMALY[label.label]
            alarms, shadow_alarms = (
                any(self._score(version, frame).is_alarm.any() for frame in frames) for version in (new, shadow)
            )
            counts = ProbationTally(
                labels=1, correct=int(alarms == is_anomaly), shadow_correct=int(shadow_alarms == is_anomaly)
            )
            tally = add_tallies(tally, counts)
        return tally

    def _count_injected(
        self,
        model: str,
        new: Version,
        shadow: Version | None,
        frames: Sequence[WindowFrame],
        calm: tuple[CalmAlarms, CalmAlarms],
        other_alarms: Mapping[str, IntArray],
        start: int,
    ) -> ProbationTally:
        tally, versions = ProbationTally(), [new] if shadow is None else [new, shadow]
        history = max(version.detector.history_minutes for version in versions)
        for anomaly in inject_anomalies(model, frames, history, start):
            if (calm[0].at(anomaly.frame) & _find_shared(anomaly.frame, other_alarms)).any():
                continue  # both alarm already, so whether the anomaly alone would raise an alarm is unknown
            detected = [
                bool(find_new_alarms(self._score(version, anomaly.frame), alarms.at(anomaly.frame)).any())
                for version, alarms in zip(versions, calm, strict=False)
            ]
            counts = ProbationTally(
                injected=1, detected=int(detected[0]), shadow_detected=int(detected[-1]) if shadow else 0
            )
            tally = add_tallies(tally, counts)
        return tally

    def _read_frames(self, versions: Sequence[Version], start: int, end: int) -> list[WindowFrame]:
        columns = select_columns(*(version.features for version in versions))
        begin = start - max(version.detector.history_minutes for version in versions) * MINUTE_S
        frames = []
        for collector, peer, _ in self._store.window_groups(start, end):
            if not peer:
                rows = self._store.window_columns(columns, collector, "", begin, end)
                frames.append(_build_frame(collector, columns, rows, start))
        return frames

    def _read_other_alarms(self, model: str, start: int, end: int) -> dict[str, IntArray]:
        """Read the minutes in which other detectors alarmed, by collector."""
        minutes: dict[str, list[int]] = {}
        for row in self._store.scores_between(start - SHARED_ALARM_S, end + SHARED_ALARM_S):
            if row["model"] != model and row["is_alarm"] and not row["peer"]:
                minutes.setdefault(str(row["collector"]), []).append(int(row["window_start"]))
        return {collector: np.unique(np.array(starts, np.int64)) for collector, starts in minutes.items()}

    def _score(self, version: Version, frame: WindowFrame) -> DetectorOutput:
        return DetectorOutput.of(version.detector, version.calibration, frame, self._settings)


def inject_anomalies(model: str, frames: Sequence[WindowFrame], history_minutes: int, start: int) -> list[Injected]:
    """Inject one anomaly of each kind into an hour; the same hour gives the same anomalies."""
    usable = [frame for frame in frames if frame.clean.any()]
    factors, number, anomalies = compute_strengths(PER_KIND), start // HOUR_S, list[Injected]()
    for order, kind in enumerate(KINDS):
        factor = float(factors[(3 * number + 5 * order) % PER_KIND])
        seed = zlib.crc32(f"{model}:{start}:{kind}".encode())
        anomalies += inject(usable, seed, history_minutes, [kind], factors=[factor])
    return anomalies


def _build_frame(collector: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], start: int) -> WindowFrame:
    values = dict(zip(columns, np.array(rows, np.float64).reshape(len(rows), len(columns)).T.copy(), strict=True))
    starts = values["window_start"].astype(np.int64)
    features = {name: values[name] for name in FEATURE_NAMES if name in values}
    marks = {name: values[name] for name in QUALITY_NAMES}
    return WindowFrame(collector, "", starts, features, marks, int(np.searchsorted(starts, start)))


def _find_shared(frame: WindowFrame, other_alarms: Mapping[str, IntArray]) -> BoolArray:
    """Return the minutes to score that have an alarm of another detector nearby."""
    minutes, others = frame.to_score, other_alarms.get(frame.collector)
    if others is None:
        return np.zeros(len(minutes), bool)
    first = np.searchsorted(others, minutes - SHARED_ALARM_S, side="left")
    last = np.searchsorted(others, minutes + SHARED_ALARM_S, side="right")
    return np.asarray(last > first)


def _count_output(output: DetectorOutput) -> tuple[ExactValues, int]:
    usable = output.has_vote & np.isfinite(output.scores.score)
    return ExactValues.of(output.scores.score[usable].tolist()), int((output.is_alarm & usable).sum())
