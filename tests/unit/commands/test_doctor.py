"""`bgpdrift doctor`: each problem is a line with advice; one bad check does not end the others."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.commands import doctor_checks as checks
from bgpdrift.commands import doctor_feed
from bgpdrift.commands.doctor import command, run_checks
from bgpdrift.commands.doctor_feed import check_feed
from bgpdrift.settings import FeedSettings
from bgpdrift.store import migrate


@pytest.fixture
def raw_server():
    """A TCP server that reads one request and answers with the given bytes; returns its port."""
    started = []

    def start(answer):
        server = socket.create_server(("127.0.0.1", 0))

        def serve():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        started.append((server, thread))
        return server.getsockname()[1]

    yield start
    for server, thread in started:
        server.close()
        thread.join(5)


def at(tmp_path, **env):
    return settings.load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data"), **env})


FRAME = {"type": "ris_message", "data": {"timestamp": 1.0, "host": "rrc00", "type": "KEEPALIVE"}}


def feed_at(tmp_path, port, **env):
    return at(tmp_path, BGPDRIFT_FEED__URL=f"ws://127.0.0.1:{port}/v1/ws/", **env)


def test_a_feed_that_sends_a_frame_passes(tmp_path, feed_server):
    port, _ = feed_server({"type": "ris_subscribe_ok", "data": {}}, FRAME)

    finding = check_feed(feed_at(tmp_path, port))

    assert (finding.level, "sends frames" in finding.found) == ("ok", True), finding


@pytest.mark.parametrize(
    ("url", "age_s", "level"),
    [
        ("wss://ris-live.ripe.net/v1/ws/", 3.0, "ok"),
        ("wss://ris-live.ripe.net/v1/ws/", 3e8, "fail"),
        ("wss://ris-live.ripe.net/v1/ws/", -3e8, "fail"),
        ("ws://127.0.0.1:9/", 3e8, "ok"),
    ],
)
def test_a_feed_that_lags_by_years_fails_unless_it_is_a_local_replay(url, age_s, level):
    finding = doctor_feed.judge_time(FeedSettings(url=url), 1.79e9 - age_s, 1.79e9)

    assert (finding.level, "9.5 years" in finding.found) == (level, level == "fail"), finding


def test_the_check_uses_a_client_name_of_its_own(tmp_path, feed_server):
    """RIS Live knows clients by name; under the collector's name the check would end its connection."""
    port, requests = feed_server(FRAME)

    check_feed(feed_at(tmp_path, port, BGPDRIFT_FEED__CLIENT="noc"))

    assert requests[0] == "/v1/ws/?client=noc-doctor"
    assert requests[1]["type"] == "ris_subscribe"


@pytest.mark.parametrize(("filters", "level"), [({}, "fail"), ({"BGPDRIFT_FEED__PREFIXES": "192.0.2.0/24"}, "warn")])
def test_a_silent_feed_fails_unless_a_filter_explains_it(tmp_path, feed_server, monkeypatch, filters, level):
    monkeypatch.setattr(doctor_feed, "MAX_FRAME_WAIT_S", 0.2)
    port, _ = feed_server()

    finding = check_feed(feed_at(tmp_path, port, **filters))

    assert (finding.level, "no frame" in finding.found) == (level, True), finding


def test_an_error_of_the_server_is_quoted(tmp_path, feed_server):
    port, _ = feed_server({"type": "ris_error", "data": {"message": "too many clients"}})

    finding = check_feed(feed_at(tmp_path, port))

    assert (finding.level, "too many clients" in finding.found) == ("fail", True), finding


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""])
def test_a_feed_without_a_websocket_fails_with_advice(tmp_path, raw_server, answer):
    finding = check_feed(feed_at(tmp_path, raw_server(answer)))

    assert (finding.level, bool(finding.advice)) == ("fail", True), finding


def test_a_feed_without_a_server_fails(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert "refused" in check_feed(feed_at(tmp_path, port)).found


def test_a_missing_database_is_created_by_migrating(tmp_path):
    loaded = at(tmp_path)
    finding = checks.check_store(loaded)
    assert (finding.level, "--migrate" in finding.advice) == ("fail", True)

    migrate(loaded.store_url)
    assert checks.check_store(loaded).level == "ok"


def test_a_damaged_database_is_found(tmp_path):
    loaded = at(tmp_path)
    migrate(loaded.store_url)
    path = loaded.data_path / "bgpdrift.sqlite3"
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(4096 * 2)
        stream.write(b"\xff" * (size - 3 * 4096))

    finding = checks.check_store(loaded)
    assert finding.level == "fail", finding


def test_a_port_in_use_is_a_warning(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        loaded = at(tmp_path, BGPDRIFT_WEB__PORT=str(server.getsockname()[1]))
        assert checks.check_web_port(loaded).level == "warn"
    assert checks.check_web_port(loaded).level == "ok"


def test_a_directory_writable_by_everybody_is_a_warning(tmp_path):
    loaded = at(tmp_path)
    loaded.artifacts_path.mkdir(parents=True)
    loaded.artifacts_path.chmod(0o777)
    finding = checks.check_directories(loaded)
    assert (finding.level, str(loaded.artifacts_path) in finding.found) == ("warn", True)


def test_a_data_directory_that_is_a_file_fails(tmp_path):
    (tmp_path / "data").write_text("")
    assert checks.check_directories(at(tmp_path)).level == "fail"


@pytest.mark.parametrize("name", ["/proc/bgpdrift", "/dev/null/bgpdrift", "/tmp/" + "x" * 300])
def test_a_directory_that_cannot_be_made_fails_and_is_named(name):
    finding = checks.check_directories(settings.load(env={"BGPDRIFT_DATA_DIR": name}))

    assert finding.level == "fail"
    assert name.rpartition("/bgpdrift")[0] in finding.found


def test_directories_that_can_be_made_pass_and_are_not_made(tmp_path):
    finding = checks.check_directories(settings.load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "a" / "b" / "data")}))

    assert (finding.level, list(tmp_path.iterdir())) == ("ok", [])


