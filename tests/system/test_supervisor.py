"""The supervisor with real child programs: start, death, hang, stop, and its own death.

``SUPERVISOR_ROUNDS=1000`` stops and starts one service 1000 times.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

ROUNDS = int(os.environ.get("SUPERVISOR_ROUNDS", "20"))
pytestmark = pytest.mark.system


def test_start_returns_when_all_services_are_ready_and_status_has_the_documented_fields(managed):
    started = managed.start("ready-a,ready-b")

    assert started.returncode == 0, started.stderr
    status = managed.status()
    assert list(status) == ["supervisor", "services", "headline", "exit_code", "actions"]
    assert " ".join(status["supervisor"]) == "pid state uptime_s remarks rss_bytes cpu_percent failed_steps"
    fields = "name state pid restarts uptime_s rss_bytes message cpu_percent memory_limit_bytes required last_failure"
    assert " ".join(status["services"][0]) == f"{fields} instability"
    assert [service["state"] for service in status["services"]] == ["ready", "ready"]
    assert all(service["rss_bytes"] > 1_000_000 for service in status["services"])
    assert managed("status").returncode == 0


def test_commands_without_a_supervisor_exit_with_3(managed):
    managed.names = "ready-a"
    assert managed("status").returncode == 3
    assert managed("stop").returncode == 3
    shown = managed("status", "--json")
    assert shown.returncode == 3
    assert json.loads(shown.stdout)["supervisor"]["state"] == "stopped"


def test_a_second_start_exits_with_3_and_changes_nothing(managed):
    managed.start("ready-a")
    before = managed.status()["supervisor"]["pid"], managed.service("ready-a")["pid"]

    second = managed("start")

    assert second.returncode == 3
    assert str(before[0]) in second.stderr
    assert (managed.status()["supervisor"]["pid"], managed.service("ready-a")["pid"]) == before


def test_a_started_supervisor_keeps_no_lock_and_no_pipe_of_its_caller(managed, tmp_path):
    """Cron holds a lock around the command and waits for the end of its output."""
    managed.names = "ready-a"
    lock = os.open(tmp_path / "cron.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    reading, writing = os.pipe()

    command, caller = managed.command("start"), (lock, writing)
    started = subprocess.run(command, env=managed.env(), capture_output=True, pass_fds=caller, timeout=managed.limit_s)
    for descriptor in caller:
        os.close(descriptor)

    assert started.returncode == 0, started.stderr
    assert managed.service("ready-a")["state"] == "ready"
    with (tmp_path / "cron.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert select.select([reading], [], [], 0)[0]
    assert os.read(reading, 1) == b""
    os.close(reading)
    daemon = managed.status()["supervisor"]["pid"]
    opened = [str(Path(f"/proc/{daemon}/fd/{number}").readlink()) for number in range(3)]
    assert opened == ["/dev/null", *[str(managed.data_dir / "logs" / "supervisor.log")] * 2]


def test_a_killed_service_is_restarted_at_once_and_the_others_are_not(managed):
    managed.start("ready-a,ready-b")
    first, other = managed.service("ready-a")["pid"], managed.service("ready-b")["pid"]

    os.kill(first, signal.SIGKILL)
    managed.until(
        lambda: managed.service("ready-a")["state"] == "ready" and managed.service("ready-a")["pid"] != first,
        "ready again",
    )

    assert managed.service("ready-a")["restarts"] == 1
    assert managed.service("ready-b")["pid"] == other
    events = [json.loads(line) for line in (managed.data_dir / "logs/events.ndjson").read_text().splitlines()]
    backoff = next(event for event in events if event["event"] == "backoff")
    assert backoff["service"] == "ready-a"
    assert "killed by SIGKILL" in backoff["details"]["message"]


def test_a_service_that_dies_at_once_ends_in_crashloop_with_its_last_lines(managed):
    started = managed.start("ready-a,dies", restart_limit="3", ready_timeout_s="10")

    assert started.returncode == 1
    assert "dies is not ready: crashloop (4 in" in started.stderr
    assert "the disk is broken" in started.stderr
    assert managed.service("dies")["state"] == "crashloop"
    assert "exit 7" in managed.service("dies")["message"]
    assert managed.log("dies").count("dies starts") == 4
    assert managed.service("ready-a")["restarts"] == 0
    assert managed.status()["supervisor"]["state"] == "degraded"
    assert managed("status").returncode == 1


def test_start_reports_a_service_that_does_not_become_ready(managed):
    started = managed.start("never_ready,ready-a", ready_timeout_s="1", restart_limit="1")

    assert started.returncode == 1
    assert "not ready after 1 s; its status: searching" in started.stderr
    assert managed.service("ready-a")["state"] == "ready"


def test_a_hung_service_writes_its_stacks_and_is_restarted(managed):
    managed.start("ready-a", watchdog_s="1")
    pid = managed.service("ready-a")["pid"]

    os.kill(pid, signal.SIGSTOP)
    stopped_at = time.monotonic()
    managed.until(lambda: managed.service("ready-a")["pid"] not in {pid, None}, "a new process")

    assert time.monotonic() - stopped_at < 3.0
    assert "Fatal Python error: Aborted" in managed.log("ready-a")


def test_stop_ends_services_that_ignore_term_and_grandchildren_in_their_own_session(managed):
    managed.start("ready-a,parent,ignores_term-b")
    assert len(managed.processes()) == 5

    began = time.monotonic()
    stopped = managed("stop")

    assert stopped.returncode == 0, stopped.stderr
    assert time.monotonic() - began < 5.0
    assert not managed.processes()
    assert managed("status").returncode == 3


@pytest.mark.parametrize(
    "moment", ["at once", "when the lock is taken", "when the socket exists", "when a service starts"]
)
def test_stop_during_a_start_stops_what_starts(managed, moment):
    managed.names = "ready-a,never_ready,ready-b"
    run = managed.data_dir / "run"
    reached = {
        "at once": lambda: True,
        "when the lock is taken": (run / "supervisor.lock").exists,
        "when the socket exists": (run / "control.sock").exists,
        "when a service starts": lambda: "ready-a" in managed.processes().values(),
    }
    with subprocess.Popen(managed.command("start"), env=managed.env(), stderr=subprocess.PIPE) as starting:
        managed.until(reached[moment], moment)

        stopped = managed("stop")

        assert stopped.returncode == 0, stopped.stderr
        assert starting.wait(managed.limit_s) == 1
    assert managed.processes() == {}
    assert managed("status").returncode == 3


def test_a_watched_status_fits_a_terminal_of_80_by_24(managed):
    """Every screen is drawn in place of the one before: at most 23 lines, none wider than 80 columns."""
    managed.start("ready-a,ready-b,degraded")
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = managed.command("status", "--watch", "0.1")
    env = managed.env() | {"TERM": "xterm", "COLUMNS": "", "LINES": ""}
    drawn = bytearray()

    def read_screens():
        if select.select([terminal], [], [], 0.1)[0]:
            drawn.extend(os.read(terminal, 65_536))
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.decode(errors="replace"))
        return text.split("supervisor  ")[1:4] if text.count("supervisor  ") > 3 else None

    watching = subprocess.Popen(command, env=env, stdin=side, stdout=side, stderr=side)
    os.close(side)
    try:
        screens = managed.until(read_screens, "three whole screens")
    finally:
        watching.kill()
        watching.wait()
        os.close(terminal)

    for screen in screens:
        lines = f"supervisor  {screen}".replace("\r", "").splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 23
        assert {"ready-a", "ready-b", "degraded"} <= set(screen.split())


def test_services_end_with_a_killed_supervisor_and_grandchildren_with_the_next_start(managed):
    managed.start("ready-a,parent")
    status = managed.status()
    services = {service["pid"] for service in status["services"]}

    os.kill(status["supervisor"]["pid"], signal.SIGKILL)
    managed.until(lambda: not services & set(managed.processes()), "the services have ended", limit_s=2.0)
    left = list(managed.processes())
    assert len(left) == 1  # the daemon in a session of its own

    again = managed("start")
    assert again.returncode == 0, again.stderr
    assert left[0] not in managed.processes()
    assert len(managed.processes()) == 4


def test_restart_replaces_the_process_of_one_service_or_of_all(managed):
    managed.start("ready-a,ready-b")
    supervisor = managed.status()["supervisor"]["pid"]
    a, b = managed.service("ready-a")["pid"], managed.service("ready-b")["pid"]

    assert managed("restart", "ready-a").returncode == 0
    assert managed.service("ready-a")["pid"] != a
    assert managed.service("ready-b")["pid"] == b

    assert managed("restart").returncode == 0
    assert managed.service("ready-b")["pid"] != b
    assert managed.status()["supervisor"]["pid"] == supervisor
    assert managed("restart", "nobody").returncode == 2


def test_the_log_of_a_verbose_service_stays_within_its_cap_and_no_line_is_torn(managed):
    managed.start("verbose", log_max_bytes="100000", log_keep="2")
    logs = managed.data_dir / "logs"
    managed.until(lambda: (logs / "verbose.log.2").exists(), "rotated twice")

    (logs / "verbose.log").unlink()
    managed.until(lambda: (logs / "verbose.log").exists(), "the removed file was created again")
    assert managed("stop").returncode == 0

    files = sorted(logs.glob("verbose.log*"))
    assert len(files) <= 3
    assert all(file.stat().st_size <= 100_000 for file in files)
    for file in files:
        assert all(len(line) == 95 for line in file.read_text().splitlines() if line.startswith("line"))
    assert "line 0" in managed("logs", "verbose", "-n", "3").stdout


def test_logs_follow_across_a_rotation(managed):
    managed.start("verbose", log_max_bytes="500000", log_keep="20")
    follower = subprocess.Popen(managed.command("logs", "-f", "verbose"), env=managed.env(), stdout=subprocess.PIPE)
    try:
        assert follower.stdout is not None
        numbers = [int(follower.stdout.readline().split()[1]) for _ in range(30)][25:]
        numbers += [int(follower.stdout.readline().split()[1]) for _ in range(3000)]
    finally:
        follower.kill()
        follower.communicate()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_faulty_clients_neither_hang_nor_crash_the_supervisor(managed):
    managed.start("ready-a")
    path = managed.data_dir / "run/control.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with (
        socket.socket(socket.AF_UNIX) as idle,
        socket.socket(socket.AF_UNIX) as faulty,
        socket.socket(socket.AF_UNIX) as too_long,
    ):
        for client in (idle, faulty, too_long):
            client.settimeout(5)
            client.connect(str(path))
        faulty.sendall(b"\xff\x00 garbage\n[1]\n{}\n")
        faulty.sendall(b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}\n" + b"[" * 4000 + b"\n")
        faulty.sendall(b'{"command": "status" "' + b"9" * 400 + b"\n" + b'{"command": 1' + b"0" * 400 + b"}\n")
        replies = b""
        while replies.count(b"\n") < 7:
            replies += faulty.recv(65536)
        assert all(json.loads(line)["ok"] is False for line in replies.splitlines())
        too_long.sendall(b"x" * 100_000)
        assert b"at most 4096 bytes" in too_long.recv(65536)
        assert managed("status").returncode == 0


def test_a_removed_socket_is_created_again(managed):
    managed.start("ready-a")
    (managed.data_dir / "run/control.sock").unlink()
    assert managed("status").returncode == 1
    managed.until(lambda: managed("status").returncode == 0, "listening again")


def test_in_the_foreground_it_logs_to_stdout_notifies_its_manager_and_ends_cleanly_on_term(managed, tmp_path):
    managed.names = "ready-a"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        manager.settimeout(managed.limit_s)
        env = managed.env() | {"NOTIFY_SOCKET": str(tmp_path / "manager")}
        process = subprocess.Popen(managed.command("start", "--foreground"), env=env, stdout=subprocess.PIPE)
        message = b""
        while b"READY=1" not in message:
            message = manager.recv(4096)
        assert b"1 of 1 services ready" in message
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=managed.limit_s)
    assert process.returncode == 0
    assert b"ready-a | ready starts as" in output
    assert b"supervisor.stopped" in output
    assert not managed.processes()


def test_wrong_settings_start_nothing_and_exit_with_2_and_one_line(managed):
    refused = managed.start("ready-a", stop_grace_s="soon")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "BGPDRIFT_SUPERVISOR__STOP_GRACE_S" in refused.stderr
    assert not managed.data_dir.exists()


def test_a_data_directory_too_deep_for_a_socket_address_works(managed, tmp_path):
    managed.data_dir = tmp_path / ("deep" * 30) / "data"
    assert managed.start("ready-a").returncode == 0
    assert managed("stop").returncode == 0


def test_a_degraded_service_shows_in_headline_row_and_exit_code_and_start_succeeds(managed):
    started = managed.start("ready-a,degraded")

    assert started.returncode == 0, started.stderr
    assert "! degraded: degraded: the feed is unavailable" in started.stdout
    assert managed.service("degraded")["state"] == "degraded"
    top = managed.status()["supervisor"]
    assert (top["state"], top["remarks"]) == ("degraded", ["degraded: degraded: the feed is unavailable"])
    shown = managed("status")
    assert shown.returncode == 1
    assert shown.stdout.startswith("supervisor  degraded  1 of 2 services ready")


def test_a_failing_service_that_is_not_required_is_only_a_remark(managed):
    managed.start("ready-a,dies-optional", restart_limit="1", ready_timeout_s="10")
    top = managed.status()["supervisor"]
    assert top["state"] == "ready"
    assert "dies-optional: crashloop (2 in" in top["remarks"][0]
    assert managed("status").returncode == 0


def test_a_service_beyond_its_memory_limit_is_ended_with_term_and_the_reason_is_shown(managed):
    managed.start("grows,ready-a", memory_limit_bytes="100000000", restart_limit="9")
    managed.until(lambda: managed.service("grows")["restarts"] >= 1, "a new process")
    assert "memory: " in managed.service("grows")["last_failure"]
    assert managed.service("ready-a")["restarts"] == 0
    assert "recycling" in (managed.data_dir / "logs/events.ndjson").read_text()


def test_a_rolling_restart_has_one_service_down_at_a_time_and_ends_at_the_first_failure(managed):
    managed.configure("")
    managed.start("ready-a,reader-b,ready-c")
    before = {service["name"]: service["pid"] for service in managed.status()["services"]}

    assert managed("restart").returncode == 0
    after = {service["name"]: service["pid"] for service in managed.status()["services"]}
    assert not set(before.values()) & set(after.values())
    events = [json.loads(line) for line in (managed.data_dir / "logs/events.ndjson").read_text().splitlines()]
    since = next(index for index, event in enumerate(events) if event["event"] == "restarting")
    down: set[str] = set()
    for event in events[since:]:
        (down.discard if event["event"] == "ready" else down.add)(event["service"])
        assert len(down) <= 1

    (managed.data_dir / "dies").touch()
    aborted = managed("restart")
    assert aborted.returncode == 1
    assert "restart aborted: ready-c kept their old processes" in aborted.stderr
    assert managed.service("ready-c")["pid"] == after["ready-c"]
    assert managed.service("ready-a")["pid"] != after["ready-a"]


def test_reload_restarts_only_the_services_that_the_change_concerns(managed):
    managed.configure('feed.client = "one"')
    managed.start("reader-feed,ready-drift")
    feed, drift = managed.service("reader-feed")["pid"], managed.service("ready-drift")["pid"]

    unchanged = managed("reload")
    assert (unchanged.returncode, unchanged.stdout) == (0, "changed: nothing; restarting: nothing\n")

    managed.configure('feed.client = "two"\nsupervisor.restart_limit = 7')
    reloaded = managed("reload")
    assert reloaded.returncode == 0, reloaded.stderr
    assert "changed: feed.client, supervisor.restart_limit; restarting: reader-feed\n" in reloaded.stdout
    assert managed.service("reader-feed")["pid"] != feed
    assert managed.service("ready-drift")["pid"] == drift
    assert "reads client two" in managed.log("reader-feed")


def test_wrong_settings_are_refused_at_reload_and_a_service_that_crashes_meanwhile_gets_the_old_ones(managed):
    managed.configure('feed.client = "one"')
    managed.start("reader-feed")
    pid = managed.service("reader-feed")["pid"]
    supervisor = managed.status()["supervisor"]["pid"]

    managed.configure("feed.client = 'tw")
    assert managed("reload").returncode == 2
    os.kill(supervisor, signal.SIGHUP)
    managed.until(lambda: "settings.refused" in managed.log("supervisor"), "refused in the log")
    os.kill(pid, signal.SIGKILL)
    managed.configure('feed.client = "one"')  # for the command line only: nothing was reloaded
    managed.until(lambda: managed.service("reader-feed")["pid"] not in {pid, None}, "a new process")
    managed.until(lambda: managed.service("reader-feed")["state"] == "ready", "ready with the old settings")
    assert managed.log("reader-feed").count("reads client one") == 2

    managed.configure('feed.client = "one"\nstore.url = "sqlite:////tmp/other.sqlite3"')
    refused = managed("reload")
    assert refused.returncode == 2
    assert "store.url: expected unchanged" in refused.stderr


def test_a_service_stopped_on_purpose_stays_stopped_under_the_next_supervisor(managed):
    managed.start("ready-a,ready-b")
    stopped = managed("stop", "ready-b")
    assert stopped.returncode == 0, stopped.stderr
    assert (managed.service("ready-b")["state"], managed.service("ready-b")["pid"]) == ("stopped", None)
    assert managed.status()["supervisor"]["state"] == "ready"
    assert managed.status()["supervisor"]["remarks"] == ["ready-b: stopped on purpose"]
    managed("restart")
    assert managed.service("ready-b")["state"] == "stopped"

    os.kill(managed.status()["supervisor"]["pid"], signal.SIGKILL)
    managed.until(lambda: not managed.processes(), "all processes have ended")
    again = managed("start")
    assert again.returncode == 0
    assert "ready-b: stopped on purpose" in again.stdout
    assert managed.service("ready-b")["state"] == "stopped"

    assert managed("start", "ready-b").returncode == 0
    assert managed.service("ready-b")["state"] == "ready"
    managed("stop")
    managed("start")
    assert managed.service("ready-b")["state"] == "ready"


def test_a_second_signal_kills_services_that_ignore_term(managed):
    managed.start("ignores_term-a,ignores_term-b", stop_grace_s="60")
    supervisor = managed.status()["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGTERM)
    managed.until(lambda: managed.status()["supervisor"]["state"] == "stopping", "stopping")
    os.kill(supervisor, signal.SIGTERM)
    managed.until(lambda: not Path(f"/proc/{supervisor}").exists(), "the supervisor has ended")
    assert not managed.processes()


def test_stop_now_kills_services_that_ignore_term(managed):
    managed.start("ignores_term-a,ignores_term-b", stop_grace_s="60")
    assert managed("stop", "--now").returncode == 0
    assert not managed.processes()


def test_clients_that_close_during_a_wait_leave_room_for_others(managed):
    managed.start("never_ready", ready_timeout_s="1", restart_limit="9")
    path = managed.data_dir / "run/control.sock"
    request = b'{"command": "wait", "timeout_s": 600}\n'
    for _ in range(40):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(request)
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    try:
        for client in idle:
            client.connect(str(path))
        assert managed("status").returncode == 1
    finally:
        for client in idle:
            client.close()


def test_clients_that_wait_leave_room_for_status_and_stop(managed):
    managed.start("ready-a,never_ready", ready_timeout_s="1", restart_limit="99", restart_long_limit="99")
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(32)]
    try:
        for client in waiting:
            client.settimeout(5)
            client.connect(str(managed.data_dir / "run/control.sock"))
            client.sendall(b'{"command": "wait", "timeout_s": 1' + b"0" * 400 + b"}\n")
        assert "24 clients wait already" in json.loads(waiting[-1].recv(65536))["error"]
        assert managed("status").returncode == 1
        assert managed("stop", "--now").returncode == 0
    finally:
        for client in waiting:
            client.close()


def test_signals_without_a_meaning_end_neither_the_supervisor_nor_a_service(managed):
    managed.start("runtime")
    before = (managed.status()["supervisor"]["pid"], managed.service("runtime")["pid"])
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN):
        for pid in before:
            os.kill(pid, number)
    since = managed.service("runtime")["uptime_s"]
    managed.until(lambda: managed.service("runtime")["uptime_s"] > since + 1.0, "it goes on")
    assert (managed.status()["supervisor"]["pid"], managed.service("runtime")["pid"]) == before


def test_a_client_that_closed_its_writing_side_gets_its_replies(managed):
    managed.start("ready-a")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(managed.data_dir / "run/control.sock"))
        client.sendall(b'{"command": "wait", "timeout_s": 5}\n{"command": "status"}\n')
        client.shutdown(socket.SHUT_WR)
        replies = b""
        while data := client.recv(65536):
            replies += data
    assert [json.loads(line)["ok"] for line in replies.splitlines()] == [True, True]


def test_status_watch_continues_after_the_end_of_the_supervisor(managed):
    managed.start("ready-a")
    watching = subprocess.Popen(
        managed.command("status", "--watch", "0.1", "--json"), env=managed.env(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["supervisor"]["state"] == "ready"
        managed("stop")
        managed.until(lambda: json.loads(watching.stdout.readline())["supervisor"]["state"] == "stopped", "stopped")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    finally:
        watching.kill()
        watching.communicate()


def test_logs_for_people_show_time_level_event_and_fields(managed):
    managed.start("ready-a")
    shown = managed("logs", "supervisor", "--console")
    assert " info    supervisor.ready after_s=" in shown.stdout
    assert '{"service"' in managed("logs", "supervisor").stdout


def test_a_limit_for_an_unknown_service_starts_nothing(managed):
    refused = managed.start("ready-a", **{"memory_limits__nobody": "1"})
    assert refused.returncode == 2
    assert "supervisor.memory_limits.nobody: unknown service; expected one of ready-a" in refused.stderr


def test_a_disk_low_on_space_is_a_remark_and_degrades_the_system(managed):
    managed.start("ready-a", disk_low_bytes=str(10**18))
    managed.until(lambda: managed.status()["supervisor"]["state"] == "degraded", "degraded")
    assert managed.status()["supervisor"]["remarks"][0].startswith("disk: ")
    assert "disk_low" in managed.until(lambda: (managed.data_dir / "logs/events.ndjson").read_text(), "an event")
    assert managed.service("ready-a")["state"] == "ready"


def test_logs_are_not_written_into_the_reserve_of_the_database(managed):
    managed.settings["BGPDRIFT_STORE__RESERVE_BYTES"] = str(10**18)
    managed.settings["BGPDRIFT_SUPERVISOR__DISK_LOW_BYTES"] = str(10**18)
    managed.names = "verbose"
    assert managed("start").returncode == 0
    managed.until(lambda: "disk.reserved" in managed.log("supervisor"), "reserved")

    size = len(managed.log("verbose"))  # what was written before the disk was measured
    managed.until(lambda: managed.service("verbose")["uptime_s"] > 3, "time in which it writes much")
    assert len(managed.log("verbose")) <= size + 100_000
    assert managed.service("verbose")["restarts"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may create a PID namespace")
def test_as_process_1_it_reaps_orphans_and_ends_on_term(managed):
    managed.names = "ready-a,parent"
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *managed.command("start", "--foreground")]
    process = subprocess.Popen(command, env=managed.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        managed.until(lambda: managed("status").returncode == 0, "ready")
        assert managed.status()["supervisor"]["pid"] == 1
        inside = [int(pid) for pid in managed.processes()]
        first = next(pid for pid in inside if b"\nNSpid:" in status_of(pid) and ns_pid(pid) == 1)
        daemon = next(pid for pid in inside if b"time.sleep(600)" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(daemon, signal.SIGKILL)
        managed.until(lambda: not Path(f"/proc/{daemon}").exists(), "reaped")
        os.kill(first, signal.SIGTERM)
        output, _ = process.communicate(timeout=managed.limit_s)
    finally:
        process.kill()
        process.communicate()
    assert b"supervisor.stopped" in output
    assert not managed.processes()


def status_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/status").read_bytes()


def ns_pid(pid: int) -> int:
    return int(status_of(pid).split(b"\nNSpid:")[1].split(b"\n")[0].split()[-1])


@pytest.mark.timeout(60 + ROUNDS)
def test_repeated_stops_and_starts_leave_no_descriptor_and_no_zombie(managed):
    from supervisor.client import ControlClient

    managed.start("ready-a,ready-b")
    with ControlClient(managed.data_dir / "run") as client:
        descriptors = Path(f"/proc/{client.pid}/fd")

        def round_trip() -> None:
            for command in ("stop", "start"):
                client.ask(command, name="ready-a")
                client.ask("wait", wait_s=30.0, timeout_s=30.0, name="ready-a")

        round_trip()
        before = len(list(descriptors.iterdir()))
        for _ in range(ROUNDS):
            round_trip()
        assert len(list(descriptors.iterdir())) == before
        assert len(Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text().split()) == 2
    assert managed.service("ready-a")["state"] == "ready"
    assert managed.service("ready-b")["restarts"] == 0
