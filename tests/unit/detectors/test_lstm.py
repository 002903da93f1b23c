"""The network in numpy: equal to torch, sensitive to anomalies, and safe against damaged weights."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from bgpdrift.detectors.interface import ModelContent, WindowFrame
from bgpdrift.detectors.lstm import DECODED_STEPS, LEAD_MIN, Lstm, clip, fill_missing, steps_before
from bgpdrift.errors import ArtifactError, InputError, NotEnoughDataError
from retrainers.fit_lstm import Autoencoder, fit


@pytest.fixture(scope="module")
def content(windows: ModuleType) -> ModelContent:
    return fit([windows.calm(2_880)], seed=1)


@pytest.fixture(scope="module")
def detector(content: ModelContent) -> Lstm:
    return Lstm.from_content(content)


@pytest.fixture(scope="module")
def calm_high(detector: Lstm, windows: ModuleType) -> float:
    """The score that a calm day exceeds once in a hundred minutes."""
    return float(np.quantile(detector.score(windows.calm(1_740, seed=2, first=300)).score, 0.99))


def _network(content: ModelContent) -> Autoencoder:
    arrays = {name: torch.from_numpy(array).double() for name, array in content.arrays.items()}
    hidden, latent = arrays["latent.weight"].shape
    network = Autoencoder(len(arrays["out.bias"]), hidden, latent).double()
    state = {}
    for layer in ("encoder", "decoder"):
        state[f"{layer}.weight_ih_l0"], state[f"{layer}.weight_hh_l0"] = (
            arrays[f"{layer}.input"].T,
            arrays[f"{layer}.hidden"].T,
        )
        state[f"{layer}.bias_ih_l0"] = arrays[f"{layer}.bias"]
        state[f"{layer}.bias_hh_l0"] = torch.zeros_like(arrays[f"{layer}.bias"])
    for layer in ("latent", "out"):
        state[f"{layer}.weight"], state[f"{layer}.bias"] = arrays[f"{layer}.weight"].T, arrays[f"{layer}.bias"]
    network.load_state_dict(state)
    return network


def test_the_reconstruction_equals_torch(content: ModelContent, detector: Lstm, windows: ModuleType) -> None:
    frame = windows.calm(1_200, first=600)
    prepared = detector.preparation.prepare(frame, lead=LEAD_MIN)
    assert prepared is not None
    z, known = fill_missing(prepared)
    wild = np.random.default_rng(4).normal(0.0, 5.0, z.shape)
    for values in (z, wild):
        found = detector.reconstruct(values, known, prepared.row_of)
        read = steps_before(prepared.row_of)
        with torch.no_grad():
            decoded, latent = _network(content)(torch.from_numpy(clip(values)[read]))
        newest = read[:, ::-1][:, :DECODED_STEPS]
        expected = (values[newest] - decoded.numpy()) * known[newest]
        np.testing.assert_allclose(found.error, expected, atol=1e-6)
        np.testing.assert_allclose(found.latent, latent.numpy(), atol=1e-6)


def test_equal_seeds_give_equal_weights_and_leave_torch_as_it_was(content: ModelContent, windows: ModuleType) -> None:
    torch.manual_seed(7)
    before = torch.get_num_threads(), torch.random.get_rng_state()
    again = fit([windows.calm(2_880)], seed=1)
    for name, array in content.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_each_window_has_its_latent_vector(detector: Lstm, windows: ModuleType) -> None:
    scores = detector.score(windows.calm(700, first=600))
    assert scores.embedding is not None
    assert scores.embedding.shape[0] == 100
    assert 0.0 < np.abs(scores.embedding).max() <= 1.0


def _silence(frame: WindowFrame, at: slice) -> None:
    for values in frame.features.values():
        values[at] = 0.0


def _half_the_peers(frame: WindowFrame, at: slice) -> None:
    for name in ("peers", "messages", "announced", "withdrawn", "duplicate", "implicit_withdrawal", "path_length_sum"):
        frame.features[name][at] *= 0.3


def _storm(frame: WindowFrame, at: slice) -> None:
    for name in ("announced", "messages", "implicit_withdrawal", "path_length_sum"):
        frame.features[name][at] *= 8.0


def _other_mix(frame: WindowFrame, at: slice) -> None:
    """The same volume, with duplicates in place of path changes."""
    moved = np.round(0.8 * frame.features["implicit_withdrawal"][at])
    frame.features["implicit_withdrawal"][at] -= moved
    frame.features["duplicate"][at] += moved


def _longer_paths(frame: WindowFrame, at: slice) -> None:
    frame.features["path_length_sum"][at] *= 1.2


@pytest.mark.parametrize("kind", [_silence, _half_the_peers, _storm, _other_mix, _longer_paths])
def test_more_traffic_less_traffic_and_another_mix_have_high_scores(detector, windows, calm_high, kind) -> None:
    frame = windows.calm(900, first=600)
    kind(frame, slice(700, 800))
    assert detector.score(frame).score[130:195].min() > calm_high


@pytest.mark.parametrize("name", ["withdrawn", "origin_change", "bogon"])
def test_an_anomaly_of_one_signal_among_many_has_a_high_score(detector, windows, calm_high, name) -> None:
    frame = windows.calm(900, first=600)
    frame.features[name][700:800] = 10.0 * frame.features[name][700:800] + 10.0
    assert detector.score(frame).score[130:195].min() > calm_high


def test_a_larger_storm_scores_higher_without_a_bound(detector, windows) -> None:
    found = []
    for times in (1, 4, 16, 64, 256, 4_096):
        frame = windows.calm(700, first=690)
        frame.features["announced"][640:] *= times
        found.append(float(detector.score(frame).score[-1]))
    assert found == sorted(found)
    assert found[-1] > 1.3 * found[-2]


def test_a_quiet_weekend_is_no_silence(detector, windows) -> None:
    """A model trained on two days must not report a day with 70 % of the traffic as an incident."""
    quiet, silent = (windows.calm(2_000, level=level, seed=3, first=500) for level in (140.0, 10.0))
    full = windows.calm(2_000, seed=3, first=500)
    found = [float(np.median(detector.score(frame).score)) for frame in (full, quiet, silent)]
    assert found[1] - found[0] < 0.1 * (found[2] - found[0])


def test_an_alarm_names_the_reconstructed_and_the_present_value(detector, windows) -> None:
    frame = windows.calm(900, first=600)
    _longer_paths(frame, slice(700, 800))
    top = detector.score(frame).top_features[150]
    assert {"path_length"} == {entry["feature"] for entry in top[:1]}
    assert 4.2 < top[0]["baseline"] < 4.8
    assert 5.1 < top[0]["present"] < 5.7
    assert sum(entry["weight"] for entry in top) <= 1.001


def test_a_gap_in_the_feed_is_no_anomaly_and_too_little_after_it_is_warming(detector, windows, calm_high) -> None:
    frame = windows.calm(900, first=600)
    _silence(frame, slice(650, 720))
    frame.quality["feed_gap"][650:720] = 1
    scores = detector.score(frame)
    assert set(scores.abstained[50:120]) == {"feed_gap"}
    assert set(scores.abstained[120:140]) == {"warming"}
    assert scores.abstained[-1] == ""
    assert scores.score[160:].max() < 1.5 * calm_high


def test_a_collector_that_was_not_trained_on_is_named_as_such(detector, windows) -> None:
    scores = detector.score(replace(windows.calm(400, first=300), collector="rrc99"))
    assert set(scores.abstained) == {"unknown_collector"}


def test_a_model_of_some_columns_runs_on_those_and_refuses_fewer(content, detector, windows) -> None:
    frame = windows.calm(500, first=400)
    features = {name: frame.features[name] for name in content.feature_names}
    few = replace(frame, features=features)
    assert set(detector.score(few).abstained) == {""}
    del features["withdrawn"]
    with pytest.raises(InputError, match="without withdrawn"):
        detector.score(few)


def test_too_few_clean_windows_are_named(windows) -> None:
    with pytest.raises(NotEnoughDataError, match="clean windows"):
        fit([windows.calm(100)])


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("encoder.input", lambda array: array[:-1], "encoder.input: expected float"),
        ("encoder.hidden", lambda array: array[:, :-1], "encoder.hidden: expected float"),
        ("encoder.hidden", lambda array: array[:0], "found 0, "),
        ("encoder.bias", lambda array: array.astype(np.int64), "float"),
        ("latent.weight", lambda array: array.T, "latent.weight: expected float"),
        ("latent.bias", lambda array: np.zeros(1_000, np.float32), "1 to 512"),
        ("decoder.input", lambda array: array * np.nan, "NaN"),
        ("out.weight", lambda array: array * np.inf, "NaN or an infinity"),
        ("out.bias", lambda array: array[None], "out.bias: expected float"),
        ("decoder.hidden", lambda array: np.float32(1.0), "has no size"),
        ("prepare.spread", lambda array: array * 0.0, "above 0"),
    ],
)
def test_weights_of_wrong_shapes_are_refused(content: ModelContent, name: str, damage, reason: str) -> None:
    arrays = {**content.arrays, name: damage(content.arrays[name])}
    with np.errstate(invalid="ignore"), pytest.raises(ArtifactError, match=reason):
        Lstm.from_content(replace(content, arrays=arrays))


def test_missing_arrays_are_named(content: ModelContent) -> None:
    for name in ("out.bias", "encoder.hidden"):
        arrays = {key: array for key, array in content.arrays.items() if key != name}
        with pytest.raises(ArtifactError, match=name):
            Lstm.from_content(replace(content, arrays=arrays))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("signals", ["no_such"], "unknown signals no_such"),
        ("steps", 13, "steps: expected 12, found 13"),
        ("stride_min", None, "stride_min"),
        ("explain_above", None, "hyper-parameter"),
    ],
)
def test_parameters_of_another_program_are_refused(content: ModelContent, key: str, value, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason):
        Lstm.from_content(replace(content, hyper_parameters={**content.hyper_parameters, key: value}))
