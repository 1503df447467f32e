"""Self-supervised fine-tuning of a backbone: naming the kind of a synthetic defect (REB, section 3.1).

Needs torch, so it is imported only where it is used.

    tuned = fine_tune(spec, network, images, Recipe.QUICK)
    graph = export_network(spec, tuned.network, weights, 256, None, "concat", fine_tuned="quick")
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from onlygood.errors import ParameterError
from onlygood.features.architectures import Backbone
from onlygood.features.architectures.base import embedding_width
from onlygood.features.backbones import BackboneSpec
from onlygood.images.preparing import resize
from onlygood.parallel import cores
from onlygood.progress import Report, silent
from onlygood.synthesis.arrays import ImageArray, check_image
from onlygood.synthesis.defectmaker import DefectMaker
from onlygood.synthesis.pretext_data import Batch, Batches
from onlygood.synthesis.pretext_state import Progress, State, copied, read_state, run_key, write_state
from onlygood.synthesis.recipes import LossName, Recipe, recipe

__all__ = ["FineTuning", "Progress", "Recipe", "fine_tune", "proxy_head", "proxy_loss", "recipe"]

STAGE = "fine-tuning"
#: Probabilities are kept so far from 0 and 1 (released code).
CLAMP = 1e-6
#: Updates between two checkpoints.
CHECKPOINT_EVERY = 5


@dataclass(frozen=True)
class FineTuning:
    """A fine-tuned backbone.

    Attributes:
        network: the backbone after the last finished update, in eval mode; the head is gone.
        history: loss and accuracy of each finished update.
        completed: False if it was interrupted.
        updates: number of finished updates.
        seconds: time they took, that before a resumption included.
    """

    network: Backbone
    history: tuple[Progress, ...]
    completed: bool
    updates: int
    seconds: float


def proxy_head(width: int, classes: int) -> nn.Sequential:
    """The head of the self-supervised task: embedding `(n, width)` -> logits `(n, classes)`."""
    return nn.Sequential(
        nn.Linear(width, 512),
        nn.BatchNorm1d(512),
        nn.ReLU(),
        nn.Linear(512, 256),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )


def proxy_loss(logits: Tensor, labels: Tensor, loss: LossName) -> Tensor:
    """Mean loss of logits `(n, classes)` for labels `(n,)`.

    "bce" is the binary cross-entropy of a sigmoid for each class against one-hot targets, its mean over
    images and classes; "cross_entropy" that of the softmax, its mean over images.
    """
    if loss == "cross_entropy":
        return nn.functional.cross_entropy(logits, labels)
    probabilities = torch.sigmoid(logits).clamp(CLAMP, 1 - CLAMP)
    targets = nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return nn.functional.binary_cross_entropy(probabilities, targets)


def fine_tune(
    spec: BackboneSpec,
    network: Backbone,
    images: Sequence[ImageArray],
    recipe: Recipe,
    *,
    seed: int = 0,
    paths: Sequence[str | Path] | None = None,
    checkpoint: Path | None = None,
    report: Report | None = None,
) -> FineTuning:
    """Train a copy of `network` to name the kind of a synthetic defect.

    It runs on the device the network is on; on a GPU the batches are made by as many processes as there are cores, so
    that it does not wait for them. The same seed gives the same result on the same machine with
    the same number of threads. Ctrl-C ends it early with what has been reached. On a CPU whose cores are
    busy with other work, `torch.set_num_threads(1)` makes it several times faster.

    Args:
        spec: of the backbone; its input normalisation is used.
        network: the pretrained backbone; left as it is.
        images: good images, uint8 RGB (h, w, 3), resized to `recipe.size` where they differ.
        recipe: how to train.
        seed: of the head's initial weights, the order of sources and the defects.
        paths: the files of the images, for saliency maps beside them.
        checkpoint: file to write the state to every few updates and to go on from if it exists. The result
            is that of an uninterrupted run.
        report: called after each update.

    Raises:
        DataError, ImageError: images that cannot be used.
        ModelFileError: the checkpoint cannot be read.
        ParameterError: it belongs to another run, or the training diverges.
    """
    prepared = [resize(check_image(im, f"image {i}"), recipe.size, str(i)) for i, im in enumerate(images)]
    maker = DefectMaker(prepared, kinds=recipe.variant, saliency=recipe.saliency, paths=paths)
    report = report or silent
    key = run_key(recipe, seed, network, images) if checkpoint else ""
    start = read_state(checkpoint, key) if checkpoint else None
    with torch.random.fork_rng(devices=[]):
        trainer = _Trainer(spec, copy.deepcopy(network), recipe, seed)
        if start is not None:
            trainer.restore(start)
        state = trainer.state()
        on_cpu = next(network.parameters()).device.type == "cpu"
        batches = Batches(maker, recipe, seed, state.update + 1, 0 if on_cpu else cores())
        try:
            report(STAGE, state.update, recipe.updates)
            for update in range(state.update + 1, recipe.updates + 1):
                trainer.step(update, batches)
                state = trainer.state()
                if checkpoint and update % CHECKPOINT_EVERY == 0:
                    write_state(checkpoint, key, state)
                report(STAGE, update, recipe.updates)
        except KeyboardInterrupt:  # perhaps in the middle of an update: back to the end of the last one
            trainer.restore(state)
        finally:
            batches.close()
        if checkpoint:
            write_state(checkpoint, key, state)
    return FineTuning(
        _laid_out(trainer.network, torch.contiguous_format).eval(),
        tuple(state.history),
        state.update == recipe.updates,
        state.update,
        state.seconds,
    )


class _Trainer:
    """Backbone, head and optimiser, moved on by one update at a time."""

    def __init__(self, spec: BackboneSpec, network: Backbone, recipe: Recipe, seed: int) -> None:
        device = next(network.parameters()).device
        torch.manual_seed(seed)
        self.recipe, self.seed = recipe, seed
        self.network = _laid_out(network, torch.channels_last)  # half as fast again on a CPU
        self.head = proxy_head(embedding_width(network), 1 + len(recipe.variant)).to(device)
        self.mean = torch.tensor(spec.mean, device=device).view(1, 3, 1, 1)
        self.scale = 1 / torch.tensor(spec.std, device=device).view(1, 3, 1, 1)
        self.optimiser = torch.optim.SGD(
            [{"params": list(network.parameters())}, {"params": list(self.head.parameters())}],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.update, self.history, self.seconds = 0, list[Progress](), 0.0

    def step(self, update: int, batches: Iterator[Batch]) -> None:
        """One update: the gradients of all passes, then one step of the optimiser."""
        began = time.perf_counter()
        torch.manual_seed(self.seed + update)  # for backbones with dropout: a resumed run draws the same
        recipe, warming = self.recipe, update <= self.recipe.warmup
        self._set_modes(warming)
        for group, share in zip(self.optimiser.param_groups, (recipe.backbone_rate, 1.0), strict=True):
            group["lr"] = recipe.rate(update) * share
        self.optimiser.zero_grad(set_to_none=True)  # no gradient: the optimiser leaves the backbone alone
        total, correct, count = 0.0, 0, 0
        for _ in range(recipe.passes):
            array, classes = next(batches)
            labels = torch.from_numpy(classes).to(self.mean.device)
            x = torch.from_numpy(array).to(self.mean.device).permute(0, 3, 1, 2).float()
            with torch.set_grad_enabled(not warming):
                embedding = self.network((x - self.mean) * self.scale)
            logits = self.head(embedding)
            _check_finite([logits], update, recipe)
            loss = proxy_loss(logits, labels, recipe.loss) / recipe.passes
            loss.backward()
            total += float(loss.detach())
            correct += int((logits.argmax(1) == labels).sum())
            count += len(labels)
        self.optimiser.step()
        _check_finite(self.network.parameters(), update, recipe)
        self.update = update
        self.history.append(Progress(total, correct / count))
        self.seconds += time.perf_counter() - began

    def _set_modes(self, warming: bool) -> None:
        self.network.train(not warming)
        self.head.train()
        if not self.recipe.batch_statistics:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def state(self) -> State:
        """A copy of where the training stands."""
        return State(
            self.update,
            copied(self.network.state_dict()),
            copied(self.head.state_dict()),
            copied(self.optimiser.state_dict()),
            list(self.history),
            self.seconds,
        )

    def restore(self, state: State) -> None:
        """Go back, or on, to a state."""
        self.network.load_state_dict(state.network)
        self.head.load_state_dict(state.head)
        self.optimiser.load_state_dict(copied(state.optimiser))
        self.update, self.history, self.seconds = state.update, list(state.history), state.seconds


def _check_finite(tensors: Iterable[Tensor], update: int, recipe: Recipe) -> None:
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise ParameterError(
            f"The fine-tuning diverged in update {update}. Lower the learning rate "
            f"({recipe.learning_rate:g}, of which the backbone gets {recipe.backbone_rate:g})."
        )


def _laid_out(network: Backbone, layout: torch.memory_format) -> Backbone:
    return network.to(memory_format=layout)  # type: ignore[call-overload]
