"""Arbitrary archives for the MRT reader, which must not raise, hang or grow.

libFuzzer knows no MRT header, so every input is read twice: as it is, and as the content of a well-framed record whose
type and subtype are its first bytes.
"""

import io
import struct
import sys

import atheris

with atheris.instrument_imports(include=["bgpdrift"]):
    from bgpdrift.bgp.frame_fields import frame_fields
    from bgpdrift.bgp.mrt import Problems, read_mrt_in_full
    from bgpdrift.bgp.ris_salvage import Details

TYPES = (12, 13, 16, 17)


def read(raw: bytes) -> None:
    problems = Problems()
    for message, found in read_mrt_in_full(io.BytesIO(raw), "x", problems):
        frame_fields(message, Details(found.med, found.aggregator, list(found.communities)))
    assert len(problems.first) <= problems.total


def test_one_input(raw: bytes) -> None:
    read(raw)
    if len(raw) > 2:
        read(struct.pack(">IHHI", 1, TYPES[raw[0] % 4], raw[1] % 13, len(raw) - 2) + raw[2:])
        index = struct.pack(">IHHI", 1, 13, 1, 21) + bytes(4) + b"\0\0\0\1\2" + bytes(4) + b"\xc0\0\2\1" + bytes(4)
        read(index + struct.pack(">IHHI", 1, 13, raw[1] % 13, len(raw) - 2) + raw[2:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
