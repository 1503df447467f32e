"""SimpleNet as a detector: its parameter sets, its training against one written out by hand, its seeds."""

from __future__ import annotations

import numpy as np
import pytest

import onlygood
from onlygood.errors import ParameterError
from onlygood.images import as_sources
from onlygood.methods.anomaly_map import image_score

torch = pytest.importorskip("torch")


def net(**parameters):
    return onlygood.SimpleNet(**{"size": 64, "epochs": 10, "updates": 1, "hidden": 64, "threads": 1, **parameters})


def features_of(detector, images):
    return np.stack([detector.graph_.features(source)[0] for source in as_sources(images)])


def test_parameter_sets():
    paper = onlygood.SimpleNet.from_preset("paper")
    released = onlygood.SimpleNet.from_preset("released")
    both = {
        "noise": 0.015, "noise_unit": "absolute", "margin": 0.5, "epochs": 160, "patches": 1.0, "adaptor": "linear",
        "hidden": 1024, "adaptor_rate": 1e-4, "discriminator_rate": 2e-4, "discriminator_decay": 1e-5,
        "image_score": "max", "map_sigma": 4.0, "loss": "truncated_l1",
    }  # fmt: skip
    for detector in (paper, released):
        assert {name: detector.get_params()[name] for name in both} == both
    own = ("size", "batch", "aggregator", "adaptor_bias", "adaptor_optimiser", "adaptor_decay")
    assert [paper.get_params()[name] for name in own] == [224, 4, "concat", False, "adam", 1e-5]
    assert [released.get_params()[name] for name in own] == [288, 8, "adaptive_wide", True, "adamw", 0.01]


@pytest.mark.parametrize("choice", [{"adaptor": "complex"}, {"adaptor": "none"}, {"loss": "cross_entropy"}])
def test_every_variant_fits(good, choice):
    assert np.isfinite(net(epochs=1, **choice).fit(good[:3]).score(good[:2])).all()


def test_a_small_folder_gets_more_passes(good):
    notes = [net(epochs=5, updates=7, batch=batch).fit(good).training_.notes["trained"] for batch in (8, 2)]
    assert notes[0].startswith("7 of 7 epochs") and notes[1].startswith("5 of 5 epochs")


def test_another_choice_of_layers(good):
    detector = net(layers=["blocks.4"], epochs=1).fit(good[:3])
    assert detector.graph_.spec.layers == ("blocks.4",) and detector.graph_.spec.dim == 40
    assert np.isfinite(detector.score(good[:2])).all()


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_training_against_one_written_out(good, preset):
    """Algorithm 1, step by step, with torch's own layers and optimisers."""
    detector = onlygood.SimpleNet.from_preset(preset, size=64, epochs=3, batch=2, hidden=32, threads=1, seed=5)
    detector.fit(good)
    learned = [image for i, image in enumerate(good) if i not in detector.held_out_]
    features = torch.from_numpy(features_of(detector, learned))
    n, dim = len(features), features.shape[-1]
    assert dim == 152  # as many as the maps have channels, in either form
    order, noise = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    bias = preset == "released"
    adaptor = torch.nn.Linear(dim, dim, bias=bias)
    first, norm = torch.nn.Linear(dim, 32), torch.nn.BatchNorm1d(32)
    leaky, last = torch.nn.LeakyReLU(0.2), torch.nn.Linear(32, 1, bias=False)
    for layer in (adaptor, first, last):
        torch.nn.init.xavier_normal_(layer.weight)
    judge = torch.nn.Sequential(first, norm, leaky, last)
    if preset == "released":
        of_adaptor = torch.optim.AdamW(adaptor.parameters(), lr=1e-4, weight_decay=0.01)
    else:
        of_adaptor = torch.optim.Adam(adaptor.parameters(), lr=1e-4, weight_decay=1e-5)
    of_judge = torch.optim.Adam(judge.parameters(), lr=2e-4, weight_decay=1e-5)
    for _ in range(3):
        for images in torch.randperm(n, generator=order).split(2):
            q = adaptor(features[images].reshape(-1, dim))
            fake = q + 0.015 * torch.randn(q.shape, generator=noise)
            both = judge(torch.cat([q, fake]))[:, 0]
            loss = (0.5 - both[: len(q)]).clamp(min=0).mean() + (0.5 + both[len(q) :]).clamp(min=0).mean()
            of_adaptor.zero_grad()
            of_judge.zero_grad()
            loss.backward()
            of_adaptor.step()
            of_judge.step()
    judge.eval()
    with torch.no_grad():
        test = torch.from_numpy(features_of(detector, good))
        expected = [float(-judge(adaptor(one.reshape(-1, dim))).min()) for one in test]
    found = [image_score(detector._patch_scores(one), "max") for one in test.numpy()]
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_noise_in_units_of_the_features(good):
    detector = net(noise=0.5, epochs=1).fit(good)
    learned = [image for i, image in enumerate(good) if i not in detector.held_out_]
    features = features_of(detector, learned)
    expected = 0.5 * features.reshape(-1, features.shape[-1]).std(axis=0).mean()
    assert detector.training_.notes["noise"] == pytest.approx(expected, rel=1e-4)


def test_seeds(good, bad):
    assert np.array_equal(net(seed=1).fit(good).score(bad), net(seed=1).fit(good).score(bad))
    assert not np.array_equal(net(seed=1).fit(good).score(bad), net(seed=2).fit(good).score(bad))


def test_fitting_leaves_torch_as_it_was(good):
    net(epochs=1).fit(good)  # reads the backbone, which is kept
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    net(epochs=1).fit(good)
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "parameter",
    [
        {"adaptor": "deep"},
        {"noise": 0},
        {"noise_unit": "pixels"},
        {"hidden": 0},
        {"loss": "l2"},
        {"margin": -0.5},
        {"epochs": 0},
        {"updates": 0},
        {"batch": 1.5},
        {"patches": 0},
        {"patches": 1.5},
        {"adaptor_rate": -1},
        {"adaptor_optimiser": "sgd"},
        {"adaptor_decay": -1},
        {"discriminator_rate": float("nan")},
        {"discriminator_decay": float("inf")},
    ],
)
def test_bad_parameters(good, parameter):
    with pytest.raises(ParameterError, match=next(iter(parameter))):
        net(**parameter).fit(good)
