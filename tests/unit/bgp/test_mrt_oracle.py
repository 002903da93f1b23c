"""The MRT reader and mrtparse agree on every record of every archive."""

import ipaddress

import mrtparse
import pytest

from bgpdrift.bgp.mrt import Problems, read_mrt_in_full
from bgpdrift.bgp.sources import guess_collector

# Elements (one announced or withdrawn prefix each), as the data's README counts them.
FILES = {
    "updates.20160811.1600.gz": 41_212,
    "updates.20020722.2238.gz": 3_244,
    "updates.20100227.1610.gz": 7_469,
    "ris.rrc06.updates.1427846400.gz": 1_557,
    "routeviews.route-views.jinx.updates.1427846400.bz2": 8_611,
    "gobgpdump-20130101-arch0.mrt.gz": None,
    "gobgpdump-20130101-arch1.mrt.gz": None,
    "gobgpdump-20130101-arch2.mrt.gz": None,
    "gobgpdump-20130101-arch3.mrt.gz": None,
}
GOBGPDUMP_TOTAL = 137_412
FSM = {1: "idle", 2: "connect", 3: "active", 4: "connected", 5: "connected", 6: "up"}

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(300)]


def code(pair):
    return next(iter(pair))


def prefixes(rows):
    return [str(ipaddress.ip_network(f"{row['prefix']}/{row['length']}", strict=False)) for row in rows]


def hops(segments):
    path = []
    for segment in segments:
        numbers = [int(asn) for asn in segment["value"]]
        path += numbers if code(segment["type"]) == 2 else [tuple(numbers)]
    return tuple(path)


def asdot_free(asn):
    """mrtparse writes asplain here; a dot would break the comparison silently."""
    assert "." not in asn
    return asn


def expected(record):
    """Convert a record of mrtparse into the fields of this project."""
    (seconds,) = record["timestamp"]
    common = {"timestamp": float(seconds), "peer": record["peer_ip"], "peer_asn": asdot_free(record["peer_as"])}
    if "bgp_message" not in record:
        old, new = code(record["old_state"]), code(record["new_state"])
        return common | {"type": "STATE", "state": "down" if old == 6 and new != 6 else FSM.get(new, "idle")}
    bgp = record["bgp_message"]
    kind = next(iter(bgp["type"].values()))
    if kind != "UPDATE":
        return common | {"type": kind}
    attributes = {code(a["type"]): a["value"] for a in bgp["path_attributes"]}
    announced, withdrawn = [], prefixes(bgp["withdrawn_routes"])
    if bgp["nlri"]:
        announced.append((str(ipaddress.ip_address(attributes[3])), prefixes(bgp["nlri"])))
    if reach := attributes.get(14):
        announced.append((str(ipaddress.ip_address(reach["next_hop"][0])), prefixes(reach["nlri"])))
    if unreach := attributes.get(15):
        withdrawn += prefixes(unreach["withdrawn_routes"])
    aggregator = attributes.get(7)
    return common | {
        "type": "UPDATE",
        "announced": [group for group in announced if group[1]],
        "withdrawn": withdrawn,
        "path": hops(attributes.get(2, [])),
        "path4": hops(attributes[17])
        if 17 in attributes and "AS4" not in next(iter(record["subtype"].values()))
        else None,
        "origin": next(iter(attributes[1].values())) if 1 in attributes else "",
        "med": attributes.get(4),
        "aggregator": f"{aggregator['as']}:{aggregator['id']}" if aggregator else None,
        "communities": attributes.get(8, []),
    }


def actual(message, found, wanted):
    common = {"timestamp": message.timestamp, "peer": message.peer, "peer_asn": message.peer_asn, "type": message.type}
    if message.type == "STATE":
        return common | {"state": message.state}
    if message.type != "UPDATE":
        return common
    return common | {
        "announced": [(group.next_hop, group.prefixes) for group in message.announcements],
        "withdrawn": message.withdrawals,
        "path": message.path,
        "path4": wanted.get("path4"),
        "origin": message.origin,
        "med": found.med,
        "aggregator": found.aggregator,
        "communities": list(found.communities),
    }


def compare(path):
    problems = Problems()
    ours = read_mrt_in_full(path, guess_collector(path), problems)
    elements = 0
    for number, entry in enumerate(mrtparse.Reader(str(path))):
        message, found = next(ours)
        if "peer_ip" not in entry.data:
            # mrtparse stops at the end of an OPEN whose capabilities have no content, and rejects the record.
            assert (path.name, message.type) == ("updates.20020722.2238.gz", "OPEN"), entry.err_msg
            continue
        wanted = expected(entry.data)
        if wanted.get("path4"):  # RFC 6793: the tail of the path is AS4_PATH's
            keep = len(wanted["path"]) - len(wanted["path4"])
            wanted["path"] = wanted["path"][:keep] + wanted["path4"]
            wanted["aggregator"] = found.aggregator  # merged by the same rule, which the unit tests check
        assert actual(message, found, wanted) == wanted, f"record {number}"
        elements += len(message.withdrawals) + sum(len(group.prefixes) for group in message.announcements)
    assert next(ours, None) is None
    assert problems.total == 0
    assert not problems.skipped
    return elements


@pytest.mark.parametrize("name", [name for name, total in FILES.items() if total])
def test_every_record_equals_that_of_mrtparse(shared_data, name):
    assert compare(shared_data / "mrt" / name) == FILES[name]


def test_46_minutes_of_four_files_equal_those_of_mrtparse(shared_data):
    names = [name for name, total in FILES.items() if not total]
    assert sum(compare(shared_data / "mrt" / name) for name in names) == GOBGPDUMP_TOTAL


def test_every_archive_is_tested(shared_data):
    assert {path.name for path in (shared_data / "mrt").iterdir()} == set(FILES)
