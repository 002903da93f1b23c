"""The lines of a running demo: each incident once when it opens and once when it closes, and the simulated time."""

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


def lines(out: io.StringIO) -> list[str]:
    """Lines without their seconds."""
    return [line.split(" s ", 1)[1] for line in out.getvalue().splitlines()]


def test_an_incident_has_a_line_when_it_opens_and_one_when_it_closes(story: Story, out: io.StringIO):
    for row in (incident("open"), incident("open"), incident("closed", "update storm"), incident("closed")):
        story.tell_incident(row)

    assert lines(out) == [
        "incident 7 opened, first anomaly at 2026-09-02 06:24: outage",
        "incident 7 closed, last anomaly at 2026-09-02 08:16: update storm",
    ]


def test_a_merged_incident_has_no_line(story: Story, out: io.StringIO):
    story.tell_incident(incident("closed", merged_into=3))

    assert lines(out) == []


def test_without_a_terminal_the_simulated_time_is_printed_every_ten_hours(story: Story, out: io.StringIO):
    with story:
        story.begin(50.0, "ready")
        for hours in (0.0, 9.9, 10.4, 15.0, 31.0, 49.9):
            story.show_progress(hours)

    assert lines(out) == [
        "ready",
        "simulated 10.4 of 50.0 h",
        "simulated 31.0 of 50.0 h",
        "simulated 49.9 of 50.0 h",
    ]


@pytest.mark.parametrize(
    ("output", "errors", "outcome"),
    [
        ('{"event": "retrain.finished", "outcome": "rejected", "reason": "finds less"}\n', "", "finds less"),
        ("", "Traceback\nImportError: no torch\n", "Traceback\nImportError: no torch"),
        ("", "", "no output"),
    ],
    ids=["a reason", "only errors", "nothing"],
)
def test_the_reason_of_a_failed_training_is_kept(output: str, errors: str, outcome: str):
    found = read_outcome("lstm", 3, output, errors, 2.0)

    assert (found.outcome, found.version, found.windows, found.passed) == (outcome, "-", 0, False)
