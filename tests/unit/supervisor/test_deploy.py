"""The recipes of the drift check for cron and systemd: valid files, and commands that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift.cli import COMMANDS, cli

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "supervisor" / "deploy"
UNITS = ("bgpdrift-check.service", "bgpdrift-check.timer")
HOME = "/srv/bgpdrift"


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    return program


def install_units(folder: Path, change: tuple[str, str] = ("", "")) -> list[str]:
    """Write the units as they would be installed, with a program that exists; ``change`` replaces a text."""
    program = folder / "srv" / ".venv" / "bin" / "bgpdrift"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    paths = []
    for name in UNITS:
        text = (DEPLOY / name).read_text().replace(HOME, str(folder / "srv")).replace(*change)
        (folder / name).write_text(text)
        paths.append(str(folder / name))
    return paths


def verify(analyze: str, paths: list[str]) -> str:
    """Return what systemd reports; "" for nothing."""
    done = subprocess.run([analyze, "verify", *paths], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit code {done.returncode}")


def test_systemd_reports_nothing(analyze: str, tmp_path: Path) -> None:
    assert verify(analyze, install_units(tmp_path)) == ""


def test_systemd_reports_a_misspelt_line(analyze: str, tmp_path: Path) -> None:
    assert "Nise" in verify(analyze, install_units(tmp_path, ("Nice=", "Nise=")))


def test_the_timer_runs_once_an_hour(analyze: str) -> None:
    calendar = re.search(r"^OnCalendar=(.+)$", (DEPLOY / UNITS[1]).read_text(), flags=re.MULTILINE)
    assert calendar
    shown = subprocess.run([analyze, "calendar", calendar[1]], capture_output=True, text=True, timeout=60, check=True)
    assert "*-*-* *:05:00" in shown.stdout


def list_commands() -> list[list[str]]:
    """Return every command line of bgpdrift in a recipe, as words."""
    texts = [path.read_text() for path in DEPLOY.iterdir()] + [(ROOT / "docs" / "deploy-drift.md").read_text()]
    lines = re.findall(r"bin/bgpdrift (.+?)(?= >>|$)", "\n".join(texts), flags=re.MULTILINE)
    return [line.split() for line in lines]


def test_recipes_run_commands_that_exist_with_options_that_exist() -> None:
    assert len(list_commands()) >= 3
    for name, *options in list_commands():
        assert name in COMMANDS
        usage = CliRunner().invoke(cli, [name, "--help"])
        assert usage.exit_code == 0
        for option in options:
            assert option in usage.output


@pytest.mark.parametrize("path", ["supervisor/deploy/bgpdrift-check.cron", "docs/deploy-drift.md"])
def test_cron_lines_have_five_valid_fields(path: str) -> None:
    user = r"bgpdrift " if path.endswith(".cron") else ""
    lines = re.findall(rf"^((?:\S+ ){{5}}){user}cd {HOME} && ", (ROOT / path).read_text(), flags=re.MULTILINE)
    assert lines
    for fields in lines:
        minute, *others = fields.split()
        assert re.fullmatch(r"[0-5]?\d|\*/15", minute)
        assert others == ["*"] * 4


def test_the_cron_file_ends_with_a_line_end() -> None:
    assert (DEPLOY / "bgpdrift-check.cron").read_text().endswith("\n")  # cron ignores a last line without it
