"""What needs a person appears in `status`, `check_drift_status` and `doctor`, with one exit code.

Each case was once "Nothing needs you" with exit code 0.
"""

import json
import time
from contextlib import ExitStack

import msgspec
import pytest
from click.testing import CliRunner

import run_all_services
from bgpdrift.clock import FakeClock
from bgpdrift.commands.doctor import command as doctor
from bgpdrift.status.attention import read_attention
from bgpdrift.status.facts import FACTS_FILE, MAX_AGE_S, read_facts
from bgpdrift.status.facts_writer import FactsWriter
from bgpdrift.status.program import run as check_drift_status
from helpers.feed_server import serve_frames
from helpers.supervisor_answers import answer_status
from supervisor import cli
from supervisor.services import BGPDRIFT
from supervisor.status import ServiceStatus, Status, SupervisorStatus, list_remarks

FRAME = {"type": "ris_message", "data": {"timestamp": 1.0, "host": "rrc00", "type": "KEEPALIVE"}}
HOUR_S = 3_600


def running(**states):
    """The status of a supervisor whose services are ready, except those that are named: (state, message)."""
    services = tuple(
        ServiceStatus(name, *states.get(name, ("ready",))[:1], 12, 0, 9_000.0, 1, "".join(states.get(name, ("",))[1:]))
        for name in BGPDRIFT.names
    )
    remarks = list_remarks(services)
    return Status(SupervisorStatus(11, "degraded" if remarks else "ready", 9_000.0, remarks), services)


@pytest.fixture
def in_order(system, monkeypatch):
    """A system in which nothing needs a person; the supervisor's answer and the settings can be changed before `ask`."""
    now = int(time.time())
    system.now = now
    with ExitStack() as running_servers:
        port, _ = running_servers.enter_context(serve_frames(FRAME))
        monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(system.settings.data_path))
        monkeypatch.setenv("BGPDRIFT_FEED__URL", f"ws://127.0.0.1:{port}/")
        monkeypatch.setenv("BGPDRIFT_SPOOL__MAX_BYTES", "1000000000")
        system.data_until(now)
        for model in ("heuristic", "isolation_forest", "lstm"):
            system.model_file(model, "3", now - 9_000)
        yield system


def ask(name, system, status):
    """Run a command in process; its exit code and output."""
    with ExitStack() as stack:
        if status is not None:
            stack.enter_context(answer_status(system.settings.data_path, status))
        if name == "doctor":
            done = CliRunner().invoke(doctor, ["--json"])
            return done.exit_code, done.output
        return {
            "status": lambda: cli.main(["status"], attend=run_all_services.attend),
            "check_drift_status": lambda: check_drift_status([]),
        }[name](), None


def open_incident(system, monkeypatch):
    system.incident(31, system.now - 600, last_seen_at=system.now - 60)
    return running(), 10, "Incident 31 (high) is open"


def full_disk(system, monkeypatch):
    monkeypatch.setenv("BGPDRIFT_SUPERVISOR__DISK_LOW_BYTES", str(10**18))
    return running(), 1, "MB free on"


def refused_feed(system, monkeypatch):
    status = running(ris_live_collector=("degraded", "degraded: no feed for 12 min"))
    return status, 1, "no feed for 12 min"


def stopped_services(system, monkeypatch):
    with system.store.writing() as connection:
        connection.exec_driver_sql(f"UPDATE feature_windows SET window_start = {system.now - 5_460}")
    return running(**dict.fromkeys(BGPDRIFT.names, ("stopped",))), 1, "services are stopped on purpose"


def stopped_supervisor(system, monkeypatch):
    return None, 3, "No supervisor runs"


def missing_models(system, monkeypatch):
    for model in ("isolation_forest", "lstm"):
        (system.settings.artifacts_path / f"{model}.safetensors").unlink()
    system.data_until(system.now - 45 * HOUR_S)
    system.data_until(system.now + 60)
    return running(), 10, "lstm has no model, although"


def approval_request(system, monkeypatch):
    number = system.approval("retrain", "lstm", system.now - HOUR_S, "retrain lstm? the drift is critical")
    return running(), 10, f"bgpdrift approve {number}"


