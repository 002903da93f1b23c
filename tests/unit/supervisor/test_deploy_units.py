"""The units for systemd: valid, hardened, and consistent with the programs they run and with each other."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.process_control import build_service_environment
from supervisor.services import BGPDRIFT

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "supervisor" / "deploy"
HOME = "/srv/bgpdrift"
PYTHON = f"{HOME}/.venv/bin/python"
WHOLE, EACH, PREPARE, CHECK, TARGET = (
    "bgpdrift.service",
    "bgpdrift@.service",
    "bgpdrift-prepare.service",
    "bgpdrift-check.service",
    "bgpdrift.target",
)
PROGRAMS = (WHOLE, EACH, PREPARE, CHECK)
INSTANCES = tuple(f"bgpdrift@{name}.service" for name in BGPDRIFT.names)
MORE_THAN_ONCE = {"Environment", "SystemCallFilter", "Wants"}
MAX_EXPOSURE = 2.0  # systemd-analyze security: 10 is a service without restrictions, below 2 is "OK" or better


def read(name: str) -> dict[str, dict[str, list[str]]]:
    """Return a unit as sections of keys of values; fails on another kind of line and on a repeated key."""
    unit: dict[str, dict[str, list[str]]] = {}
    keys: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if section := re.fullmatch(r"\[(Unit|Service|Timer|Install)\]", line):
            assert section[1] not in unit, f"{name}: [{section[1]}] twice"
            keys = unit[section[1]] = {}
            continue
        pair = re.fullmatch(r"([A-Z][A-Za-z]+)=(.*)", line)
        assert pair, f"{name}: {line}"
        assert pair[1] not in keys or pair[1] in MORE_THAN_ONCE, f"{name}: {pair[1]} twice"
        keys.setdefault(pair[1], []).append(pair[2])
    return unit


def service(name: str) -> dict[str, str]:
    return {key: values[0] for key, values in read(name)["Service"].items()}


def environment(name: str) -> dict[str, str]:
    lines = read(name)["Service"].get("Environment", [])
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def hardening(name: str) -> list[str]:
    text = (DEPLOY / name).read_text()
    return text[text.index("NoNewPrivileges=") :].split("\n\n")[0].splitlines()


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    return program


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Write every unit as it would be installed, with programs that exist."""
    for program in ("python", "bgpdrift"):
        path = tmp_path / "srv" / ".venv" / "bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    for path in DEPLOY.iterdir():
        if path.suffix in {".service", ".target", ".timer"}:
            (tmp_path / path.name).write_text(path.read_text().replace(HOME, str(tmp_path / "srv")))
    return tmp_path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)


def verify(analyze: str, folder: Path, *names: str) -> str:
    """Return what systemd reports of units; "" for nothing. Reports on other units of this machine are left out."""
    done = run(analyze, "verify", "--man=no", *(str(folder / name) for name in names))
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "bgpdrift" in line or str(folder) in line]
    return "\n".join(lines) + ("" if done.returncode == 0 or lines else f"exit code {done.returncode}: {done.stderr}")


def test_systemd_reports_nothing(analyze: str, installed: Path) -> None:
    assert verify(analyze, installed, WHOLE, PREPARE, TARGET, *INSTANCES) == ""


@pytest.mark.parametrize("name", [WHOLE, EACH, PREPARE])
def test_systemd_reports_a_misspelt_line(analyze: str, installed: Path, name: str) -> None:
    path = installed / name
    path.write_text(path.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))
    assert "NoNewPrivilege" in verify(analyze, installed, INSTANCES[0] if name == EACH else name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_exposure_of_a_program_stays_below_the_limit(analyze: str, installed: Path, name: str) -> None:
    threshold = f"--threshold={MAX_EXPOSURE * 10:.0f}"
    result = run(analyze, "security", "--offline=true", "--no-pager", threshold, str(installed / name))
    assert result.returncode == 0, result.stdout + result.stderr

    (installed / name).write_text(
        (installed / name).read_text().replace("SystemCallFilter", "#").replace("Protect", "#")
    )
    result = run(analyze, "security", "--offline=true", "--no-pager", threshold, str(installed / name))
    assert result.returncode != 0, "the threshold has no effect"


def test_every_program_has_the_same_hardening() -> None:
    assert len(hardening(WHOLE)) > 20
    for name in PROGRAMS:
        assert hardening(name) == hardening(WHOLE), name


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_training_a_model_needs_is_allowed(name: str) -> None:
    """PyTorch generates code at run time and fails with `could not create a primitive` if it is denied."""
    assert "MemoryDenyWriteExecute" not in service(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_as_the_service_user_and_may_write_only_the_data(name: str) -> None:
    unit = service(name)
    assert (unit["User"], unit["WorkingDirectory"], unit["ReadWritePaths"]) == ("bgpdrift", HOME, f"{HOME}/data")
    assert unit["ProtectSystem"] == "strict"


def test_the_target_lists_every_service_once() -> None:
    assert read(TARGET)["Unit"]["Wants"] == list(INSTANCES)


def test_each_unit_runs_the_command_of_the_supervisor() -> None:
    command = service(EACH)["ExecStart"].split()
    for one in BGPDRIFT.services:
        assert [word.replace("%i", one.name) for word in command] == [PYTHON, *one.command[1:]]
    assert service(PREPARE)["ExecStart"].split() == [PYTHON, *BGPDRIFT.prepare[1:]]


@pytest.mark.parametrize("name", [EACH, PREPARE])
def test_a_unit_sets_the_environment_that_the_supervisor_sets(name: str) -> None:
    assert environment(name) == build_service_environment({})


def test_the_whole_and_its_parts_exclude_each_other() -> None:
    assert read(WHOLE)["Unit"]["Conflicts"] == [TARGET]
    assert read(TARGET)["Unit"]["Conflicts"] == [WHOLE]


def test_the_parts_stop_with_the_target_and_start_after_the_store_is_prepared() -> None:
    each = read(EACH)["Unit"]
    assert each["PartOf"] == read(PREPARE)["Unit"]["PartOf"] == [TARGET]
    assert each["Requires"] == [PREPARE]
    assert PREPARE in each["After"][0].split()
    assert service(PREPARE)["RemainAfterExit"] == "yes"


@pytest.mark.parametrize("name", [WHOLE, EACH])
def test_a_hang_is_detected_and_a_failure_is_retried_without_end(name: str) -> None:
    unit = service(name)
    assert (unit["Type"], unit["NotifyAccess"], unit["KillMode"]) == ("notify", "main", "mixed")
    assert 0 < int(unit["WatchdogSec"]) <= 30
    assert unit["Restart"] == "on-failure"
    assert "2" in unit["RestartPreventExitStatus"].split()
    assert read(name)["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_a_service_that_does_not_start_does_not_end_the_whole() -> None:
    assert service(WHOLE)["TimeoutStartSec"] == "infinity"


def test_only_options_of_systemd_252_are_used() -> None:
    text = "".join((DEPLOY / name).read_text() for name in PROGRAMS)
    assert not re.search(r"^(RestartSteps|RestartMaxDelaySec)=|notify-reload", text, flags=re.MULTILINE)
