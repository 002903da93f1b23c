"""Scenarios as text: the syntax, and the messages about mistakes."""

import pytest

from bgpdrift.errors import InputError
from bgpdrift.lab.simulation.scenario import Incident, Scenario
from bgpdrift.lab.simulation.scenario_text import PRESETS, build_scenario, load_scenario, parse_incident


def test_toml_json_and_options_say_the_same(tmp_path):
    toml, json = tmp_path / "s.toml", tmp_path / "s.json"
    toml.write_text(
        'duration = "6h"\nstart = 2026-09-01T00:00:00Z\nincidents = ["worm@+1h/2h:level=12"]\ncollectors = ["rrc05"]\n'
    )
    json.write_text(
        '{"duration": "6h", "start": "2026-09-01", "collectors": ["rrc05"],'
        ' "incidents": [{"kind": "worm", "at_s": 3600, "duration_s": 7200, "level": 12}]}'
    )

    expected = Scenario(
        duration_s=21_600.0, collectors=("rrc05",), incidents=(Incident("worm", 3_600.0, 7_200.0, level=12.0),)
    )
    assert load_scenario(toml) == load_scenario(json) == expected
    assert build_scenario("calm", {"duration": "6h", "collectors": ["rrc05"]}, ["worm@+1h/2h:level=12"]) == expected


def test_the_demo_has_quiet_days_to_learn_from_a_change_and_the_same_incidents_on_both_sides_of_it():
    demo = PRESETS["week"]
    (change,) = demo.regimes
    twice = [incident for incident in demo.incidents if incident.at_s < change.at_s]

    assert min(incident.at_s for incident in demo.incidents) > 2.5 * 86_400
    assert len({incident.kind for incident in twice}) == 3
    assert all(one.at_s + one.wave_s < change.at_s and one.at_s + one.every_s > change.at_s + 86_400 for one in twice)
    assert len(demo.resets) == 1


@pytest.mark.parametrize(
    ("incident", "message"),
    [
        ("worm", "expected KIND@+WHEN/LENGTH"),
        ("wurm@+1h/1h", "expected one of worm, leak"),
        ("worm@+1h/10s", "expected at least 60 s"),
        ("worm@+30h/1h", "outside the 86400 s"),
        ("worm@+23.5h/1h", "outside"),
        ("leak@+1h/1h:share=2", "expected 0 to 1"),
        ("leak@+1h/1h:strength=2", "unknown key 'strength'"),
        ("leak@+1h/1h:share=much", "not a number"),
        ("silence@+1h/1h:collector=rrc77", "rrc77"),
        ("leak@+1h/6h:every=2h", "waves of 0 s every 7200 s"),
        ("leak@+1h/6h:every=2h,wave=3h", "shorter than `every`"),
        ("leak@+1h/6h:every=often,wave=1h", "duration 'often'"),
        ("worm@+1y/1h", "expected a number with s, m, h, d or w"),
    ],
)
def test_the_message_about_a_wrong_incident_names_the_allowed_values(incident: str, message: str):
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        build_scenario("calm", {}, [incident])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peers": 0}, "peers: expected 1 to 500, found 0"),
        ({"rate": float("nan")}, r"rate: expected .* found nan"),
        ({"collectors": []}, "at least one collector"),
        ({"collectors": ["rrc00", "rrc00"]}, "named twice"),
        ({"collectors": ["rrc 00"]}, "letters, digits"),
        ({"start": "yesterday"}, "expected epoch seconds or a date"),
        ({"duration": "long"}, "duration 'long'"),
        ({"pears": 3}, "unknown key 'pears'"),
        ({"peers": "many"}, "found 'many'"),
    ],
)
def test_an_impossible_setting_is_refused_before_anything_is_generated(changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        build_scenario("calm", changes)


@pytest.mark.parametrize("regime", ["level=0@+1h", "path=1.5@+1h", "peers=-12@+1h", "colour=2@+1h", "level@+1h"])
def test_a_wrong_regime_is_refused(regime: str):
    with pytest.raises(InputError, match="regime"):
        build_scenario("calm", {}, regimes=[regime])


def test_a_missing_or_broken_file_is_named(tmp_path):
    broken = tmp_path / "s.toml"
    broken.write_text("duration = ")

    with pytest.raises(InputError, match="no such file and no such preset"):
        build_scenario(str(tmp_path / "none.toml"), {})
    with pytest.raises(InputError, match=r"s\.toml: cannot be read"):
        load_scenario(broken)


def test_the_notation_reads_units():
    assert parse_incident("leak@+1d/30m:share=0.3,collector=rrc01") == Incident(
        "leak", 86_400.0, 1_800.0, share=0.3, collector="rrc01"
    )


def test_an_incident_can_come_in_waves():
    assert parse_incident("leak@+1d/3d:every=3h,wave=2h") == Incident(
        "leak", 86_400.0, 259_200.0, every_s=10_800.0, wave_s=7_200.0
    )
