from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from onlygood.errors import DataError, ImageError, ModelFileError, ParameterError  # noqa: E402
from onlygood.features.architectures import Backbone  # noqa: E402
from onlygood.features.backbones import BackboneSpec, registry  # noqa: E402
from onlygood.features.weights import load_network, resolve  # noqa: E402
from onlygood.synthesis import KINDS, VARIANTS, DefectMaker, pretext  # noqa: E402
from onlygood.synthesis.pretext import FineTuning, Recipe, fine_tune, proxy_head, proxy_loss, recipe  # noqa: E402
from onlygood.synthesis.pretext_data import Batches  # noqa: E402

SPEC = BackboneSpec("toy", "none/toy/none", "toy", "MIT", ("first",), 8, mean=(10, 20, 30), std=(50, 60, 70))
TINY = Recipe(updates=8, warmup=3, passes=2, sources=2, period=9, size=32, saliency="whole")


class Toy(Backbone):
    last = "second"

    def __init__(self, norm: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16) if norm else nn.Identity(), nn.ReLU()
        )
        self.second.append(nn.Dropout(dropout))

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        yield "first", self.first
        yield "second", self.second


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks as small as these gain nothing from more, and lose much where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def toy(norm: bool = True, dropout: float = 0.0) -> Toy:
    torch.manual_seed(5)
    return Toy(norm, dropout).eval()


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    ramp = np.linspace(60, 160, 32)[:, None, None]
    return [(ramp + rng.normal(0, 4, (32, 32, 3))).clip(0, 255).astype(np.uint8) for _ in range(5)]


def same(left: nn.Module, right: nn.Module) -> bool:
    a, b = left.state_dict(), right.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def stop_at(update: int, error: type[BaseException]) -> Callable[[str, int, int], None]:
    def report(stage: str, done: int, total: int) -> None:
        if done == update:
            raise error

    return report


def test_bce_is_the_mean_over_images_and_classes_of_independent_clamped_sigmoids() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 4))
    logits[0, 0], logits[1, 2] = 40, -40  # beyond the clamp
    labels = np.array([1, 2, 0, 3, 3])
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        for c, z in enumerate(row):
            p = min(max(1 / (1 + np.exp(-z)), 1e-6), 1 - 1e-6)
            total -= np.log(p) if c == label else np.log(1 - p)
    got = proxy_loss(torch.from_numpy(logits), torch.from_numpy(labels), "bce")
    assert float(got) == pytest.approx(total / 20, rel=1e-9)


def test_cross_entropy_is_that_of_the_softmax() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (6, 7))
    labels = np.array([0, 6, 3, 2, 2, 5])
    expected = np.mean([-np.log(np.exp(row[c]) / np.exp(row).sum()) for row, c in zip(logits, labels, strict=True)])
    got = proxy_loss(torch.from_numpy(logits), torch.from_numpy(labels), "cross_entropy")
    assert float(got) == pytest.approx(expected, rel=1e-9)


def test_the_released_schedule() -> None:
    recipe = Recipe.RELEASED
    assert recipe.rate(1) == pytest.approx(0.03)
    assert recipe.rate(300) == pytest.approx(6e-4, rel=0.15)
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=0.03)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, 330, eta_min=1e-5)
    for update in range(1, 341):
        assert recipe.rate(update) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        scheduler.step()


def test_the_named_recipes_have_the_published_batches() -> None:
    assert (Recipe.RELEASED.batch, Recipe.RELEASED.updates, Recipe.RELEASED.warmup) == (1008, 300, 39)
    assert (Recipe.RELEASED.loss, Recipe.PAPER.loss) == ("bce", "cross_entropy")
    assert abs(Recipe.PAPER.batch - 1024) < 7
    assert Recipe.PAPER.updates == 300
    assert (recipe("released"), recipe("paper")) == (Recipe.RELEASED, Recipe.PAPER)
    with pytest.raises(ParameterError, match="slow"):
        recipe("slow")
    assert recipe("quick").updates * recipe("quick").batch < 5000


