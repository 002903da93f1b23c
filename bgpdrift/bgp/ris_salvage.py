"""What can be saved of a RIS Live message with odd fields: its routes, whatever else is wrong with it.

Decides, field by field, what still counts as a path, a prefix list or a number. It reads plain JSON values and is several
times slower than typed decoding, so `ris_frames` comes here only for frames that do not fit; `bgpdrift decode`, which
shows every field, comes here always.
"""

import json
import math
from typing import Any

import msgspec

from bgpdrift.bgp.messages import STATE, UPDATE, Announcement, AsPath, Message

EOR = "eor"
"""Stands as a prefix in RIS Live for End-of-RIB (RFC 4724); it is none."""

_STATE_NAMES = ("RIS_PEER_STATE", STATE)


class Details(msgspec.Struct, gc=False):
    """What a message carries beside the fields of `Message`: for people, not for windows.

    Attributes
    ----------
    med : int, optional
        MULTI_EXIT_DISC.
    aggregator : str, optional
        ``"asn:address"``.
    communities : list of str
        ``"asn:value"`` each.
    """

    med: int | None = None
    aggregator: str | None = None
    communities: list[str] = []


def parse_leniently(line: bytes) -> Any:
    """Read JSON that may hold control characters or broken UTF-8 inside strings.

    Raises
    ------
    ValueError
        It is no JSON even so; the text says why.
    """
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return json.loads(line.decode("utf-8", errors="replace"), strict=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def number(value: Any) -> int | None:
    """Read a whole number that may stand as text; ``None`` if it is none of 32 bits."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF_FFFF:
        return value
    return None


def timestamp(value: Any) -> float:
    """Read epoch seconds that may stand as text; NaN if there are none."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**33:
        return float(value)
    return math.nan


def text(value: Any) -> str:
    """Take a string or write a number as one; anything else is empty."""
    if isinstance(value, str):
        return value
    whole = number(value)
    return "" if whole is None else str(whole)


def as_path(value: Any) -> AsPath:
    """Read the hops that can be read, from a list or from text as ``show ip bgp`` prints it.

    Examples
    --------
    >>> as_path([174, "3356", None, [64496, 64497]])
    (174, 3356, (64496, 64497))
    >>> as_path("174 3356 {64496,64497}")
    (174, 3356, (64496, 64497))
    """
    if isinstance(value, str):
        value = [hop[1:-1].split(",") if hop.startswith("{") else hop for hop in value.split()]
    hops: list[int | tuple[int, ...]] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, list):
            members = tuple(asn for asn in map(number, item) if asn is not None)
            if members:
                hops.append(members)
        elif (asn := number(item)) is not None:
            hops.append(asn)
    return tuple(hops)


def prefixes(value: Any) -> list[str]:
    """Read a list of prefixes, or a single one; what is no text, and `EOR`, is left out."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, str) and item != EOR]


def announcements(value: Any) -> list[Announcement]:
    """Read announcement groups; one without readable prefixes is left out."""
    return [
        Announcement(next_hop=text(group.get("next_hop")), prefixes=routes)
        for group in (value if isinstance(value, list) else [value])
        if isinstance(group, dict) and (routes := prefixes(group.get("prefixes")))
    ]


def message(data: dict[str, Any]) -> Message:
    """Build a message of what can be read; its timestamp is NaN if that cannot."""
    announced, withdrawn = announcements(data.get("announcements")), prefixes(data.get("withdrawals"))
    kind = text(data.get("type")).upper()
    if kind in _STATE_NAMES:
        kind = STATE
    elif not kind and (announced or withdrawn):
        kind = UPDATE
    return Message(
        timestamp=timestamp(data.get("timestamp")),
        peer=text(data.get("peer")),
        host=text(data.get("host")),
        type=kind,
        id=text(data.get("id")),
        peer_asn=text(data.get("peer_asn")),
        path=as_path(data.get("path")),
        origin=text(data.get("origin")),
        announcements=announced,
        withdrawals=withdrawn,
        state=text(data.get("state")),
    )


def details(data: dict[str, Any]) -> Details:
    """Read what `message` leaves out."""
    aggregator = data.get("aggregator")
    if isinstance(aggregator, list):
        aggregator = ":".join(map(text, aggregator))
    community = data.get("community")
    return Details(
        med=number(data.get("med")),
        aggregator=aggregator if isinstance(aggregator, str) and aggregator else None,
        communities=[
            ":".join(map(text, pair)) if isinstance(pair, list) else pair
            for pair in (community if isinstance(community, list) else ())
            if isinstance(pair, (list, str))
        ],
    )
