"""Accepted settings become active; wrong or fixed settings are refused and change nothing."""

import ast
from pathlib import Path

import pytest

import bgpdrift
from bgpdrift.errors import SettingsError
from bgpdrift.settings import Settings, fields, load
from supervisor.active_settings import ActiveSettings
from supervisor.reloading import COMMON_SECTIONS, FIXED_KEYS, find_changed_keys, is_concerned
from supervisor.services import BGPDRIFT, DETECTOR_SERVICES, Service


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "bgpdrift.toml"
    path.write_text('feed.client = "one"\n')
    return path


@pytest.fixture
def active(tmp_path, source):
    env = {"BGPDRIFT_CONFIG": str(source)}
    created = ActiveSettings(load(env=env), tmp_path, env)
    created.create_copy()
    return created


def read_client(active):
    return load(env=active.build_variables()).feed.client


def test_an_edit_changes_nothing_until_a_reload(active, source):
    source.write_text('feed.client = "two"\n')
    assert read_client(active) == "one"
    before = active.reload()
    assert (before.feed.client, active.current.feed.client, read_client(active)) == ("one", "two", "two")


@pytest.mark.parametrize("text", ["feed.client = 'tw", "feed.client = 7", "feed.cliend = 'two'"])
def test_a_wrong_file_is_refused_with_its_own_name_and_the_old_settings_stay_active(active, source, text):
    source.write_text(text)
    with pytest.raises(SettingsError, match=r"bgpdrift\.toml: ") as refused:
        active.reload()
    assert "settings.toml" not in str(refused.value)
    assert (active.current.feed.client, read_client(active)) == ("one", "one")


@pytest.mark.parametrize("text", ["data_dir = '/elsewhere'", "store.url = 'sqlite:///x'"])
def test_a_setting_on_which_the_running_system_depends_cannot_change(active, source, text):
    source.write_text(text)
    with pytest.raises(SettingsError, match="expected unchanged; stop, then start"):
        active.reload()
    assert read_client(active) == "one"


def test_a_missing_file_is_refused(active, source):
    source.unlink()
    with pytest.raises(SettingsError, match="no such settings file"):
        active.reload()


def test_a_removed_copy_is_written_again_with_the_accepted_settings(active, source, tmp_path):
    source.write_text('feed.client = "two"\n')
    assert not active.restore_copy()
    (tmp_path / "settings.toml").unlink()

    assert active.restore_copy()

    assert read_client(active) == "one"
    assert (tmp_path / "settings.toml").stat().st_mode & 0o777 == 0o600


def test_the_check_of_the_caller_runs_before_the_settings_become_active(tmp_path, source):
    def refuse(settings):
        raise SettingsError("not these")

    env = {"BGPDRIFT_CONFIG": str(source)}
    created = ActiveSettings(load(env=env), tmp_path, env, refuse)
    created.create_copy()
    with pytest.raises(SettingsError, match="not these"):
        created.reload()


def test_the_environment_overrides_the_file_after_a_reload_too(tmp_path, source):
    env = {"BGPDRIFT_CONFIG": str(source), "BGPDRIFT_FEED__CLIENT": "env"}
    created = ActiveSettings(load(env=env), tmp_path, env)
    created.create_copy()
    source.write_text('feed.client = "two"\n')
    created.reload()
    assert created.current.feed.client == "env"


def test_only_the_owner_can_read_the_copy(active, tmp_path):
    assert (tmp_path / "settings.toml").stat().st_mode & 0o777 == 0o600


def test_a_change_concerns_the_services_that_read_the_setting():
    old = load(env={})
    new = load(env={"BGPDRIFT_ENSEMBLE__DEBOUNCE_K": "1", "BGPDRIFT_SUPERVISOR__RESTART_LIMIT": "9"})
    keys = find_changed_keys(old, new)
    assert keys == {"ensemble.debounce_k", "supervisor.restart_limit"}
    assert [service.name for service in BGPDRIFT.services if is_concerned(service, keys)] == ["ensemble_coordinator"]


def test_a_change_of_the_watchdog_concerns_all_services_because_they_learn_it_at_launch():
    assert is_concerned(Service("a", ("a",)), frozenset({"supervisor.watchdog_s"}))
    assert not is_concerned(Service("a", ("a",)), frozenset({"supervisor.memory_limit_bytes"}))


def test_fixed_settings_exist():
    assert {field.key for field in fields()} >= FIXED_KEYS


DETECTOR_MODULE = "bgpdrift.scoring.detector_worker"
"""The module that `bgpdrift.services` runs for every detector."""


def find_sections(module: str, seen: set[str]) -> set[str]:
    """Return the sections of the settings that a service module, and the service and model modules it imports, read."""
    if module in seen:
        return set()
    seen.add(module)
    path = Path(bgpdrift.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    if not path.is_file():
        return set()
    sections: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in Settings.__struct_fields__:
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if owner.lstrip("_") in {"settings", "loaded"}:
                sections.add(node.attr)
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith(("bgpdrift.services", "bgpdrift.scoring", "bgpdrift.models")):
                sections |= find_sections(name, seen)
    return sections


@pytest.mark.parametrize("service", BGPDRIFT.services, ids=lambda service: service.name)
def test_a_service_is_listed_with_every_section_that_its_program_reads(service):
    is_detector = service.name in DETECTOR_SERVICES
    sections = find_sections(DETECTOR_MODULE if is_detector else f"bgpdrift.services.{service.name}", set())
    assert sections, "the walk finds something"
    assert sections <= service.reads | COMMON_SECTIONS
