"""The simulated Internet as a whole: equal seeds give equal bytes, frames are those of RIS Live, sessions and seasons appear."""

from itertools import islice

import msgspec
import pytest

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.ris_frames import FrameDecoder
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Regime, Reset, Scenario
from bgpdrift.lab.simulation.season import seasonal_factor

START = 1_788_220_800.0


def small(**changes: object) -> Scenario:
    return Scenario(**{"duration_s": 900.0, "prefixes": 300, "peers": 6, "rate": 300.0, **changes})  # type: ignore[arg-type]


def messages_of(simulation: Simulation) -> list[Message]:
    decoder = FrameDecoder()
    decoded = list(decoder.decode_many(frame.text for frame in simulation.frames()))
    assert decoder.counts.corrupt == 0
    assert all(isinstance(message, Message) for message in decoded)
    return decoded  # type: ignore[return-value]


def test_equal_scenarios_give_equal_bytes_however_they_are_consumed():
    """One pass at once and one in small bites, with another simulation in between, are the same."""
    whole = [frame.text for frame in Simulation(small()).frames()]
    bites, other = Simulation(small()).frames(), Simulation(small(seed=9)).frames()

    bitten = []
    while bite := [frame.text for frame in islice(bites, 97)]:
        bitten += bite
        next(other, None)

    assert bitten == whole
    assert len(whole) > 2_000


def test_another_seed_is_another_internet():
    first = [frame.text for frame in Simulation(small()).frames()]
    second = [frame.text for frame in Simulation(small(seed=2)).frames()]

    assert not set(first) & set(second)


def test_a_longer_scenario_begins_like_a_shorter_one():
    short = [frame.text for frame in Simulation(small(duration_s=300.0)).frames()]
    longer = Simulation(small(duration_s=600.0)).frames()

    assert [frame.text for frame in islice(longer, len(short))] == short


def test_frames_come_in_time_order_inside_the_scenario_with_ids_of_their_own():
    scenario = small(start=START + 12.5)
    frames = list(Simulation(scenario).frames())

    times = [frame.timestamp for frame in frames]
    assert times == sorted(times)
    assert scenario.start <= times[0]
    assert times[-1] < scenario.end
    assert len({message.id for message in messages_of(Simulation(scenario))}) == len(frames)


def test_frames_have_todays_form():
    """Upper-case origin, empty lists present, ids with time and counter, next-hop pairs, IPv6 written out when withdrawn."""
    data = [msgspec.json.decode(frame.text)["data"] for frame in Simulation(small(duration_s=3_600.0)).frames()]
    updates = [one for one in data if one["type"] == "UPDATE"]

    assert {one["host"] for one in data} == {"rrc00.ripe.net", "rrc01.ripe.net"}
    assert {one["type"] for one in data} >= {"UPDATE", "KEEPALIVE"}
    for one in updates:
        peer, _, number = one["id"].rpartition("-")
        assert peer == one["peer"]
        assert len(number) == 16
        assert int(number[:12], 16) == round(one["timestamp"] * 1000)
        assert {"path", "community", "announcements", "withdrawals"} <= set(one)
        assert bool(one["announcements"]) != bool(one["withdrawals"])
    announced = [one for one in updates if one["announcements"]]
    assert {one["origin"] for one in announced} <= {"IGP", "EGP", "INCOMPLETE"}
    six = [one for one in announced if ":" in one["peer"]]
    assert six
    assert all("," in one["announcements"][0]["next_hop"] for one in six)
    assert all(int(one["peer_asn"]) == one["path"][0] for one in announced)
    gone6 = [name for one in updates for name in one["withdrawals"] if ":" in name]
    assert any("::" not in name for name in gone6)


def test_totals_of_the_truth_are_what_the_frames_hold():
    simulation = Simulation(small())
    messages = messages_of(simulation)

    totals = simulation.truth().totals

    assert totals.frames == len(messages)
    assert totals.withdrawn == sum(len(m.withdrawals) for m in messages)
    assert totals.announced == sum(len(g.prefixes) for m in messages for g in m.announcements)
    assert sum(one.frames for one in totals.collectors.values()) == len(messages)


