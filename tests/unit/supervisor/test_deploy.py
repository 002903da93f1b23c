"""Recipes for cron and systemd: understood by the programs they are for, and true of the commands they run."""

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
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not here (Debian package systemd): units cannot be verified")
    return found


def placed(folder: Path, change: tuple[str, str] = ("", "")) -> list[str]:
    """The units as they would be installed, over a program that exists; ``change`` what one of them says."""
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
    """What systemd complains of; "" for nothing."""
    done = subprocess.run([analyze, "verify", *paths], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit code {done.returncode}")


def test_systemd_has_nothing_to_complain_of(analyze: str, tmp_path: Path) -> None:
    assert verify(analyze, placed(tmp_path)) == ""


def test_a_misspelt_line_would_have_been_complained_of(analyze: str, tmp_path: Path) -> None:
    assert "Nise" in verify(analyze, placed(tmp_path, ("Nice=", "Nise=")))


def test_the_timer_comes_once_an_hour(analyze: str) -> None:
    calendar = re.search(r"^OnCalendar=(.+)$", (DEPLOY / UNITS[1]).read_text(), flags=re.MULTILINE)
    assert calendar
    shown = subprocess.run([analyze, "calendar", calendar[1]], capture_output=True, text=True, timeout=60, check=True)
    assert "*-*-* *:05:00" in shown.stdout


def commands() -> list[list[str]]:
    """Every command line of bgpdrift that a recipe runs, as words."""
    texts = [path.read_text() for path in DEPLOY.iterdir()] + [(ROOT / "docs" / "deploy-drift.md").read_text()]
    found = re.findall(r"bin/bgpdrift (.+?)(?= >>|$)", "\n".join(texts), flags=re.MULTILINE)
    return [line.split() for line in found]


def test_recipes_run_commands_that_exist_with_options_that_exist() -> None:
    assert len(commands()) >= 3
    for name, *options in commands():
        assert name in COMMANDS
        usage = CliRunner().invoke(cli, [name, "--help"])
        assert usage.exit_code == 0
        for option in options:
            assert option in usage.output


@pytest.mark.parametrize("path", ["supervisor/deploy/bgpdrift-check.cron", "docs/deploy-drift.md"])
def test_cron_lines_have_five_fields_that_cron_takes(path: str) -> None:
    user = r"bgpdrift " if path.endswith(".cron") else ""
    lines = re.findall(rf"^((?:\S+ ){{5}}){user}cd {HOME} && ", (ROOT / path).read_text(), flags=re.MULTILINE)
    assert lines
    for fields in lines:
        minute, *others = fields.split()
        assert re.fullmatch(r"[0-5]?\d|\*/15", minute)
        assert others == ["*"] * 4


def test_the_cron_line_ends_as_cron_wants_it() -> None:
    assert (DEPLOY / "bgpdrift-check.cron").read_text().endswith("\n")  # cron passes over a last line without it
