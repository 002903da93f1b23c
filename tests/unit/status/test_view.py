"""The document built from store, files and supervisor: states, approval requests, series, and missing values."""

import json

import msgspec
import pytest

from bgpdrift.attention import EXIT_ACTION, EXIT_NOT_RUNNING, EXIT_OK, EXIT_UNRELIABLE
from bgpdrift.status import files, records, view
from bgpdrift.status.snapshot import Status
from bgpdrift.status.supervised import Supervised
from bgpdrift.store import migrate
from bgpdrift.store.cursor_states import IncidentHoldState, ProbationState, probation_cursor
from bgpdrift.store.request_records import Alert, ApprovalRequest, RetrainApproval, RetrainRequest
from helpers.store_rows import write_raw_state

RUNS = Supervised("ready", "ready", "3 models checked", 4711, 300.0)


def built(system, now, supervised=RUNS, settings=None) -> Status:
    settings = settings or system.settings
    content = files.read_files(settings.artifacts_path, settings.logs_path)
    return view.build(records.read(settings.store_url), content, supervised, settings, now)


def model_of(status, name):
    return next(model for model in status.models if model.model == name)


def test_the_state_of_each_model_is_shown(night, constants):
    status = built(night, constants.NOW)
    states = [(model.model, model.version, model.state, model.verdict, model.severity) for model in status.models]
    assert states == [
        ("heuristic", "4", "accepted", "none", "none"),
        ("isolation_forest", "7", "probation", "none", "none"),
        ("lstm", "9", "accepted", "drift", "critical"),
    ]
    assert model_of(status, "lstm").age_s == pytest.approx(12 * 86_400)
    assert model_of(status, "lstm").smallest_shift == 0.12


def test_the_last_and_the_next_check_are_shown(night, constants):
    monitor = built(night, constants.NOW).monitor
    assert (monitor.state, monitor.pid) == ("ready", 4711)
    assert monitor.last_check_at == constants.CHECKED
    assert monitor.next_check_at == constants.CHECKED + constants.HOUR_S
    assert monitor.data_age_s == 60.0


def test_an_approval_request_comes_with_its_answers_and_what_happens_without_one(night, constants):
    status = built(night, constants.NOW)
    (request,) = status.approval_requests
    (action,) = status.actions
    assert [command.command for command in action.commands] == ["bgpdrift approve 1", "bgpdrift reject 1"]
    assert action.message == (
        "Retrain lstm? The drift is critical: a person is asked first (retrain.approve_critical). "
        "Without an answer within 8 h, the model is retrained."
    )
    assert request.expires_at == constants.CHECKED + 9 * constants.HOUR_S
    assert status.exit_code == EXIT_ACTION


def test_an_approval_request_for_a_first_training_offers_to_train_or_to_have_no_model(system, constants):
    details = RetrainApproval(request_id=1, summary="train the first lstm? the setting asks", is_first=True)
    request = ApprovalRequest(kind="retrain", subject="lstm", requested_at=constants.NOW, details=details)
    added = RetrainRequest(model="lstm", requested_at=constants.NOW, requested_by="drift_monitor")
    request_id = system.store.add_retrain_request(added)
    alert = Alert(at=0.0, key="x", severity="medium", title="x")
    system.store.change_retrain_request(request_id, "requested", "waiting_approval", approval=request, alerts=[alert])

    (action,) = [action for action in built(system, constants.NOW).actions if action.kind == "approval"]

    assert action.message.startswith("Train the first lstm? The setting asks. Without an answer")
    assert action.message.endswith("the first model is trained.")
    assert [command.effect for command in action.commands] == ["train it", "leave the detector without a model"]


def test_an_approval_request_can_wait_without_a_limit(night, constants):
    drift = msgspec.structs.replace(night.settings.drift, unanswered="hold")
    status = built(night, constants.NOW, settings=msgspec.structs.replace(night.settings, drift=drift))
    assert status.approval_requests[0].expires_at is None
    assert status.actions[0].message.endswith("It waits for an answer without a limit.")


