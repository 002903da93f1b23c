"""A damaged MRT file: losses are counted with their offset, and everything else is read."""

import bz2
import gzip
import io
import struct
import tracemalloc

import pytest
import zstandard

from bgpdrift.bgp.mrt import Problems, read_mrt
from bgpdrift.bgp.mrt_framing import MAX_RECORD_BYTES


def read(data):
    problems = Problems()
    messages = list(read_mrt(io.BytesIO(data), "x", problems))
    return [m.announcements[0].prefixes[0] if m.announcements else m.type for m in messages], problems


@pytest.fixture
def records(mrt):
    return [mrt.announce(f"10.{number}.0.0/16", timestamp=1_000_000_000 + number) for number in range(20)]


def names(*numbers):
    return [f"10.{number}.0.0/16" for number in numbers]


def changed(record, offset, new):
    return record[:offset] + new + record[offset + len(new) :]


# Offsets inside a record of the builder: header 12, AS numbers 8, interface and family 4, addresses 8, marker 16.
LENGTH, BGP_LENGTH, BGP_TYPE, FAMILY, ATTRIBUTES_LENGTH, FIRST_ATTRIBUTE_LENGTH = 8, 48, 50, 22, 53, 57


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (BGP_LENGTH, b"\x00\x00", "BGP message length does not fit the record"),
        (BGP_TYPE, b"\x63", "BGP message of unknown type"),
        (FAMILY, b"\x00\x09", "peer address of unknown family"),
        (FAMILY, b"\x00\x02", "BGP message length does not fit the record"),
        (ATTRIBUTES_LENGTH, b"\xff\xff", "UPDATE is truncated"),
        (FIRST_ATTRIBUTE_LENGTH, b"\xff", "attribute is truncated"),
        (-3, b"\xff", "prefix is truncated"),
        (-3, b"\x21", "prefix is truncated"),
    ],
)
def test_an_invalid_record_is_counted_with_its_offset(records, offset, new, reason):
    at = offset % len(records[7])
    damaged = changed(records[7], at, new)
    found, problems = read(b"".join([*records[:7], damaged, *records[8:]]))
    assert found == names(*range(7), *range(8, 20))
    assert [problem.offset for problem in problems.first] == [sum(map(len, records[:7]))]
    assert problems.by_reason == {reason: 1}


@pytest.mark.parametrize("kept", [1, 20, 100])
@pytest.mark.parametrize("rest", [1, 2, 3])
def test_a_cut_update_gives_the_whole_prefixes_before_the_cut(mrt, records, kept, rest):
    texts = [f"10.{number}.0.0/16" for number in range(kept + 1)]
    whole = mrt.update(mrt.prefixes(*texts), mrt.path(64500) + mrt.attribute(3, mrt.address("192.0.2.1")))
    problems = Problems()
    data = mrt.bgp4mp(whole[:-rest]) + records[0]
    cut, following = read_mrt(io.BytesIO(data), "x", problems)
    assert (cut.path, cut.announcements[0].prefixes) == ((64500,), texts[:kept])
    assert following.announcements[0].prefixes == ["10.0.0.0/16"]
    assert problems.by_reason == {"UPDATE is cut; the whole prefixes before the cut are used": 1}


def test_an_update_cut_in_its_withdrawals_withdraws_the_whole_ones(mrt, records):
    whole = mrt.update(withdrawn=mrt.prefixes("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"))
    cut, _ = read_mrt(io.BytesIO(mrt.bgp4mp(whole[:-4]) + records[0]), "x", problems := Problems())
    assert cut.withdrawals == ["10.1.0.0/16", "10.2.0.0/16"]
    assert problems.total == 1


def test_prefixes_before_a_truncated_one_are_used(mrt, records):
    data = mrt.bgp4mp(mrt.update(b"\x0d\x0b\x0d" + b"\x0b", mrt.path(64500))) + records[0]
    found, problems = read(data)
    assert found == ["11.8.0.0/13", *names(0)]
    assert problems.by_reason == {"prefix is truncated": 1}


def test_a_prefix_longer_than_an_address_loses_only_its_record(mrt, records):
    bad = mrt.bgp4mp(mrt.update(b"\x21" + bytes(5)))
    found, problems = read(records[0] + bad + records[1])
    assert found == names(0, 1)
    assert problems.by_reason == {"prefix is longer than an address": 1}


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_FFFF, 1_000_000, 60_000, 0, 5, 100, 200])
def test_after_a_wrong_length_reading_continues_at_the_next_record(records, length):
    """At most one record is lost: if the length covers later records, the search starts after the header and finds them."""
    damaged = changed(records[7], LENGTH, struct.pack(">I", length))
    found, problems = read(b"".join([*records[:7], damaged, *records[8:]]))
    assert found[:7] == names(*range(7))
    assert set(names(*range(8, 20))) <= set(found)
    assert found == sorted(found, key=lambda name: int(name.split(".")[1]))
    assert len(found) == len(set(found))
    assert problems.total >= 1
    assert problems.first[0].offset in (sum(map(len, records[:7])), sum(map(len, records[:7])) + 12 + length)


