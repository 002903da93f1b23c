"""What is put together from store, files and supervisor: states, questions, series, and what is missing shown as missing."""

import json

import msgspec
import pytest

from bgpdrift.status import files, records, view
from bgpdrift.status.snapshot import EXIT_BLIND, EXIT_DRIFT, EXIT_OK, Status
from bgpdrift.status.supervised import Supervised
from bgpdrift.store import migrate

RUNS = Supervised("ready", "ready", "3 models checked", 4711, 300.0)


def built(system, now, supervised=RUNS, settings=None) -> Status:
    settings = settings or system.settings
    found = files.look(settings.artifacts_path, settings.logs_path)
    return view.build(records.read(settings.store_url), found, supervised, settings, now)


def model_of(status, name):
    return next(model for model in status.models if model.model == name)


def test_the_state_of_each_model_is_told(night, constants):
    status = built(night, constants.NOW)
    told = [(model.model, model.version, model.state, model.verdict, model.severity) for model in status.models]
    assert told == [
        ("heuristic", "4", "accepted", "none", "none"),
        ("isolation_forest", "7", "probation", "none", "none"),
        ("lstm", "9", "accepted", "drift", "critical"),
    ]
    assert model_of(status, "lstm").age_s == pytest.approx(12 * 86_400)
    assert model_of(status, "lstm").smallest_shift == 0.12


def test_the_monitor_tells_what_it_checked_last_and_what_comes_next(night, constants):
    monitor = built(night, constants.NOW).monitor
    assert (monitor.state, monitor.pid) == ("ready", 4711)
    assert monitor.last_check_at == constants.CHECKED
    assert monitor.next_check_at == constants.CHECKED + constants.HOUR_S
    assert monitor.data_age_s == 60.0


def test_a_question_comes_with_the_commands_that_answer_it_and_what_silence_means(night, constants):
    status = built(night, constants.NOW)
    (question,) = status.questions
    (item,) = status.todo
    assert [command.command for command in item.commands] == ["bgpdrift approve 1", "bgpdrift reject 1"]
    assert item.sentence == (
        "Retrain lstm? The drift is critical: a person is asked first (retrain.approve_critical). "
        "In 8 h without an answer the model is retrained."
    )
    assert question.silence_until == constants.CHECKED + 9 * constants.HOUR_S
    assert status.exit_code == EXIT_DRIFT


def test_where_silence_means_nothing_the_question_waits_for_ever(night, constants):
    drift = msgspec.structs.replace(night.settings.drift, unanswered="hold")
    status = built(night, constants.NOW, settings=msgspec.structs.replace(night.settings, drift=drift))
    assert status.questions[0].silence_until is None
    assert status.todo[0].sentence.endswith("It waits until somebody answers.")


def test_a_question_about_an_incident_names_the_incident_and_both_answers(system, constants):
    system.data_until(constants.NOW)
    number = system.question("attack_or_new_normal", "31", constants.CHECKED)
    (item,) = built(system, constants.NOW).todo
    assert [(command.command, command.does) for command in item.commands] == [
        ("bgpdrift incidents 31", "what it looks like"),
        (f"bgpdrift approve {number}", "new normal: learn it"),
        (f"bgpdrift reject {number}", "attack: do not learn it"),
    ]


def test_series_cover_seven_days_hour_by_hour_and_leave_gaps_as_gaps(night, constants):
    series = {one.name: one for one in model_of(built(night, constants.NOW), "lstm").series}
    assert set(series) == {"psi", "ks", "js", "wasserstein", "alarm_rate"}
    assert all(len(one.values) == 168 for one in series.values())
    assert series["psi"].start == constants.CHECKED - 168 * constants.HOUR_S
    assert series["psi"].values[-1] == pytest.approx(0.65)
    assert series["alarm_rate"].values[-1] == 0.15

    with night.store.writing() as connection:
        connection.exec_driver_sql(
            f"DELETE FROM drift_metrics WHERE timestamp = {constants.CHECKED - 2 * constants.HOUR_S}"
        )
    values = next(one.values for one in model_of(built(night, constants.NOW), "lstm").series if one.name == "psi")
    assert values[-3] is None
    assert values[-2] is not None


def test_measures_belong_to_their_window_and_signals_to_none(night, constants):
    measures = model_of(built(night, constants.NOW), "lstm").measures
    assert ("24h/pinned", "psi") in [(row.window, row.name) for row in measures]
    assert ("", "feature:withdrawals") in [(row.window, row.name) for row in measures]


