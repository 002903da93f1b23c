"""Typed evidence: what changed in a window and who caused it, as it is kept with windows, verdicts and incidents.

This module decides the fields, their units and how version 1 of each value is read. `bgpdrift.features.causes` collects the
changes of a window, `bgpdrift.features.suspects` ranks and merges them, and `bgpdrift.verdicts` keeps them with verdicts and
incidents.
"""

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from bgpdrift.store.codec import StoredValue

ChangeKind = Literal["second_origin", "sub_prefix", "lost", "moved", "flapping", "reserved", "too_specific"]
"""How routes changed. second_origin: announced by another AS. sub_prefix: a new prefix inside that of another AS. lost: at
least half of the peers have no route any more. moved: on another path. flapping: withdrawn repeatedly. reserved: address space
or AS numbers that must not be announced. too_specific: longer than /24 or /48."""

Asn = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """An AS that changed routes have in common."""

    asn: Asn
    changed: int
    """Changed routes with this AS: on the new path, or for lost routes on the old path. For a new origin: prefixes."""
    other: int = 0
    """Routes with this AS that did not change."""
    from_origin: float = 0.0
    """Mean number of hops between this AS and the origin on the changed paths."""
    next_changed: int = 0
    """Of moved routes: those that pass from this AS to the neighbour to which most of them pass."""
    next_other: int = 0
    """Routes that pass from this AS to the same neighbour and did not change."""


class ChangedPrefix(msgspec.Struct, frozen=True, array_like=True):
    """A prefix whose routes changed."""

    prefix: str
    old_origin: Asn = 0
    """0 if it is not known."""
    new_origin: Asn = 0
    """0 if the prefix was withdrawn."""
    old_path: tuple[int | tuple[int, ...], ...] = ()
    """Path of one peer before the change; empty if it is not known."""
    new_path: tuple[int | tuple[int, ...], ...] = ()
    """Path of the same peer after the change; empty if the prefix was withdrawn."""
    peers: int = 0
    """Number of peers that saw the change."""
    covering: str = ""
    """Known prefix that covers a new, more specific one."""


class SeenBy(msgspec.Struct, frozen=True, array_like=True):
    """A peer that saw a change."""

    address: str
    asn: str = ""


class RouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of change in a window: which prefixes, from what to what, who is common to them, and which peers saw it."""

    change: ChangeKind
    collector: str = ""
    first_at: int = 0
    """Start of the first window with this change, epoch seconds."""
    n_routes: int = 0
    """All routes (peer and prefix) that changed in this way, also without a suspect; prefixes for a new origin."""
    n_prefixes: int = 0
    """Prefixes of the leading suspect, or all if there is none; more than ``prefixes`` lists."""
    n_peers: int = 0
    suspects: tuple[Suspect, ...] = ()
    """Most suspicious first."""
    prefixes: tuple[ChangedPrefix, ...] = ()
    peers: tuple[SeenBy, ...] = ()


class FiredRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the heuristic detector that fired."""

    rule: str
    value: float = 0.0
    threshold: float = 0.0
    baseline: float = 0.0
    minutes: int = 1
    """Time scale."""
    unit: str = ""
    sufficient: bool = False
    meaning: str = ""
    explained_by: str = ""
    """Quality mark that explains the rule; empty if nothing does."""


class TopFeature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that contributed to the score of a detector."""

    feature: str
    detector: str = ""
    baseline: float = 0.0
    present: float = 0.0
    weight: float = 0.0


class WindowEvidence(StoredValue, frozen=True, kw_only=True):
    """The JSON of ``feature_windows.evidence``: the most frequent values and the changed routes of a window."""

    can_start_anew: ClassVar[bool] = True

    origins: tuple[tuple[int, int], ...] = ()
    """Origin, announcements."""
    withdrawn_origins: tuple[tuple[int, int], ...] = ()
    peers: tuple[tuple[str, str, int], ...] = ()
    """Address, AS number, announcements and withdrawals."""
    announced: tuple[tuple[str, int], ...] = ()
    withdrawn: tuple[tuple[str, int], ...] = ()
    sessions: tuple[tuple[str, str, str], ...] = ()
    """Address, AS number, state of a peer whose session changed."""
    edges: tuple[tuple[int, int], ...] = ()
    """Neighbouring AS pairs never seen before."""
    changes: tuple[RouteChange, ...] = ()

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Turn the lists of version 1 into changes: second origins, new sub-prefixes, prefixes that became invisible."""
        kinds: dict[ChangeKind, list[list[Any]]] = {
            "second_origin": [[prefix, old, new] for prefix, old, new in fields.pop("moas", [])],
            "sub_prefix": [
                [prefix, rival, new, [], [], 0, cover] for prefix, new, cover, rival in fields.pop("subprefix", [])
            ],
            "lost": [[prefix, origin, 0] for prefix, origin, *_ in fields.pop("visibility", [])],
        }
        fields["changes"] = [
            {
                "change": kind,
                "n_routes": len(prefixes),
                "n_prefixes": len(prefixes),
                "suspects": [[asn, count] for asn, count in Counter(p[2] for p in prefixes if p[2]).most_common()],
                "prefixes": prefixes,
            }
            for kind, prefixes in kinds.items()
            if prefixes
        ]
        return fields


class VerdictEvidence(StoredValue, frozen=True, kw_only=True):
    """The JSON of ``verdicts.evidence``: the rules that fired, and the changes that fired them."""

    can_start_anew: ClassVar[bool] = True

    rules_fired: tuple[FiredRule, ...] = ()
    top_features: tuple[TopFeature, ...] = ()
    changes: tuple[RouteChange, ...] = ()
    origins: tuple[int, ...] = ()
    """ASes that the changes have in common."""
    prefixes: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()


class IncidentExplanation(StoredValue, frozen=True, kw_only=True):
    """The JSON of ``incidents.explanation``: the strongest minute, and everything that changed."""

    can_start_anew: ClassVar[bool] = True

    window_start: int = 0
    """Strongest minute, epoch seconds."""
    collector: str = ""
    """Where the strongest minute was."""
    rules_fired: tuple[FiredRule, ...] = ()
    top_features: tuple[TopFeature, ...] = ()
    p_values: dict[str, float] = msgspec.field(default_factory=dict)
    abstaining: dict[str, str] = msgspec.field(default_factory=dict)
    rule_minutes: dict[str, int] = msgspec.field(default_factory=dict)
    """In how many minutes each rule fired."""
    changes: tuple[RouteChange, ...] = ()
    """The strongest of each kind and collector."""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Keep the fields of version 1, which had no changes and the counts of rules as floats."""
        minutes = fields.get("rule_minutes")
        if isinstance(minutes, dict):
            fields["rule_minutes"] = {name: int(count) for name, count in minutes.items()}
        return fields
