"""The rule table: what the heuristic detector looks at, and what each rule means to the person it wakes.

Only what is looked at and from which size on it matters is chosen here; how far from usual is too far is learned
(`heuristic.learn`). A rule whose columns a source does not have abstains.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bgpdrift.detectors.interface import FloatArray

Columns = Mapping[str, FloatArray]
Form = Literal["volume", "events", "level"]
"""volume: a count that is never quite 0, smoothed as log1p. events: a rare count, totalled over the time scale.
level: a mean or a ratio, undefined in minutes without messages, smoothed as it is (log scale)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes
    ----------
    name : str
        As stored in ``rules_fired``.
    needs : tuple of str
        Columns the value is made of.
    value : callable
        Columns to the value in its own unit, NaN where undefined.
    form : Form
        How it is smoothed and compared.
    direction : int
        +1: more than usual is a finding; −1: less is.
    factor : float
        It must differ from usual by at least this factor to matter, however calm the collector.
    minimum : float
        Size that matters at all: present (direction +1) or usual (−1) must reach it; in the value's own unit.
    unit : str
        Of the value.
    sufficient : bool
        This rule alone may raise an alarm, though no other detector agrees.
    reset_explains : bool
        A table transfer after a session reset looks like this and is then no alarm.
    meaning : str
        A sentence for the night shift.
    """

    name: str
    needs: tuple[str, ...]
    value: Callable[[Columns], FloatArray]
    form: Form
    direction: int
    factor: float
    minimum: float
    unit: str
    sufficient: bool
    reset_explains: bool
    meaning: str


def _column(name: str) -> Callable[[Columns], FloatArray]:
    return lambda columns: columns[name]


def _total(*names: str) -> Callable[[Columns], FloatArray]:
    return lambda columns: np.asarray(sum((columns[name] for name in names[1:]), columns[names[0]]))


def _mean(total: str, number: str) -> Callable[[Columns], FloatArray]:
    def value(columns: Columns) -> FloatArray:
        return np.where(columns[number] > 0, columns[total] / np.maximum(columns[number], 1.0), np.nan)

    return value


def _withdrawals_per_announcement(columns: Columns) -> FloatArray:
    # Odds rather than a share: a share of 0.9 to 0.99 is a factor of ten in what happens.
    return np.asarray((columns["withdrawn"] + 1.0) / (columns["announced"] + 1.0))


RULES: tuple[Rule, ...] = (
    Rule(
        "update_storm",
        ("announced",),
        _column("announced"),
        "volume",
        +1,
        2.5,
        50.0,
        "announced prefixes a minute",
        True,
        True,
        "Routers announce far more than usual: a worm, a flapping trunk or a leak keeps the whole table moving.",
    ),
    Rule(
        "withdrawal_storm",
        ("withdrawn",),
        _column("withdrawn"),
        "volume",
        +1,
        4.0,
        40.0,
        "withdrawn prefixes a minute",
        True,
        True,
        "Networks are being withdrawn in numbers: something large has lost its connection.",
    ),
    Rule(
        "withdrawal_ratio",
        ("announced", "withdrawn"),
        _withdrawals_per_announcement,
        "level",
        +1,
        3.0,
        0.5,
        "withdrawals per announcement",
        False,
        True,
        "Routes disappear faster than they come back.",
    ),
    Rule(
        "path_length",
        ("path_length_sum", "announced"),
        _mean("path_length_sum", "announced"),
        "level",
        +1,
        1.15,
        1.0,
        "hops of an announced path, mean",
        False,
        True,
        "Announced paths are longer than usual: traffic takes detours, as in a leak or after a cut.",
    ),
    Rule(
        "prefix_instability",
        ("readvertised_same", "readvertised_different", "duplicate_withdrawal"),
        _total("readvertised_same", "readvertised_different", "duplicate_withdrawal"),
        "volume",
        +1,
        3.0,
        20.0,
        "prefixes withdrawn and announced again a minute",
        True,
        True,
        "Prefixes go and come back again and again: a link or a router is flapping.",
    ),
    Rule(
        "prefix_flapping",
        ("withdrawn", "withdrawn_prefixes"),
        _mean("withdrawn", "withdrawn_prefixes"),
        "level",
        +1,
        1.6,
        1.0,
        "withdrawals of each prefix withdrawn in a minute, mean",
        False,
        True,
        "The same few prefixes are withdrawn over and over.",
    ),
    Rule(
        "path_change",
        ("edit_distance_sum", "implicit_withdrawal"),
        _mean("edit_distance_sum", "implicit_withdrawal"),
        "level",
        +1,
        1.5,
        1.0,
        "hops changed by a path change, mean",
        False,
        True,
        "Paths change in more places than usual: routes move to entirely other ways.",
    ),
    Rule(
        "path_churn",
        ("implicit_withdrawal",),
        _column("implicit_withdrawal"),
        "volume",
        +1,
        3.0,
        50.0,
        "routes replaced by another path a minute",
        True,
        True,
        "Routes are replaced by others without end: the ways to many networks keep moving, as in a worm or a flapping trunk.",
    ),
    Rule(
        "path_exploration",
        ("longer",),
        _column("longer"),
        "volume",
        +1,
        4.0,
        40.0,
        "path changes to a longer path a minute",
        False,
        True,
        "Many routes move to longer paths at once: the short way is gone, or someone leaks.",
    ),
    Rule(
        "new_edges",
        ("edge_new",),
        _column("edge_new"),
        "events",
        +1,
        4.0,
        10.0,
        "neighbouring AS pairs never seen before",
        False,
        True,
        "Networks appear side by side that never were: a leak, a forged path or a new connection.",
    ),
    Rule(
        "moas_new",
        ("moas_new",),
        _column("moas_new"),
        "events",
        +1,
        3.0,
        3.0,
        "prefixes with a second origin",
        True,
        False,
        "Prefixes are announced by a second network beside their owner: an origin hijack, or a move nobody told us of.",
    ),
    Rule(
        "subprefix_new",
        ("subprefix_new",),
        _column("subprefix_new"),
        "events",
        +1,
        3.0,
        3.0,
        "announcements of never seen parts of another's prefix",
        True,
        False,
        "Someone announces parts of another network's address space: a sub-prefix hijack draws all its traffic.",
    ),
    Rule(
        "origin_change",
        ("origin_change",),
        _column("origin_change"),
        "events",
        +1,
        4.0,
        12.0,
        "routes that moved to another origin",
        False,
        False,
        "Routes switch to another origin network.",
    ),
    Rule(
        "visibility_loss",
        ("visibility_loss",),
        _column("visibility_loss"),
        "events",
        +1,
        3.0,
        5.0,
        "prefixes lost from sight of half their peers",
        True,
        False,
        "Prefixes vanish from most of the peers that carried them: their network is going off the Internet.",
    ),
    Rule(
        "session_storm",
        ("session_down",),
        _column("session_down"),
        "events",
        +1,
        3.0,
        3.0,
        "peer sessions lost",
        True,
        False,
        "Several peers lost their session with the collector: the collector or its exchange is in trouble.",
    ),
    Rule(
        "silence",
        ("messages",),
        _column("messages"),
        "volume",
        -1,
        4.0,
        8.0,
        "messages a minute",
        True,
        True,
        "The collector hears far less than usual though the feed is up: it, its exchange or its peers have gone quiet.",
    ),
    Rule(
        "peers_silent",
        ("peers",),
        _column("peers"),
        "volume",
        -1,
        2.0,
        4.0,
        "peers that sent anything in a minute",
        True,
        True,
        "Half the peers have stopped talking.",
    ),
    Rule(
        "bogon",
        ("bogon",),
        _column("bogon"),
        "events",
        +1,
        4.0,
        10.0,
        "announcements of reserved space",
        False,
        False,
        "Reserved addresses or AS numbers are being announced: someone's filters are open.",
    ),
    Rule(
        "too_specific",
        ("too_specific",),
        _column("too_specific"),
        "events",
        +1,
        4.0,
        30.0,
        "announcements longer than /24 or /48",
        False,
        True,
        "Internal routes are leaking out.",
    ),
)

BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}
RULE_NAMES = tuple(BY_NAME)