def unreadable_store(system, monkeypatch):
    system.store.close()
    (system.settings.data_path / "bgpdrift.sqlite3").write_bytes(b"no database" * 100)
    return running(), 1, "The store cannot be read"


@pytest.mark.parametrize("name", ["status", "check_drift_status", "doctor"])
@pytest.mark.parametrize(
    "case",
    [
        approval_request,
        unreadable_store,
        open_incident,
        full_disk,
        refused_feed,
        stopped_services,
        stopped_supervisor,
        missing_models,
    ],
)
def test_what_needs_a_person_is_named_and_the_exit_code_says_so(name, case, in_order, monkeypatch, capsys):
    status, expected, words = case(in_order, monkeypatch)

    code, output = ask(name, in_order, status)

    output = " ".join((output or capsys.readouterr().out).split())
    assert words in output
    assert "Nothing needs you" not in output
    assert code == expected


@pytest.mark.parametrize("name", ["status", "check_drift_status", "doctor"])
def test_a_system_in_order_needs_nobody(name, in_order, capsys):
    code, output = ask(name, in_order, running())

    assert "Nothing needs you" in (output or capsys.readouterr().out)
    assert code == 0


def test_the_status_document_has_the_headline_and_the_actions(in_order, capsys):
    in_order.incident(31, in_order.now - 600, last_seen_at=in_order.now - 60)

    with answer_status(in_order.settings.data_path, running()):
        cli.main(["status", "--json"], attend=run_all_services.attend)

    document = json.loads(capsys.readouterr().out)
    assert (document["headline"], document["exit_code"]) == ("1 thing needs you", 10)
    assert document["actions"][0]["commands"][0]["command"] == "bgpdrift incidents 31"
    assert len(document["services"]) == 8


def test_a_health_check_of_a_container_does_not_fail_for_an_open_incident(in_order, capsys):
    """A container manager restarts what is not healthy, which ends no incident."""
    in_order.incident(31, in_order.now - 600, last_seen_at=in_order.now - 60)

    with answer_status(in_order.settings.data_path, running()):
        code = cli.main(["status", "--services"], attend=run_all_services.attend)

    assert code == 0
    assert capsys.readouterr().out.startswith("supervisor  ready  8 of 8 services ready")


@pytest.mark.parametrize("name", ["status", "check_drift_status", "doctor"])
def test_services_that_still_start_are_not_in_order_yet(name, in_order, capsys):
    starting = msgspec.structs.replace(running(), supervisor=SupervisorStatus(11, "starting", 1.0))

    code, output = ask(name, in_order, starting)

    assert "Not all services are ready: the supervisor is starting" in " ".join(
        (output or capsys.readouterr().out).split()
    )
    assert code == 1


def test_the_drift_monitors_facts_are_used_while_they_are_fresh(in_order):
    """`status` must answer fast, and while the store is locked."""
    settings, now = in_order.settings, in_order.now
    in_order.incident(31, now - 600, last_seen_at=now - 60)
    FactsWriter(settings, in_order.store, FakeClock(now)).step()
    in_order.store.close()
    (settings.data_path / "bgpdrift.sqlite3").write_bytes(b"locked, as good as")

    fresh = read_attention(settings, now + MAX_AGE_S, running())
    old = read_attention(settings, now + MAX_AGE_S + 1.0, running())

    assert [action.kind for action in fresh.actions] == ["incident"]
    assert [action.kind for action in old.actions] == ["store"]


def test_the_facts_are_written_again_after_a_while_and_not_before(in_order):
    clock, settings = FakeClock(in_order.now), in_order.settings
    writer = FactsWriter(settings, in_order.store, clock)
    written = []
    for _ in range(7):
        writer.step()
        written.append(json.loads((settings.state_path / FACTS_FILE).read_bytes())["at"])
        clock.advance(1.0)

    assert [at - in_order.now for at in written] == [0, 0, 0, 0, 0, 5, 5]


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b'{"at": 1}'])
def test_a_damaged_file_of_facts_is_as_good_as_none(tmp_path, text):
    (tmp_path / FACTS_FILE).write_bytes(text)

    assert read_facts(tmp_path, 1.0) is None
