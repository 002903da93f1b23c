"""Reads a RIS Live message with invalid fields and keeps its routes.

This module decides, field by field, what still counts as a path, a list of prefixes or a number. It works on plain JSON values
and is several times slower than typed decoding. `ris_frames` uses it only for frames that do not fit; `bgpdrift decode`, which
shows every field, always uses it.
"""

import json
import math
from typing import Any

import msgspec

from bgpdrift.bgp.messages import STATE, UPDATE, Announcement, AsPath, Message

EOR = "eor"
"""RIS Live sends this text in place of a prefix for End-of-RIB (RFC 4724)."""

_STATE_NAMES = ("RIS_PEER_STATE", STATE)
_MAX_ID_CHARACTERS = 128
_OPEN_FIELDS = ("direction", "version", "asn", "hold_time", "router_id", "capabilities")
_NOTIFICATION_FIELDS = ("code", "subcode", "data")


class Details(msgspec.Struct, gc=False):
    """Fields of a message that `Message` does not contain; people read them, windows do not need them.

    Attributes
    ----------
    med : int, optional
        MULTI_EXIT_DISC.
    aggregator : str, optional
        ``"asn:address"``.
    communities : list of str
        ``"asn:value"`` each.
    session : dict
        Fields of an OPEN or NOTIFICATION message.
    """

    med: int | None = None
    aggregator: str | None = None
    communities: list[str] = []
    session: dict[str, Any] = {}


def parse_leniently(line: bytes) -> Any:
    """Parse JSON that may contain control characters or invalid UTF-8 inside strings.

    Raises
    ------
    ValueError
        The text is not JSON; the message states the reason.
    """
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        value = json.loads(line.decode("utf-8", errors="replace"), strict=False)
        if b"\\ud" in line.lower():
            # A lone surrogate cannot be written to any file or database.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def parse_number(value: Any) -> int | None:
    """Parse a whole number of 32 bits, given as a number or as text; None if it is not one."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF_FFFF:
        return value
    return None


def parse_timestamp(value: Any) -> float:
    """Parse epoch seconds, given as a number or as text; NaN if they are not valid."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**33:
        return float(value)
    return math.nan


def parse_text(value: Any) -> str:
    """Return a string, or a number as text; empty for anything else."""
    if isinstance(value, str):
        return value
    whole = parse_number(value)
    return "" if whole is None else str(whole)


def parse_path(value: Any) -> AsPath:
    """Parse the readable hops of a list, or of text in the form of ``show ip bgp``.

    Examples
    --------
    >>> parse_path([174, "3356", None, [64496, 64497]])
    (174, 3356, (64496, 64497))
    >>> parse_path("174 3356 {64496,64497}")
    (174, 3356, (64496, 64497))
    """
    if isinstance(value, str):
        value = [hop[1:-1].split(",") if hop.startswith("{") else hop for hop in value.split()]
    hops: list[int | tuple[int, ...]] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, list):
            members = tuple(asn for asn in map(parse_number, item) if asn is not None)
            if members:
                hops.append(members)
        elif (asn := parse_number(item)) is not None:
            hops.append(asn)
    return tuple(hops)


def parse_prefixes(value: Any) -> list[str]:
    """Parse a list of prefixes or a single one; values that are not text, and `EOR`, are skipped."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, str) and item != EOR]


def parse_announcements(value: Any) -> list[Announcement]:
    """Parse announcement groups; a group without readable prefixes is skipped."""
    return [
        Announcement(next_hop=parse_text(group.get("next_hop")), prefixes=routes)
        for group in (value if isinstance(value, list) else [value])
        if isinstance(group, dict) and (routes := parse_prefixes(group.get("prefixes")))
    ]


def salvage_message(data: dict[str, Any]) -> Message:
    """Build a message from the readable fields; an unreadable timestamp is NaN."""
    announced, withdrawn = parse_announcements(data.get("announcements")), parse_prefixes(data.get("withdrawals"))
    kind = parse_text(data.get("type")).upper()
    if kind in _STATE_NAMES:
        kind = STATE
    elif not kind and (announced or withdrawn):
        kind = UPDATE
    return Message(
        timestamp=parse_timestamp(data.get("timestamp")),
        peer=parse_text(data.get("peer")),
        host=parse_text(data.get("host")),
        type=kind,
        id=parse_text(data.get("id"))[:_MAX_ID_CHARACTERS],
        peer_asn=parse_text(data.get("peer_asn")),
        path=parse_path(data.get("path")),
        origin=parse_text(data.get("origin")),
        announcements=announced,
        withdrawals=withdrawn,
        state=parse_text(data.get("state")),
    )


def parse_details(data: dict[str, Any]) -> Details:
    """Parse the fields that `salvage_message` leaves out."""
    aggregator = data.get("aggregator")
    if isinstance(aggregator, list):
        aggregator = ":".join(map(parse_text, aggregator))
    community = data.get("community")
    return Details(
        med=parse_number(data.get("med")),
        aggregator=aggregator if isinstance(aggregator, str) and aggregator else None,
        communities=[
            ":".join(map(parse_text, pair)) if isinstance(pair, list) else pair
            for pair in (community if isinstance(community, list) else ())
            if isinstance(pair, (list, str))
        ],
        session=_parse_session(data),
    )


def _parse_session(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an OPEN or NOTIFICATION message as RIS Live sends them; another type has none."""
    kind = data.get("type")
    if kind == "OPEN":
        return {name: data[name] for name in _OPEN_FIELDS if name in data}
    notification = data.get("notification")
    if kind == "NOTIFICATION" and isinstance(notification, dict):
        return {name: notification[name] for name in _NOTIFICATION_FIELDS if name in notification}
    return {}
