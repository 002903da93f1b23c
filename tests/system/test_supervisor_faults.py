"""Faults of a machine, with real processes: the supervisor continues, and each service runs once.

Random faults have few rounds by default; ``SUPERVISOR_ROUNDS=200 pytest tests/system/test_supervisor_faults.py`` runs more.
"""

import collections
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.until import until
from supervisor.preparation import EXIT_TEMPORARY

ROUNDS = int(os.environ.get("SUPERVISOR_ROUNDS", "0"))
pytestmark = [pytest.mark.system, pytest.mark.timeout(120 + 10 * ROUNDS)]


@pytest.fixture
def small_disk(tmp_path: Path, mount_small_disk: Callable[[Path, str], Path]) -> Path:
    """Mount a file system of 512 KiB for the data directory."""
    return mount_small_disk(tmp_path / "data", "512k")


def fill(place: Path) -> Path:
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def pids(managed) -> dict[str, int | None]:
    return {service["name"]: service["pid"] for service in managed.status()["services"]}


def test_two_services_killed_at_once_are_restarted_and_the_third_is_not(managed):
    managed.start("verbose-a,verbose-b,ready-c")
    before = pids(managed)

    for name in ("verbose-a", "verbose-b"):
        os.kill(before[name], signal.SIGKILL)
    managed.until(lambda: managed("status").returncode == 0, "all ready again")

    after = pids(managed)
    assert [name for name in before if before[name] == after[name]] == ["ready-c"]
    assert collections.Counter(managed.processes().values()) == {"": 1, "verbose-a": 1, "verbose-b": 1, "ready-c": 1}


def test_all_services_killed_at_once_are_restarted_once_each(managed):
    managed.start("ready-a,parent-b,ready-c")
    before = pids(managed)

    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    managed.until(
        lambda: managed("status").returncode == 0 and not set(pids(managed).values()) & {*before.values()}, "new"
    )

    # The daemon that the killed service left in a session of its own has ended too; the new service has its own.
    expected = {"": 1, "ready-a": 1, "parent-b": 2, "ready-c": 1}
    managed.until(lambda: collections.Counter(managed.processes().values()) == expected, "each once")


def test_a_suspended_service_ends_on_term(managed):
    managed.start("ready-a,ready-b", stop_grace_s="10")
    os.kill(managed.service("ready-a")["pid"], signal.SIGSTOP)
    began = time.monotonic()
    assert managed("stop").returncode == 0
    assert time.monotonic() - began < 5.0  # it ended on TERM, without KILL
    assert not managed.processes()


def test_a_service_whose_processes_flood_its_log_stays_within_its_share_and_disturbs_no_other(managed):
    started = managed.start(
        "floods,ready-b", log_max_bytes="200000", log_keep="3", log_total_bytes="600000", watchdog_s="5"
    )
    assert started.returncode == 0, started.stderr
    logs = managed.data_dir / "logs"
    managed.until(lambda: (logs / "floods.log.3").exists(), "rotated")
    since = managed.service("ready-b")["uptime_s"]

    managed.until(lambda: managed.service("ready-b")["uptime_s"] > since + 6.0, "longer than the watchdog interval")

    assert managed.service("ready-b")["restarts"] == 0
    assert managed.service("floods")["restarts"] == 0
    assert managed.status()["supervisor"]["rss_bytes"] < 60_000_000
    assert managed("stop").returncode == 0
    assert not managed.processes()
    assert sum(file.stat().st_size for file in logs.iterdir()) <= 600_000 + 200_000
    assert "ready starts" in managed.log("ready-b")


def test_on_a_full_disk_services_continue_and_the_logs_count_the_lost_bytes_afterwards(small_disk, managed):
    managed.settings["BGPDRIFT_STORE__RESERVE_BYTES"] = "0"
    assert managed.start("verbose,ready-b", disk_low_bytes="0", log_max_bytes="70000", log_keep="1").returncode == 0
    filler = fill(small_disk)
    managed.until(lambda: os.statvfs(small_disk).f_bavail == 0, "full")

    os.kill(managed.service("ready-b")["pid"], signal.SIGKILL)
    managed.until(lambda: managed.service("ready-b")["restarts"] == 1, "killed and restarted")
    managed.until(lambda: managed("status").returncode == 0, "ready on a full disk")
    assert managed("restart", "ready-b").returncode in {
        0,
        2,
    }  # the copy of the settings may not fit: refused with a message
    refused = managed("stop", "ready-b")
    assert (refused.returncode, "cannot be stored" in refused.stderr) in {(1, True), (0, False)}
    assert managed.service("verbose")["restarts"] == 0

    (small_disk / "logs" / "verbose.log").unlink()
    filler.unlink()
    managed.until(lambda: "log.dropped" in managed.log("verbose"), "the lost bytes are counted")
    assert managed("start", "ready-b").returncode == 0
    assert managed("stop").returncode == 0
    assert not managed.processes()


