"""SimpleNet's networks against hand-made formulas, its losses against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onlygood.methods.networks.merging import merged  # noqa: E402
from onlygood.methods.networks.simplenet import (  # noqa: E402
    SimpleNetHead,
    cross_entropy,
    discriminator,
    feature_adaptor,
    truncated_l1,
)


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_the_papers_size():
    assert count(feature_adaptor("linear", 1536, bias=False)) == 2_359_296
    assert count(feature_adaptor("linear", 1536, bias=True)) == 2_359_296 + 1_536
    assert count(feature_adaptor("complex", 1536, bias=False)) == 2 * 2_359_296
    assert count(feature_adaptor("none", 1536, bias=True)) == 0
    assert count(discriminator(1536, 1024)) == 1_576_960


def test_no_adaptor_is_the_identity():
    x = torch.randn(5, 7)
    assert torch.equal(feature_adaptor("none", 7, bias=False)(x), x)


@pytest.mark.parametrize(
    ("true", "fake", "expected"),
    [
        ([0.5, 3.0], [-0.5, -9.0], 0.0),  # beyond the truncation nothing is left to gain
        ([0.0, 0.0], [0.0, 0.0], 1.0),
        ([0.2, 0.7], [-0.1, 1.0], (0.3 + 0.4 + 0 + 1.5) / 2),
    ],
)
def test_truncated_l1(true, fake, expected):
    assert float(truncated_l1(torch.tensor(true), torch.tensor(fake))) == pytest.approx(expected)


def test_the_truncation_moves_with_its_margin():
    assert float(truncated_l1(torch.tensor([1.0]), torch.tensor([-1.0]), margin=2.0)) == pytest.approx(2.0)


def test_cross_entropy_is_that_of_the_logistic_function():
    rng = np.random.default_rng(0)
    true, fake = rng.normal(size=20), rng.normal(size=20)
    s = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    expected = np.mean(-np.log(s(true)) - np.log(1 - s(fake)))
    assert float(cross_entropy(torch.tensor(true), torch.tensor(fake))) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [truncated_l1, cross_entropy])
def test_gradients_by_finite_differences(loss):
    rng = np.random.default_rng(1)
    true = torch.tensor(rng.normal(size=6), requires_grad=True)  # no value lies at a kink
    fake = torch.tensor(rng.normal(size=6), requires_grad=True)
    loss(true, fake).backward()
    step = 1e-6
    for values, gradient in ((true, true.grad), (fake, fake.grad)):
        for i in range(6):
            up, down = values.detach().clone(), values.detach().clone()
            up[i] += step
            down[i] -= step
            pair = [(up, fake), (down, fake)] if values is true else [(true, up), (true, down)]
            slope = float(loss(*pair[0]).detach() - loss(*pair[1]).detach()) / (2 * step)
            assert float(gradient[i]) == pytest.approx(slope, abs=1e-6)


def test_gradients_of_the_whole_head_by_finite_differences():
    torch.manual_seed(3)
    head = SimpleNetHead(4, "complex", bias=True, hidden=5).double().train()
    x = torch.randn(9, 4).double()

    def value() -> torch.Tensor:
        return cross_entropy(*head.normality(x, 0.3, torch.Generator().manual_seed(0)))  # the same noise each time

    value().backward()
    step = 1e-6
    for parameter in head.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), 3):
            before = float(flat[i])
            flat[i] = before + step
            up = float(value().detach())
            flat[i] = before - step
            down = float(value().detach())
            flat[i] = before
            assert float(gradient[i]) == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-7)


def test_fake_features_are_adapted_ones_with_noise_of_the_given_spread():
    torch.manual_seed(0)
    seen = []
    head = SimpleNetHead(6, "linear").eval()
    head.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(20_000, 6)
    with torch.no_grad():
        true, fake = head.normality(x, 0.25, torch.Generator().manual_seed(1))
        adapted = head.adaptor(x)
    assert true.shape == fake.shape == (20_000,)
    assert torch.equal(seen[0][:20_000], adapted)  # both in one batch, so that the normalisation sees the mixture
    noise = seen[0][20_000:] - adapted
    assert float(noise.mean()) == pytest.approx(0, abs=0.005)
    assert np.allclose(noise.std(dim=0), 0.25, atol=0.01)
    assert np.abs(np.corrcoef(noise.T.numpy()) - np.eye(6)).max() < 0.05


def test_scores_are_minus_the_normality():
    head = SimpleNetHead(8, hidden=16).eval()
    x = torch.randn(2, 3, 4, 8)
    with torch.no_grad():
        scores = head(x)
        by_hand = -head.discriminator(head.adaptor(x[1, 2, 3][None]))
    assert scores.shape == (2, 3, 4)
    assert float(scores[1, 2, 3]) == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize(("adaptor", "layers"), [("linear", 3), ("none", 3), ("complex", 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_exported_form_computes_the_same(adaptor, layers, bias):
    torch.manual_seed(0)
    head = SimpleNetHead(12, adaptor, bias, hidden=20).train()
    for _ in range(5):  # the batch normalisation has seen something
        head.normality(torch.randn(64, 12) * 3 + 1, 0.5, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(head.discriminator[1].weight)
    torch.nn.init.normal_(head.discriminator[1].bias)
    head.eval()
    x = torch.randn(2, 5, 5, 12) * 3 + 1
    exported = head.exported()
    with torch.no_grad():
        assert torch.allclose(exported(x), head(x), atol=1e-5)
    assert len(exported.normality) == layers  # neighbouring linear layers have become one


def test_merging_keeps_what_is_not_affine():
    relu = torch.nn.ReLU()
    found = merged([torch.nn.Linear(3, 3), relu, torch.nn.Linear(3, 2), torch.nn.Linear(2, 2, bias=False)])
    assert [type(layer) for layer in found] == [torch.nn.Linear, torch.nn.ReLU, torch.nn.Linear]
    assert found[1] is relu and found[2].weight.shape == (2, 3)
