"""What every training of a head has in common: seeds, threads, epochs, progress, interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from onlygood.errors import ParameterError
from onlygood.progress import Report

STAGE = "training"


@dataclass(frozen=True)
class Outcome:
    """How a training went.

    Attributes:
        epochs: Finished ones.
        wanted: How many were asked for.
        losses: Mean loss of each finished epoch.
    """

    epochs: int
    wanted: int
    losses: tuple[float, ...]

    @property
    def completed(self) -> bool:
        """Whether it was not interrupted."""
        return self.epochs == self.wanted

    def __str__(self) -> str:
        end = "" if self.completed else ", interrupted"
        return f"{self.epochs} of {self.wanted} epochs{end}, loss {self.losses[-1]:.3g}"


def training_device(device: str) -> torch.device:
    """The device of a detector, as far as torch has it: `cuda` or `cpu`."""
    return torch.device("cuda" if device == "cuda" and torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(seed: int, threads: int | None = None) -> Iterator[torch.Generator]:
    """A generator of its own for noise and batches; the seed of torch's own, too, while networks are initialised.

    What the caller had set of torch is as before afterwards.
    """
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            if threads:
                torch.set_num_threads(threads)
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.set_num_threads(before)


def run_epochs(
    epochs: int,
    steps: int,
    epoch: Callable[[int], Iterator[Tensor]],
    report: Report,
    after: Callable[[int], None] | None = None,
) -> Outcome:
    """Train until all epochs are done or Ctrl-C is pressed, which leaves the network as it is by then.

    Args:
        epochs: How many.
        steps: Updates of each.
        epoch: Called with the number of the epoch, from 1; makes its updates and yields the loss of each.
        report: Called as `report("training", updates done, updates in all)`.
        after: Called with the number of each finished epoch.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first epoch was done: nothing usable has been learned.
        ParameterError: The loss is no longer finite.
    """
    losses: list[float] = []
    try:
        report(STAGE, 0, epochs * steps)
        for number in range(1, epochs + 1):
            total = torch.zeros(())
            for step, loss in enumerate(epoch(number), 1):
                total = total + loss.detach().cpu()
                report(STAGE, (number - 1) * steps + step, epochs * steps)
            mean = float(total) / max(1, steps)
            if mean != mean or mean in (float("inf"), float("-inf")):
                raise ParameterError(f"The training diverged in epoch {number}. Lower the learning rates.")
            losses.append(mean)
            if after is not None:
                after(number)
    except KeyboardInterrupt:
        if not losses:
            raise
        # the network is a mixture of two neighbouring updates at worst, which is as good as either
    return Outcome(len(losses), epochs, tuple(losses))