@pytest.mark.parametrize("garbage", [b"\x00" * 1000, b"\xff" * 1000, b"not MRT " * 40_000, b"\x00\x10\x00\x04" * 999])
@pytest.mark.parametrize("where", [0, 7, 20])
def test_garbage_between_records_loses_no_record(records, garbage, where):
    found, problems = read(b"".join([*records[:where], garbage, *records[where:]]))
    assert found == names(*range(20))
    assert problems.total >= 1
    assert problems.first[0].offset == sum(map(len, records[:where]))


def test_a_file_truncated_anywhere_gives_all_complete_records(records):
    whole = b"".join(records[:4])
    for end in range(len(whole)):
        found, problems = read(whole[:end])
        assert found == names(*range(end // len(records[0])))
        assert problems.total == (end % len(records[0]) > 0)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zstandard.compress])
def test_a_truncated_or_damaged_compressed_file_never_raises(records, compress):
    packed = compress(b"".join(records) * 50)
    for end in range(5, len(packed), 7):
        found, _ = read(packed[:end])
        assert set(found) <= set(names(*range(20)))
        read(packed[:end] + b"\xa5" + packed[end + 1 :])


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zstandard.compress])
def test_all_records_are_used_before_a_wrong_checksum(records, compress):
    content = b"".join(records) * 50
    if compress is zstandard.compress:
        packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(content))
    else:
        packed = bytearray(compress(content))
    # The checksum: the last bytes of zstd, eight bytes before the end of gzip; that of bzip2 ends within the last byte.
    packed[-8 if compress is gzip.compress else -2] ^= 0xFF
    found, problems = read(bytes(packed))
    assert found == names(*range(20)) * 50
    assert problems.total == 1
    (reason,) = problems.by_reason
    assert reason.startswith("compressed data is damaged")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_a_truncated_compressed_file_is_reported(records, compress):
    _, problems = read(compress(b"".join(records))[:-9])
    assert any("truncated" in reason for reason in problems.by_reason)


def test_a_rib_entry_of_an_unknown_peer_is_counted(mrt, records):
    found, problems = read(mrt.peer_index(("192.0.2.1", 1)) + mrt.rib("10.9.0.0/16", [(5, mrt.path(1))]) + records[0])
    assert found == names(0)
    assert problems.by_reason == {"RIB entry of a peer that is not in the index": 1}


@pytest.mark.parametrize("subtype", [1, 2, 4, 8, 10])
@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 9])
def test_table_records_that_are_too_short_are_counted(mrt, subtype, size):
    _, problems = read(mrt.record(bytes(size), 13, subtype) + mrt.announce("10.0.0.0/16"))
    assert problems.total <= 1


@pytest.mark.parametrize(
    "bomb",
    [
        lambda size: gzip.compress(bytes(size)),
        lambda size: bz2.compress(bytes(size)),
        lambda size: zstandard.compress(bytes(size)),
        lambda size: struct.pack(">IHHI", 1, 13, 2, MAX_RECORD_BYTES) + bytes(100),
        lambda size: struct.pack(">IHHI", 1, 13, 2, 0xFFFF_FFFF) + bytes(1_000_000),
    ],
)
def test_memory_is_bounded_whatever_the_lengths_in_a_file(bomb):
    packed = bomb(60_000_000)
    tracemalloc.start()
    try:
        read(packed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * MAX_RECORD_BYTES


def test_only_the_first_problems_are_kept_and_all_are_counted(mrt):
    bad = mrt.bgp4mp(mrt.update(b"\x21" + bytes(5)))
    _, problems = read(bad * 3_000)
    assert (problems.total, len(problems.first)) == (3_000, 1_000)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "content",
    [
        # Headers everywhere, each with almost the largest length, which ends where no header is.
        struct.pack(">IHHI", 0x000D0002, 13, 2, MAX_RECORD_BYTES - 5) * 300_000 + b"\xff" * 20_000_000,
        struct.pack(">HH", 16, 4) * 1_000_000,
        struct.pack(">HHI", 16, 4, 60_000) * 1_000_000,
        struct.pack(">IHHI", 1, 16, 4, 0) * 500_000,
    ],
    ids=["largest records", "headers without end", "headers that swallow each other", "empty records"],
)
def test_hostile_framing_takes_time_in_proportion_to_its_size(records, content):
    found, problems = read(content + records[0])
    assert problems.total > 0
    assert len(found) <= 1
