"""Real announcements (RIPE NCC, Routing Information Service): a worm is an incident, eight years later is drift."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from bgpdrift.drift import check_scores
from bgpdrift.drift.constants import HOUR_S

pytestmark = pytest.mark.shared_data
TWO_DAYS = 2 * 1_440


def announcements_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Announcements a minute, and which minutes are labelled as anomalous."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        table = np.loadtxt(stream, delimiter=",")
    return table[:, 4], table[:, -1] == 1


@pytest.fixture
def worm(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Slammer with its two calm days repeated three times, as a week of reference."""
    counts, labelled = announcements_of(shared_data / "labelled" / "Slammer.csv.gz")
    return (
        np.concatenate([*[counts[:TWO_DAYS]] * 3, counts]),
        np.concatenate([np.zeros(3 * TWO_DAYS, bool), labelled]),
    )


def test_a_significant_check_within_the_worm_is_an_incident(worm):
    counts, labelled = worm
    times = 60 * np.arange(len(counts))
    begin, end = np.flatnonzero(labelled)[[0, -1]]
    verdicts = [check_scores(times[:at], counts[:at]).verdict for at in range(begin // 60 * 60 + 60, end + 600, 120)]
    assert set(verdicts) <= {"none", "incident"}
    assert verdicts.count("incident") >= 8


def test_eight_years_later_is_drift_within_a_day(worm, shared_data):
    counts, labelled = worm
    later, _ = announcements_of(shared_data / "labelled" / "RIPE_regular.csv.gz")
    series = np.concatenate([counts, later])
    change = len(counts)
    times = 60 * np.arange(len(series))
    clean = ~np.isin(times // HOUR_S, np.unique(times[: len(labelled)][labelled] // HOUR_S))  # the incident is known
    verdicts = []
    for at in range(change + 240, change + 1_441, 240):
        known = clean & (np.arange(len(series)) < at)
        verdicts.append(check_scores(times[known], series[known]).verdict)
    assert verdicts[-1] == "drift"
