"""The settings of the detectors reach the training: the rolling baseline's length, and the alarm budget."""

from pathlib import Path
from types import ModuleType

import numpy as np

from bgpdrift.clock import FakeClock
from bgpdrift.models.artifact import read
from bgpdrift.models.paths import candidate_paths
from bgpdrift.models.reference import reference_hours
from bgpdrift.settings import load
from bgpdrift.store import migrate, open_store
from retrainers.run_options import RunOptions
from retrainers.training import train
from retrainers.training_run import TrainingRun


def test_thresholds_are_learned_with_the_history_of_the_settings(windows: ModuleType) -> None:
    frames = [windows.calm(1_500)]
    short, long = (train("heuristic", frames, history_minutes=minutes).content for minutes in (120, 720))
    assert (short.hyper_parameters["history_minutes"], long.hyper_parameters["history_minutes"]) == (120, 720)
    assert not np.array_equal(short.arrays["thresholds"], long.arrays["thresholds"])


def reference_alarms(folder: Path, windows: ModuleType, alarms_per_day: float) -> int:
    """Train a candidate with some alarm budget; return how many alarms its reference hours count."""
    settings = load(
        env={
            "BGPDRIFT_DATA_DIR": str(folder),
            "BGPDRIFT_DETECTORS__FALSE_ALARMS_PER_DAY": str(alarms_per_day),
            "BGPDRIFT_RETRAIN__MIN_WINDOWS": "700",
            "BGPDRIFT_RETRAIN__MAX_ALARM_FACTOR": "1000",
        }
    )
    settings.data_path.mkdir()
    migrate(settings.store_url)
    with open_store(settings.store_url) as store:
        store.write_windows(windows.rows_of(windows.calm(2_200)), None)
        options = RunOptions(days=7, candidate_only=True, force=True)
        TrainingRun(settings, store, FakeClock(), "isolation_forest", options, lambda _: None).run()
    (path,) = candidate_paths(settings.artifacts_path, "isolation_forest")
    return sum(int(hours.alarms.sum()) for hours in reference_hours(read(path, "isolation_forest")).values())


def test_reference_hours_count_alarms_at_the_budget_of_the_settings(tmp_path: Path, windows: ModuleType) -> None:
    few, many = (reference_alarms(tmp_path / str(budget), windows, budget) for budget in (0.05, 2.0))
    assert many > 3 * max(few, 1)
