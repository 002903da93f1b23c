"""How the disk is, without alarming all night at a limit."""

import pytest

from supervisor.disk_watch import DiskLevel, disk_level, explain, free_bytes


def levels(*frees: int) -> list[str]:
    found, level = [], DiskLevel.PLENTY
    for free in frees:
        level = disk_level(free, low=1000, reserve=300, before=level)
        found.append(str(level))
    return found


def test_it_falls_at_the_limits_and_rises_above_them_only():
    assert levels(1000, 999, 1050, 1101, 999) == ["plenty", "low", "low", "plenty", "low"]
    assert levels(299, 320, 331, 1050, 1101) == ["reserved", "reserved", "low", "low", "plenty"]


def test_limits_of_nothing_watch_nothing():
    assert disk_level(0, low=0, reserve=0, before=DiskLevel.PLENTY) is DiskLevel.PLENTY


def test_a_reserve_above_the_low_limit_counts():
    assert disk_level(50, low=10, reserve=100, before=DiskLevel.PLENTY) is DiskLevel.RESERVED


def test_a_person_is_told_where_and_what_follows(tmp_path):
    assert "kept for the database: spool and logs give way" in explain(DiskLevel.RESERVED, 5, tmp_path)
    assert str(tmp_path) in explain(DiskLevel.LOW, 5, tmp_path)


def test_free_space_is_asked_of_the_disk(tmp_path):
    assert free_bytes(tmp_path) > 0
    with pytest.raises(FileNotFoundError):
        free_bytes(tmp_path / "none")
