"""`bgpdrift doctor`: what is wrong is a line with a mend, one bad check does not end the others."""

import json
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.commands import doctor_checks as checks
from bgpdrift.commands.doctor import command, run_checks
from bgpdrift.commands.doctor_feed import check_feed
from bgpdrift.store import migrate


@pytest.fixture
def answering():
    """A server that reads one request and answers with the given bytes; gives its port."""
    stops = []

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
        stops.append((server, thread))
        return server.getsockname()[1]

    yield start
    for server, thread in stops:
        server.close()
        thread.join(5)


def at(tmp_path, **env):
    return settings.load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data"), **env})


def test_a_feed_that_upgrades_is_reachable(tmp_path, answering):
    port = answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    finding = check_feed(at(tmp_path, BGPDRIFT_FEED__URL=f"ws://127.0.0.1:{port}/v1/ws/"))
    assert finding.level == "ok", finding


@pytest.mark.parametrize(("answer", "said"), [(b"HTTP/1.1 404 Not Found\r\n\r\n", "404"), (b"", "without an answer")])
def test_a_feed_that_does_not_upgrade_fails_and_says_how(tmp_path, answering, answer, said):
    finding = check_feed(at(tmp_path, BGPDRIFT_FEED__URL=f"ws://127.0.0.1:{answering(answer)}/"))
    assert finding.level == "fail"
    assert said in finding.found
    assert finding.mend


def test_a_feed_nobody_serves_fails(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "refused" in check_feed(at(tmp_path, BGPDRIFT_FEED__URL=f"ws://127.0.0.1:{port}/")).found


def test_a_missing_database_is_mended_by_migrating(tmp_path):
    loaded = at(tmp_path)
    finding = checks.check_store(loaded)
    assert (finding.level, "--migrate" in finding.mend) == ("fail", True)

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


def test_a_directory_everybody_may_write_is_a_warning(tmp_path):
    loaded = at(tmp_path)
    loaded.artifacts_path.mkdir(parents=True)
    loaded.artifacts_path.chmod(0o777)
    finding = checks.check_directories(loaded)
    assert (finding.level, str(loaded.artifacts_path) in finding.found) == ("warn", True)


def test_a_data_directory_that_is_a_file_fails(tmp_path):
    (tmp_path / "data").write_text("")
    assert checks.check_directories(at(tmp_path)).level == "fail"


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


def test_doctor_exits_1_while_something_fails_and_0_once_it_is_mended(tmp_path, monkeypatch, answering):
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BGPDRIFT_SPOOL__MAX_BYTES", "1000000000")
    port = answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    monkeypatch.setenv("BGPDRIFT_FEED__URL", f"ws://127.0.0.1:{port}/")

    mended = CliRunner().invoke(command, ["--json", "--migrate"])
    assert mended.exit_code == 0, mended.output
    by_check = {row["check"]: row for row in json.loads(mended.output)}
    assert by_check["schema"]["found"] == "the database is created"
    assert {"settings", "store", "feed", "clock", "disk space"} <= set(by_check)

    (tmp_path / "data" / "bgpdrift.sqlite3").unlink()
    broken = CliRunner().invoke(command, [])
    assert broken.exit_code == 1
    assert "FAIL" in broken.output
    assert max(map(len, broken.output.splitlines())) <= 80


def test_settings_that_cannot_be_read_are_the_only_finding():
    Path("bgpdrift.toml").write_text("[web]\nport = 0\n")
    done = CliRunner().invoke(command, ["--json"])
    assert done.exit_code == 1
    assert [row["check"] for row in json.loads(done.output)] == ["settings"]


def test_a_supervisor_is_found_behind_a_long_path_and_missed_when_it_went(tmp_path, monkeypatch):
    loaded = at(tmp_path / ("long" * 30))
    run = loaded.data_path / "run"
    run.mkdir(parents=True)
    monkeypatch.chdir(run)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("control.sock")
        server.listen(1)
        assert checks.check_supervisor(loaded).level == "ok"
    finding = checks.check_supervisor(loaded)
    assert (finding.level, "start" in finding.mend) == ("warn", True)
