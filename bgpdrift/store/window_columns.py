"""The columns of a feature window, in order, with their meaning: the one list everybody else reads.

They stand here, below `bgpdrift.features`, because the schema, the feature code, the detectors and the command line
must agree on them. What a column means is decided by `bgpdrift.features`; names follow Labovitz et al. 1997, the SFU
CNL sets and BML.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """A column of ``feature_windows``."""

    name: str
    kind: type[int] | type[float]
    meaning: str


FEATURES: tuple[Column, ...] = (
    Column("messages", int, "UPDATE messages"),
    Column("announced", int, "announced prefixes (A)"),
    Column("withdrawn", int, "withdrawn prefixes (W)"),
    Column("announced_prefixes", int, "distinct announced prefixes"),
    Column("withdrawn_prefixes", int, "distinct withdrawn prefixes"),
    Column("origins", int, "distinct last ASes of announced paths"),
    Column("peers", int, "distinct peer addresses that sent an UPDATE"),
    Column("new", int, "A, nothing known of (peer, prefix)"),
    Column("duplicate", int, "A, last was A with the same AS path (AADup)"),
    Column("implicit_withdrawal", int, "A, last was A with another AS path (AADiff)"),
    Column("readvertised_same", int, "A, last was W, path before that W the same (WADup)"),
    Column("readvertised_different", int, "A, last was W, path before that W another or unknown (WADiff)"),
    Column("duplicate_withdrawal", int, "W, last was W (WWDup)"),
    Column("unknown_withdrawal", int, "W, nothing known of (peer, prefix)"),
    Column("origin_change", int, "implicit withdrawals to another origin"),
    Column("longer", int, "implicit withdrawals to a path of strictly more hops"),
    Column("shorter", int, "implicit withdrawals to a path of strictly fewer hops"),
    Column("edit_distance_sum", int, "Levenshtein distance over hops, summed over implicit withdrawals"),
    Column("edit_distance_max", int, "largest of those"),
    Column("path_length_sum", int, "hops with prepends, summed over A"),
    Column("path_length_max", int, "largest of those"),
    Column("unique_path_length_sum", int, "hops with consecutive repeats counted once, summed over A"),
    Column("as_set", int, "A whose path holds an AS_SET"),
    Column("prepended", int, "A whose path holds a consecutive repeat"),
    Column("origin_igp", int, "A with origin attribute IGP"),
    Column("origin_egp", int, "A with origin attribute EGP"),
    Column("origin_incomplete", int, "A with origin attribute INCOMPLETE"),
    Column("ipv6", int, "A and W of IPv6 prefixes"),
    Column("max_per_second", int, "most A + W in one second"),
    Column("origin_entropy", float, "Shannon entropy of A over origins, bits"),
    Column("peer_entropy", float, "Shannon entropy of A + W over peers, bits"),
    Column("top_origin_share", float, "share of the busiest origin among A"),
    Column("moas_new", int, "prefixes first seen with a second origin (absent for 24 h)"),
    Column("subprefix_new", int, "A of a prefix never seen, covered by a known prefix of another origin"),
    Column("edge_new", int, "neighbouring AS pairs not seen in 7 days"),
    Column("bogon", int, "A of a reserved prefix or AS number"),
    Column("path_loop", int, "A in whose path an AS returns after another"),
    Column("too_specific", int, "A longer than /24 or /48"),
    Column("visibility_loss", int, "prefixes whose number of peers fell below half of its slow mean"),
    Column("session_down", int, "peers that left Established"),
    Column("session_up", int, "peers that entered Established"),
)

QUALITY: tuple[Column, ...] = (
    Column("late", int, "messages that came after the window had closed, counted in the window open then"),
    Column("parse_errors", int, "frames that could not be read"),
    Column("dropped", int, "frames the collector or the spool had to drop"),
    Column("evicted", int, "routes forgotten to stay within max_state_bytes"),
    Column("incomplete", int, "1: data of this minute is known to be missing"),
    Column("feed_gap", int, "1: the feed was disconnected during part of this minute"),
    Column("peer_reset", int, "peers whose table transfer after a session reset falls into this minute"),
    Column("lag_p50", float, "median of arrival minus message time, seconds"),
    Column("lag_p95", float, "95th percentile of that, seconds"),
    Column("warming", int, "1: the routing state is too young, transitions look new"),
)

FEATURE_NAMES: tuple[str, ...] = tuple(column.name for column in FEATURES)
QUALITY_NAMES: tuple[str, ...] = tuple(column.name for column in QUALITY)


def as_markdown() -> str:
    """Write the columns as two tables, for docs/features.md.

    Examples
    --------
    >>> "| `moas_new` | prefixes first seen with a second origin (absent for 24 h) |" in as_markdown()
    True
    """
    parts = []
    for title, columns in (("Features", FEATURES), ("Quality marks, never features", QUALITY)):
        rows = "\n".join(f"| `{column.name}` | {column.meaning} |" for column in columns)
        parts.append(f"## {title}\n\n| column | meaning |\n|---|---|\n{rows}\n")
    return "\n".join(parts)
