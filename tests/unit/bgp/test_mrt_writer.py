"""mrtparse reads the MRT records that the writer encodes."""

import mrtparse
import pytest

from bgpdrift.bgp import mrt_writer
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.mrt_records import mrt_records
from bgpdrift.lab.simulation.records import ANNOUNCED, SESSION, WITHDREW
from bgpdrift.lab.simulation.scenario import Reset, Scenario


def read(path) -> list[dict]:
    records = []
    for entry in mrtparse.Reader(str(path)):
        assert not entry.err, entry.err_msg
        records.append(entry.data)
    return records


def attributes(record: dict) -> dict[int, object]:
    return {next(iter(a["type"])): a["value"] for a in record["bgp_message"]["path_attributes"]}


def names(prefixes: list[dict]) -> list[str]:
    return [f"{p['prefix']}/{p['length']}" for p in prefixes]


def test_an_announcement_keeps_peer_time_path_and_communities(tmp_path):
    body = mrt_writer.announcement(
        (64_496, 4_200_000_001), ["192.0.2.1"], [mrt_writer.encode_prefix("198.51.100.0/23")], "EGP", [(64_496, 7)]
    )
    (tmp_path / "a.mrt").write_bytes(mrt_writer.message_record(1_700_000_000_125, "192.0.2.1", 4_200_000_000, body))

    (record,) = read(tmp_path / "a.mrt")

    found = attributes(record)
    assert next(iter(record["timestamp"])) == 1_700_000_000
    assert record["microsecond_timestamp"] == 125_000
    assert (record["peer_ip"], record["peer_as"]) == ("192.0.2.1", "4200000000")
    assert names(record["bgp_message"]["nlri"]) == ["198.51.100.0/23"]
    assert found[2][0]["value"] == ["64496", "4200000001"]
    assert next(iter(found[1].values())) == "EGP"
    assert found[3] == "192.0.2.1"
    assert found[8] == ["64496:7"]


def test_ipv6_goes_in_multiprotocol_attributes_with_both_next_hops(tmp_path):
    prefix = mrt_writer.encode_prefix("2001:db8::/33")
    up = mrt_writer.announcement((64_496,), ["2001:db8::1", "fe80::1"], [prefix])
    down = mrt_writer.withdrawal([prefix], 6)
    (tmp_path / "a.mrt").write_bytes(
        b"".join(mrt_writer.message_record(1_700_000_000_000, "2001:db8::1", 64_496, body) for body in (up, down))
    )

    announced, withdrawn = read(tmp_path / "a.mrt")

    assert names(attributes(announced)[14]["nlri"]) == ["2001:db8::/33"]
    assert attributes(announced)[14]["next_hop"] == ["2001:db8::1", "fe80::1"]
    assert names(attributes(withdrawn)[15]["withdrawn_routes"]) == ["2001:db8::/33"]


def test_a_message_beyond_4096_bytes_is_refused():
    body = mrt_writer.announcement((1,), ["192.0.2.1"], [mrt_writer.encode_prefix("198.51.100.0/24")] * 1_100)

    with pytest.raises(ValueError, match="at most 4096"):
        mrt_writer.message_record(0, "192.0.2.1", 1, body)


def test_a_simulation_written_as_mrt_contains_its_records(tmp_path):
    scenario = Scenario(duration_s=120.0, prefixes=200, peers=5, rate=150.0, resets=(Reset(at_s=20.0, peer=3),))
    records = list(Simulation(scenario).records())
    (tmp_path / "a.mrt").write_bytes(b"".join(mrt_records(iter(records))))

    announced, withdrawn, states, times = [], [], [], []
    for record in read(tmp_path / "a.mrt"):
        times.append(next(iter(record["timestamp"])))
        if "new_state" in record:
            states.append(next(iter(record["new_state"].values())))
            continue
        message = record["bgp_message"]
        if next(iter(message["type"])) != 2:
            continue
        found = attributes(record)
        path = tuple(int(hop) for segment in found.get(2, []) for hop in segment["value"])
        for prefixes in (message["nlri"], found.get(14, {}).get("nlri", [])):
            announced += [(record["peer_ip"], path, name) for name in names(prefixes)]
        for prefixes in (message["withdrawn_routes"], found.get(15, {}).get("withdrawn_routes", [])):
            withdrawn += [(record["peer_ip"], name) for name in names(prefixes)]

    assert times == sorted(times)
    assert announced == [(r[3].address, r[4], p) for r in records if r[2] == ANNOUNCED for p in r[5][0].prefixes]
    assert withdrawn == [(r[3].address, p) for r in records if r[2] == WITHDREW for a in r[5] for p in a.prefixes]
    assert states == ["Idle", "OpenSent", "Established"]
    assert sum(r[2] == SESSION for r in records) > 3
