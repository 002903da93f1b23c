"""Arbitrary lines for the frame decoder, which must not raise, hang or grow."""

import json
import sys

import atheris

with atheris.instrument_imports(include=["bgpdrift", "json"]):
    from bgpdrift.bgp.frame_fields import frame_fields
    from bgpdrift.bgp.ris_frames import FrameDecoder

SEEDS = [
    b'{"type":"ris_message","data":{"timestamp":1.5,"peer":"192.0.2.1","peer_asn":"1","host":"rrc00","type":"UPDATE",'
    b'"path":[1,[2,3]],"med":1,"announcements":[{"next_hop":"::1,fe80::1","prefixes":["10.0.0.0/8","eor"]}]}}',
    b'{"type":"bgpdrift_feed","data":{"event":"dropped","from":1.0,"to":null,"frames":3,"reason":""}}',
]


def test_one_input(raw: bytes) -> None:
    decoder = FrameDecoder()
    lines = raw.split(b"\n")
    list(decoder.decode_many(lines))
    for line in lines:
        json.dumps(frame_fields(*decoder.decode_full(line)), allow_nan=False)


if __name__ == "__main__":
    for seed in SEEDS:
        test_one_input(seed)
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
