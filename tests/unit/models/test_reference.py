"""The reference hours in an artifact: the newest are kept, and they never fill a model file."""

from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.models.artifact import MAX_BYTES
from bgpdrift.models.reference import MAX_HOURS_PER_COLLECTOR, reference_arrays

HOUR_S = 3_600
SCORES = ExactValues.of([0.001 * i for i in range(60)])


def test_the_newest_month_of_each_collector_is_kept():
    hours = [("rrc00", HOUR_S * i, SCORES, 0) for i in range(MAX_HOURS_PER_COLLECTOR + 5)]
    table = reference_arrays([*hours, ("rrc01", 0, SCORES, 3)])["hours"].tolist()

    assert [row[1] for row in table if row[0] == 0] == [HOUR_S * i for i in range(5, MAX_HOURS_PER_COLLECTOR + 5)]
    assert [row[1:3] for row in table if row[0] == 1] == [[0, 3]]


def test_of_very_many_collectors_fewer_hours_are_kept():
    hours = [(f"rrc{i:03}", HOUR_S * k, SCORES, 0) for i in range(240) for k in range(200)]
    arrays = reference_arrays(hours)

    assert 168 <= len(arrays["hours"]) / 240 < 200
    assert arrays["hours"][:, 1].max() == HOUR_S * 199
    assert sum(array.nbytes for array in arrays.values()) < 0.75 * MAX_BYTES
