"""Child processes: environment, process group, exit code, signals, and identities that are never confused."""

import os
import select
import signal
import sys

import pytest

from bgpdrift.process import procfs
from bgpdrift.process.child import Child, build_environment, kill_if, run_command
from bgpdrift.process.identity import ProcessIdentity, identify, identify_self, is_alive, measure_age_s
from helpers.until import until

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def start(tmp_path):
    children = []

    def begin(code: str, **env: str) -> Child:
        environment = build_environment(os.environ, **env)
        child = Child([sys.executable, "-c", code], environment, tmp_path / "out", tmp_path / "err")
        children.append(child)
        return child

    yield begin
    for child in children:
        if procfs.read_start_time(child.pid) is not None:
            child.kill_and_reap()


def wait(child: Child) -> int | None:
    """Wait for the end of a child, without a poll."""
    select.select([child.pidfd], [], [], 20)
    return child.collect()


def test_a_child_has_a_session_of_its_own_and_writes_to_its_files(start, tmp_path):
    child = start("import os; print(os.getsid(0), os.getpid(), input.__name__)")
    assert wait(child) == 0
    session, pid, _ = (tmp_path / "out").read_text().split()
    assert session == pid == str(child.pid)


def test_a_running_child_is_not_collected(start):
    assert start(SLEEP).collect() is None


@pytest.mark.parametrize(("code", "exit_code"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_the_exit_code_is_that_of_the_child_or_its_signal(start, code, exit_code):
    assert wait(start(code)) == exit_code


def test_the_rest_of_the_group_is_killed_when_the_leader_ends(start, tmp_path):
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid)"
    child = start(code)
    wait(child)
    grandchild = int((tmp_path / "out").read_text())
    until(lambda: not procfs.is_running(grandchild), 20, "the grandchild has ended")


def test_a_stopped_child_ends_on_term(start):
    child = start(SLEEP)
    os.kill(child.pid, signal.SIGSTOP)
    child.terminate()
    assert wait(child) == -signal.SIGTERM


def test_a_child_does_not_inherit_the_signals_that_python_ignores(tmp_path):
    child = Child(["cat", "/proc/self/status"], build_environment(os.environ), tmp_path / "out", tmp_path / "err")
    assert wait(child) == 0
    ignored = next(line for line in (tmp_path / "out").read_text().splitlines() if line.startswith("SigIgn"))
    assert not int(ignored.split()[1], 16) & (1 << (signal.SIGPIPE - 1))


def test_a_process_is_killed_only_if_it_is_the_one_meant(start):
    child = start(SLEEP)
    identity = identify(child.pid)
    earlier = ProcessIdentity(child.pid, identity.start_time - 1, identity.boot_id)
    assert not kill_if(child.pid, lambda _: is_alive(earlier))
    assert kill_if(child.pid, lambda _: is_alive(identity), wait_s=20)
    assert not is_alive(identity), "a zombie is not alive"
    assert identify(child.pid) == identity, "a zombie keeps its identity until it is reaped"


def test_the_age_of_a_process_that_has_ended_is_unknown(start):
    child = start("pass")
    identity = identify(child.pid)
    wait(child)
    assert measure_age_s(identity) is None
    assert measure_age_s(identify_self()) >= 0.0


def test_descendants_include_grandchildren(start, tmp_path):
    code = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True); input()"
    )
    inner = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {code!r}], stdin=subprocess.PIPE); p.wait()"
    child = start(inner)
    until(lambda: len(procfs.list_descendants(child.pid)) == 2, 20, "a child and a grandchild")


def test_a_command_runs_to_its_end_with_its_output(tmp_path):
    done = run_command([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); exit(4)"], 20)
    assert (done.exit_code, done.stdout, done.stderr) == (4, "out\n", "err\n")


def test_a_command_beyond_its_time_limit_is_killed():
    with pytest.raises(TimeoutError, match="not finished after"):
        run_command([sys.executable, "-c", SLEEP], 0.2)
