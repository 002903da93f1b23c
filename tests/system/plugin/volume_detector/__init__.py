"""The record of a fourth detector, in a distribution of its own; `test_fourth_detector` installs it."""

from bgpdrift.detector_registry import DetectorRecord

RECORD = DetectorRecord(
    name="volume",
    title="the volume detector",
    summary="Compares the announcements of a minute with their median.",
    build="volume_detector.model:build",
    train="volume_detector.model:fit",
    folds=2,
    weight=0.25,
)
