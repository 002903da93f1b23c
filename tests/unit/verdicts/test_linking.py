"""What belongs together."""

import random

import pytest

from bgpdrift.verdicts.linking import Footprint, UnionFind, groups, linked


def _print(collectors: str = "", origins: tuple[int, ...] = (), prefixes: tuple[str, ...] = (), rules: str = ""):
    return Footprint(frozenset(collectors.split()), frozenset(origins), frozenset(prefixes), frozenset(rules.split()))


@pytest.mark.parametrize(
    ("one", "other", "tied"),
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
def test_ties(one: Footprint, other: Footprint, tied: bool) -> None:
    assert linked(one, other) is tied is linked(other, one)


def test_at_different_times_a_collector_or_a_rule_ties_nothing() -> None:
    assert not linked(_print("rrc00", rules="silence"), _print("rrc00", rules="silence"), at_once=False)


def test_groups_go_through_others() -> None:
    chain = [_print("a", (1,)), _print("c", (2,)), _print("b", (1, 2)), _print("d", (9,))]
    assert groups(chain) == [[0, 1, 2], [3]]


def test_union_find_agrees_with_a_search_through_the_graph() -> None:
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
