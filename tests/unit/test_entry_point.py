"""The end of a program that cannot continue: one line, an exit code, and never a traceback."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bgpdrift.entry_point import run_program

PROGRAMS = {
    "bgpdrift": ["-m", "bgpdrift.cli", "config", "show"],
    "bgpdrift-help": ["-m", "bgpdrift.cli", "--help"],
    "check_drift_status": ["-m", "bgpdrift.status"],
    "retrain_lstm": ["-m", "retrainers", "lstm", "--help"],
    "run_all_services": ["-m", "run_all_services", "--help"],
    "status": ["-m", "run_all_services", "status", "--json"],
    "label": ["-m", "bgpdrift.cli", "label", "--help"],
    "check-file": ["-m", "bgpdrift.cli", "check-file", "--help"],
}


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    "error",
    [
        csv.Error("field larger than field limit"),
        OverflowError("int too large"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        RecursionError("maximum recursion depth exceeded"),
        ValueError("two\nlines \x1b[2J"),
        KeyError("id"),
        MemoryError(),
    ],
)
def test_an_unforeseen_exception_is_one_line_that_names_the_file_of_its_traceback(error, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert run_program("bgpdrift", raising(error)) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bgpdrift: unexpected {type(error).__name__}")
    assert "\x1b" not in line
    (path,) = tmp_path.iterdir()
    assert line.endswith(f"its traceback is in {path}")
    assert path.read_text().startswith("Traceback")
    assert path.stat().st_mode & 0o077 == 0


def test_an_error_of_the_system_names_its_file(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert run_program("bgpdrift", lambda: Path("/proc/self/none").stat() and 0) == 1
    line = capsys.readouterr().err
    assert line.startswith("bgpdrift: /proc/self/none: No such file or directory; its traceback could not be written")


@pytest.mark.parametrize(("raised", "code"), [(None, 0), (3, 3), ("gone", 1)])
def test_an_exit_keeps_its_code(raised, code):
    assert run_program("bgpdrift", raising(SystemExit(raised))) == code


def test_ctrl_c_ends_quietly(capsys):
    assert run_program("bgpdrift", raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == ""


def shell(command, arguments, tmp_path, **env):
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, *arguments],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "BGPDRIFT_DATA_DIR": str(tmp_path / "data"), **env},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_full_output_device_is_one_line_and_exit_1(name, tmp_path):
    done = shell('"$0" "$@" > /dev/full', PROGRAMS[name], tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(rb"[a-z_.]+: standard output: No space left on device\n", done.stderr)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_closed_pipe_ends_a_program_quietly_with_0(name, tmp_path):
    done = shell('"$0" "$@" | true; exit ${PIPESTATUS[0]}', PROGRAMS[name], tmp_path)
    whole = shell('"$0" "$@"', PROGRAMS[name], tmp_path)
    assert done.returncode in (0, whole.returncode)
    assert done.stderr in (b"", whole.stderr)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_shows_everything(name, encoding, tmp_path):
    done = shell('"$0" "$@"', PROGRAMS[name], tmp_path, PYTHONIOENCODING=encoding)
    assert b"Traceback" not in done.stderr
    assert b"unexpected" not in done.stderr
    done.stdout.decode(encoding)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_deleted_working_directory_is_one_line(name, tmp_path):
    gone = tmp_path / "gone"
    command = f'mkdir {gone} && cd {gone} && rmdir {gone} && exec "$0" "$@"'
    # Python itself fails to start in a deleted directory if a path is relative to it.
    path = os.pathsep.join(entry for entry in sys.path if Path(entry).is_absolute())
    done = shell(command, PROGRAMS[name], tmp_path, PYTHONPATH=path, BGPDRIFT_DATA_DIR="data")
    assert b"Traceback" not in done.stderr
    if done.returncode:
        assert b"the working directory was deleted" in done.stderr
        assert len(done.stderr.splitlines()) == 1
