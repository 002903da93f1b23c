"""`bgpdrift config`: it shows the effective settings and their sources without secrets, and overwrites no file."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.commands.config import command
from bgpdrift.errors import InputError, SettingsError
from bgpdrift.services.names import list_service_names
from supervisor.services import BGPDRIFT


def invoke(*arguments):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_show_names_the_source_of_what_is_no_default(monkeypatch):
    monkeypatch.setenv("BGPDRIFT_WEB__PORT", "9000")
    (line,) = [line for line in invoke("show").output.splitlines() if line.startswith("web.port ")]
    assert line.endswith("= 9000  (environment BGPDRIFT_WEB__PORT)")
    shown = json.loads(invoke("show", "--json").output)
    assert shown["web.port"] == {"value": 9000, "source": "environment BGPDRIFT_WEB__PORT"}
    assert shown["web.host"]["source"] == "default"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_show_hides_the_password_of_the_database(monkeypatch, form):
    monkeypatch.setenv("BGPDRIFT_STORE__URL", "postgresql+psycopg://bgp:secret@db/bgp")
    output = invoke("show", *form).output
    assert "secret" not in output
    assert "bgp:***@db" in output


def test_init_writes_a_file_that_is_valid_and_never_overwrites_one():
    assert invoke("init", "new.toml").exit_code == 0
    assert settings.load(Path("new.toml"), env={}) == settings.Settings()
    assert "new.toml" in invoke("check", "new.toml").output
    with pytest.raises(InputError, match="exists already"):
        invoke("init", "new.toml")


def test_check_refuses_a_file_with_a_mistake():
    Path("bad.toml").write_text("[web]\nprot = 1\n")
    with pytest.raises(SettingsError, match=r"bad\.toml: web\.prot"):
        invoke("check", "bad.toml")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[windows]\nwarm_up_rib = 'none.gz'", "windows.warm_up_rib"),
        ("data_dir = '/proc/bgpdrift'", "data_dir"),
        ("artifacts_dir = '/dev/null/models'", "artifacts_dir"),
        ("[store]\nurl = 'sqlite:///none/db.sqlite3'", "store.url"),
        ("[supervisor.memory_limits]\nlstm = 1000000000", "supervisor.memory_limits.lstm"),
    ],
)
def test_check_refuses_what_is_missing_and_names_the_setting(text, key):
    Path("my.toml").write_text(text)

    with pytest.raises(SettingsError, match=f"^my.toml: {key} = .*: expected "):
        invoke("check", "my.toml")


def test_check_accepts_files_and_directories_that_exist_or_can_be_made(tmp_path):
    (tmp_path / "rib.gz").write_bytes(b"")
    text = "data_dir = 'a/b'\n[windows]\nwarm_up_rib = 'rib.gz'\n[supervisor.memory_limits]\ndrift_monitor = 1000000000"
    Path("my.toml").write_text(text)

    assert invoke("check", "my.toml").exit_code == 0
    assert not Path("a").exists()


def test_the_names_of_services_are_those_of_the_supervisor():
    assert set(list_service_names()) == set(BGPDRIFT.names)
