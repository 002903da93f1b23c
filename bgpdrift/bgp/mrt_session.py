"""Parses the BGP messages that begin and end a session: OPEN (RFC 4271, 4.2) and NOTIFICATION (RFC 4271, 4.5).

This module decides which of their fields `bgpdrift decode` prints, under the names of RIS Live. Windows do not need them.
"""

from typing import Any

from bgpdrift.bgp.mrt_attributes import MalformedError, format_address

_CAPABILITIES, _FOUR_OCTET_AS, _EXTENDED_LENGTH = 2, 65, 255
_CEASE = 6
_SHUTDOWN, _RESET = 2, 4
_MAX_DATA_BYTES = 255
_ERRORS = {
    1: "Message Header Error",
    2: "OPEN Message Error",
    3: "UPDATE Message Error",
    4: "Hold Timer Expired",
    5: "Finite State Machine Error",
    6: "Cease",
    7: "ROUTE-REFRESH Message Error",
}
_CEASE_REASONS = {
    1: "Maximum Number of Prefixes Reached",
    2: "Administrative Shutdown",
    3: "Peer De-configured",
    4: "Administrative Reset",
    5: "Connection Rejected",
    6: "Other Configuration Change",
    7: "Connection Collision Resolution",
    8: "Out of Resources",
    9: "Hard Reset",
    10: "BFD Down",
}


def read_open(body: bytes) -> dict[str, Any]:
    """Read the content of an OPEN message.

    Returns
    -------
    dict
        ``version``, ``asn`` (of four bytes, if the capability states it), ``hold_time`` (seconds), ``router_id`` and
        ``capabilities`` (list of ``{code, value}``, the value in hexadecimal digits).

    Raises
    ------
    MalformedError
        The content does not fit the lengths.

    Examples
    --------
    >>> read_open(bytes.fromhex("04 5ba0 00b4 c0000201 08 02 06 41 04 00010000"))["asn"]
    65536
    """
    if len(body) < 10:
        raise MalformedError("OPEN is truncated")
    asn, hold_time = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    capabilities: list[dict[str, Any]] = []
    at, width = 10, 1
    end = at + body[9]
    if body[9] == _EXTENDED_LENGTH and body[10:11] == bytes((_EXTENDED_LENGTH,)):  # RFC 9072
        at, width = 13, 2
        end = at + int.from_bytes(body[11:13])
    if end > len(body):
        raise MalformedError("OPEN is truncated")
    while at < end:
        kind, length = body[at], int.from_bytes(body[at + 1 : at + 1 + width])
        at += 1 + width
        if at + length > end:
            raise MalformedError("OPEN is truncated")
        if kind == _CAPABILITIES:
            capabilities += _read_capabilities(body[at : at + length])
        at += length
    for capability in capabilities:
        if capability["code"] == _FOUR_OCTET_AS and len(capability["value"]) == 8:
            asn = int(capability["value"], 16)
    return {
        "version": body[0],
        "asn": asn,
        "hold_time": hold_time,
        "router_id": format_address(body[5:9]),
        "capabilities": capabilities,
    }


def _read_capabilities(value: bytes) -> list[dict[str, Any]]:
    capabilities = []
    at = 0
    while at < len(value):
        after = at + 2 + (value[at + 1] if at + 1 < len(value) else len(value))
        if after > len(value):
            raise MalformedError("OPEN is truncated")
        capabilities.append({"code": value[at], "value": value[at + 2 : after].hex()})
        at = after
    return capabilities


def read_notification(body: bytes) -> dict[str, Any]:
    r"""Read the content of a NOTIFICATION message.

    Returns
    -------
    dict
        ``code``, ``subcode``, ``error`` (their names), ``data`` in hexadecimal digits, and the ``communication`` of a shutdown
        (RFC 9003) if there is one.

    Raises
    ------
    MalformedError
        The content is shorter than its two codes.

    Examples
    --------
    >>> read_notification(b"\x06\x02\x03bye")
    {'code': 6, 'subcode': 2, 'error': 'Cease: Administrative Shutdown', 'data': '03627965', 'communication': 'bye'}
    """
    if len(body) < 2:
        raise MalformedError("NOTIFICATION is truncated")
    code, subcode, data = body[0], body[1], body[2:]
    error = _ERRORS.get(code, f"error {code}")
    if code == _CEASE and subcode in _CEASE_REASONS:
        error = f"{error}: {_CEASE_REASONS[subcode]}"
    fields = {"code": code, "subcode": subcode, "error": error, "data": data[:_MAX_DATA_BYTES].hex()}
    if code == _CEASE and subcode in (_SHUTDOWN, _RESET) and data and 0 < data[0] < len(data):
        fields["communication"] = data[1 : 1 + data[0]].decode("utf-8", "replace")
    return fields
