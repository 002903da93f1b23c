"""Every command: in a directory where nothing runs, and with the name of a model that does not exist."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift.cli import COMMANDS
from bgpdrift.commands.rollback import command as rollback
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import NothingHereError
from supervisor.cli import main as run_all_services

ROOT = Path(__file__).parents[2]
NEED_A_SYSTEM = {
    "approve": ["1"],
    "check": [],
    "doctor": [],
    "feed": [],
    "incidents": [],
    "label": ["--list"],
    "models": [],
    "promote": [],
    "reject": ["1"],
    "report": [],
    "rollback": ["lstm"],
    "store": ["reset-time", "--yes"],
}
"""Commands that read or change a system, and arguments that reach it."""
NEED_NONE = {"check-file", "config", "decode", "demo", "evaluate", "features", "replay", "simulate"}
"""Commands that work on files or start a system of their own."""

SUPERVISED = {"logs", "reload", "restart", "start", "status", "stop"}
"""Commands of ``run_all_services.py``; `start` starts a system."""


def invoke(program, *arguments, **env):
    """Run a program of the project as a process in the working directory."""
    starts = {
        "bgpdrift": ["-m", "bgpdrift.cli"],
        "check_drift_status": ["-m", "bgpdrift.status"],
        "retrain": ["-m", "retrainers"],
        "run_all_services.py": [str(ROOT / "run_all_services.py")],
    }
    command = [sys.executable, *starts[program], *arguments]
    plain = {
        "PATH": "/usr/bin:/bin",
        "COLUMNS": "80",
        "PYTHONDONTWRITEBYTECODE": "1",
        "BGPDRIFT_FEED__URL": "ws://127.0.0.1:9/",
    }
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=plain | env, check=False)


def in_empty_directory():
    for name, arguments in NEED_A_SYSTEM.items():
        yield "bgpdrift", name, *arguments
    yield "bgpdrift", "check", "--once"
    yield "bgpdrift", "incidents", "--watch"
    yield "bgpdrift", "promote", "lstm"
    yield ("check_drift_status",)
    for model in MODELS:
        yield "retrain", model
    yield "retrain", "lstm", "--from-flag"
    for command in (
        "status",
        "status --json",
        "stop",
        "stop lstm",
        "start lstm",
        "restart",
        "reload",
        "logs",
        "logs -f lstm",
    ):
        yield "run_all_services.py", *command.split()


def test_each_command_is_listed_by_whether_it_needs_a_system():
    assert set(COMMANDS) == NEED_A_SYSTEM.keys() | NEED_NONE | SUPERVISED


@pytest.mark.parametrize("arguments", list(in_empty_directory()), ids=" ".join)
def test_where_nothing_runs_a_command_says_so_fails_and_leaves_no_trace(arguments, tmp_path):
    done = invoke(*arguments)

    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, text
    assert any(words in text for words in ("nothing runs here", "No supervisor runs", "not running for")), text
    assert "no database" in text or "There is no database yet" in text or "not running for" in text
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("bgpdrift", "check", "gpt"),
        ("bgpdrift", "promote", "gpt"),
        ("bgpdrift", "report", "gpt"),
        ("bgpdrift", "rollback", "gpt"),
        ("bgpdrift", "evaluate", "--kinds", "--detector", "gpt"),
        ("check_drift_status", "--model", "gpt"),
        ("retrain", "gpt"),
        *(("run_all_services.py", command, "gpt") for command in ("start", "stop", "restart", "logs")),
    ],
    ids=" ".join,
)
def test_the_name_of_a_model_that_does_not_exist_is_refused_with_those_that_do(arguments, tmp_path):
    done = invoke(*arguments)

    text = " ".join(done.stderr.split())
    assert done.returncode == 2, text
    assert "gpt" in text
    assert all(model in text for model in MODELS), text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for model in MODELS for name in (model, f"{model}_detector")])
def test_a_detector_is_accepted_by_the_name_of_its_model_and_of_its_service(name, capsys):
    assert run_all_services(["restart", name]) == 3
    assert "not running for" in capsys.readouterr().err
    refused = CliRunner().invoke(rollback, [name])
    assert isinstance(refused.exception, NothingHereError)


@pytest.mark.parametrize(
    "arguments",
    [
        *(f"{name} --help" for name in sorted(SUPERVISED)),
        "status",
        "status --json",
        "stop gpt",
        "logs -n 3 lstm",
        "restart",
    ],
)
def test_the_commands_of_the_supervisor_are_commands_of_bgpdrift_too(arguments):
    """Output, errors and exit code are the same, but for the name of the program."""
    through, direct = (invoke(program, *arguments.split()) for program in ("bgpdrift", "run_all_services.py"))

    def unnamed(text):
        return " ".join(text.replace("run_all_services.py", "bgpdrift").split())

    assert through.returncode == direct.returncode
    assert [unnamed(text) for text in (through.stdout, through.stderr)] == [
        unnamed(text) for text in (direct.stdout, direct.stderr)
    ]
    assert "run_all_services.py:" not in through.stderr
