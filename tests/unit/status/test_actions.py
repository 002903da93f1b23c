"""What needs a person, and what does not."""

import msgspec
import pytest

from bgpdrift.attention import EXIT_ACTION, EXIT_NOT_RUNNING, EXIT_OK, EXIT_UNRELIABLE
from bgpdrift.settings import Settings, load
from bgpdrift.status.actions import choose_exit_code, list_actions, write_headline
from bgpdrift.status.messages import describe_model
from bgpdrift.status.snapshot import (
    FirstTraining,
    FlagFile,
    Incident,
    Model,
    ModelEvent,
    Monitor,
    Probation,
    RetrainRequest,
)
from bgpdrift.status.supervised import Supervised
from bgpdrift.store.request_records import OPEN_REQUEST_STATES

NOW = 1_795_230_720
WORKING = Monitor("ready", "ready", "", 4711, 600.0, NOW - 720, NOW - 720.0, NOW + 2_880, NOW - 60, 60.0)
DRIFT = {"verdict": "drift", "severity": "high", "persistence": 6}


def make_model(**fields):
    plain = {
        "model": "lstm",
        "version": "9",
        "state": "accepted",
        "created_at": 0,
        "active_since": 0,
        "age_s": 0.0,
        "parent_version": "8",
        "file_problem": "",
        "verdict": "none",
        "severity": "none",
        "reason": "",
        "p_value": None,
        "checked_at": None,
        "next_check_at": None,
        "persistence": 0,
        "persistence_checks": 6,
        "waiting_for": "",
        "smallest_shift": None,
        "change_point": None,
        "collectors": (),
        "report_path": "",
        "measures": (),
        "series": (),
    }
    return Model(**{**plain, **fields})


def actions_of(*models, monitor=WORKING, settings=None, history=(), incidents=(), data_span_s=0.0, **supervised):
    supervisor = Supervised("ready", "ready", **supervised)
    return list_actions(
        monitor, supervisor, models, incidents, (), history, settings or Settings(), data_span_s=data_span_s
    )


def request_in(state, reason=""):
    return RetrainRequest(1, state, NOW, "drift_monitor", "high", reason, is_open=state in OPEN_REQUEST_STATES)


def test_a_database_that_is_missing_while_the_services_run_needs_a_person():
    without = msgspec.structs.replace(WORKING, store="missing")
    actions = actions_of(make_model(), monitor=without)
    assert [(action.kind, action.exit_code) for action in actions] == [("store", EXIT_UNRELIABLE)]
    assert "database file was removed" in actions[0].message
    assert actions_of(make_model(), monitor=msgspec.structs.replace(without, supervisor="starting")) == ()


def test_a_working_system_needs_nobody():
    actions = actions_of(make_model())

    assert (actions, choose_exit_code(actions)) == ((), EXIT_OK)


def test_drift_in_too_few_checks_needs_nobody():
    assert actions_of(make_model(**DRIFT | {"persistence": 5})) == ()


@pytest.mark.parametrize("state", ["requested", "waiting_approval", "postponed", "flagged", "claimed"])
def test_drift_with_an_open_request_needs_nobody(state):
    assert actions_of(make_model(**DRIFT, retrain_request=request_in(state))) == ()


def test_drift_with_a_flag_file_needs_nobody():
    assert actions_of(make_model(**DRIFT, flag=FlagFile("waiting", "", "", 0.0, 0))) == ()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (None, "nothing is being done"),
        (request_in("refused", "the drift is medium"), "refused (the drift is medium)"),
        (request_in("failed", "the gate rejected it"), "failed (the gate rejected it)"),
        (request_in("done"), "nothing is being done"),
    ],
)
def test_drift_that_nothing_handles_needs_a_person_and_names_the_reason(request_, message):
    (action,) = actions_of(make_model(**DRIFT, retrain_request=request_))

    assert (action.exit_code, action.subject) == (EXIT_ACTION, "lstm")
    assert message in action.message
    assert "retrain_lstm" in [command.command for command in action.commands]


def test_the_reason_of_a_failed_retraining_comes_from_its_event_if_the_request_has_none():
    last = ModelEvent("lstm", "retrain", "", 0, 60, "rejected", "drift", "41 alarms per day, at most 10", 3)

    (action,) = actions_of(make_model(**DRIFT, retrain_request=request_in("failed")), history=(last,))

    assert "41 alarms per day" in action.message


@pytest.mark.parametrize("switch", ["retrain.auto", "detectors.lstm.auto_retrain"])
def test_drift_with_retraining_switched_off_is_named(switch):
    (action,) = actions_of(make_model(**DRIFT), settings=load(env={}, overrides={switch: False}))

    assert action.message.endswith("automatic retraining is switched off.")


