"""The status of checks, states and requests that the drift monitor itself wrote."""

import msgspec
import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.status import files, records, view
from bgpdrift.status.supervised import Supervised
from bgpdrift.store.schema import hourly_histograms

RUNS = Supervised("ready", "ready", "", 4711, 300.0)
DAYS = 9
SHIFTED_H = 20  # hours since the scores doubled


@pytest.fixture
def checked(system, constants):
    """Nine days of scores of one detector, doubled in the last hours, and every check that the monitor makes."""

    def make(incident: bool = False, factor: float = 2.0):
        rng = np.random.default_rng(7)
        rows = []
        for back in range(24 * DAYS, 0, -1):
            scores = rng.gamma(2.0, size=60) * (factor if back <= SHIFTED_H else 1.0)
            histogram = Histogram.of(scores.tolist())
            rows.append(
                {
                    "hour_start": constants.CHECKED - back * constants.HOUR_S,
                    "series": "score:lstm",
                    "model_version": "9",
                    "collector": "rrc00",
                    "n": 60,
                    "alarms": int((scores > 8).sum()),
                    "value_sum": histogram.total,
                    "value_sum_squares": histogram.squares,
                    "bins": histogram.to_bytes(),
                }
            )
        system.insert(hourly_histograms, *rows)
        system.data_until(constants.CHECKED + 3 * constants.HOUR_S)
        system.model_file("lstm", "9", constants.CHECKED - DAYS * 86_400)
        if incident:
            system.incident(1, constants.CHECKED - SHIFTED_H * constants.HOUR_S)
        # Every third hour and one pinned window: the same rows, in a tenth of the time.
        drift = msgspec.structs.replace(system.settings.drift, check_every_h=3, pinned_windows_h=[24])
        settings = msgspec.structs.replace(system.settings, drift=drift)
        checks = DriftChecks(settings, system.store, FakeClock(constants.NOW))
        for _ in range(24 * DAYS):
            if not checks.step():
                break
        return system

    return make


def model_of(system, now):
    settings = system.settings
    content = files.read_files(settings.artifacts_path, settings.logs_path)
    status = view.build(records.read(settings.store_url), content, RUNS, settings, now)
    return status, next(model for model in status.models if model.model == "lstm")


def test_a_drift_is_shown_with_its_figures_and_its_retraining_request(checked, constants):
    system = checked()
    _, model = model_of(system, constants.NOW)
    assert (model.version, model.verdict) == ("9", "drift")
    assert model.severity in ("high", "critical")
    assert model.persistence >= model.persistence_checks == 6
    assert model.checked_at == constants.CHECKED
    assert model.next_check_at == constants.CHECKED + 3 * constants.HOUR_S
    assert abs(model.change_point - (constants.CHECKED - SHIFTED_H * constants.HOUR_S)) <= 2 * constants.HOUR_S
    assert model.collectors == ("rrc00",)
    assert model.reason.startswith("Drift")
    assert model.retrain_request.state == "requested"
    measures = {(row.window, row.name): row for row in model.measures}
    assert measures["24h/7d", "psi"].value > 0.2
    assert "24h/7d" in {row.window for row in model.measures}
    psi = next(series for series in model.series if series.name == "psi").values
    assert psi[-1] > 0.2 > max(value for value in psi[:-SHIFTED_H] if value is not None)


def test_unchanged_scores_are_shown_as_no_drift_with_the_smallest_detectable_shift(checked, constants):
    status, model = model_of(checked(factor=1.0), constants.NOW)
    assert (model.verdict, model.severity, model.persistence) == ("none", "none", 0)
    assert 0.0 < model.smallest_shift < 1.0
    assert status.exit_code == 0


def test_a_drift_during_an_open_incident_is_shown_as_held(checked, constants):
    _, model = model_of(checked(incident=True), constants.NOW)
    assert model.verdict == "held"
    assert (model.incident_hold.incident_id, model.incident_hold.state in ("held", "asked")) == (1, True)
    assert model.retrain_request is None
