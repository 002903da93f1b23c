"""A prefix has one key, whatever its spelling."""

import ipaddress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bgpdrift.bgp import prefixes
from bgpdrift.bgp.prefixes import (
    NO_KEY,
    PrefixKeys,
    bogon_array,
    canonical_prefix,
    covering,
    is_ipv6_array,
    lengths,
    prefix_key,
    prefix_text,
)

ipv4 = st.builds(lambda a, n: ipaddress.ip_network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32))
ipv6 = st.builds(
    lambda a, n: ipaddress.ip_network((a.to_bytes(16), n), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
networks = st.one_of(ipv4, ipv6)


def array(*nets):
    return np.array([prefix_key(str(net)) for net in nets], dtype=np.uint64)


@given(networks)
@example(ipaddress.ip_network("0.0.0.0/0"))
@example(ipaddress.ip_network("255.255.255.255/32"))
@example(ipaddress.ip_network("::/0"))
@example(ipaddress.ip_network("ffff:ffff:ffff:ff00::/56"))
@example(ipaddress.ip_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"))
def test_a_key_is_never_a_sentinel_and_keeps_family_and_length(net):
    assert 0 < prefix_key(str(net)) < 2**64 - 1
    assert lengths(array(net)).tolist() == [net.prefixlen]
    assert is_ipv6_array(array(net)).tolist() == [net.version == 6]


@given(networks)
def test_a_key_is_invertible_up_to_56_bits_of_ipv6(net):
    expected = canonical_prefix(str(net)) if net.version == 4 or net.prefixlen <= 56 else None
    assert prefix_text(prefix_key(str(net))) == expected


@given(ipv6)
def test_every_spelling_has_the_same_key_and_canonical_form(net):
    written_out = net.exploded
    assert prefix_key(written_out) == prefix_key(str(net)) == prefix_key(written_out.upper())
    assert ipaddress.ip_network(canonical_prefix(written_out)) == net


def test_host_bits_are_dropped():
    assert prefix_key("192.0.2.77/24") == prefix_key("192.0.2.0/24")
    assert canonical_prefix("2001:db8::77/32") == "2001:db8::/32"


@given(networks, networks)
def test_different_prefixes_have_different_keys(one, other):
    assert (prefix_key(str(one)) == prefix_key(str(other))) == (one == other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eor",
        "/",
        "10.0.0.0",
        "10.0.0/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0\x00/8",
        "::/129",
        "::/٣",
        "\ud800::/16",
        "fe80::1%eth0/64",
        "1" * 10_000 + "/8",
    ],
)
def test_text_that_is_not_a_prefix_has_no_key(text):
    assert prefix_key(text) is None
    assert canonical_prefix(text) is None
    assert PrefixKeys().lookup(text) == NO_KEY


@given(st.text())
def test_no_text_raises(text):
    assert prefix_key(text) is None or canonical_prefix(text) is not None


@given(st.lists(networks))
def test_array_functions_agree_with_those_of_single_keys(nets):
    keys = array(*nets)
    assert lengths(keys).tolist() == [net.prefixlen for net in nets]
    assert is_ipv6_array(keys).tolist() == [net.version == 6 for net in nets]


@given(st.lists(networks), st.integers(0, 64))
def test_covering_is_the_supernet_if_the_key_can_represent_it(nets, length):
    for found, net in zip(covering(array(*nets), length).tolist(), nets, strict=True):
        exact = net.version == 4 or net.prefixlen <= 56
        if not exact or net.prefixlen < length:
            assert found == NO_KEY
        else:
            assert found == prefix_key(str(net.supernet(new_prefix=length)))


def expected_bogon(net):
    if net.prefixlen == 0:
        return True
    if net.version == 4:
        return any(net.subnet_of(ipaddress.ip_network(text)) for text in prefixes._BOGONS_IPV4)
    if not net.subnet_of(ipaddress.ip_network("2000::/3")):
        return True
    return any(net.subnet_of(ipaddress.ip_network(text)) for text in prefixes._BOGONS_IPV6)


bogon_neighbourhood = st.sampled_from(
    [ipaddress.ip_network(text) for text in prefixes._BOGONS_IPV4 + prefixes._BOGONS_IPV6]
).flatmap(
    lambda net: st.integers(-2, net.num_addresses + 2).flatmap(
        lambda offset: st.integers(0, net.max_prefixlen).map(
            lambda length: ipaddress.ip_network(
                (
                    ((int(net.network_address) + offset) % (1 << net.max_prefixlen)).to_bytes(net.max_prefixlen // 8),
                    length,
                ),
                strict=False,
            )
        )
    )
)


@given(st.lists(st.one_of(networks, bogon_neighbourhood), min_size=1))
def test_bogons_are_the_prefixes_inside_a_reserved_range(nets):
    assert bogon_array(array(*nets)).tolist() == [expected_bogon(net) for net in nets]


def test_an_empty_array_is_accepted():
    empty = np.array([], dtype=np.uint64)
    assert [f(empty).size for f in (lengths, is_ipv6_array, bogon_array)] == [0, 0, 0]
    assert covering(empty, 8).size == 0


def test_cached_keys_are_correct_and_bounded():
    keys = PrefixKeys(capacity=100)
    recent = keys.recent
    for number in range(10_000):
        text = f"10.{number >> 8}.{number & 255}.0/24"
        assert keys.lookup(text) == prefix_key(text) == keys.lookup(text)
        assert keys.lookup("192.0.2.0/24") == prefix_key("192.0.2.0/24")
        assert len(keys) <= 200
    assert keys.recent is recent


def test_long_text_is_not_cached():
    keys = PrefixKeys()
    keys.lookup("1" * 1_000_000)
    assert len(keys) == 0