def test_a_flag_file_whose_retrainings_fail_needs_a_person():
    (action,) = actions_of(make_model(flag=FlagFile("waiting", "", "", 0.0, 3)))

    assert "3 retrainings for one flag file failed" in action.message
    assert action.commands[0].command.endswith("retrain_lstm.log")


def test_a_failed_probation_without_a_version_to_return_to_needs_a_person():
    reason = "40.0 alarms per day; there is no version to return to"
    trial = Probation("9", "", 0, 86_400, 40.0, None, "needs_review", reason)

    (action,) = actions_of(make_model(state="probation", probation=trial))

    assert action.exit_code == EXIT_ACTION
    assert "no version to return to" in action.message


@pytest.mark.parametrize("verdict", ["watching", "accepted"])
def test_a_probation_without_problems_needs_nobody(verdict):
    assert actions_of(make_model(probation=Probation("9", "8", 0, 86_400, 1.0, 2.0, verdict, ""))) == ()


def test_a_probation_that_is_extended_states_the_reason():
    trial = Probation("9", "8", 0, 86_400, 1.0, 2.0, "watching", "only 5 anomalies could be injected")

    sentences = list(describe_model(make_model(probation=trial), NOW, NOW))

    assert sentences[-1] == "Only 5 anomalies could be injected."
    assert sentences[-2].endswith("1.0 alarms per day, 2.0 of the earlier version.")


def test_an_unreadable_model_file_comes_with_the_command_to_roll_back():
    (action,) = actions_of(make_model(file_problem="lstm.safetensors is not a model file"))

    assert action.exit_code == EXIT_UNRELIABLE
    assert action.commands[0].command == "bgpdrift rollback lstm"


@pytest.mark.parametrize(("hours", "kinds"), [(35, []), (36, ["model"])])
def test_a_model_that_is_missing_although_there_is_enough_data_needs_a_person(hours, kinds):
    missing = make_model(version="", state="none", verdict="not_checked")

    actions = actions_of(missing, data_span_s=hours * 3_600.0)

    assert [action.kind for action in actions] == kinds


@pytest.mark.parametrize(
    ("first", "hours", "kinds"),
    [
        (FirstTraining("collecting", NOW + 3_600, "rrc00 has no clean minutes"), 48, []),
        (FirstTraining("collecting", NOW + 3_600, "rrc00 has no clean minutes"), 120, ["model"]),
        (FirstTraining("training", NOW, ""), 48, []),
        (FirstTraining("paused", NOW + 3_600, "the gate rejected it"), 48, ["model"]),
        (FirstTraining("off", None, "retrain.first is off"), 48, ["model"]),
    ],
)
def test_a_missing_model_whose_first_training_is_under_way_needs_nobody(first, hours, kinds):
    missing = make_model(version="", state="none", verdict="not_checked", first_training=first)

    actions = actions_of(missing, data_span_s=hours * 3_600.0)

    assert [action.kind for action in actions] == kinds
    assert all(first.reason in action.message for action in actions)


def test_a_detector_states_what_it_waits_for_and_until_when():
    first = FirstTraining("collecting", NOW + 28 * 3_600, "rrc00 has 60 of 1,440 clean minutes to train on")
    missing = make_model(version="", state="none", verdict="not_checked", first_training=first)

    assert list(describe_model(missing, NOW, NOW, "warming until 03:15")) == [
        "Warming until 03:15.",
        "There is no model yet.",
        "First training tomorrow 07:12: rrc00 has 60 of 1,440 clean minutes to train on.",
    ]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("claimed", "The first training is in progress (claimed)."),
        ("waiting_approval", "The first training waits for your answer."),
    ],
)
def test_a_first_training_that_is_requested_is_described_by_its_request(state, sentence):
    first, request = FirstTraining("training", NOW, ""), RetrainRequest(1, state, NOW, "drift_monitor", "none", "")
    missing = make_model(version="", state="none", verdict="not_checked", first_training=first, retrain_request=request)

    assert list(describe_model(missing, NOW, NOW)) == ["There is no model yet.", sentence]


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({"state": "stopped", "supervisor": "degraded"}, "python run_all_services.py restart drift_monitor"),
        ({"state": "crashloop"}, "python run_all_services.py logs drift_monitor"),
        ({"state": "no_answer", "supervisor": "no_answer"}, "python run_all_services.py logs drift_monitor"),
        ({"store": "damaged"}, "bgpdrift doctor"),
        ({"data_age_s": 1_000.0}, "bgpdrift doctor"),
        ({"data_until": NOW + 20_000, "next_check_at": NOW}, "python run_all_services.py logs drift_monitor"),
    ],
)
def test_a_system_that_does_not_work_is_named_with_the_command_to_type(fields, command):
    (action,) = actions_of(monitor=msgspec.structs.replace(WORKING, **fields))

    assert action.exit_code == EXIT_UNRELIABLE
    assert action.commands[0].command == command