@pytest.mark.parametrize(
    "change",
    [{"updates": 0}, {"sources": 0}, {"learning_rate": 0.0}, {"warmup": -1}, {"momentum": float("nan")}],
)
def test_senseless_recipes_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(change))):
        replace(Recipe.RELEASED, **change)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="loss"):
        Recipe(loss="hinge")  # type: ignore[arg-type]


def test_a_batch_holds_every_source_in_all_versions_labelled_as_defectmaker_does(
    images: list[np.ndarray],
) -> None:
    maker = DefectMaker(images, saliency="whole")
    batches = Batches(maker, replace(TINY, sources=3), 0, 1)
    array, labels = next(batches)
    batches.close()
    assert array.shape == (21, 32, 32, 3)
    assert array.dtype == np.uint8
    assert labels.tolist() == [*range(7)] * 3
    assert maker.class_names == ("normal", *KINDS)
    for s in range(3):  # the versions of a source differ from it, and only in part
        changed = (array[7 * s : 7 * s + 7] != array[7 * s]).any(axis=3).mean(axis=(1, 2))
        assert changed[0] == 0
        assert ((changed[1:] > 0) & (changed[1:] < 1)).all()


def test_processes_make_the_same_batches_as_a_thread(images: list[np.ndarray]) -> None:
    maker, steps = DefectMaker(images, saliency="whole"), replace(TINY, sources=2, passes=2, updates=3)
    found = []
    for processes in (0, 2):
        batches = Batches(maker, steps, 0, 2, processes)
        found.append(list(itertools.islice(batches, 4)))
        with pytest.raises(StopIteration):
            next(batches)
        batches.close()
    for alone, together in zip(*found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(alone, together))


def test_an_epoch_shows_every_image_equally_often() -> None:
    flat = [np.full((16, 16, 3), grey, np.uint8) for grey in (20, 60, 100, 140, 180)]
    maker = DefectMaker(flat, kinds=("perlin",), saliency="whole", augmented=False)
    batches = Batches(maker, replace(TINY, sources=400), 0, 1)
    greys = np.concatenate([batches.make(number)[0][::2, 0, 0, 0] for number in range(5)])
    batches.close()
    assert sorted(greys.tolist()) == [grey for grey in (20, 60, 100, 140, 180) for _ in range(400)]


def test_the_head_of_the_paper() -> None:
    head = proxy_head(320, 7)
    shapes = [tuple(layer.weight.shape) for layer in head if isinstance(layer, nn.Linear)]
    assert shapes == [(512, 320), (256, 512), (7, 256)]


def test_variants_change_the_number_of_classes(images: list[np.ndarray]) -> None:
    recipe = replace(TINY, updates=1, warmup=0, variant=VARIANTS["bezier"])
    assert recipe.batch == 2 * 2 * 3
    assert fine_tune(SPEC, toy(), images, recipe).completed


def test_the_backbone_is_bit_for_bit_unchanged_during_the_warm_up(images: list[np.ndarray]) -> None:
    network = toy()
    warm = fine_tune(SPEC, network, images, replace(TINY, updates=3))
    assert same(warm.network, network)
    assert not warm.network.training
    after = fine_tune(SPEC, network, images, replace(TINY, updates=4)).network
    for name, value in network.state_dict().items():
        assert not torch.equal(after.state_dict()[name], value), name


def test_statistics_can_stay_those_of_the_pretraining(images: list[np.ndarray]) -> None:
    network = toy()
    tuned = fine_tune(SPEC, network, images, replace(TINY, batch_statistics=False)).network
    for name, value in network.state_dict().items():
        assert torch.equal(tuned.state_dict()[name], value) == ("running" in name or "num_b" in name), name


def test_the_network_given_is_left_as_it_was(images: list[np.ndarray]) -> None:
    network = toy()
    before = copy.deepcopy(network)
    fine_tune(SPEC, network, images, TINY)
    assert same(network, before)


