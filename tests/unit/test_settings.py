"""Settings: their precedence, and one line for every mistake that names source, key, value and what is allowed."""

import re
from pathlib import Path

import pytest

from bgpdrift import settings
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import SettingsError
from bgpdrift.store.retention import DEFAULT_DAYS


def written(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


def test_the_environment_beats_the_file_and_the_file_the_default(tmp_path):
    file = written(tmp_path, "[web]\nport = 8100\nhost = '127.0.0.2'\n")

    loaded, sources = settings.load_with_sources(file, env={"BGPDRIFT_WEB__PORT": "8200"})

    assert (loaded.web.port, loaded.web.host, loaded.feed.silence_s) == (8200, "127.0.0.2", 30.0)
    assert sources["web.port"] == "environment BGPDRIFT_WEB__PORT"
    assert sources["web.host"] == str(file)
    assert "feed.silence_s" not in sources


def test_the_command_line_beats_all(tmp_path):
    loaded = settings.load(env={"BGPDRIFT_WEB__PORT": "8200"}, overrides={"web.port": 8300})
    assert loaded.web.port == 8300


def test_the_file_here_is_read_unless_another_is_named(tmp_path):
    Path("bgpdrift.toml").write_text("[web]\nport = 1\n")
    other = written(tmp_path, "[web]\nport = 2\n")

    assert settings.load(env={}).web.port == 1
    assert settings.load(env={"BGPDRIFT_CONFIG": str(other)}).web.port == 2


@pytest.mark.parametrize(
    ("text", "expected"), [("rrc00, rrc01", ["rrc00", "rrc01"]), ("", []), ('["rrc03"]', ["rrc03"])]
)
def test_a_list_in_the_environment_is_separated_by_commas(text, expected):
    assert settings.load(env={"BGPDRIFT_FEED__COLLECTORS": text}).feed.collectors == expected


def test_one_table_can_be_kept_longer(tmp_path):
    file = written(tmp_path, "[store.retention_days]\nscores = 5\n")
    assert settings.load(file, env={}).store.retention_days == {"scores": 5}
    env = {"BGPDRIFT_STORE__RETENTION_DAYS__SCORES": "7"}
    assert settings.load(file, env=env).store.retention_days == {"scores": 7}


def test_each_detector_has_a_table_whose_other_values_keep_their_defaults(tmp_path):
    file = written(tmp_path, "[detectors.lstm]\nweight = 0.5\n")
    loaded = settings.load(file, env={"BGPDRIFT_DETECTORS__HEURISTIC__AUTO_RETRAIN": "false"})
    assert loaded.detectors.weights == {"heuristic": 0.3, "isolation_forest": 0.3, "lstm": 0.5}
    assert loaded.detectors.of("heuristic").anomaly_rate_shift == 0.3
    assert [loaded.detectors.of(model).auto_retrain for model in MODELS] == [False, True, True]


def test_at_least_one_weight_must_be_above_nought():
    env = {f"BGPDRIFT_DETECTORS__{model.upper()}__WEIGHT": "0" for model in MODELS}
    with pytest.raises(SettingsError, match=r"BGPDRIFT_DETECTORS__HEURISTIC__WEIGHT: .* at least one weight above 0"):
        settings.load(env=env)


def test_a_tilde_is_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = settings.load(env={"BGPDRIFT_DATA_DIR": "~/bgp"})
    assert loaded.data_path == tmp_path / "bgp"
    assert loaded.store_url == tmp_path / "bgp" / "bgpdrift.sqlite3"


def test_a_byte_order_mark_is_read(tmp_path):
    file = tmp_path / "my.toml"
    file.write_bytes(b"\xef\xbb\xbfdata_dir = 'x'\r\n[web]\r\nport = 8100\r\n")
    assert settings.load(file, env={}).web.port == 8100


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"data_dir = 'Z\xfcrich'", "expected UTF-8, found other bytes at offset 13"),
        (b"a = " + b"[" * 9_000, "not TOML"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_in_one_line(tmp_path, raw, found):
    file = tmp_path / "my.toml"
    file.write_bytes(raw)
    with pytest.raises(SettingsError, match=found) as refused:
        settings.load(file, env={})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "key", "value", "allowed"),
    [
        ("feed = 3", "feed", "3", "a table [feed]"),
        ("[feed]\nsilence_s = '30s'", "feed.silence_s", "'30s'", "a number above 0, in seconds"),
        ("[feed]\nsilence_s = inf", "feed.silence_s", "inf", "finite"),
        ("[feed]\nsilence_s = nan", "feed.silence_s", "nan", "finite|a number above 0"),
        ("[feed]\nsilence_s = true", "feed.silence_s", "True", "a number above 0"),
        ("[web]\nport = true", "web.port", "True", "an integer from 1 to 65535"),
        ("[web]\nport = 65536", "web.port", "65536", "an integer from 1 to 65535"),
        ("[web]\nport = 80.5", "web.port", "80.5", "an integer"),
        ("[web]\nprot = 1", "web.prot", "1", "did you mean web.port?"),
        ("[feed.x]\ny = 1", "feed.x", "{'y': 1}", "unknown setting"),
        (
            "[store.retention_days]\nscore = 3",
            "store.retention_days",
            "{'score': 3}",
            "by name: feature_windows, scores",
        ),
        ("[store.retention_days]\nscores = 0", "store.retention_days", "{'scores': 0}", "an integer from 1"),
        ("[feed]\ncollectors = ['rrc 00']", "feed.collectors", "['rrc 00']", "a list, each a string matching"),
        ("[feed]\ntypes = ['UPDAT']", "feed.types", "['UPDAT']", "one of UPDATE"),
        ("data_dir = ''", "data_dir", "''", "a string that is not empty"),
        ("[detectors.lstm]\nweight = 2", "detectors.lstm.weight", "2", "a number from 0 to 1"),
        ("[detectors.lstm]\nwait = 1", "detectors.lstm.wait", "1", "did you mean detectors.lstm.weight?"),
        ("[detectors.lstn]\nweight = 1", "detectors.lstn", "{'weight': 1}", "did you mean detectors.lstm?"),
        (
            "[detectors.volume_9]\ny = 1",
            "detectors.volume_9",
            "{'y': 1}",
            "the detectors are heuristic, isolation_forest, lstm",
        ),
        ("[detectors]\nlstm = 1", "detectors.lstm", "1", "a table [detectors.lstm]"),
        ("[feed]\nurl = 'ws://:80/'", "feed.url", "'ws://:80/'", "with a host"),
        ("[feed]\nurl = 'wss://x:99999/'", "feed.url", "'wss://x:99999/'", "a port from 1 to 65535"),
        ("[feed]\nprefixes = ['rrc00']", "feed.prefixes", "['rrc00']", "192.0.2.0/24; 'rrc00' is none"),
        ("[feed]\nprefixes = ['10.0.0.1/8']", "feed.prefixes", "['10.0.0.1/8']", "10.0.0.0/8 has none"),
        ("[feed]\nprefixes = ['192.0.2.1']", "feed.prefixes", "['192.0.2.1']", "'192.0.2.1' has no length"),
        ("[feed]\nprefixes = ['']", "feed.prefixes", "['']", "'' is none"),
        ("[feed]\npeers = ['192.0.2.0/24']", "feed.peers", "['192.0.2.0/24']", "192.0.2.1; '192.0.2.0/24' is none"),
        ("[feed]\npaths = ['AS3356']", "feed.paths", "['AS3356']", "'AS3356' is none"),
        ("[feed]\nmax_lag_s = 90000", "feed.max_lag_s", "90000.0", "less than feed.replay_lag_s (86400)"),
        (
            "[correlation]\nlink_minutes = 20",
            "correlation.link_minutes",
            "20",
            "at most correlation.quiet_minutes (15)",
        ),
        ("[drift]\nseverity_p = [0.01, 0.05, 0.001]", "drift.severity_p", "[0.01, 0.05, 0.001]", "falling values"),
        (
            "[drift]\nseverity_accuracy_drop = [0.1, 0.05, 0.2, 0.3]",
            "drift.severity_accuracy_drop",
            "[0.1, 0.05, 0.2, 0.3]",
            "rising values",
        ),
        ("[drift]\nseverity_factors = [2, 2, 3]", "drift.severity_factors", "[2.0, 2.0, 3.0]", "rising values"),
        ("[drift]\nmin_current_h = 30", "drift.min_current_h", "30", "at most the shortest window"),
        ("[drift]\nmin_reference_days = 8", "drift.min_reference_days", "8", "at most the reference of drift.preset"),
        ("[retrain]\nmin_windows = 200000", "retrain.min_windows", "200000", "at most retrain.max_windows (100000)"),
        (
            "[store.retention_days]\nfeature_windows = 3",
            "store.retention_days.feature_windows",
            "3",
            "at least retrain.days (7)",
        ),
        ("[supervisor]\nrestart_limit = 20", "supervisor.restart_limit", "20", "supervisor.restart_long_limit (12)"),
        ("[supervisor]\nrestart_period_s = 9000", "supervisor.restart_period_s", "9000.0", "restart_long_period_s"),
        ("[supervisor]\nlog_total_bytes = 100000", "supervisor.log_max_bytes", "20000000", "log_total_bytes (100000)"),
        (
            "[store]\nreserve_bytes = 2000000000",
            "store.reserve_bytes",
            "2000000000",
            "at most supervisor.disk_low_bytes",
        ),
        ("[spool]\nmax_bytes = 1000000", "spool.segment_bytes", "8000000", "at most spool.max_bytes (1000000)"),
        ("[ensemble]\ndebounce_k = 9", "ensemble.debounce_k", "9", "at most ensemble.debounce_n (3)"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_says_all(tmp_path, text, key, value, allowed):
    file = written(tmp_path, text)

    with pytest.raises(SettingsError) as refused:
        settings.load(file, env={})

    message = str(refused.value)
    assert message.startswith(f"{file}: {key} = {value}: ")
    assert any(part in message for part in allowed.split("|"))
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variable", "text", "key"),
    [
        ("BGPDRIFT_FEED__SILENCE_S", "30s", "feed.silence_s"),
        ("BGPDRIFT_FEED__SILENCE_S", "inf", "feed.silence_s"),
        ("BGPDRIFT_FED__URL", "ws://x", "fed.url"),
        ("BGPDRIFT_DRIFT__ENABLED", "yes", "drift.enabled"),
        ("BGPDRIFT_FEED", "x", "feed"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(variable, text, key):
    with pytest.raises(SettingsError, match=f"^environment {variable}: {re.escape(key)} = "):
        settings.load(env={variable: text})


def test_bad_toml_names_the_file(tmp_path):
    file = written(tmp_path, "[feed")
    with pytest.raises(SettingsError, match=f"^{re.escape(str(file))}: not TOML: "):
        settings.load(file, env={})


def test_a_file_that_was_named_must_exist(tmp_path):
    with pytest.raises(SettingsError, match="config init"):
        settings.load(tmp_path / "none.toml", env={})


def test_what_is_written_as_toml_is_read_back_the_same(tmp_path):
    changed = settings.load(
        env={
            "BGPDRIFT_FEED__PATHS": '["^174", "!64496"]',
            "BGPDRIFT_RETRAIN__PILOT_COLLECTORS": '["a\\"b"]',
            "BGPDRIFT_STORE__RETENTION_DAYS__SCORES": "3",
        }
    )
    assert settings.load(written(tmp_path, settings.as_toml(changed)), env={}) == changed


def test_every_setting_says_what_it_is():
    for field in settings.fields():
        assert len(field.description) > 5, field.key


def test_every_table_that_may_be_named_has_a_default():
    from bgpdrift.settings_sections import EXPIRING_TABLES
    from bgpdrift.store.upkeep import AGE_COLUMNS

    assert set(EXPIRING_TABLES) == set(DEFAULT_DAYS) == set(AGE_COLUMNS)


def test_the_configuration_reference_is_what_the_program_says():
    from bgpdrift.commands.config import reference

    written_down = Path(__file__).parents[2] / "docs" / "configuration.md"
    hint = "run `bgpdrift config show --markdown > docs/configuration.md`"
    assert written_down.read_text() == reference(), hint
