"""Bad models: only the calibration differs, and they pass every check of a file."""

import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.lab.demo.bad_model import force_bad_model, make_bad_copy
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.loading import default_bytes
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import current_path
from bgpdrift.settings import load
from bgpdrift.store import migrate, open_store
from bgpdrift.verdicts.calibration import Calibration


@pytest.fixture
def model():
    return artifacts.from_bytes(default_bytes("heuristic"), "packaged", "heuristic")


@pytest.mark.parametrize(("fault", "alarms"), [("never_alarms", False), ("always_alarms", True)])
def test_only_the_calibration_differs(model, fault, alarms):
    bad = make_bad_copy(model, fault, "7")
    calibration = Calibration.from_fields(bad.calibration)
    usual = Calibration.from_fields(model.calibration)
    unusual = np.array([2.0 * usual.tail.start])

    assert (bad.version, bad.parent_version, bad.content) == ("7", model.version, model.content)
    assert bool(calibration.p_value(unusual)[0] <= calibration.alarm_p(2.0)) == alarms


def test_a_bad_model_passes_every_check_of_a_file_and_is_active(tmp_path, model):
    settings = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path)})
    folder = settings.artifacts_path
    folder.mkdir(parents=True)
    current_path(folder, "heuristic").write_bytes(default_bytes("heuristic"))
    migrate(settings.store_url)
    with open_store(settings.store_url) as store:
        version = force_bad_model(
            settings, store, ModelRegistry(folder, store, FakeClock()), "heuristic", "never_alarms"
        )
        states = {version.version: version.state for version in store.model_versions("heuristic")}

    assert artifacts.read(current_path(folder, "heuristic"), "heuristic").version == version
    assert states[version] == "active"
