"""Declares the columns of a feature window: name, type, unit, meaning, and how a minute is aggregated into the value.

The table ``feature_windows``, the rows that `bgpdrift.features.window` builds and the tables of docs/features.md derive from
this declaration. The signals of the detectors are checked against it. The module is part of `bgpdrift.store`, because the
schema needs it. The names follow Labovitz et al. 1997, the SFU CNL sets and BML.
"""

from typing import Literal, NamedTuple

Aggregate = Literal[
    "sum",  # sum over messages, announced or withdrawn prefixes
    "maximum",  # largest single value
    "peak",  # largest sum over one second
    "distinct",  # number of distinct values of the source
    "entropy",  # Shannon entropy of the distribution of the source
    "top share",  # count of the most frequent value of the source, divided by ``announced``
    "flag",  # 1 if the mark was set
    "p50",  # median of the source
    "p95",  # 95th percentile of the source
    "common",  # what the routes that changed in the minute have in common, see bgpdrift.features.causes
]
Kind = type[int] | type[float]


class Column(NamedTuple):
    """A column of ``feature_windows``.

    Attributes
    ----------
    name : str
        Name in the database and in files.
    kind : type
        `int` or `float`.
    unit : str
        Unit of the value; A is an announced prefix, W a withdrawn prefix.
    description : str
        Meaning of the value.
    aggregate : Aggregate
        How the values of a minute are combined. Every aggregate but ``common`` can be merged from parts of the minute.
    source : str
        Accumulator of `bgpdrift.features.window.Window` if its name differs from that of the column.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    aggregate: Aggregate = "sum"
    source: str = ""

    @property
    def accumulator(self) -> str:
        """Name of the accumulator that holds the values of the minute."""
        return self.source or self.name


FEATURES: tuple[Column, ...] = (
    Column("messages", int, "messages", "UPDATE messages"),
    Column("announced", int, "A", "announced prefixes"),
    Column("withdrawn", int, "W", "withdrawn prefixes"),
    Column("announced_prefixes", int, "prefixes", "distinct announced prefixes", "distinct"),
    Column("withdrawn_prefixes", int, "prefixes", "distinct withdrawn prefixes", "distinct"),
    Column("origins", int, "ASes", "distinct last ASes of announced paths", "distinct"),
    Column("peers", int, "peers", "distinct peer addresses that sent an UPDATE", "distinct"),
    Column("new", int, "A", "the (peer, prefix) is unknown"),
    Column("duplicate", int, "A", "the last was A with the same AS path (AADup)"),
    Column("implicit_withdrawal", int, "A", "the last was A with another AS path (AADiff)"),
    Column("readvertised_same", int, "A", "the last was W, the path before that W was the same (WADup)"),
    Column(
        "readvertised_different", int, "A", "the last was W, the path before that W was another or unknown (WADiff)"
    ),
    Column("duplicate_withdrawal", int, "W", "the last was W (WWDup)"),
    Column("unknown_withdrawal", int, "W", "the (peer, prefix) is unknown"),
    Column("origin_change", int, "A", "implicit withdrawals to another origin"),
    Column("longer", int, "A", "implicit withdrawals to a path with more hops"),
    Column("shorter", int, "A", "implicit withdrawals to a path with fewer hops"),
    Column("edit_distance_sum", int, "hops", "Levenshtein distance between the paths of implicit withdrawals"),
    Column("edit_distance_max", int, "hops", "largest such distance", "maximum"),
    Column("path_length_sum", int, "hops", "path lengths of A, prepends included"),
    Column("path_length_max", int, "hops", "largest such length", "maximum"),
    Column("unique_path_length_sum", int, "hops", "path lengths of A, consecutive repeats counted once"),
    Column("as_set", int, "A", "the path contains an AS_SET"),
    Column("prepended", int, "A", "the path contains a consecutive repeat"),
    Column("origin_igp", int, "A", "the origin attribute is IGP"),
    Column("origin_egp", int, "A", "the origin attribute is EGP"),
    Column("origin_incomplete", int, "A", "the origin attribute is INCOMPLETE"),
    Column("ipv6", int, "A + W", "IPv6 prefixes"),
    Column("max_per_second", int, "A + W", "most in one second", "peak", "per_second"),
    Column("origin_entropy", float, "bits", "Shannon entropy of A over origins", "entropy", "origins"),
    Column("peer_entropy", float, "bits", "Shannon entropy of A + W over peers", "entropy", "elements_by_peer"),
    Column("top_origin_share", float, "share", "share of the most frequent origin in A", "top share", "origins"),
    Column("moas_new", int, "A", "a second origin of the prefix that was absent for 24 h"),
    Column("subprefix_new", int, "A", "the prefix is new and covered by a known prefix of another origin"),
    Column("edge_new", int, "AS pairs", "neighbouring AS pairs not seen in 7 days"),
    Column("bogon", int, "A", "a reserved prefix or AS number"),
    Column("path_loop", int, "A", "an AS occurs again after another AS"),
    Column("too_specific", int, "A", "longer than /24 (IPv4) or /48 (IPv6)"),
    Column("visibility_loss", int, "prefixes", "number of peers fell below half of its daily mean", "distinct"),
    Column(
        "moved_together",
        int,
        "prefixes",
        "moved to paths through one AS that did not carry most of its routes",
        "common",
    ),
    Column(
        "lost_together", int, "ASes", "origins of prefixes lost behind ASes that lost most of their routes", "common"
    ),
    Column("session_down", int, "peers", "sessions that left Established", "distinct"),
    Column("session_up", int, "peers", "sessions that entered Established", "distinct"),
)

QUALITY: tuple[Column, ...] = (
    Column("late", int, "messages", "received after their window had closed; counted in the window open then"),
    Column("parse_errors", int, "frames", "frames, lines, records or prefixes that could not be read"),
    Column("dropped", int, "frames", "frames dropped by the collector or the spool"),
    Column("evicted", int, "routes", "routes evicted to stay within max_state_bytes"),
    Column("incomplete", int, "flag", "data of this minute is missing", "flag"),
    Column("feed_gap", int, "flag", "the feed was disconnected during part of this minute", "flag"),
    Column("peer_reset", int, "peers", "peers in a table transfer after a session reset"),
    Column("lag_p50", float, "s", "median of arrival time minus message time", "p50", "lags"),
    Column("lag_p95", float, "s", "95th percentile of arrival time minus message time", "p95", "lags"),
    Column("warming", int, "flag", "the routing state is too young; known routes look new", "flag"),
)

FEATURE_NAMES: tuple[str, ...] = tuple(column.name for column in FEATURES)
QUALITY_NAMES: tuple[str, ...] = tuple(column.name for column in QUALITY)


def as_markdown() -> str:
    """Format the declaration as the tables of docs/features.md.

    Examples
    --------
    >>> "| `path_length_max` | hops | maximum | largest such length |" in as_markdown()
    True
    """
    parts = []
    for title, columns in (("Features", FEATURES), ("Quality marks (never features)", QUALITY)):
        rows = "\n".join(f"| `{c.name}` | {c.unit} | {c.aggregate} | {c.description} |" for c in columns)
        parts.append(f"## {title}\n\n| column | unit | aggregate | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)
