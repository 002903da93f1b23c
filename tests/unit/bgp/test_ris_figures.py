"""The figures of a feed that invents names."""

from bgpdrift.bgp.ris_figures import COLLECTOR_EXPIRE_S, MAX_COLLECTORS, MAX_OTHER_TYPES, FeedFigures


def test_the_collectors_of_the_settings_are_listed_among_invented_ones_and_the_rest_is_counted() -> None:
    figures = FeedFigures("ws://x", connected=True, named=frozenset({"rrc00"}))
    for number in range(2 * MAX_COLLECTORS):
        figures.note_collector(f"invented{number}", 1.0)
    figures.note_collector("rrc00.ripe.net", 2.0)
    figures.note_collector("rrc01", 2.0)

    assert "rrc00" in figures.collectors
    assert "rrc01" not in figures.collectors
    assert len(figures.collectors) == MAX_COLLECTORS + 1
    assert figures.as_fields(0.0, 3.0)["unlisted"] == MAX_COLLECTORS + 1
    assert f"more than {MAX_COLLECTORS} collectors" in figures.summary("streaming", 0.0, 3.0, 0.0, 86_400.0)


def test_a_collector_takes_the_place_of_one_that_is_silent_for_an_hour() -> None:
    figures = FeedFigures("ws://x")
    for number in range(MAX_COLLECTORS):
        figures.note_collector(f"invented{number}", float(number))

    figures.note_collector("rrc00", COLLECTOR_EXPIRE_S)

    assert "rrc00" in figures.collectors
    assert "invented0" not in figures.collectors
    assert len(figures.collectors) == MAX_COLLECTORS


def test_invented_types_of_frames_are_counted_together() -> None:
    figures = FeedFigures("ws://x")
    for number in range(10_000):
        figures.note_other(f"type{number}")

    assert len(figures.others) == MAX_OTHER_TYPES + 1
    assert sum(figures.others.values()) == 10_000
