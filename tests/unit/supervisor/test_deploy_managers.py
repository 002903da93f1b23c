"""The recipes for supervisord, PM2 and cron: valid files that run the commands of the supervisor."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.settings import Settings
from supervisor.process_control import build_service_environment
from supervisor.services import BGPDRIFT

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "supervisor" / "deploy"
HOME = "/srv/bgpdrift"
PYTHON = f"{HOME}/.venv/bin/python"
GRACE_S = Settings().supervisor.stop_grace_s
COMMANDS = {one.name: list(one.command[1:]) for one in BGPDRIFT.services}
WHOLE = ["run_all_services.py", "start", "--foreground"]
# The keys of supervisord 4.3 that the recipes may use; supervisord accepts unknown keys without a warning.
KNOWN = {
    "supervisord": "user directory logfile logfile_maxbytes logfile_backups pidfile umask environment",
    "unix_http_server": "file chmod",
    "supervisorctl": "serverurl",
    "rpcinterface:supervisor": "supervisor.rpcinterface_factory",
    "program": "command directory user umask priority autorestart exitcodes startsecs startretries stopsignal stopwaitsecs "
    "stopasgroup killasgroup redirect_stderr stdout_logfile stdout_logfile_maxbytes stdout_logfile_backups",
}


def supervisord(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.read_string((DEPLOY / name).read_text())
    return parser


def programs(name: str) -> dict[str, dict[str, str]]:
    conf = supervisord(name)
    return {part.partition(":")[2]: dict(conf[part]) for part in conf.sections() if part.startswith("program:")}


def command(name: str, program: dict[str, str]) -> list[str]:
    return shlex.split(program["command"].replace("%(program_name)s", name))


@pytest.mark.parametrize("name", ["supervisord.conf", "supervisord-whole.conf"])
def test_supervisord_knows_every_key(name: str) -> None:
    conf = supervisord(name)
    assert conf.sections()
    for part in conf.sections():
        known = KNOWN["program" if part.startswith("program:") else part].split()
        assert set(conf[part]) <= set(known), part


def test_supervisord_runs_every_service_once_after_the_store_is_prepared() -> None:
    listed = programs("supervisord.conf")
    assert list(listed) == ["prepare_store", *BGPDRIFT.names]
    priorities = [int(program["priority"]) for program in listed.values()]
    assert priorities == sorted(set(priorities))
    assert command("prepare_store", listed["prepare_store"]) == [PYTHON, *BGPDRIFT.prepare[1:]]
    for name, words in COMMANDS.items():
        assert command(name, listed[name]) == ["/usr/bin/setpriv", "--pdeathsig", "KILL", PYTHON, *words]


def test_supervisord_sets_the_environment_that_the_supervisor_sets() -> None:
    given = supervisord("supervisord.conf")["supervisord"]["environment"]
    assert dict(re.findall(r'(\w+)="([^"]*)"', given)) == build_service_environment({})


def test_supervisord_gives_a_service_time_to_stop_and_retries_without_end() -> None:
    for name, program in programs("supervisord.conf").items():
        if name != "prepare_store":
            assert float(program["stopwaitsecs"]) > GRACE_S
            assert (program["stopasgroup"], program["killasgroup"]) == ("false", "true")
            assert (program["autorestart"], program["stopsignal"]) == ("true", "TERM")
            assert int(program["startretries"]) >= 1_000_000


def test_supervisord_listens_on_no_port() -> None:
    conf = supervisord("supervisord.conf")
    assert not conf.has_section("inet_http_server")
    assert conf["unix_http_server"]["chmod"] == "0600"
    assert conf["supervisorctl"]["serverurl"] == f"unix://{conf['unix_http_server']['file']}"


def test_supervisord_runs_the_supervisor_and_leaves_the_services_to_it() -> None:
    (whole,) = programs("supervisord-whole.conf").values()
    assert command("bgpdrift", whole) == ["/usr/bin/setpriv", "--pdeathsig", "TERM", PYTHON, *WHOLE]
    assert (whole["stopasgroup"], whole["killasgroup"], whole["autorestart"]) == ("false", "true", "unexpected")
    assert float(whole["stopwaitsecs"]) > len(BGPDRIFT.services) * GRACE_S
    assert whole["exitcodes"].split(",") == ["0", "2"]


def test_the_file_of_pm2_lists_every_service_once() -> None:
    text = (DEPLOY / "ecosystem.config.js").read_text()
    assert tuple(re.findall(r'^    service\("(\w+)"\),$', text, flags=re.MULTILINE)) == BGPDRIFT.names


def apps(name: str) -> list[dict[str, Any]]:
    """Return the programs that PM2 reads from a file."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = "console.log(JSON.stringify(require(process.argv[1]).apps))"
    done = subprocess.run([node, "-e", script, str(DEPLOY / name)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    programs: list[dict[str, Any]] = json.loads(done.stdout)
    return programs


def test_pm2_runs_every_service_after_the_store_is_prepared() -> None:
    prepare, *services = apps("ecosystem.config.js")
    python = str(ROOT / ".venv/bin/python")
    assert [prepare["script"], *prepare["args"]] == [python, *BGPDRIFT.prepare[1:]]
    assert prepare["autorestart"] is False
    assert {app["name"]: app["args"] for app in services} == {
        name: ["--pdeathsig", "KILL", python, *words] for name, words in COMMANDS.items()
    }
    for app in services:
        assert (app["script"], app["interpreter"], app["cwd"]) == ("/usr/bin/setpriv", "none", str(ROOT))


def test_pm2_sets_the_environment_that_the_supervisor_sets() -> None:
    for app in apps("ecosystem.config.js"):
        assert app["env"] == build_service_environment({})


@pytest.mark.parametrize("name", ["ecosystem.config.js", "ecosystem-whole.config.js"])
def test_pm2_gives_time_to_stop_signals_no_descendant_and_retries_without_end(name: str) -> None:
    for app in apps(name):
        assert app["treekill"] is False
        assert app["wait_ready"] is False
        assert app.get("kill_timeout", 0) > GRACE_S * 1000
        if app["autorestart"]:
            assert app["max_restarts"] >= 1_000_000
            assert 2 in app["stop_exit_codes"]


def test_pm2_runs_the_supervisor_and_leaves_the_services_to_it() -> None:
    (app,) = apps("ecosystem-whole.config.js")
    assert app["args"] == ["--pdeathsig", "TERM", str(ROOT / ".venv/bin/python"), *WHOLE]
    assert app["kill_timeout"] > len(BGPDRIFT.services) * GRACE_S * 1000
    assert app["stop_exit_codes"] == [0, 2]


def cron_lines() -> list[tuple[str, str, str]]:
    """Return the time, the user and the command of every line of the crontab."""
    text = (DEPLOY / "bgpdrift.cron").read_text()
    assert text.endswith("\n"), "cron ignores a last line without a line end"
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "SHELL="))]
    matches = [re.fullmatch(r"(@reboot|(?:\S+ ){4}\S+) (\w+) (cd /srv/bgpdrift && .+)", line) for line in lines]
    return [(match[1], match[2], match[3]) for match in matches if match] if all(matches) else []


