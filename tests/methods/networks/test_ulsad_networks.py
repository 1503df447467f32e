"""ULSAD's networks and losses: the specification's counts and shapes, eqs. 2 to 8 by hand, gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from onlygood.methods.networks.ulsad import (  # noqa: E402
    VARIANTS,
    Branches,
    FeatureReconstruction,
    GlobalAutoencoder,
    attention,
    discrepancy,
)


def parameters(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def random_maps(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).double()


def small(**settings):
    torch.manual_seed(0)
    return Branches(64, 5, (8, 8), width=0.5, **settings)


def batch(n=2, seed=0):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8))
    return torch.from_numpy(rng.normal(2, 3, (n, 8, 8, 5)).astype(np.float32)), images


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_parameter_counts_of_the_released_networks(variant):
    with torch.device("meta"):
        assert parameters(FeatureReconstruction(384, VARIANTS[variant])) == 65_487_744
        assert parameters(GlobalAutoencoder(256, 384, (32, 32), VARIANTS["released"])) == 1_030_720


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_shapes_at_the_papers_sizes(variant):
    with torch.device("meta"):
        first, second = FeatureReconstruction(384, VARIANTS[variant])(torch.empty(2, 384, 32, 32))
        seen = GlobalAutoencoder(256, 384, (32, 32), VARIANTS[variant])(torch.empty(2, 3, 256, 256))
    assert first.shape == second.shape == seen.shape == (2, 384, 32, 32)


def test_sizes_inside_the_released_global_branch():
    network = GlobalAutoencoder(256, 384, (32, 32), VARIANTS["released"])
    assert network.resizes == [3, 8, 15, 31, 63]
    assert GlobalAutoencoder(256, 384, (32, 32), VARIANTS["paper"]).resizes == [31, 8, 16, 32, 64]
    sides = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    network.eval()(torch.zeros(1, 3, 256, 256))
    assert sides == [128, 64, 32, 16, 8, 1, 4, 9, 16, 32, 64, 32, 32]


@pytest.mark.parametrize("grid", [(8, 8), (4, 4), (6, 6), (20, 12)])
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_grid_and_small_sizes(variant, grid):
    network = Branches(64, 5, grid, variant=variant).eval()
    out = network(torch.zeros(2, *grid, 5), torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
    assert out.shape == (2, 2, *grid) and torch.isfinite(out).all()


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_only_the_released_reconstruction_cannot_be_negative(variant):
    torch.manual_seed(0)
    first, _ = FeatureReconstruction(5, VARIANTS[variant])(torch.randn(4, 5, 8, 8))
    assert (first.min() < 0) == (variant != "released")


def test_discrepancy_by_hand():
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    y = torch.tensor([4.0, 3.0]).view(1, 2, 1, 1)
    # squared differences 1 and 1; cosine 24/25
    assert discrepancy(x, y, 0.0, "sum").item() == pytest.approx(2)
    assert discrepancy(x, y, 0.0, "mean").item() == pytest.approx(1)
    assert discrepancy(x, y, 0.5, "mean").item() == pytest.approx(1 + 0.5 * (1 - 24 / 25))
    assert discrepancy(x, 2 * x, 1.0, "sum").item() == pytest.approx(25)
    assert discrepancy(x, -x, 1.0, "sum").item() == pytest.approx(100 + 2)


@given(st.integers(0, 2**32 - 1), st.floats(0, 2), st.sampled_from(["mean", "sum"]))
@settings(max_examples=25, deadline=None)
def test_discrepancy_agrees_with_numpy_and_is_symmetric(seed, weight, distance):
    x, y = random_maps(seed, 2, 4, 3, 2), random_maps(seed + 1, 2, 4, 3, 2)
    a, b = x.numpy(), y.numpy()
    norm = ((a - b) ** 2).sum(1) / (4 if distance == "mean" else 1)
    cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    assert np.allclose(discrepancy(x, y, weight, distance), norm + weight * (1 - cosine))
    assert torch.allclose(discrepancy(x, y, weight, distance), discrepancy(y, x, weight, distance))
    assert np.allclose(discrepancy(x, x, weight, distance), 0)


def test_attention_agrees_with_torch_and_with_the_equations():
    u, seen = random_maps(1, 2, 6, 4, 3), random_maps(2, 2, 6, 4, 3)
    z, asked = (m.flatten(2).transpose(1, 2) for m in (u, seen))
    reference = torch.nn.functional.scaled_dot_product_attention(asked, z, z)
    assert torch.allclose(attention(seen, u), reference.transpose(1, 2).reshape(u.shape))
    columns = u[0].flatten(1).numpy()
    queries = seen[0].flatten(1).numpy()
    weights = np.exp(columns.T @ queries / np.sqrt(6))
    weights /= weights.sum(axis=0, keepdims=True)  # equation 4: over p, for each q
    assert np.allclose(attention(seen, u)[0].flatten(1), columns @ weights)


def test_attention_of_a_constant_map_is_the_map_and_cross_with_itself_is_self():
    constant = torch.full((1, 4, 3, 3), 2.5)
    assert torch.allclose(attention(random_maps(0, 1, 4, 3, 3).float(), constant), constant)
    u = random_maps(3, 1, 4, 3, 3)
    assert torch.equal(attention(u.clone(), u), attention(u, u))
    assert not torch.allclose(attention(-u, u), attention(u, u))


@pytest.mark.parametrize("distance", ["mean", "sum"])
def test_gradients_of_the_losses_by_finite_differences(distance):
    x, y = random_maps(4, 1, 3, 2, 2).requires_grad_(), random_maps(5, 1, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: discrepancy(a, b, 0.5, distance).mean(), (x, y))
    assert torch.autograd.gradcheck(
        lambda a, b: discrepancy(attention(a, b), attention(b, b), 0.5, distance).mean(), (x, y)
    )


def test_gradient_of_the_whole_loss_by_finite_differences():
    patches, images = batch()
    network = small().double().eval()
    patches = patches.double()
    for name, weight in [*network.local.named_parameters()][:1] + [*network.overall.named_parameters()][-2:]:
        network.zero_grad()
        network.loss(patches, images).backward()
        place, step = tuple(s // 2 for s in weight.shape), 1e-5
        with torch.no_grad():
            weight[place] += step
            above = network.loss(patches, images)
            weight[place] -= 2 * step
            below = network.loss(patches, images)
            weight[place] += step
        assert weight.grad[place].item() == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-4), name


def test_gradients_stay_finite_where_a_vector_has_no_length():
    x = torch.zeros(1, 3, 2, 2, requires_grad=True)
    discrepancy(x, torch.ones(1, 3, 2, 2), 0.5).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_third_term_trains_both_branches():
    network = small()
    network.discrepancies(*batch())["local-global"].mean().backward()
    assert any(p.grad.abs().sum() > 0 for p in network.overall.parameters())
    assert any(p.grad.abs().sum() > 0 for p in network.local.parameters())


def test_the_loss_is_the_sum_of_the_three_and_finite_with_two_images():
    network = small()
    terms = network.discrepancies(*batch())
    assert list(terms) == ["local", "consistency", "local-global"]
    assert all(term.shape == (2, 8, 8) for term in terms.values())
    torch.manual_seed(0)
    assert torch.allclose(network.loss(*batch()), sum(term.mean() for term in terms.values()))
    assert torch.isfinite(network.loss(*batch()))


@pytest.mark.parametrize(
    ("switches", "terms", "maps"),
    [
        ({"consistency": "none"}, ["local"], 1),
        ({"consistency": "plain", "local_global": False}, ["local", "consistency"], 2),
        ({"consistency": "attention", "local_global": False}, ["local", "consistency"], 2),
        ({"consistency": "plain"}, ["local", "consistency", "local-global"], 2),
        ({}, ["local", "consistency", "local-global"], 2),
    ],
)
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_every_row_of_table_3(switches, terms, maps, weight):
    network = small(lambda_local=weight, lambda_global=weight, **switches).eval()
    patches, images = batch()
    found = network.discrepancies(patches, images)
    assert list(found) == terms
    out = network(patches, images)
    assert out.shape == (2, maps, 8, 8)
    assert torch.equal(out[:, 0], found["local"]) and torch.equal(out[:, -1], found[terms[-1]])
    u = network.standardised(patches)
    seen = network.overall and network.overall((images.permute(0, 3, 1, 2) - network.image_mean) * network.image_scale)
    if switches.get("consistency") == "plain":
        assert torch.allclose(found["consistency"], discrepancy(seen, u, weight), atol=1e-5)
    elif seen is not None:
        expected = discrepancy(attention(seen, u), attention(u, u), weight)
        assert torch.allclose(found["consistency"], expected, atol=1e-5)


def test_standardising():
    network = small()
    rng = np.random.default_rng(0)
    patches = torch.from_numpy(rng.normal(7, 3, (50, 8, 8, 5)).astype(np.float32))
    patches[..., 2] = 4.0  # a channel that never varies
    flat = patches.double().reshape(-1, 5)
    network.standardise_by(flat.mean(0).float(), flat.var(0, unbiased=False).float())
    u = network.standardised(patches)
    assert torch.allclose(u.mean((0, 2, 3)), torch.zeros(5), atol=1e-4)
    assert torch.allclose(u[:, [0, 1, 3, 4]].std((0, 2, 3)), torch.ones(4), atol=1e-3)
    assert torch.equal(u[:, 2], torch.zeros(50, 8, 8))


def test_images_are_normalised_with_imagenets_statistics():
    network = small(consistency="plain").eval()
    seen = []
    network.overall.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    network(batch()[0][:1], torch.tensor([255, 0, 128], dtype=torch.uint8).expand(1, 64, 64, 3))
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (128 / 255 - 0.406) / 0.225]
    assert np.allclose(seen[0][0, :, 5, 9], expected, atol=1e-5)