def test_after_a_kill_on_a_full_disk_start_succeeds_or_fails_with_one_line(small_disk, managed):
    managed.settings["BGPDRIFT_STORE__RESERVE_BYTES"] = "0"
    managed.start("ready-a,parent-b", disk_low_bytes="0")
    filler = fill(small_disk)
    os.kill(managed.status()["supervisor"]["pid"], signal.SIGKILL)
    managed.until(lambda: set(managed.processes().values()) <= {"parent-b"}, "the services have ended with it")

    again = managed("start")
    assert "Traceback" not in again.stderr
    if again.returncode != 0:
        assert len(again.stderr.splitlines()) == 1
    filler.unlink()
    assert managed("start").returncode in {0, 3}
    expected = {"": 1, "ready-a": 1, "parent-b": 2}
    managed.until(lambda: collections.Counter(managed.processes().values()) == expected, "each once")


def test_without_the_socket_status_names_the_supervisor_and_the_reason(managed):
    managed.start("ready-a")
    supervisor = managed.status()["supervisor"]["pid"]
    (managed.data_dir / "run/control.sock").unlink()

    shown = managed("status")
    second = managed("start")

    assert shown.returncode == 1
    assert f"supervisor pid {supervisor}" in shown.stderr
    assert "control.sock is missing: it is starting or stopping, or the socket was removed" in shown.stderr
    assert second.returncode == 3
    managed.until(lambda: managed("status").returncode == 0, "listening again")
    assert managed.status()["supervisor"]["pid"] == supervisor
    assert managed.service("ready-a")["restarts"] == 0


def test_after_the_run_directory_is_emptied_no_second_supervisor_starts_and_messages_arrive(managed):
    managed.start("notifies-a,notifies-b", watchdog_s="4")
    supervisor = managed.status()["supervisor"]["pid"]
    shutil.rmtree(managed.data_dir / "run")

    assert managed("start").returncode == 3
    managed.until(lambda: managed("status").returncode == 0, "all messages arrive again", limit_s=25.0)
    assert managed.status()["supervisor"]["pid"] == supervisor
    assert managed("start").returncode == 3
    managed.until((managed.data_dir / "run/settings.toml").exists, "the copy of the active settings exists again")
    since = pids(managed)
    managed.until(lambda: managed.service("notifies-a")["uptime_s"] > 8.0, "longer than the watchdog interval")
    assert pids(managed) == since
    assert collections.Counter(managed.processes().values()) == {"": 1, "notifies-a": 1, "notifies-b": 1}


def test_a_start_in_a_copy_of_a_running_data_directory_leaves_the_services_of_the_original_alone(managed, tmp_path):
    managed.start("ready-a,parent-b")
    before = managed.processes()
    copied = type(managed)(tmp_path / "copy")
    subprocess.run(["cp", "-a", str(managed.data_dir), str(copied.data_dir)], check=True)

    try:
        started = copied.start("ready-a,parent-b")
        assert started.returncode == 0, started.stderr
        assert "had left" not in started.stdout
        assert managed.processes() == before
        assert copied("stop").returncode == 0
        assert managed.processes() == before
        assert managed("status").returncode == 0
    finally:
        for pid in copied.processes():
            os.kill(pid, signal.SIGKILL)


def test_a_start_on_a_full_disk_runs_the_services_when_there_is_space(managed, tmp_path):
    full = tmp_path / "full"
    full.touch()
    managed.settings["CHILDREN_NOT_PREPARED"] = str(full)
    started = managed.start("ready-a,ready-b", ready_timeout_s="1")
    assert (started.returncode, "the disk is full" in started.stderr) == (1, True)
    (remark,) = managed.status()["supervisor"]["remarks"]
    assert remark.startswith("the store cannot be prepared yet: ")
    assert "the disk is full" in remark
    assert set(pids(managed).values()) == {None}

    full.unlink()

    managed.until(lambda: managed("status").returncode == 0, "all ready")


def test_a_full_disk_is_a_temporary_failure_of_the_preparation_of_the_store(small_disk):
    fill(small_disk)
    command = [sys.executable, "-m", "bgpdrift.services.prepare_store"]
    env = os.environ | {"BGPDRIFT_DATA_DIR": str(small_disk)}
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert (result.returncode, "full" in result.stderr) == (EXIT_TEMPORARY, True)


def test_a_pause_of_the_whole_machine_restarts_no_service(managed):
    managed.start("ready-a,ready-b", watchdog_s="1")
    before = pids(managed)
    supervisor = managed.status()["supervisor"]["pid"]
    everything = [supervisor, *before.values()]

    for pid in everything:
        os.kill(pid, signal.SIGSTOP)
    paused_at = time.monotonic()
    until(lambda: time.monotonic() > paused_at + 6.0, 10.0, "longer than the watchdog interval", poll_s=0.2)
    for pid in everything:
        os.kill(pid, signal.SIGCONT)

    managed.until(lambda: "supervisor.paused" in managed.log("supervisor"), "the pause is noticed")
    since = managed.service("ready-a")["uptime_s"]
    managed.until(lambda: managed.service("ready-a")["uptime_s"] > since + 2.0, "longer than the watchdog interval")
    assert pids(managed) == before