def test_the_network_sees_normalised_images(images: list[np.ndarray]) -> None:
    seen: list[torch.Tensor] = []

    class Watcher(Toy):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return super().forward(x)

    flat = [np.full((32, 32, 3), 110, np.uint8)]
    fine_tune(SPEC, Watcher().eval(), flat, replace(TINY, updates=1, variant=KINDS[:1], sources=50))
    colour = seen[-1][::2].mean(dim=(0, 2, 3))  # the versions without a defect; jitter averages out
    assert colour.numpy() == pytest.approx([100 / 50, 90 / 60, 80 / 70], abs=0.15)


def test_accumulated_passes_equal_one_large_batch_without_batch_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pretext, "proxy_head", nn.Linear)
    array = np.random.default_rng(0).integers(0, 256, (28, 32, 32, 3), np.uint8)
    labels = np.tile(np.arange(7), 4)

    def after_one_step(passes: int) -> dict[str, torch.Tensor]:
        trainer = pretext._Trainer(SPEC, toy(norm=False), replace(TINY, warmup=0, passes=passes), 0)
        trainer.step(1, iter(zip(np.split(array, passes), np.split(labels, passes), strict=True)))
        assert trainer.history[0].accuracy * 28 == pytest.approx(round(trainer.history[0].accuracy * 28))
        return trainer.network.state_dict()

    one, four, before = after_one_step(1), after_one_step(4), toy(norm=False).state_dict()
    for name in one:
        step = one[name] - before[name]
        assert step.abs().max() > 1e-5
        torch.testing.assert_close(four[name] - before[name], step, rtol=1e-3, atol=2e-7)


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_an_easy_task_is_learnt(loss: str) -> None:
    flat = [np.full((32, 32, 3), grey, np.uint8) for grey in (200, 230)]
    recipe = Recipe(
        updates=40,
        warmup=5,
        passes=1,
        sources=12,
        learning_rate=0.03,
        period=44,
        size=32,
        saliency="whole",
        variant=("bezier_noise",),
        loss=loss,  # type: ignore[arg-type]
    )
    history = fine_tune(SPEC, toy(), flat, recipe).history
    assert np.mean([h.accuracy for h in history[-8:]]) > 0.75  # chance: 0.5
    assert np.mean([h.loss for h in history[-8:]]) < 0.6 * history[0].loss


def test_a_training_that_diverges_says_so(images: list[np.ndarray]) -> None:
    with pytest.raises(ParameterError, match="learning rate"):
        fine_tune(SPEC, toy(), images, replace(TINY, learning_rate=1e30))


def test_progress_is_reported_and_the_history_is_complete(images: list[np.ndarray]) -> None:
    calls: list[tuple[str, int, int]] = []
    result = fine_tune(SPEC, toy(), images, TINY, report=lambda *call: calls.append(call))
    assert [call[1:] for call in calls] == [(i, 8) for i in range(9)]
    assert len(result.history) == result.updates == 8
    assert result.completed
    assert result.seconds > 0
    assert all(0 <= h.accuracy <= 1 and h.loss > 0 for h in result.history)


def test_unusable_images(images: list[np.ndarray]) -> None:
    with pytest.raises(DataError):
        fine_tune(SPEC, toy(), [], TINY)
    with pytest.raises(ImageError):
        fine_tune(SPEC, toy(), [images[0].astype(np.float32)], TINY)  # type: ignore[list-item]


def test_images_of_another_size_are_resized() -> None:
    big = [np.full((48, 40, 3), 90, np.uint8)]
    assert fine_tune(SPEC, toy(), big, replace(TINY, updates=1)).completed


def assert_same_result(left: FineTuning, right: FineTuning) -> None:
    assert same(left.network, right.network)
    assert left.history == right.history


