"""Ground truth and frames agree, for each kind of incident."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest

from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Incident, Scenario

START, SINCE, UNTIL = 1_788_220_800.0, 1_788_220_800.0 + 300.0, 1_788_220_800.0 + 900.0


class Run:
    """All UPDATEs of a short scenario with one incident from minute 5 to 15, and the truth about it."""

    def __init__(self, kind: str, **fields: object) -> None:
        incident = Incident(kind, at_s=300.0, duration_s=600.0, **fields)  # type: ignore[arg-type]
        simulation = Simulation(Scenario(duration_s=1_200.0, prefixes=400, peers=6, rate=200.0, incidents=(incident,)))
        self.calm = Scenario(duration_s=1_200.0, prefixes=400, peers=6, rate=200.0)
        frames = [msgspec.json.decode(frame.text)["data"] for frame in simulation.frames()]
        self.updates = [one for one in frames if one["type"] == "UPDATE"]
        (self.truth,) = simulation.truth().incidents

    def announcing(self, prefixes: Iterable[str]) -> list[dict]:
        wanted = set(prefixes)
        return [u for u in self.updates for g in u["announcements"] if wanted & set(g["prefixes"])]


@pytest.mark.parametrize("kind", ["worm", "leak", "hijack", "subprefix", "outage", "silence", "flapping"])
def test_truth_names_the_span_and_who_sees_it(kind: str):
    truth = Run(kind).truth

    assert (truth.kind, truth.start, truth.end) == (kind, SINCE, UNTIL)
    assert truth.collectors
    assert truth.peers


def test_a_hijacked_prefix_has_the_wrong_origin_within_the_span_and_never_outside():
    run = Run("hijack", prefixes=12)
    culprit = run.truth.origins.culprit

    wrong = [u for u in run.announcing(run.truth.prefixes) if u["path"][-1] == culprit]

    assert {p for u in wrong for g in u["announcements"] for p in g["prefixes"]} == set(run.truth.prefixes)
    assert all(SINCE <= u["timestamp"] < UNTIL for u in wrong)
    assert {u["peer"] for u in wrong} == set(run.truth.peers)
    assert culprit not in {u["path"][-1] for u in run.updates if u["path"] and u not in wrong}
    right = [u for u in run.announcing(run.truth.prefixes) if u["timestamp"] >= UNTIL]
    assert {u["path"][-1] for u in right} >= set(run.truth.origins.victims)


def test_a_sub_prefix_exists_only_while_it_is_hijacked():
    run = Run("subprefix", prefixes=12)
    names = set(run.truth.prefixes)

    seen = run.announcing(list(names))

    assert {p for u in seen for g in u["announcements"] for p in g["prefixes"]} == names
    assert all(SINCE <= u["timestamp"] < UNTIL and u["path"][-1] == run.truth.origins.culprit for u in seen)
    gone = [u["timestamp"] for u in run.updates if names & set(u["withdrawals"])]
    assert min(gone) >= UNTIL
    assert run.truth.origins.victims


def test_a_leak_leads_many_prefixes_over_the_leaker_on_longer_paths():
    run = Run("leak", share=0.5)
    culprit = run.truth.origins.culprit
    inside = [u for u in run.announcing(run.truth.prefixes) if SINCE <= u["timestamp"] < UNTIL]

    leaked = [u for u in inside if culprit in u["path"][1:-1]]
    calm = [u for u in run.updates if u["path"] and u["timestamp"] < SINCE]

    assert len(run.truth.prefixes) > 80
    assert len(leaked) > 0.6 * len(inside)
    assert {p for u in leaked for g in u["announcements"] for p in g["prefixes"]} == set(run.truth.prefixes)
    assert _mean_length(leaked) > _mean_length(calm) + 1.0
    assert all(len(set(u["path"])) == _unique(u["path"]) for u in leaked)  # a router drops paths with loops


def test_an_outage_withdraws_all_its_prefixes_and_brings_them_back():
    run = Run("outage", prefixes=30)
    names = set(run.truth.prefixes)

    gone = [u for u in run.updates if names & set(u["withdrawals"]) and SINCE <= u["timestamp"] < UNTIL]
    back = [u for u in run.announcing(list(names)) if u["timestamp"] >= UNTIL]
    while_out = [u for u in run.announcing(list(names)) if SINCE + 200 < u["timestamp"] < UNTIL]

    assert {p for u in gone for p in u["withdrawals"]} >= {p for p in names if ":" not in p}
    assert {p for u in back for g in u["announcements"] for p in g["prefixes"]} == names
    assert not while_out


def test_a_silent_collector_sends_nothing_and_the_others_go_on():
    run = Run("silence", collector="rrc01")
    inside = Counter(u["host"] for u in run.updates if SINCE <= u["timestamp"] < UNTIL)

    assert run.truth.collectors == ("rrc01",)
    assert inside["rrc01.ripe.net"] == 0
    assert inside["rrc00.ripe.net"] > 100
    assert any(u["host"] == "rrc01.ripe.net" for u in run.updates if u["timestamp"] >= UNTIL)


def test_a_worm_multiplies_the_volume_and_withdraws_much():
    run = Run("worm", level=12.0)
    inside = [u for u in run.updates if SINCE <= u["timestamp"] < UNTIL]
    before = [u for u in run.updates if u["timestamp"] < SINCE]
    peak = Counter(int(u["timestamp"] // 60) for u in inside).most_common(1)[0][1]

    assert peak > 5 * len(before) / 5
    assert sum(len(u["withdrawals"]) for u in inside) > 10 * sum(len(u["withdrawals"]) for u in before)
    assert max(len(u["path"]) for u in inside) >= max(len(u["path"]) for u in before)


def test_a_flapping_prefix_goes_and_comes_at_its_rate():
    run = Run("flapping", prefixes=1, level=4.0)
    (peer, *_), (prefix, *_) = run.truth.peers, run.truth.prefixes

    gone = [u for u in run.updates if u["peer"] == peer and prefix in u["withdrawals"]]
    inside = [u for u in gone if SINCE <= u["timestamp"] < UNTIL]

    assert 25 <= len(inside) <= 45  # 4 a minute for 10 minutes, less what falls over a minute's edge
    assert len(gone) - len(inside) <= 5


def test_waves_have_the_same_victims_and_culprit_and_leave_quiet_between_them():
    leak = Incident("leak", at_s=300.0, duration_s=1_500.0, share=0.5, every_s=600.0, wave_s=240.0)
    simulation = Simulation(Scenario(duration_s=2_400.0, prefixes=400, peers=6, rate=200.0, incidents=(leak,)))
    updates = [msgspec.json.decode(frame.text)["data"] for frame in simulation.frames()]
    truths = simulation.truth().incidents
    culprit = truths[0].origins.culprit

    leaked = [u["timestamp"] for u in updates if culprit in u.get("path", [])[1:-1]]
    by_wave = [sum(one.start <= at < one.end for at in leaked) for one in truths]

    assert [(one.wave, one.start - SINCE, one.end - SINCE) for one in truths] == [
        (1, 0.0, 240.0), (2, 600.0, 840.0), (3, 1200.0, 1440.0)
    ]  # fmt: skip
    assert all(one.prefixes == truths[0].prefixes for one in truths)
    assert min(by_wave) > 500
    assert len(leaked) - sum(by_wave) < 0.05 * sum(by_wave)  # the leaker carries a little traffic of its own


def test_incidents_days_apart_may_concern_the_same_prefixes_and_those_near_each_other_never_do():
    day = 86_400.0
    leaks = tuple(Incident("leak", at_s=at, duration_s=600.0, share=0.9) for at in (0.0, day, 8 * day))
    truth = Simulation(Scenario(duration_s=9 * day, prefixes=400, peers=6, incidents=leaks)).truth().incidents
    first, near, far = (set(one.prefixes) for one in truth)

    assert not first & near
    assert len(first & far) > 0.3 * len(first)


def test_ordinary_churn_is_the_same_with_and_without_an_incident_before_it_begins():
    with_incident = [u["id"] for u in Run("worm").updates if u["timestamp"] < SINCE]
    calm = [
        msgspec.json.decode(frame.text)["data"]
        for frame in Simulation(Run("worm").calm).frames()
        if frame.timestamp < SINCE
    ]

    assert with_incident == [one["id"] for one in calm if one["type"] == "UPDATE"]


def _mean_length(updates: list[dict]) -> float:
    return sum(len(u["path"]) for u in updates) / len(updates)


def _unique(path: list[int]) -> int:
    return sum(1 for i, hop in enumerate(path) if not i or path[i - 1] != hop)
