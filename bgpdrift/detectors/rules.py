"""The rules of the heuristic detector: one record for each, with its signal, its bounds and its texts for people.

A record chooses the signal and the size from which a deviation matters. `bgpdrift.detectors.rule_learning` learns how
many spreads from the baseline are too many. A rule abstains if the data source lacks one of its columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bgpdrift.detectors.interface import FloatArray
from bgpdrift.store.evidence_records import ChangeKind

Columns = Mapping[str, "FloatArray"]
Form = Literal["volume", "events", "level"]
"""How a signal is smoothed and compared. volume: a count that is rarely 0, smoothed as log1p. events: a rare count, summed
over the time scale. level: a mean or a ratio, undefined in minutes without messages, smoothed on the log scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentKind:
    """A kind of incident, and its meaning for people; incidents, status and docs use the same text."""

    name: str
    meaning: str


INCIDENT_KINDS = (
    IncidentKind(name="sub-prefix hijack", meaning="a network announces parts of the address space of another network"),
    IncidentKind(name="origin hijack", meaning="prefixes are announced by a network that is not their owner"),
    IncidentKind(name="silence", meaning="far fewer messages arrive than in the baseline although the feed is up"),
    IncidentKind(name="session storm", meaning="peers lost their sessions with the collector"),
    IncidentKind(name="outage", meaning="networks disappear from the Internet"),
    IncidentKind(name="update storm", meaning="far more route changes than in the baseline"),
    IncidentKind(name="detour", meaning="routes use AS links never seen before, as around an outage or through a leak"),
    IncidentKind(name="flapping", meaning="prefixes are withdrawn and announced again repeatedly"),
    IncidentKind(
        name="leak", meaning="routes move to paths through another network: a route leak, or a main link is down"
    ),
    IncidentKind(name="bogons", meaning="routes that should never leave a network are announced"),
)
"""All kinds; of two kinds with equal evidence the earlier one is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes
    ----------
    name : str
        Name in ``rules_fired``.
    unit : str
        What the signal measures, and its unit.
    needs : tuple of str
        Columns that the signal is computed from.
    signal : callable
        From columns to the values of the signal in its own unit; NaN where undefined.
    form : Form
        How the signal is smoothed and compared.
    direction : int
        +1: a value above the baseline is a finding. −1: a value below it is.
    min_factor : float
        Smallest factor between value and baseline that matters, however little the collector varies.
    min_size : float
        Smallest size that matters, in the unit of the signal: of the value (direction +1) or of the baseline (−1).
    sufficient : bool
        Whether the rule may raise an alarm although no other detector agrees.
    reset_explains : bool
        Whether a table transfer after a session reset looks the same; then it explains the rule, and there is no alarm.
    kind : str
        Name of the kind of incident that the rule indicates; empty if it indicates none.
    kind_weight : float
        Weight of the rule among those of its kind. A rule that identifies a cause outweighs the route changes that
        accompany every incident.
    changes : tuple of ChangeKind
        Kinds of route changes that are evidence for the rule; empty if none is.
    meaning : str
        What the rule means, in one sentence for the person on call.
    """

    name: str
    unit: str
    needs: tuple[str, ...]
    signal: "Callable[[Columns], FloatArray]"
    form: Form
    direction: int = +1
    min_factor: float
    min_size: float
    sufficient: bool
    reset_explains: bool
    kind: str
    kind_weight: float = 1.0
    changes: tuple[ChangeKind, ...] = ()
    meaning: str


def _column(name: str) -> "Callable[[Columns], FloatArray]":
    return lambda columns: columns[name]


def _total(*names: str) -> "Callable[[Columns], FloatArray]":
    return lambda columns: sum((columns[name] for name in names[1:]), columns[names[0]])


def _mean(total: str, number: str) -> "Callable[[Columns], FloatArray]":
    def signal(columns: Columns) -> "FloatArray":
        import numpy as np  # the correlation engine reads the texts of the rules and needs no numpy

        return np.where(columns[number] > 0, columns[total] / np.maximum(columns[number], 1.0), np.nan)

    return signal


def _withdrawals_per_announcement(columns: Columns) -> "FloatArray":
    # Odds instead of a share: between the shares 0.9 and 0.99 lies a factor of ten in withdrawals.
    return (columns["withdrawn"] + 1.0) / (columns["announced"] + 1.0)


