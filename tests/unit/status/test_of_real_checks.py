"""What the drift monitor itself writes is understood: its checks, state, wishes and questions, not rows made up here."""

import msgspec
import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.status import files, records, view
from bgpdrift.status.supervised import Supervised
from bgpdrift.store.schema import hourly_histograms, incidents, retrain_triggers

RUNS = Supervised("ready", "ready", "", 4711, 300.0)
DAYS = 9
SHIFTED_H = 20  # so many hours ago scores doubled


@pytest.fixture
def checked(system, constants):
    """Nine days of scores of one detector, doubled lately, and every check the monitor makes of them."""

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
            since = constants.CHECKED - SHIFTED_H * constants.HOUR_S
            system.insert(
                incidents,
                {
                    "state": "open",
                    "severity": "high",
                    "started_at": since,
                    "last_seen_at": constants.CHECKED,
                    "peak": 9.0,
                    "collectors": ["rrc00"],
                },
            )
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
    found = files.look(settings.artifacts_path, settings.logs_path)
    status = view.build(records.read(settings.store_url), found, RUNS, settings, now)
    return status, next(model for model in status.models if model.model == "lstm")


def test_a_drift_the_monitor_found_is_shown_with_its_figures_and_the_wish_that_followed(checked, constants):
    system = checked()
    _, model = model_of(system, constants.NOW)
    assert (model.version, model.verdict) == ("9", "drift")
    assert model.severity in ("high", "critical")
    assert model.lasting >= model.needed == 6
    assert model.checked_at == constants.CHECKED
    assert model.next_check_at == constants.CHECKED + 3 * constants.HOUR_S
    assert abs(model.change_point - (constants.CHECKED - SHIFTED_H * constants.HOUR_S)) <= 2 * constants.HOUR_S
    assert model.collectors == ("rrc00",)
    assert model.reason.startswith("Drift")
    assert model.wish.state == "requested"
    measures = {(row.window, row.name): row for row in model.measures}
    assert measures["24h/7d", "psi"].value > 0.2
    assert "24h/7d" in {row.window for row in model.measures}
    psi = next(series for series in model.series if series.name == "psi").values
    assert psi[-1] > 0.2 > max(value for value in psi[:-SHIFTED_H] if value is not None)
    assert system.store.rows(retrain_triggers.select())


def test_scores_that_stay_as_they_are_are_shown_as_no_drift_with_what_would_have_been_seen(checked, constants):
    status, model = model_of(checked(factor=1.0), constants.NOW)
    assert (model.verdict, model.severity, model.lasting) == ("none", "none", 0)
    assert 0.0 < model.smallest_shift < 1.0
    assert status.exit_code == 0


def test_a_drift_that_an_open_incident_holds_is_shown_as_held_by_it(checked, constants):
    _, model = model_of(checked(incident=True), constants.NOW)
    assert model.verdict == "held"
    assert (model.holding.incident_id, model.holding.state in ("held", "asked")) == (1, True)
    assert model.wish is None
