"""Windows that a mark excludes from training have no effect on the trained model."""

from dataclasses import replace

import numpy as np
import pytest

from bgpdrift.detectors.interface import EXCLUDED
from helpers import windows
from retrainers.training import train

STORM = slice(1_500, 1_560)


@pytest.fixture(scope="module")
def calm():
    return windows.calm(3_000)


@pytest.mark.parametrize("model", ["heuristic", "isolation_forest"])
def test_an_incident_in_the_span_does_not_change_the_model(calm, model):
    """Two spans that differ only in how violent the incident was that is left out: the same model."""
    learned = []
    for factor in (1.0, 40.0):
        features = {name: values.copy() for name, values in calm.features.items()}
        for name in ("announced", "messages", "withdrawn", "path_length_sum", "edge_new"):
            features[name][STORM] *= factor
        left_out = np.zeros(len(calm))
        left_out[STORM] = 1.0
        frame = replace(calm, features=features, quality={**calm.quality, EXCLUDED: left_out})
        learned.append(train(model, [frame], seed=1, history_minutes=360))

    quiet, stormy = learned
    assert quiet.train_rows == stormy.train_rows == 3_000 - 60
    for name, array in quiet.content.arrays.items():
        np.testing.assert_allclose(array, stormy.content.arrays[name], rtol=1e-9, err_msg=name)
