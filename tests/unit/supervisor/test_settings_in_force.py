"""Accepted settings are kept; what is broken, or cannot change, is refused and changes nothing."""

import ast
from pathlib import Path

import pytest

import bgpdrift
from bgpdrift.errors import SettingsError
from bgpdrift.settings import Settings, fields, load
from supervisor.reloading import FIXED, FOR_ALL, changed_keys, is_concerned
from supervisor.services import BGPDRIFT, DETECTOR_SERVICES, Service
from supervisor.settings_in_force import SettingsInForce


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "bgpdrift.toml"
    path.write_text('feed.client = "one"\n')
    return path


@pytest.fixture
def in_force(tmp_path, source):
    env = {"BGPDRIFT_CONFIG": str(source)}
    kept = SettingsInForce(load(env=env), tmp_path, env)
    kept.begin()
    return kept


def what_services_read(in_force):
    return load(env=in_force.config_for_services()).feed.client


def test_an_edit_changes_nothing_until_it_is_accepted(in_force, source):
    source.write_text('feed.client = "two"\n')
    assert what_services_read(in_force) == "one"
    before = in_force.read_anew()
    assert (before.feed.client, in_force.present.feed.client, what_services_read(in_force)) == ("one", "two", "two")


@pytest.mark.parametrize("text", ["feed.client = 'tw", "feed.client = 7", "feed.cliend = 'two'"])
def test_a_broken_file_is_refused_by_its_own_name_and_the_old_one_stays(in_force, source, text):
    source.write_text(text)
    with pytest.raises(SettingsError, match=r"bgpdrift\.toml: ") as refused:
        in_force.read_anew()
    assert "settings.toml" not in str(refused.value)
    assert (in_force.present.feed.client, what_services_read(in_force)) == ("one", "one")


@pytest.mark.parametrize("text", ["data_dir = '/elsewhere'", "store.url = 'sqlite:///x'"])
def test_what_the_running_system_hangs_on_cannot_change(in_force, source, text):
    source.write_text(text)
    with pytest.raises(SettingsError, match="expected unchanged; stop, then start"):
        in_force.read_anew()
    assert what_services_read(in_force) == "one"


def test_a_file_that_is_gone_is_refused(in_force, source):
    source.unlink()
    with pytest.raises(SettingsError, match="no such settings file"):
        in_force.read_anew()


def test_a_copy_that_somebody_removed_is_written_again_as_it_was_accepted(in_force, source, tmp_path):
    source.write_text('feed.client = "two"\n')
    assert not in_force.ensure()
    (tmp_path / "settings.toml").unlink()

    assert in_force.ensure()

    assert what_services_read(in_force) == "one"
    assert (tmp_path / "settings.toml").stat().st_mode & 0o777 == 0o600


def test_the_callers_own_check_comes_before_anything_is_kept(tmp_path, source):
    def refuse(settings):
        raise SettingsError("not these")

    env = {"BGPDRIFT_CONFIG": str(source)}
    kept = SettingsInForce(load(env=env), tmp_path, env, refuse)
    kept.begin()
    with pytest.raises(SettingsError, match="not these"):
        kept.read_anew()


def test_the_environment_stands_above_the_file_as_at_the_start(tmp_path, source):
    env = {"BGPDRIFT_CONFIG": str(source), "BGPDRIFT_FEED__CLIENT": "env"}
    kept = SettingsInForce(load(env=env), tmp_path, env)
    kept.begin()
    source.write_text('feed.client = "two"\n')
    kept.read_anew()
    assert kept.present.feed.client == "env"


def test_the_copy_is_for_its_owner_only(in_force, tmp_path):
    assert (tmp_path / "settings.toml").stat().st_mode & 0o777 == 0o600


def test_a_change_concerns_those_who_read_it():
    old = load(env={})
    new = load(env={"BGPDRIFT_ENSEMBLE__DEBOUNCE_K": "1", "BGPDRIFT_SUPERVISOR__RESTART_LIMIT": "9"})
    keys = changed_keys(old, new)
    assert keys == {"ensemble.debounce_k", "supervisor.restart_limit"}
    assert [service.name for service in BGPDRIFT.services if is_concerned(service, keys)] == ["ensemble_coordinator"]


def test_a_process_is_told_the_watchdog_at_launch_so_a_change_concerns_all():
    assert is_concerned(Service("a", ("a",)), frozenset({"supervisor.watchdog_s"}))
    assert not is_concerned(Service("a", ("a",)), frozenset({"supervisor.memory_limit_bytes"}))


def test_fixed_settings_exist():
    assert {field.key for field in fields()} >= FIXED


DETECTOR_MODULE = "bgpdrift.scoring.detector_worker"
"""What `bgpdrift.services` runs for every detector."""


def sections_read_by(module: str, seen: set[str]) -> set[str]:
    """Tables of the settings that a service module, and the service and model modules it imports, look into."""
    if module in seen:
        return set()
    seen.add(module)
    path = Path(bgpdrift.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    if not path.is_file():
        return set()
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in Settings.__struct_fields__:
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if owner.lstrip("_") in {"settings", "loaded"}:
                found.add(node.attr)
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith(("bgpdrift.services", "bgpdrift.scoring", "bgpdrift.models")):
                found |= sections_read_by(name, seen)
    return found


@pytest.mark.parametrize("service", BGPDRIFT.services, ids=lambda service: service.name)
def test_a_service_is_listed_with_every_table_its_program_looks_into(service):
    is_detector = service.name in DETECTOR_SERVICES
    found = sections_read_by(DETECTOR_MODULE if is_detector else f"bgpdrift.services.{service.name}", set())
    assert found, "the walk finds something"
    assert found <= service.reads | FOR_ALL