def test_without_a_supervisor_the_command_to_start_it_is_named():
    (action,) = actions_of(monitor=msgspec.structs.replace(WORKING, state="not_running", supervisor="stopped"))

    assert (action.kind, action.exit_code) == ("supervisor", EXIT_NOT_RUNNING)
    assert action.commands[0].command == "python run_all_services.py start"


@pytest.mark.parametrize("state", ["elsewhere", "off", "starting", "restarting", "waiting"])
def test_a_monitor_that_starts_or_runs_elsewhere_needs_nobody(state):
    assert actions_of(monitor=msgspec.structs.replace(WORKING, state=state)) == ()


def test_a_replay_of_old_data_is_not_a_stopped_feed():
    replay = msgspec.structs.replace(WORKING, data_age_s=30 * 86_400.0, data_silent_s=30.0)

    assert actions_of(monitor=replay) == ()


def test_a_replay_of_old_data_that_stops_is_no_new_data():
    replay = msgspec.structs.replace(WORKING, data_age_s=30 * 86_400.0, data_silent_s=5_400.0)

    (action,) = actions_of(monitor=replay)

    assert action.message == "No new data for 1 h."


def test_right_after_a_start_old_data_is_not_a_stopped_feed():
    assert actions_of(monitor=msgspec.structs.replace(WORKING, data_age_s=5_400.0, uptime_s=60.0)) == ()


def test_all_services_stopped_on_purpose_are_one_action():
    names = ("ris_live_collector", "drift_monitor")
    remarks = tuple(f"{name}: stopped on purpose" for name in names)

    (action,) = actions_of(remarks=remarks, services=names, stopped=names)

    assert action.message == "All 2 services are stopped on purpose: nothing is collected, scored or checked."
    assert action.exit_code == EXIT_UNRELIABLE


@pytest.mark.parametrize(("remarks", "count"), [((), 1), (("disk: 5 MB free on /data",), 1)])
def test_a_full_disk_needs_a_person_once_whoever_measured_it(remarks, count):
    settings = Settings()
    supervisor = Supervised("ready", "ready", remarks=remarks)

    actions = list_actions(WORKING, supervisor, (), (), (), (), settings, disk_problem="disk: 5 MB free on /data")

    assert [action.message for action in actions] == ["Disk: 5 MB free on /data."] * count


def test_old_data_names_the_services_that_are_not_ready():
    late = msgspec.structs.replace(WORKING, data_age_s=1_000.0)

    (action,) = actions_of(monitor=late, others_down=("ris_live_collector",))

    assert action.message == "No new data for 16 min; not ready: ris_live_collector."


@pytest.mark.parametrize(
    ("remark", "kind", "command"),
    [
        ("disk: 200 MB free on /data", "disk", "python run_all_services.py status"),
        ("cannot record events", "supervisor", "python run_all_services.py status"),
        (
            "ris_live_collector: degraded: no feed for 12 min",
            "service",
            "python run_all_services.py logs ris_live_collector",
        ),
        ("lstm_detector: stopped on purpose", "service", "python run_all_services.py start lstm_detector"),
    ],
)
def test_each_remark_of_the_supervisor_needs_a_person(remark, kind, command):
    (action,) = actions_of(remarks=(remark,), services=("ris_live_collector", "lstm_detector"))

    assert (action.kind, action.exit_code, action.commands[0].command) == (kind, EXIT_UNRELIABLE, command)


def test_open_incidents_need_a_person_until_they_are_acknowledged():
    incidents = [Incident(n, "high", f"Surge {n}", NOW - 7_200, NOW, "") for n in (9, 8, 7, 6, 5)]
    incidents.append(Incident(4, "high", "Surge 4", NOW - 7_200, NOW, "ann"))

    actions = actions_of(incidents=incidents)

    assert [action.subject for action in actions] == ["9", "8", "7", ""]
    assert actions[0].message == "Incident 9 (high) is open for 2 h: Surge 9."
    assert actions[-1].message == "2 more incidents are open."
    assert choose_exit_code(actions) == EXIT_ACTION


def test_a_system_that_does_not_work_comes_before_drift_in_the_exit_code():
    actions = actions_of(make_model(**DRIFT), monitor=msgspec.structs.replace(WORKING, store="away"))

    assert [action.exit_code for action in actions] == [EXIT_UNRELIABLE, EXIT_ACTION]
    assert choose_exit_code(actions) == EXIT_UNRELIABLE
    assert write_headline(actions, ()) == "2 things need you"


def test_the_headline_names_a_drift_that_is_handled():
    model = make_model(**DRIFT, retrain_request=request_in("claimed"))

    assert write_headline((), (model,)) == "Nothing needs you; the drift of lstm is handled automatically"