def test_a_reset_goes_down_and_up_and_transfers_the_table():
    simulation = Simulation(small(resets=(Reset(at_s=300.0, collector="rrc01", peer=2, down_s=60.0),)))
    messages = messages_of(simulation)

    (truth,) = simulation.truth().resets
    own = [m for m in messages if m.peer == truth.peer and m.host == "rrc01.ripe.net"]
    states = [(m.state, m.timestamp) for m in own if m.type == "STATE"]
    table = {p for a in simulation.world.atoms[: simulation.world.ordinary] if a.family == 4 for p in a.prefixes}
    sent = {p for m in own for g in m.announcements for p in g.prefixes if truth.up <= m.timestamp <= truth.end}
    between = [m for m in own if m.type == "UPDATE" and truth.start < m.timestamp < truth.up]

    assert [state for state, _ in states] == ["down", "connected", "up"]
    assert states[0][1] == truth.start == START + 300.0
    assert states[2][1] == truth.up >= truth.start + 60.0
    assert not between
    assert len(sent & table) > 0.9 * len(table)


def test_beacons_change_at_even_hours_alternately():
    scenario = Scenario(start=START + 3 * 3600, duration_s=4 * 3600.0, prefixes=100, peers=6, rate=10.0)
    changes = [
        (m.timestamp, bool(m.announcements))
        for m in messages_of(Simulation(scenario))
        if "84.205.64.0/24" in m.withdrawals or any("84.205.64.0/24" in g.prefixes for g in m.announcements)
    ]

    at_four = [up for at, up in changes if START + 4 * 3600 <= at < START + 5 * 3600]
    at_six = [up for at, up in changes if START + 6 * 3600 <= at < START + 7 * 3600]
    assert all(at_four)
    assert False in at_six
    assert len(at_four) + len(at_six) == len(changes)
    assert changes[-1][1] is False


def test_the_day_and_the_week_show():
    """Half a simulated week at a low rate: afternoons beat nights; a Sunday is calmer than a Tuesday."""
    assert seasonal_factor(START + 14 * 3600, 0.3, 0.8) > 1.7 * seasonal_factor(START + 2 * 3600, 0.3, 0.8)
    assert seasonal_factor(START + 5 * 86_400, 0.3, 0.8) == pytest.approx(0.8 * seasonal_factor(START, 0.3, 0.8))
    counts = [0, 0]
    scenario = Scenario(duration_s=2 * 86_400.0, prefixes=300, peers=5, rate=12.0, daily=0.8)
    for record in Simulation(scenario).records():
        hour = record[0] // 3_600_000 % 24
        counts[0] += 10 <= hour < 18
        counts[1] += hour >= 22 or hour < 6
    assert counts[0] > 1.8 * counts[1]


def test_a_level_regime_lifts_the_rate_and_leaves_what_came_before():
    calm = [frame.text for frame in Simulation(small()).frames()]
    lifted = [frame.text for frame in Simulation(small(regimes=(Regime("level", 4.0, at_s=480.0),))).frames()]
    before = sum(b'"timestamp":17882212' in text[:60] for text in calm)  # up to +479 s

    assert calm[:before] == lifted[:before]
    assert len(lifted) - before > 2.0 * (len(calm) - before)


def test_a_path_regime_adds_hops_to_every_path_from_then_on():
    def mean_length(regimes: tuple[Regime, ...]) -> float:
        messages = messages_of(Simulation(small(regimes=regimes)))
        lengths = [len(m.path) for m in messages if m.announcements and m.timestamp >= START + 480]
        return sum(lengths) / len(lengths)

    assert mean_length((Regime("path", 2.0, at_s=300.0),)) == pytest.approx(mean_length(()) + 2.0, abs=0.5)


@pytest.mark.parametrize(("change", "state"), [(2.0, "up"), (-2.0, "down")])
def test_a_peer_regime_changes_who_speaks(change: float, state: str):
    messages = messages_of(Simulation(small(regimes=(Regime("peers", change, at_s=420.0),))))

    before = {(m.host, m.peer) for m in messages if m.timestamp < START + 420}
    after = {(m.host, m.peer) for m in messages if m.timestamp >= START + 540}
    assert len([m for m in messages if m.type == "STATE" and m.state == state]) == 4
    assert len(after - before if change > 0 else before - after) == 4


def test_a_table_at_the_start_lets_a_reader_know_every_route():
    messages = messages_of(Simulation(small(table_at_start=True, duration_s=60.0)))

    up = [m for m in messages if m.type == "STATE" and m.state == "up"]
    assert len(up) == 12
    assert len({p for m in messages for g in m.announcements for p in g.prefixes}) >= 290
