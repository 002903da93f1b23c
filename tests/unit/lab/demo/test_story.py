"""What the demo tells while it runs: every incident once when it opens and once when it is over, simulated time now and then."""

import io

import pytest
from rich.console import Console

from bgpdrift.lab.demo.story import Story
from bgpdrift.lab.demo.training import read_outcome


def incident(state: str, kind: str = "outage", merged_into: int | None = None) -> dict[str, object]:
    return {
        "id": 7,
        "state": state,
        "kind": kind,
        "started_at": 1_788_330_240,
        "last_seen_at": 1_788_337_000,
        "merged_into": merged_into,
    }


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def story(out: io.StringIO) -> Story:
    return Story(Console(file=out, width=80, highlight=False))


def told(out: io.StringIO) -> list[str]:
    """Lines without their seconds."""
    return [line.split(" s ", 1)[1] for line in out.getvalue().splitlines()]


def test_an_incident_is_told_when_it_opens_and_when_it_is_over(story: Story, out: io.StringIO):
    for row in (incident("open"), incident("open"), incident("closed", "update storm"), incident("closed")):
        story.incident(row)

    assert told(out) == [
        "incident 7 opened at 2026-09-02 06:24, looks like: outage",
        "incident 7 closed, its last anomaly at 2026-09-02 08:16: update storm",
    ]


def test_an_incident_that_was_merged_away_is_not_told(story: Story, out: io.StringIO):
    story.incident(incident("closed", merged_into=3))

    assert told(out) == []


def test_simulated_time_is_told_every_ten_hours_where_there_is_no_bar(story: Story, out: io.StringIO):
    with story:
        story.begin(50.0, "ready")
        for hours in (0.0, 9.9, 10.4, 15.0, 31.0, 49.9):
            story.reach(hours)

    assert told(out) == [
        "ready",
        "simulated 10.4 of 50.0 h",
        "simulated 31.0 of 50.0 h",
        "simulated 49.9 of 50.0 h",
    ]


@pytest.mark.parametrize(
    ("said", "errors", "outcome"),
    [
        ('{"event": "retrain.finished", "outcome": "rejected", "reason": "finds less"}\n', "", "finds less"),
        ("", "Traceback\nImportError: no torch\n", "Traceback\nImportError: no torch"),
        ("", "", "said nothing"),
    ],
    ids=["a reason", "only errors", "nothing"],
)
def test_what_a_retrainer_says_of_its_failure_is_kept(said: str, errors: str, outcome: str):
    found = read_outcome("lstm", 3, said, errors, 2.0)

    assert (found.outcome, found.version, found.windows, found.passed) == (outcome, "-", 0, False)