def test_the_same_seed_gives_the_same_backbone_and_another_seed_another(images: list[np.ndarray]) -> None:
    first = fine_tune(SPEC, toy(), images, TINY, seed=4)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert_same_result(first, fine_tune(SPEC, toy(), images, TINY, seed=4))
    assert not same(first.network, fine_tune(SPEC, toy(), images, TINY, seed=5).network)


def test_the_caller_s_random_numbers_are_not_touched(images: list[np.ndarray]) -> None:
    network = toy()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    fine_tune(SPEC, network, images, replace(TINY, updates=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stop", [2, 6])  # in the warm-up, and after it
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_resumed_run_equals_an_uninterrupted_one(
    images: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
    error: type[BaseException],
) -> None:
    monkeypatch.setattr(pretext, "CHECKPOINT_EVERY", 2)
    network = toy(dropout=0.3)
    whole = fine_tune(SPEC, network, images, TINY)
    path = tmp_path / "new" / "state.pt"
    if error is RuntimeError:  # a crash: what was written last is what there is
        with pytest.raises(RuntimeError):
            fine_tune(SPEC, network, images, TINY, checkpoint=path, report=stop_at(stop, error))
    else:
        part = fine_tune(SPEC, network, images, TINY, checkpoint=path, report=stop_at(stop, error))
        assert not part.completed
    started: list[int] = []
    resumed = fine_tune(SPEC, network, images, TINY, checkpoint=path, report=lambda s, done, t: started.append(done))
    assert started[0] == stop
    assert_same_result(resumed, whole)
    assert resumed.completed
    again = fine_tune(SPEC, network, images, TINY, checkpoint=path)
    assert_same_result(again, whole)
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def test_a_checkpoint_of_another_run_is_refused(images: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    fine_tune(SPEC, toy(), images, replace(TINY, updates=1), checkpoint=path)
    short = replace(TINY, updates=1)
    with pytest.raises(ParameterError, match=r"state\.pt"):
        fine_tune(SPEC, toy(), images, TINY, checkpoint=path)
    with pytest.raises(ParameterError):
        fine_tune(SPEC, toy(), images, short, seed=1, checkpoint=path)
    with pytest.raises(ParameterError):
        fine_tune(SPEC, toy(), images[1:], short, checkpoint=path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelFileError, match=r"state\.pt"):
        fine_tune(SPEC, toy(), images, short, checkpoint=path)


def test_an_interruption_leaves_the_backbone_of_the_last_finished_update(
    images: list[np.ndarray],
) -> None:
    class Interrupted(Toy):
        passes = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            embedding = super().forward(x)
            self.passes += self.training
            if self.training and self.passes == 6:  # after the batch-norm statistics of update 6 have moved
                raise KeyboardInterrupt
            return embedding

    torch.manual_seed(5)
    part = fine_tune(SPEC, Interrupted().eval(), images, TINY)
    assert (part.completed, part.updates, len(part.history)) == (False, 5, 5)
    assert not part.network.training
    expected = fine_tune(SPEC, toy(), images, replace(TINY, updates=5))
    assert same(part.network, expected.network)
    assert torch.isfinite(part.network(torch.zeros(1, 3, 32, 32))).all()


def test_an_interruption_before_the_first_update_returns_the_backbone_as_it_was(
    images: list[np.ndarray],
) -> None:
    network = toy()
    part = fine_tune(SPEC, network, images, TINY, report=stop_at(0, KeyboardInterrupt))
    assert (part.completed, part.updates, part.history) == (False, 0, ())
    assert same(part.network, network)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2", "resnet18", "vgg11_bn"])
def test_registered_backbones_of_each_family_can_be_tuned(name: str) -> None:
    spec = registry()[name]
    network = load_network(spec, resolve(spec, "random"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    recipe = Recipe(updates=2, warmup=1, passes=1, sources=1, learning_rate=1e-3, size=64, variant=KINDS[:1])
    result = fine_tune(spec, network, [image], recipe)
    assert result.completed
    assert result.network.state_dict().keys() == network.state_dict().keys()
    assert not same(result.network, network)
