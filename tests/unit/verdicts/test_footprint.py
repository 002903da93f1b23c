"""Which anomalies belong together, and what a window's anomaly concerns."""

import random

import pytest

from bgpdrift.verdicts.footprint import Footprint, UnionFind, are_linked, group_linked


def _print(collectors: str = "", origins: tuple[int, ...] = (), prefixes: tuple[str, ...] = (), rules: str = ""):
    return Footprint(frozenset(collectors.split()), frozenset(origins), frozenset(prefixes), frozenset(rules.split()))


@pytest.mark.parametrize(
    ("one", "other", "is_linked"),
    [
        (_print("rrc00"), _print("rrc00"), True),
        (_print("rrc00"), _print("rrc01"), False),
        (_print("rrc00", (64500,)), _print("rrc01", (64500,)), True),
        (_print("rrc00", prefixes=("192.0.2.0/24",)), _print("rrc01", prefixes=("192.0.2.128/25",)), True),
        (_print("rrc00", prefixes=("2001:db8::/32",)), _print("rrc01", prefixes=("2001:db8:1::/48",)), True),
        (_print("rrc00", prefixes=("192.0.2.0/24",)), _print("rrc01", prefixes=("192.0.3.0/24",)), False),
        (_print("rrc00", prefixes=("0.0.0.0/0",)), _print("rrc01", prefixes=("192.0.3.0/24",)), False),
        (_print("rrc00", prefixes=("no prefix",)), _print("rrc01", prefixes=("192.0.3.0/24",)), False),
        (_print("rrc00", rules="update_storm"), _print("rrc01", rules="update_storm silence"), True),
    ],
)
def test_footprints_are_linked_by_an_as_a_prefix_a_collector_or_a_rule(
    one: Footprint, other: Footprint, is_linked: bool
) -> None:
    assert are_linked(one, other) is is_linked is are_linked(other, one)


def test_at_different_times_a_collector_or_a_rule_links_nothing() -> None:
    one, other = _print("rrc00", rules="silence"), _print("rrc00", rules="silence")
    assert not are_linked(one, other, is_same_time=False)


def test_footprints_linked_through_a_third_form_one_group() -> None:
    chain = [_print("a", (1,)), _print("c", (2,)), _print("b", (1, 2)), _print("d", (9,))]
    assert group_linked(chain) == [[0, 1, 2], [3]]


def test_union_find_agrees_with_a_graph_search() -> None:
    rng = random.Random(7)
    for _ in range(50):
        size = rng.randint(1, 20)
        edges = [(rng.randrange(size), rng.randrange(size)) for _ in range(rng.randint(0, 20))]
        sets, neighbours = UnionFind(size), {i: {i} for i in range(size)}
        for one, other in edges:
            sets.join(one, other)
            neighbours[one].add(other)
            neighbours[other].add(one)
        reached = {0}
        while (more := set().union(*(neighbours[i] for i in reached))) != reached:
            reached = more
        assert {i for i in range(size) if sets.root(i) == sets.root(0)} == reached