RULES: tuple[Rule, ...] = (
    Rule(
        name="update_storm",
        unit="announced prefixes a minute",
        needs=("announced",),
        signal=_column("announced"),
        form="volume",
        min_factor=2.5,
        min_size=50.0,
        sufficient=True,
        reset_explains=True,
        kind="update storm",
        changes=("moved",),
        meaning="Routers announce far more prefixes than in the baseline, as during a worm, a flapping link or a route leak.",
    ),
    Rule(
        name="withdrawal_storm",
        unit="withdrawn prefixes a minute",
        needs=("withdrawn",),
        signal=_column("withdrawn"),
        form="volume",
        min_factor=4.0,
        min_size=40.0,
        sufficient=True,
        reset_explains=True,
        kind="outage",
        changes=("lost",),
        meaning="Routers withdraw far more prefixes than in the baseline: a large network has lost its connection.",
    ),
    Rule(
        name="withdrawal_ratio",
        unit="withdrawals per announcement",
        needs=("announced", "withdrawn"),
        signal=_withdrawals_per_announcement,
        form="level",
        min_factor=3.0,
        min_size=0.5,
        sufficient=False,
        reset_explains=True,
        kind="outage",
        changes=("lost",),
        meaning="Routes are withdrawn faster than they are announced again.",
    ),
    Rule(
        name="path_length",
        unit="hops of an announced path, mean",
        needs=("path_length_sum", "announced"),
        signal=_mean("path_length_sum", "announced"),
        form="level",
        min_factor=1.15,
        min_size=1.0,
        sufficient=False,
        reset_explains=True,
        kind="leak",
        changes=("moved",),
        meaning="Announced paths are longer than in the baseline: traffic takes detours, as in a route leak or after a "
        "cable cut.",
    ),
    Rule(
        name="prefix_instability",
        unit="prefixes withdrawn and announced again a minute",
        needs=("readvertised_same", "readvertised_different", "duplicate_withdrawal"),
        signal=_total("readvertised_same", "readvertised_different", "duplicate_withdrawal"),
        form="volume",
        min_factor=3.0,
        min_size=20.0,
        sufficient=True,
        reset_explains=True,
        kind="flapping",
        changes=("flapping",),
        meaning="Prefixes are withdrawn and announced again repeatedly: a link or a router is flapping.",
    ),
    Rule(
        name="prefix_flapping",
        unit="withdrawals of each prefix withdrawn in a minute, mean",
        needs=("withdrawn", "withdrawn_prefixes"),
        signal=_mean("withdrawn", "withdrawn_prefixes"),
        form="level",
        min_factor=1.6,
        min_size=1.0,
        sufficient=False,
        reset_explains=True,
        kind="flapping",
        changes=("flapping",),
        meaning="The same few prefixes are withdrawn repeatedly.",
    ),
    Rule(
        name="path_change",
        unit="hops changed by a path change, mean",
        needs=("edit_distance_sum", "implicit_withdrawal"),
        signal=_mean("edit_distance_sum", "implicit_withdrawal"),
        form="level",
        min_factor=1.5,
        min_size=1.0,
        sufficient=False,
        reset_explains=True,
        kind="leak",
        changes=("moved",),
        meaning="Path changes affect more hops than in the baseline: routes move to entirely different paths.",
    ),
    Rule(
        name="path_churn",
        unit="routes replaced by another path a minute",
        needs=("implicit_withdrawal",),
        signal=_column("implicit_withdrawal"),
        form="volume",
        min_factor=3.0,
        min_size=50.0,
        sufficient=True,
        reset_explains=True,
        kind="update storm",
        changes=("moved",),
        meaning="Many routes are replaced repeatedly by other paths, as during a worm or a flapping main link.",
    ),
    Rule(
        name="path_exploration",
        unit="path changes to a longer path a minute",
        needs=("longer",),
        signal=_column("longer"),
        form="volume",
        min_factor=4.0,
        min_size=40.0,
        sufficient=False,
        reset_explains=True,
        kind="update storm",
        changes=("moved",),
        meaning="Many routes move to longer paths at once: the shortest path is down, or a network leaks routes.",
    ),
    Rule(
        name="new_edges",
        unit="neighbouring AS pairs never seen before",
        needs=("edge_new",),
        signal=_column("edge_new"),
        form="events",
        min_factor=4.0,
        min_size=10.0,
        sufficient=False,
        reset_explains=True,
        kind="detour",
        changes=("moved",),
        meaning="Paths contain AS pairs never seen before: a route leak, a forged path or a new connection.",
    ),
    Rule(
        name="moas_new",
        unit="prefixes with a second origin",
        needs=("moas_new",),
        signal=_column("moas_new"),
        form="events",
        min_factor=3.0,
        min_size=3.0,
        sufficient=True,
        reset_explains=False,
        kind="origin hijack",
        kind_weight=4.0,
        changes=("second_origin",),
        meaning="A second network announces prefixes beside their owner: an origin hijack, or a planned move.",
    ),
    Rule(
        name="subprefix_new",
        unit="announcements of more specific prefixes never seen before",
        needs=("subprefix_new",),
        signal=_column("subprefix_new"),
        form="events",
        min_factor=3.0,
        min_size=3.0,
        sufficient=True,
        reset_explains=False,
        kind="sub-prefix hijack",
        kind_weight=4.0,
        changes=("sub_prefix",),
        meaning="A network announces parts of the address space of another: a sub-prefix hijack attracts all its traffic.",
    ),
    Rule(
        name="origin_change",
        unit="routes that moved to another origin",
        needs=("origin_change",),
        signal=_column("origin_change"),
        form="events",
        min_factor=4.0,
        min_size=12.0,
        sufficient=False,
        reset_explains=False,
        kind="",
        changes=("second_origin",),
        meaning="Routes move to another origin network.",
    ),
    Rule(
        name="visibility_loss",
        unit="prefixes that half of their peers no longer carry",
        needs=("visibility_loss",),
        signal=_column("visibility_loss"),
        form="events",
        min_factor=3.0,
        min_size=5.0,
        sufficient=True,
        reset_explains=False,
        kind="outage",
        changes=("lost",),
        meaning="Most of the peers that carried these prefixes have withdrawn them: their network leaves the Internet.",
    ),
    Rule(
        name="moved_together",
        unit="prefixes that moved to paths through one AS",
        needs=("moved_together",),
        signal=_column("moved_together"),
        form="events",
        min_factor=3.0,
        min_size=10.0,
        sufficient=True,
        reset_explains=True,
        kind="leak",
        kind_weight=4.0,
        changes=("moved",),
        meaning="Prefixes move to paths through an AS that did not carry most of its present routes before: it leaks them.",
    ),
    Rule(
        name="lost_together",
        unit="networks lost behind common ASes",
        needs=("lost_together",),
        signal=_column("lost_together"),
        form="events",
        min_factor=3.0,
        min_size=5.0,
        sufficient=True,
        reset_explains=True,
        kind="outage",
        kind_weight=4.0,
        changes=("lost",),
        meaning="Several networks behind a common AS leave the Internet at once: this AS has failed.",
    ),
    Rule(
        name="session_storm",
        unit="peer sessions lost",
        needs=("session_down",),
        signal=_column("session_down"),
        form="events",
        min_factor=3.0,
        min_size=3.0,
        sufficient=True,
        reset_explains=False,
        kind="session storm",
        meaning="Several peers lost their session with the collector: the collector or its exchange point has a fault.",
    ),
    Rule(
        name="silence",
        unit="messages a minute",
        needs=("messages",),
        signal=_column("messages"),
        form="volume",
        direction=-1,
        min_factor=4.0,
        min_size=8.0,
        sufficient=True,
        reset_explains=True,
        kind="silence",
        meaning="Far fewer messages arrive than in the baseline although the feed is up: the collector, its exchange "
        "point or its peers have a fault.",
    ),
    Rule(
        name="peers_silent",
        unit="peers that sent a message in a minute",
        needs=("peers",),
        signal=_column("peers"),
        form="volume",
        direction=-1,
        min_factor=2.0,
        min_size=4.0,
        sufficient=True,
        reset_explains=True,
        kind="silence",
        meaning="Half of the peers no longer send messages.",
    ),
    Rule(
        name="bogon",
        unit="announcements of reserved space",
        needs=("bogon",),
        signal=_column("bogon"),
        form="events",
        min_factor=4.0,
        min_size=10.0,
        sufficient=False,
        reset_explains=False,
        kind="bogons",
        changes=("reserved",),
        meaning="Reserved addresses or AS numbers are announced: a network does not filter its announcements.",
    ),
    Rule(
        name="too_specific",
        unit="announcements longer than /24 or /48",
        needs=("too_specific",),
        signal=_column("too_specific"),
        form="events",
        min_factor=4.0,
        min_size=30.0,
        sufficient=False,
        reset_explains=True,
        kind="bogons",
        changes=("too_specific",),
        meaning="Internal routes are announced to the Internet.",
    ),
)

BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}
RULE_NAMES = tuple(BY_NAME)


def changes_of_rule(name: str) -> tuple[ChangeKind, ...]:
    """Return the kinds of route changes that are evidence for a rule; none for a rule of another program version.

    Examples
    --------
    >>> changes_of_rule("moas_new"), changes_of_rule("silence"), changes_of_rule("no such rule")
    (('second_origin',), (), ())
    """
    rule = BY_NAME.get(name)
    return rule.changes if rule else ()