def test_a_model_that_holds_because_of_an_incident_says_which(system, constants):
    holding = {
        "state": "held",
        "incident_id": 31,
        "since": constants.CHECKED - 50_000,
        "question_id": None,
        "answer": "",
    }
    system.model_file("lstm", "9", constants.NOW - 86_400)
    system.week("lstm", "9", verdict="held", reason="held", holding=holding)
    model = model_of(built(system, constants.NOW), "lstm")
    assert model.holding is not None
    assert (model.verdict, model.holding.incident_id, model.holding.question_id) == ("held", 31, None)


def test_probation_that_is_over_is_no_longer_the_state(night, constants):
    from bgpdrift.store import Cursor

    over = {"version": "7", "parent": "6", "verdict": "accepted", "reason": "no worse"}
    with night.store.writing() as connection:
        night.store.write_cursor(connection, Cursor("probation:isolation_forest", constants.CHECKED, over))
    assert model_of(built(night, constants.NOW), "isolation_forest").state == "active"


def test_probation_of_a_version_that_is_gone_is_not_told(night, constants):
    night.model_file("isolation_forest", "6", constants.NOW - 9_000)
    assert model_of(built(night, constants.NOW), "isolation_forest").probation is None


@pytest.mark.parametrize("name", ["drift:lstm", "probation:lstm"])
@pytest.mark.parametrize("details", [{}, {"holding": "?", "lasting": "many", "verdict": None, "version": 9}, []])
def test_a_state_that_lacks_everything_is_shown_as_missing(system, constants, name, details):
    from bgpdrift.store import Cursor

    system.model_file("lstm", "9", constants.NOW - 86_400)
    with system.store.writing() as connection:
        system.store.write_cursor(connection, Cursor(name, constants.CHECKED, dict(details)))
    model = model_of(built(system, constants.NOW), "lstm")
    assert model.verdict == "not_checked"
    assert model.lasting == 0
    assert model.holding is None


def test_with_nothing_but_an_empty_store_every_model_is_missing_and_nothing_breaks(system, constants):
    status = built(system, constants.NOW)
    assert [(model.state, model.verdict) for model in status.models] == [("none", "not_checked")] * 3
    assert status.exit_code == EXIT_OK
    assert status.headline == "nothing needs you"


def test_without_a_store_the_files_are_told_all_the_same(settings, constants):
    status = built(type("S", (), {"settings": settings})(), constants.NOW, Supervised())
    assert status.monitor.store == "missing"
    assert (status.monitor.state, status.exit_code) == ("not_running", EXIT_BLIND)
    (item,) = status.todo
    assert item.commands[0].command == "python run_all_services.py start"
    assert {model.verdict for model in status.models} == {"unknown"}


def test_a_store_of_another_version_is_named_with_the_way_to_mend_it(night, constants):
    with night.store.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'r9999'")
    status = built(night, constants.NOW)
    assert status.todo[0].kind == "store"
    assert "r9999" in status.monitor.store
    assert model_of(status, "lstm").version == "9"
    assert status.exit_code == EXIT_BLIND


def test_a_store_that_somebody_has_locked_is_an_answer_and_no_error(night, constants):
    import sqlite3

    path = night.settings.store_url.removeprefix("sqlite:///")
    night.store.close()
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        found = records.read(night.settings.store_url, patience_s=0.05)
    finally:
        holder.close()
    assert "locked" in found.problem
    assert not found.missing


def test_a_store_that_is_no_database_is_an_answer_too(settings, constants):
    migrate(settings.store_url)
    path = settings.data_path / "bgpdrift.sqlite3"
    for file in settings.data_path.glob("bgpdrift.sqlite3*"):
        file.unlink()
    path.write_bytes(b"no database" * 1000)
    assert "damaged" in records.read(settings.store_url).problem


def test_the_document_is_json_of_version_one_and_stays_so(night, constants):
    document = json.loads(built(night, constants.NOW).as_json())
    assert document["schema"] == 1
    assert set(document) == {
        "schema",
        "at",
        "exit_code",
        "headline",
        "todo",
        "monitor",
        "models",
        "questions",
        "running",
        "history",
        "reports",
    }
    assert document["models"][2]["wish"]["state"] == "waiting_approval"


def test_only_one_model_is_shown_if_only_one_is_asked_for(night, constants):
    status = night.status(constants.NOW, model="lstm")
    assert [model.model for model in status.models] == ["lstm"]
    assert {event.model for event in status.history} == {"lstm"}
    assert {report.model for report in status.reports} == {"lstm"}
