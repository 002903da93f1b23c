"""`bgpdrift label`, as an operator types it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bgpdrift.commands.incidents import command as incidents
from bgpdrift.commands.label import command
from bgpdrift.errors import InputError
from bgpdrift.settings import load
from bgpdrift.store import IncidentChanges, Store, migrate, open_store
from bgpdrift.store.outcomes import DailyPerformance

T = 1_700_000_040
Label = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Incidents 1 (an hour, rrc00) and 2 (merged into 1), and windows of rrc00 for a day."""
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    settings = load()
    settings.data_path.mkdir()
    migrate(settings.store_url)
    with open_store(settings.store_url) as opened:
        row = {"state": "closed", "severity": "low", "started_at": T, "last_seen_at": T + 3540, "peak": 2.0}
        first = {**row, "id": 1, "collectors": ["rrc00"], "merged_into": None}
        second = {**row, "id": 2, "collectors": ["rrc00"], "merged_into": 1}
        opened.apply_incidents(IncidentChanges(inserts=(first, second)), None)
        opened.write_windows(
            [{"window_start": T + at, "collector": "rrc00", "peer": ""} for at in (0, 3600, 86_400)], None
        )
        yield opened


@pytest.fixture
def label() -> Label:
    def run(*words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--by", "ann"], standalone_mode=False)

    return run


def refused(result: Result) -> str:
    assert isinstance(result.exception, InputError)
    return str(result.exception)


def test_an_incident_is_labelled_with_its_own_range(store: Store, label: Label) -> None:
    done = label("1", "true_positive", "--notes", "upstream confirmed")

    (outcome,) = store.outcomes_between(0, 2**62)
    assert "label 1 written: incident 1 is true_positive" in done.stdout
    assert (outcome.starts_at, outcome.ends_at, outcome.collector) == (T, T + 3600, "rrc00")
    assert (outcome.labelled_by, outcome.notes) == ("ann", "upstream confirmed")
    assert [event["kind"] for event in store.incident_events(1)] == ["labelled"]


def test_an_incident_shows_who_labelled_it(store: Store, label: Label) -> None:
    label("1", "false_positive", "--notes", "maintenance")
    label("--undo", "1")

    shown = CliRunner().invoke(incidents, ["1"]).stdout

    assert "labelled false_positive by ann: maintenance" in shown
    assert "labelled no longer false_positive by ann" in shown


def test_a_missed_range_is_labelled_in_whole_minutes(store: Store, label: Label) -> None:
    label("missed", "--from", str(T + 7230), "--to", str(T + 7300), "--collector", "rrc00")

    (outcome,) = store.outcomes_between(0, 2**62)
    assert (outcome.label, outcome.incident_id, outcome.starts_at, outcome.ends_at) == (
        "missed",
        None,
        T + 7200,
        T + 7320,
    )


def test_a_missed_range_with_an_incident_in_it_is_noted(store: Store, label: Label) -> None:
    done = label("missed", "--from", str(T), "--to", str(T + 600))

    assert "note: incident 1 is in this range" in done.stderr


def test_a_label_can_be_taken_back(store: Store, label: Label) -> None:
    label("1", "new-normal")

    done = label("--undo", "1")

    assert "label 1 removed" in done.stdout
    assert store.outcomes_between(0, 2**62) == []
    assert "no label 1" in refused(label("--undo", "1"))


def test_labels_are_listed(store: Store, label: Label) -> None:
    assert label("--list").stdout == "There are no labels.\n"
    label("1", "false_positive")

    assert "false_positive" in label("--list").stdout
    assert json.loads(label("--list", "--json").stdout)["incident_id"] == 1


def test_too_few_labels_give_a_note(store: Store, label: Label) -> None:
    assert "no labels of complete days in the last 30 days" in label("--performance").stdout
    counts = {"true_positives": 5, "false_positives": 2, "true_negatives": 0, "false_negatives": 0, "labels": 7}
    day = T // 86_400 * 86_400
    store.replace_performance(day, [DailyPerformance(day_start=day, model="lstm", model_version="3", **counts)], None)

    assert "too few labels (7 of 20)" in label("--performance").stdout
    assert json.loads(label("--performance", "--json").stdout)["accuracy"] is None


def test_enough_labels_have_figures_with_an_interval(store: Store, label: Label) -> None:
    counts = {"true_positives": 15, "false_positives": 2, "true_negatives": 3, "false_negatives": 0, "labels": 20}
    day = T // 86_400 * 86_400
    store.replace_performance(day, [DailyPerformance(day_start=day, model="lstm", model_version="3", **counts)], None)

    found = json.loads(label("--performance", "--json").stdout)

    assert (found["accuracy"], found["accuracy_interval"]) == (0.9, [0.699, 0.9721])
    assert "0.70 to 0.97" in label("--performance").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1"], "expected INCIDENT_ID LABEL or missed, found '1'"),
        (["one", "true_positive"], "expected INCIDENT_ID LABEL or missed"),
        (["1", "wrong"], "expected one of true_positive, false_positive, new_normal"),
        (["1", "missed"], "expected one of true_positive, false_positive, new_normal"),
        (["9", "true_positive"], "no incident 9"),
        (["2", "true_positive"], "incident 2: expected an incident of its own, found one merged into incident 1"),
        (["1", "true_positive", "--from", "5"], "--from, --to and --collector are allowed only with missed"),
        (["missed"], "expected --from TIME and --to TIME"),
        (["missed", "--from", str(T + 60), "--to", str(T)], "expected --to after --from, found -60 s"),
        (["missed", "--from", "yesterday", "--to", str(T)], "expected epoch seconds or a date"),
        (["missed", "--from", str(T), "--to", str(T + 8 * 86_400)], "expected at most 7 days, found 8.0"),
        (["missed", "--from", str(T + 90_000), "--to", str(T + 90_060)], "found none in the store at or after --from"),
        (["missed", "--from", str(T), "--to", str(T + 60), "--collector", "rrc99"], "'rrc99' has no windows"),
        (["1", "true_positive", "--list"], "one of INCIDENT_ID LABEL"),
        ([], "one of INCIDENT_ID LABEL"),
    ],
)
def test_wrong_arguments_are_refused_and_write_nothing(
    store: Store, label: Label, words: list[str], message: str
) -> None:
    assert message in refused(label(*words))
    assert store.outcomes_between(0, 2**62) == []


def test_a_range_is_not_missed_twice(store: Store, label: Label) -> None:
    label("missed", "--from", str(T + 7200), "--to", str(T + 7800))

    again = label("missed", "--from", str(T + 7740), "--to", str(T + 8000), "--collector", "rrc00")

    assert "found label 1 on part of it; remove that label first" in refused(again)