def test_a_supervisor_short_of_descriptors_restarts_a_hung_service_when_it_has_some_again(managed):
    managed.start("ready-a,ready-b", watchdog_s="1")
    before, supervisor = pids(managed), managed.status()["supervisor"]["pid"]
    limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (5, limits[1]))
    (managed.data_dir / "run/control.sock").unlink()
    os.kill(before["ready-a"], signal.SIGSTOP)
    managed.until(lambda: "service.backoff" in managed.log("supervisor"), "the end of the hung process is handled")
    managed.until(lambda: "restore the control socket" in managed.log("supervisor"), "the socket cannot be bound")

    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)

    managed.until(lambda: managed("status").returncode == 0, "all ready again", limit_s=40.0)
    after = pids(managed)
    assert after["ready-a"] != before["ready-a"]
    assert after["ready-b"] == before["ready-b"]
    assert managed.status()["supervisor"]["failed_steps"] > 0


def test_a_supervisor_short_of_descriptors_ends_on_term(managed):
    managed.start("ready-a,parent-b,ready-c", watchdog_s="1")
    supervisor = managed.status()["supervisor"]["pid"]
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (5, resource.prlimit(supervisor, resource.RLIMIT_NOFILE)[1]))
    os.kill(next(pid for pid, name in managed.processes().items() if name == "ready-a"), signal.SIGSTOP)
    managed.until(lambda: "service.aborting" in managed.log("supervisor"), "the hang is noticed")

    os.kill(supervisor, signal.SIGTERM)

    managed.until(lambda: supervisor not in managed.processes(), "ended")
    managed.until(lambda: set(managed.processes().values()) <= {"parent-b"}, "no service is left")
    assert managed("status").returncode == 3


def test_a_jump_of_the_wall_clock_changes_neither_restarts_nor_watchdogs(managed, tmp_path):
    clock = tmp_path / "wrong_by"
    clock.write_text("0")
    managed.settings["CHILDREN_CLOCK"] = str(clock)
    managed.start("ready-a,ready-b", watchdog_s="2", restart_limit="3")
    other = managed.service("ready-b")["pid"]

    for wrong_by in (86_400, -2 * 86_400):
        staged = tmp_path / "wrong_by.new"
        staged.write_text(str(wrong_by))
        staged.replace(clock)
        before = managed.service("ready-a")
        os.kill(before["pid"], signal.SIGKILL)
        killed_at = time.monotonic()
        managed.until(lambda: pids(managed)["ready-a"] not in {before["pid"], None}, "a new process")  # noqa: B023
        assert time.monotonic() - killed_at < 5.0
        managed.until(lambda: managed.service("ready-a")["state"] == "ready", "ready")
        assert 0.0 <= managed.service("ready-a")["uptime_s"] < 60.0

    stopped = managed.service("ready-a")["pid"]
    os.kill(stopped, signal.SIGSTOP)
    managed.until(lambda: pids(managed)["ready-a"] not in {stopped, None}, "the hang is detected", limit_s=8.0)
    assert "hung: no progress for 2 s" in managed.service("ready-a")["last_failure"]
    assert pids(managed)["ready-b"] == other
    # A new day began in between, so the file was rotated.
    files = (managed.data_dir / "logs").glob("events.ndjson*")
    events = [json.loads(line)["at"] for file in files for line in file.read_text().splitlines()]
    assert max(events) - min(events) > 2 * 86_400  # the clock did jump
    assert managed("stop").returncode == 0


@pytest.mark.parametrize("number", range(ROUNDS or 12))
def test_after_a_kill_at_any_moment_of_a_command_each_service_runs_once(managed, number):
    generator = random.Random(number)
    command = ("start", "stop", "restart")[number % 3]
    managed.names = "ready-a,parent-b,ready-c"
    if command != "start":
        managed("start")

    running = subprocess.Popen(
        managed.command(command), env=managed.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    pause_s = generator.uniform(0.0, 0.8)
    time.sleep(pause_s)
    for pid, service in managed.processes().items():
        if not service and pid != running.pid:
            os.kill(pid, signal.SIGKILL)
    running.wait(30)

    began = time.monotonic()
    again = managed("start")
    assert again.returncode in {0, 3}, (pause_s, again.stderr)  # 3: the command took effect before or after the kill
    assert time.monotonic() - began < 10.0
    expected = {"": 1, "ready-a": 1, "parent-b": 2, "ready-c": 1}
    managed.until(
        lambda: collections.Counter(managed.processes().values()) == expected, f"each once, after {pause_s} s"
    )
    assert managed("stop").returncode == 0
    assert not managed.processes()
