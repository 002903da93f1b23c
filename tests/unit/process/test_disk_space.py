"""The level of the disk, without repeated alarms at a limit."""

import pytest

from bgpdrift.process.disk_space import DiskLevel, assess_disk, describe_disk, measure_free_bytes


def levels(*frees: int) -> list[str]:
    result, level = [], DiskLevel.PLENTY
    for free in frees:
        level = assess_disk(free, low=1000, reserve=300, before=level)
        result.append(str(level))
    return result


def test_a_level_begins_at_its_limit_and_ends_above_it():
    assert levels(1000, 999, 1050, 1101, 999) == ["plenty", "low", "low", "plenty", "low"]
    assert levels(299, 320, 331, 1050, 1101) == ["reserved", "reserved", "low", "low", "plenty"]


def test_limits_of_zero_disable_the_watch():
    assert assess_disk(0, low=0, reserve=0, before=DiskLevel.PLENTY) is DiskLevel.PLENTY


def test_a_reserve_above_the_low_limit_takes_precedence():
    assert assess_disk(50, low=10, reserve=100, before=DiskLevel.PLENTY) is DiskLevel.RESERVED


def test_the_description_names_the_directory_and_the_consequence(tmp_path):
    assert "reserved for the database: logs and spool are dropped" in describe_disk(DiskLevel.RESERVED, 5, tmp_path)
    assert str(tmp_path) in describe_disk(DiskLevel.LOW, 5, tmp_path)


def test_free_space_is_measured_on_the_disk(tmp_path):
    assert measure_free_bytes(tmp_path) > 0
    with pytest.raises(FileNotFoundError):
        measure_free_bytes(tmp_path / "none")