def test_a_missing_file_that_a_setting_names_fails(tmp_path):
    finding = checks.check_files(at(tmp_path, BGPDRIFT_WINDOWS__WARM_UP_RIB="rib.gz"))

    assert (finding.level, "windows.warm_up_rib" in finding.found) == ("fail", True)


def test_a_collector_that_dropped_frames_is_a_warning(tmp_path):
    loaded = at(tmp_path)
    assert checks.check_collector(loaded).level == "ok"
    loaded.state_path.mkdir(parents=True)
    (loaded.state_path / "collector.json").write_text(json.dumps({"dropped": 3, "lag_s": 0.5}))
    finding = checks.check_collector(loaded)
    assert (finding.level, "3 frames dropped" in finding.found) == ("warn", True)


def test_a_check_that_raises_fails_and_the_rest_goes_on(tmp_path):
    def check_broken(loaded):
        raise RuntimeError("oh")

    found = run_checks([check_broken, checks.check_versions], at(tmp_path))
    assert [(f.check, f.level) for f in found] == [("broken", "fail"), ("versions", "ok")]
    assert "RuntimeError: oh" in found[0].found


def test_a_lag_of_years_fails_unless_the_feed_is_a_local_replay(tmp_path):
    local = at(tmp_path, BGPDRIFT_FEED__URL="ws://127.0.0.1:1/")
    local.state_path.mkdir(parents=True)
    (local.state_path / "collector.json").write_text(json.dumps({"dropped": 0, "lag_s": 3e8}))

    assert checks.check_collector(local).level == "ok"
    finding = checks.check_collector(at(tmp_path))
    assert (finding.level, "9.5 years" in finding.found) == ("fail", True), finding


def test_a_damaged_collector_report_fails_and_is_named(tmp_path):
    loaded = at(tmp_path)
    loaded.state_path.mkdir(parents=True)
    (loaded.state_path / "collector.json").write_text("{")

    finding = checks.check_collector(loaded)

    assert (finding.level, "collector.json is damaged" in finding.found) == ("fail", True)


def test_doctor_exits_3_without_a_supervisor_whatever_the_checks_find(tmp_path, monkeypatch, feed_server):
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BGPDRIFT_SPOOL__MAX_BYTES", "1000000000")
    port, _ = feed_server(FRAME)
    monkeypatch.setenv("BGPDRIFT_FEED__URL", f"ws://127.0.0.1:{port}/")

    passed = CliRunner().invoke(command, ["--json", "--migrate"])
    assert passed.exit_code == 3, passed.output
    by_check = {row["check"]: row for row in json.loads(passed.output)}
    assert by_check["schema"]["found"] == "the database is created"
    assert {"settings", "store", "feed", "clock", "disk space"} <= set(by_check)

    (tmp_path / "data" / "bgpdrift.sqlite3").unlink()
    failed = CliRunner().invoke(command, [])
    assert failed.exit_code == 3
    assert "FAIL" in failed.output
    assert max(map(len, failed.output.splitlines())) <= 80


def test_settings_that_cannot_be_read_are_the_only_finding():
    Path("bgpdrift.toml").write_text("[web]\nport = 0\n")
    done = CliRunner().invoke(command, ["--json"])
    assert done.exit_code == 2
    assert [row["check"] for row in json.loads(done.output)] == ["settings"]


@pytest.fixture
def supervisor(tmp_path):
    """A control socket that answers a status request with the given services; returns the loaded settings."""
    threads = []

    def start(*services):
        loaded = at(tmp_path / ("long" * 30))  # longer than a socket address can be
        run = loaded.data_path / "run"
        run.mkdir(parents=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(run, os.O_PATH)
        server.bind(f"/proc/self/fd/{directory}/control.sock")
        os.close(directory)
        server.listen(1)

        def service(name, state):
            return {"name": name, "state": state, "message": "", "pid": 1, "uptime_s": 1.0}

        status = {"supervisor": {"state": "ready"}, "services": [service(n, s) for n, s in services]}

        def serve():
            with server, server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(json.dumps({"ok": True, "status": status}).encode() + b"\n")

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return loaded

    yield start
    for thread in threads:
        thread.join(5)


def test_a_running_supervisor_passes_also_behind_a_long_path(supervisor):
    assert checks.check_supervisor(supervisor(("lstm_detector", "ready"))).level == "ok"


def test_a_service_in_crashloop_fails_and_is_named(supervisor):
    finding = checks.check_supervisor(supervisor(("lstm_detector", "crashloop"), ("drift_monitor", "waiting")))

    assert (finding.level, finding.found) == ("fail", "runs; failing services: lstm_detector")
    assert finding.advice.endswith("logs lstm_detector")


def test_a_missing_supervisor_is_a_warning(tmp_path):
    finding = checks.check_supervisor(at(tmp_path))

    assert (finding.level, "start" in finding.advice) == ("warn", True)
