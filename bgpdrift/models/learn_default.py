"""Learns the packaged default, for maintainers: ``python -m bgpdrift.models.learn_default WINDOWS… --out FILE``.

WINDOWS are lines of `bgpdrift features` from calm simulated worlds; docs/detectors.md has the commands. The first two
thirds of each world set the thresholds and the rest calibrates them, so that no minute does both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from bgpdrift.detectors.heuristic import NAME, Heuristic
from bgpdrift.detectors.interface import WindowFrame, frame_from_rows
from bgpdrift.detectors.rule_learning import learn_rules
from bgpdrift.errors import InputError
from bgpdrift.models.artifact import Artifact, to_bytes
from bgpdrift.models.metadata import EvaluationMetrics, TrainingRecord
from bgpdrift.models.self_test import add_self_test
from bgpdrift.process.durable import write_durably
from bgpdrift.settings_sections import DetectorSettings
from bgpdrift.verdicts.calibration import Calibration, extremal_index

VERSION = "default-1"
CREATED_AT = 1_795_219_200
"""2026-11-21, fixed, so that equal windows give equal bytes."""
THRESHOLD_SHARE = 2 / 3
"""Share of each world that sets the thresholds."""
SELF_TEST_MINUTES, SELF_TEST_SCORED_MINUTES = 640, 20
MIN_CALIBRATION_MINUTES = 1_440


def read_frames(path: Path) -> Iterator[WindowFrame]:
    """Read the windows of a file, one frame for each (collector, peer)."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    with path.open("rb") as file:
        for line in file:
            row = msgspec.json.decode(line)
            groups.setdefault((row["collector"], row.get("peer", "")), []).append(row)
    for key in sorted(groups):
        yield frame_from_rows(groups[key])


def learn_artifact(frames: Sequence[WindowFrame], history_minutes: int) -> Artifact:
    """Learn thresholds, calibration and self-test from calm windows; pure."""
    cuts = [round(THRESHOLD_SHARE * len(frame)) for frame in frames]
    content = learn_rules([frame.rows(0, cut, 0) for frame, cut in zip(frames, cuts, strict=True)], history_minutes)
    detector = Heuristic.from_content(content, history_minutes=history_minutes)
    fired: list[bool] = []
    clean: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for frame, cut in zip(frames, cuts, strict=True):
        scores = detector.score(
            frame.rows(max(0, cut - detector.history_minutes), len(frame), min(cut, detector.history_minutes))
        )
        fired += [bool(rules) for rules in scores.rules_fired]
        clean.append(scores.score[np.array([not reason for reason in scores.abstained], bool)])
    pooled = np.concatenate(clean) if clean else np.zeros(0)
    if len(pooled) < MIN_CALIBRATION_MINUTES:
        raise InputError(
            f"learn_default: expected at least {MIN_CALIBRATION_MINUTES} calm minutes to calibrate on, "
            f"found {len(pooled)}"
        )
    longest = max(frames, key=len)
    artifact = Artifact(
        content,
        VERSION,
        CREATED_AT,
        calibration=Calibration.fit(pooled, extremal_index(clean)).as_fields(),
        training=TrainingRecord(
            source="simulated calm worlds",
            rows=sum(cuts),
            calibration_rows=len(pooled),
            start=int(min(frame.window_start[0] for frame in frames)),
            end=int(max(frame.window_start[-1] for frame in frames)) + 60,
        ),
        metrics=EvaluationMetrics(alarm_share_on_calibration_rows=float(np.mean(fired))),
    )
    end = len(longest)
    return add_self_test(
        artifact,
        detector,
        longest.rows(max(0, end - SELF_TEST_MINUTES), end, SELF_TEST_MINUTES - SELF_TEST_SCORED_MINUTES),
    )


@click.command()
@click.argument("windows", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help=f"e.g. bgpdrift/detectors/defaults/{NAME}.safetensors"
)
def main(windows: Iterable[Path], out: Path) -> None:
    """Learn the packaged default of the heuristic from WINDOWS, lines of `bgpdrift features` from calm worlds."""
    frames = [frame for path in windows for frame in read_frames(path)]
    artifact = learn_artifact(frames, DetectorSettings().history_minutes)
    raw = to_bytes(artifact)
    write_durably(out, raw)
    click.echo(f"{out}: {len(raw):,} bytes, {artifact.training}")


if __name__ == "__main__":
    main()