def test_cron_starts_at_boot_and_checks_every_five_minutes() -> None:
    assert [(when, user) for when, user, _ in cron_lines()] == [("@reboot", "bgpdrift"), ("*/5 * * * *", "bgpdrift")]
    assert not [line for *_, line in cron_lines() if "%" in line], "cron ends a command at a %"


@pytest.mark.parametrize(("status", "starts"), [(0, 0), (1, 0), (3, 1)])
def test_cron_starts_the_supervisor_only_if_none_runs(tmp_path: Path, status: int, starts: int) -> None:
    """After exit code 1 a service is down but the supervisor runs, and a start would be refused."""
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    (tmp_path / "data" / "logs").mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n[ "$2" != status ] || exit {status}\n')
    program.chmod(0o755)
    line = cron_lines()[1][2].replace(HOME, str(tmp_path))

    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["run_all_services.py status", *["run_all_services.py start"] * starts]


@pytest.mark.parametrize(
    "words", [("start", "--foreground"), ("status", "--json"), ("stop",), ("reload",), ("restart",)]
)
def test_the_commands_of_the_recipes_exist(words: tuple[str, ...]) -> None:
    call = [sys.executable, str(ROOT / "run_all_services.py"), words[0], "--help"]
    usage = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert usage.returncode == 0, usage.stderr
    for option in words[1:]:
        assert option in usage.stdout


def test_the_recipes_use_only_known_commands() -> None:
    pages = [*DEPLOY.iterdir(), ROOT / "docs" / "deploy.md"]
    used = {
        word
        for path in pages
        for word in re.findall(r"run_all_services(?:\.py)?(?:\"\s*,\s*\"|\s+)([a-z]+)", path.read_text())
    }
    assert used <= {"start", "stop", "status", "restart", "reload", "logs"}
    assert {"start", "status"} <= used
