"""What is worth waking somebody for, and what is not."""

import msgspec
import pytest

from bgpdrift.settings import Settings, load
from bgpdrift.status.messages import of_model
from bgpdrift.status.snapshot import (
    EXIT_BLIND,
    EXIT_DRIFT,
    EXIT_OK,
    FlagFile,
    Model,
    Monitor,
    Probation,
    Retraining,
    Wish,
)
from bgpdrift.status.todo import exit_code_of, headline_of, todo_of

NOW = 1_795_230_720
FINE = Monitor("ready", "ready", "", 4711, 60.0, NOW - 720, NOW - 720.0, NOW + 2_880, NOW - 60, 60.0)


def a_model(**said):
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
        "lasting": 0,
        "needed": 6,
        "waiting_for": "",
        "smallest_shift": None,
        "change_point": None,
        "collectors": (),
        "report_path": "",
        "measures": (),
        "series": (),
    }
    return Model(**{**plain, **said})


DRIFTS = {"verdict": "drift", "severity": "high", "lasting": 6}


def said_of(*models, monitor=FINE, settings=None, history=(), others_down=()):
    return todo_of(monitor, models, (), history, settings or Settings(), others_down)


def a_wish(state, because=""):
    return Wish(1, state, NOW, "drift_monitor", "high", because)


def test_a_system_that_is_well_wakes_nobody():
    todo = said_of(a_model())
    assert todo == ()
    assert exit_code_of(todo) == EXIT_OK


def test_drift_that_has_not_lasted_wakes_nobody():
    assert said_of(a_model(**DRIFTS | {"lasting": 5})) == ()


@pytest.mark.parametrize("state", ["requested", "waiting_approval", "postponed", "flagged", "claimed"])
def test_drift_the_loop_deals_with_wakes_nobody(state):
    assert said_of(a_model(**DRIFTS, wish=a_wish(state))) == ()


def test_drift_somebody_dropped_a_flag_for_wakes_nobody():
    assert said_of(a_model(**DRIFTS, flag=FlagFile("waiting", "", "", 0.0, 0))) == ()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (None, "nothing is being done"),
        (a_wish("refused", "the drift is medium"), "refused (the drift is medium)"),
        (a_wish("failed", "the gate refused it"), "failed (the gate refused it)"),
        (a_wish("done"), "nothing is being done"),
    ],
)
def test_drift_nothing_deals_with_wakes_somebody_and_says_why_nothing_does(wish, says):
    (item,) = said_of(a_model(**DRIFTS, wish=wish))
    assert (item.exit_code, item.subject) == (EXIT_DRIFT, "lstm")
    assert says in item.sentence
    assert "retrain_lstm" in [command.command for command in item.commands]


def test_why_a_retraining_failed_is_taken_from_its_event_where_the_wish_does_not_say():
    last = Retraining("lstm", "retrain", "", 0, 60, "rejected", "drift", "41 alarms a day, at most 10", 3)
    (item,) = said_of(a_model(**DRIFTS, wish=a_wish("failed")), history=(last,))
    assert "41 alarms a day" in item.sentence


@pytest.mark.parametrize("switch", ["retrain.auto", "detectors.lstm.auto_retrain"])
def test_drift_with_retraining_switched_off_says_so(switch):
    (item,) = said_of(a_model(**DRIFTS), settings=load(env={}, overrides={switch: False}))
    assert item.sentence.endswith("automatic retraining is switched off.")


def test_a_request_that_kills_every_run_wakes_somebody():
    (item,) = said_of(a_model(flag=FlagFile("waiting", "", "", 0.0, 3)))
    assert "killed 3 runs" in item.sentence
    assert item.commands[0].command.endswith("retrain_lstm.log")


def test_a_version_that_disappoints_and_has_no_predecessor_wakes_somebody():
    trial = Probation(
        "9", "", 0, 86_400, 40.0, None, "needs_review", "alarms 40.0 times a day; there is no version to go back to"
    )
    (item,) = said_of(a_model(state="probation", probation=trial))
    assert item.exit_code == EXIT_DRIFT
    assert "no version to go back to" in item.sentence


@pytest.mark.parametrize("verdict", ["watching", "accepted"])
def test_a_probation_that_goes_well_wakes_nobody(verdict):
    assert said_of(a_model(probation=Probation("9", "8", 0, 86_400, 1.0, 2.0, verdict, ""))) == ()


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("", "the old one 2.0."),
        ("finds 0 %: watched for up to 72 hours", "the old one 2.0; it finds 0 %: watched for up to 72 hours."),
        ("only 5 anomalies could be laid", "the old one 2.0; only 5 anomalies could be laid."),
    ],
)
def test_a_probation_that_takes_longer_says_why(reason, ending):
    model = a_model(probation=Probation("9", "8", 0, 86_400, 1.0, 2.0, "watching", reason))
    (said,) = [one for one in of_model(model, NOW, NOW) if one.startswith("On probation")]
    assert said.endswith(ending)


def test_a_model_file_nobody_can_read_comes_with_the_way_back():
    (item,) = said_of(a_model(file_problem="lstm.safetensors is no model"))
    assert item.exit_code == EXIT_BLIND
    assert item.commands[0].command == "bgpdrift rollback lstm"


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ({"state": "not_running", "supervisor": "stopped"}, "python run_all_services.py start"),
        ({"state": "stopped", "supervisor": "degraded"}, "python run_all_services.py restart drift_monitor"),
        ({"state": "crashloop"}, "python run_all_services.py logs drift_monitor"),
        ({"state": "no_answer", "supervisor": "no_answer"}, "python run_all_services.py logs drift_monitor"),
        ({"store": "damaged"}, "bgpdrift doctor"),
        ({"data_age_s": 1_000.0}, "bgpdrift doctor"),
        ({"data_until": NOW + 20_000, "next_check_at": NOW}, "python run_all_services.py logs drift_monitor"),
    ],
)
def test_a_system_that_cannot_see_says_what_to_type(said, command):
    (item,) = said_of(monitor=msgspec.structs.replace(FINE, **said))
    assert item.exit_code == EXIT_BLIND
    assert item.commands[0].command == command


@pytest.mark.parametrize("state", ["elsewhere", "off", "starting", "restarting", "waiting"])
def test_a_monitor_that_another_runs_or_that_is_coming_wakes_nobody(state):
    assert said_of(monitor=msgspec.structs.replace(FINE, state=state)) == ()


def test_a_replay_of_history_is_not_taken_for_a_feed_that_stopped():
    assert said_of(monitor=msgspec.structs.replace(FINE, data_age_s=30 * 86_400.0)) == ()


def test_late_data_names_the_services_that_are_down():
    (item,) = said_of(monitor=msgspec.structs.replace(FINE, data_age_s=1_000.0), others_down=("ris_live_collector",))
    assert item.sentence == "No new data for 16 min; not ready: ris_live_collector."


def test_blindness_comes_before_drift_in_the_exit_code():
    todo = said_of(a_model(**DRIFTS), monitor=msgspec.structs.replace(FINE, store="away"))
    assert [item.exit_code for item in todo] == [EXIT_BLIND, EXIT_DRIFT]
    assert exit_code_of(todo) == EXIT_BLIND
    assert headline_of(todo, (), "away") == "2 things need you"


def test_a_drift_that_is_dealt_with_is_in_the_headline_all_the_same():
    model = a_model(**DRIFTS, wish=a_wish("claimed"))
    assert headline_of((), (model,), "") == "nothing needs you; lstm drifts and is dealt with"
