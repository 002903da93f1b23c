"""`bgpdrift config`: it shows the effective settings and their sources without secrets, and overwrites no file."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.commands.config import command
from bgpdrift.errors import InputError, SettingsError


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
