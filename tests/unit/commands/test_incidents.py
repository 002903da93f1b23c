"""`bgpdrift incidents`: which incidents are listed, how one is explained, and that foreign names control no terminal."""

import json

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.commands.incidents import command
from bgpdrift.errors import InputError
from bgpdrift.store import IncidentChanges, migrate, open_store

DAY_S = 86_400
NOW = 1_767_225_600


def incident(number, state="closed", started_at=NOW - 3_600, **fields):
    return {
        "id": number,
        "state": state,
        "kind": "surge",
        "severity": "high",
        "started_at": started_at,
        "last_seen_at": started_at + 600,
        "closed_at": None,
        "peak": 7.5,
        "collectors": ["rrc00"],
        "peers": [],
        "origins": [],
        "prefixes": [],
        "summary": f"Surge {number}",
        **fields,
    }


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A store with one window that ends at NOW; returns a function that adds incidents."""
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    url = settings.load().store_url
    migrate(url)

    def add(*incidents):
        with open_store(url) as store:
            store.write_windows([{"window_start": NOW - 60, "collector": "rrc00", "peer": ""}], None)
            store.apply_incidents(IncidentChanges(inserts=incidents), None)

    return add


def run(*arguments):
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def listed(*arguments):
    return [json.loads(line)["id"] for line in run("--json", *arguments).splitlines()]


def test_every_open_incident_is_listed_whatever_its_age(stored):
    stored(incident(1, "updated", NOW - 90 * DAY_S), incident(2, started_at=NOW - 2 * DAY_S), incident(3))

    assert listed() == [1, 3]
    assert listed("--all") == [1, 2, 3]


def test_incidents_are_filtered_by_time_origin_prefix_and_collector(stored):
    stored(
        incident(1, started_at=NOW - 3 * DAY_S, origins=[64496]),
        incident(2, started_at=NOW - 2 * DAY_S, prefixes=["192.0.2.0/25", "2001:db8::/32"]),
        incident(3, collectors=["rrc01"]),
    )

    assert listed("--since", str(NOW - 2 * DAY_S)) == [2, 3]
    assert listed("--until", "2025-12-29T12:00") == [1]
    assert listed("--all", "--asn", "64496") == [1]
    assert listed("--all", "--prefix", "192.0.2.0/24") == [2]
    assert listed("--all", "--prefix", "2001:db8:1::/48") == [2]
    assert listed("--all", "--prefix", "198.51.100.0/24") == []
    assert listed("--all", "--collector", "rrc01") == [3]


@pytest.mark.parametrize(("option", "value"), [("--since", "yesterday"), ("--prefix", "192.0.2.1/24")])
def test_an_option_that_cannot_be_read_is_named_with_what_was_expected(stored, option, value):
    stored()

    with pytest.raises(InputError, match=f"{option} '{value}': expected"):
        run(option, value)


def test_states_are_written_in_plain_words(stored):
    stored(incident(1, "updated"), incident(2, "reopened"), incident(3, "closed"))

    rows = [line.split()[:3] for line in run().splitlines()[1:4]]

    assert [row[1:] for row in rows] == [["open", "high"], ["open", "again"], ["closed", "high"]]


def test_an_empty_list_says_so(stored):
    stored()

    assert run() == "No incident is open, and no incident of the requested time matches.\n"


def test_an_incident_is_explained_with_its_figures(stored):
    rule = {"rule": "update_storm", "value": 12.0, "baseline": 1.0, "threshold": 6.0, "meaning": "Many announcements."}
    feature = {"detector": "lstm", "feature": "announced", "present": 900.0, "baseline": 80.0, "weight": 0.5}
    explanation = {
        "rules_fired": [rule],
        "rule_minutes": {"update_storm": 7},
        "top_features": [feature],
        "p_values": {"lstm": 1e-5},
        "abstaining": {"isolation_forest": "waiting for a model"},
    }
    stored(incident(1, "updated", explanation=explanation, origins=list(range(64496, 64521))))

    shown = run("1")

    assert shown.startswith("Incident 1: Surge 1\nState: open. Severity: high.")
    assert "update_storm" in shown
    assert "lstm: p = 1e-05\n" in shown
    assert "isolation_forest: abstains (waiting for a model)\n" in shown
    assert "64515 and 5 more\n" in shown


def test_names_from_a_feed_cannot_control_the_terminal(stored):
    stored(incident(1, "open", collectors=["rrc00[/x]\x1b[2J"], kind="[red]", summary="a\x1b]0;title\x07b"))

    assert "rrc00[/x]\\x1b[2J" in run().replace("\n", "")
    shown = run("1")
    assert "\x1b" not in shown
    assert "a\\x1b]0;title\\x07b" in shown


def test_an_unknown_incident_is_refused(stored):
    stored()

    with pytest.raises(InputError, match="no incident 7"):
        run("7")