def test_an_approval_request_about_an_incident_names_the_incident_and_both_answers(system, constants):
    system.data_until(constants.NOW)
    number = system.approval("attack_or_new_normal", "31", constants.CHECKED)
    (action,) = built(system, constants.NOW).actions
    assert [(command.command, command.effect) for command in action.commands] == [
        ("bgpdrift incidents 31", "explains the incident"),
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


def test_a_held_drift_names_the_incident(system, constants):
    hold = IncidentHoldState(state="held", incident_id=31, since=constants.CHECKED - 50_000)
    system.model_file("lstm", "9", constants.NOW - 86_400)
    system.week("lstm", "9", verdict="held", reason="held", incident_hold=hold)
    model = model_of(built(system, constants.NOW), "lstm")
    assert model.incident_hold is not None
    assert (model.verdict, model.incident_hold.incident_id, model.incident_hold.approval_id) == ("held", 31, None)


def test_a_probation_that_ended_is_not_the_state(night, constants):
    ended = ProbationState(version="7", parent_version="6", verdict="accepted", reason="not worse")
    night.put_state(probation_cursor("isolation_forest"), ended)
    assert model_of(built(night, constants.NOW), "isolation_forest").state == "active"


def test_the_probation_of_another_version_is_not_shown(night, constants):
    night.model_file("isolation_forest", "6", constants.NOW - 9_000)
    assert model_of(built(night, constants.NOW), "isolation_forest").probation is None


@pytest.mark.parametrize("name", ["drift:lstm", "probation:lstm"])
@pytest.mark.parametrize("details", [{}, {"holding": "?", "lasting": "many", "verdict": None, "version": 9}, []])
def test_a_damaged_state_is_shown_as_missing(system, constants, name, details):
    system.model_file("lstm", "9", constants.NOW - 86_400)
    write_raw_state(system.store, name, constants.CHECKED, details)
    model = model_of(built(system, constants.NOW), "lstm")
    assert model.verdict == "not_checked"
    assert model.persistence == 0
    assert model.incident_hold is None


def test_with_an_empty_store_every_model_is_missing(system, constants):
    status = built(system, constants.NOW)
    assert [(model.state, model.verdict) for model in status.models] == [("none", "not_checked")] * 3
    assert status.exit_code == EXIT_OK
    assert status.headline == "Nothing needs you"


def test_a_recording_of_another_month_is_no_data_for_a_first_training(system, constants):
    """After a replay of the past, a system that has just begun with the present misses no model."""
    system.data_until(constants.NOW - 88 * 86_400)
    system.data_until(constants.NOW)

    assert [action.kind for action in built(system, constants.NOW).actions if action.kind == "model"] == []


def test_without_a_store_the_files_are_shown(settings, constants):
    status = built(type("S", (), {"settings": settings})(), constants.NOW, Supervised())
    assert status.monitor.store == "missing"
    assert (status.monitor.state, status.exit_code) == ("not_running", EXIT_NOT_RUNNING)
    (action,) = status.actions
    assert action.commands[0].command == "python run_all_services.py start"
    assert {model.verdict for model in status.models} == {"unknown"}


def test_a_store_of_another_version_is_named(night, constants):
    with night.store.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'r9999'")
    status = built(night, constants.NOW)
    assert status.actions[0].kind == "store"
    assert "r9999" in status.monitor.store
    assert model_of(status, "lstm").version == "9"
    assert status.exit_code == EXIT_UNRELIABLE


def test_a_locked_store_is_reported(night, constants):
    import sqlite3

    path = night.settings.store_url
    night.store.close()
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        result = records.read(night.settings.store_url, max_wait_s=0.05)
    finally:
        holder.close()
    assert "locked" in result.problem
    assert not result.missing


def test_a_file_that_is_not_a_database_is_reported(settings, constants):
    migrate(settings.store_url)
    path = settings.data_path / "bgpdrift.sqlite3"
    for file in settings.data_path.glob("bgpdrift.sqlite3*"):
        file.unlink()
    path.write_bytes(b"no database" * 1000)
    assert "damaged" in records.read(settings.store_url).problem


def test_the_document_has_the_fields_of_schema_1(night, constants):
    document = json.loads(built(night, constants.NOW).as_json())
    assert document["schema"] == 1
    assert set(document) == {
        "schema",
        "at",
        "exit_code",
        "headline",
        "actions",
        "monitor",
        "models",
        "incidents",
        "approval_requests",
        "running",
        "history",
        "reports",
    }
    assert document["models"][2]["retrain_request"]["state"] == "waiting_approval"


def test_one_model_is_shown_if_one_is_asked_for(night, constants):
    status = night.status(constants.NOW, model="lstm")
    assert [model.model for model in status.models] == ["lstm"]
    assert {event.model for event in status.history} == {"lstm"}
    assert {report.model for report in status.reports} == {"lstm"}
