"""The command: arguments, exit codes, repetition, and which libraries it loads."""

import json
import re
import subprocess
import sys

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.status.program import run


@pytest.fixture
def here(settings, monkeypatch):
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(settings.data_path))
    monkeypatch.setenv("COLUMNS", "80")


def test_it_exits_3_if_no_supervisor_runs(here, capsys, constants):
    assert run([], FakeClock(constants.NOW)) == 3
    assert "No supervisor runs" in capsys.readouterr().out


def test_an_approval_request_while_another_program_checks_exits_10(here, night, capsys, constants):
    # There is no supervisor, but the newest check is recent: cron or systemd makes the checks.
    with night.store.writing() as connection:
        connection.exec_driver_sql(f"UPDATE cursors SET updated_at = {constants.NOW - 600}")
    assert run(["--json"], FakeClock(constants.NOW)) == 10
    document = json.loads(capsys.readouterr().out)
    assert document["monitor"]["state"] == "elsewhere"
    assert document["exit_code"] == 10


def test_a_system_that_needs_nobody_exits_0(here, system, capsys, constants):
    system.data_until(constants.NOW)
    system.model_file("lstm", "9", constants.NOW - 5_000)
    system.week("lstm", "9", reason="no drift")
    with system.store.writing() as connection:
        connection.exec_driver_sql(f"UPDATE cursors SET updated_at = {constants.NOW - 600}")
    assert run([], FakeClock(constants.NOW)) == 0
    assert capsys.readouterr().out.startswith("Nothing needs you.")


@pytest.mark.parametrize("arguments", [["--model", "gpt"], ["--interval", "0"], ["--interval", "soon"], ["--what"]])
def test_invalid_arguments_exit_2(here, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2


def test_invalid_settings_exit_2_with_one_line(monkeypatch, capsys):
    monkeypatch.setenv("BGPDRIFT_DRIFT__POLL_S", "never")
    assert run([]) == 2
    assert capsys.readouterr().err.startswith("check_drift_status: environment BGPDRIFT_DRIFT__POLL_S")


def test_watching_reads_again_after_each_interval_until_interrupted(here, capsys, constants):
    clock, slept = FakeClock(constants.NOW), []

    def sleep(seconds):
        slept.append(seconds)
        clock.advance(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    assert run(["--json", "--watch", "--interval", "7"], clock, sleep) == 3
    lines = capsys.readouterr().out.splitlines()
    assert slept == [7.0, 7.0, 7.0]
    assert [json.loads(line)["at"] for line in lines] == [constants.NOW, constants.NOW + 7, constants.NOW + 14]


def test_the_svg_file_loads_nothing_from_the_network(here, night, capsys, constants, tmp_path):
    assert run(["--json", "--svg", str(tmp_path / "s.svg")], FakeClock(constants.NOW)) != 2
    svg = (tmp_path / "s.svg").read_text()
    assert "critical" in svg
    assert "font-face" not in svg
    assert re.findall(r"https?://[^\s\"<]+", svg.replace("https://www.textualize.io", "")) == [
        "http://www.w3.org/2000/svg"
    ]


def test_an_svg_file_that_cannot_be_written_exits_2(here, capsys, constants, tmp_path):
    assert run(["--svg", str(tmp_path / "no" / "s.svg")], FakeClock(constants.NOW)) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_closed_pipe_ends_it_without_an_error(here, tmp_path):
    command = f"{sys.executable} -m bgpdrift.status --json --watch --interval 0.5 | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('{"schema":', "")


def test_an_ascii_terminal_is_supported(here, night):
    done = subprocess.run(
        [sys.executable, "-m", "bgpdrift.status"],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "COLUMNS": "80", "BGPDRIFT_DATA_DIR": str(night.settings.data_path)},
        timeout=60,
    )
    assert done.stderr == b""
    assert done.stdout.isascii()
    assert b"DRIFT 6 of 6" in done.stdout


def test_it_loads_no_numerical_library_and_help_loads_no_database():
    def loaded(code):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        return set(done.stdout.splitlines()[-1].split())

    whole = "import sys, bgpdrift.status.program as p\np.run(['--json'])\nprint(*sys.modules)"
    assert loaded(whole) & {"numpy", "scipy", "torch", "sklearn", "safetensors", "rich", "alembic"} == set()
    usage = "import sys, bgpdrift.status.program as p\ntry: p.run(['--help'])\nexcept SystemExit: print(*sys.modules)"
    assert loaded(usage) & {"numpy", "sqlalchemy", "rich"} == set()
