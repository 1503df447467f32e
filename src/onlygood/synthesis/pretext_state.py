"""State of an unfinished fine-tuning: copied after every update, written now and then, read to go on."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from onlygood.errors import ModelFileError, ParameterError
from onlygood.synthesis.arrays import ImageArray
from onlygood.synthesis.recipes import Recipe


class Progress(NamedTuple):
    """Loss and accuracy of one update, over its training images and before its step."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class State:
    """Everything needed to go on after a finished update. Random numbers follow from seed and update.

    Attributes:
        update: number of finished updates.
        network, head, optimiser: state dicts.
        history: one entry for each finished update.
        seconds: time spent on them.
    """

    update: int
    network: dict[str, Any]
    head: dict[str, Any]
    optimiser: dict[str, Any]
    history: list[Progress] = field(default_factory=list)
    seconds: float = 0.0


def run_key(recipe: Recipe, seed: int, network: nn.Module, images: Sequence[ImageArray]) -> str:
    """Hash of all that the result follows from: recipe, seed, initial weights and images."""
    digest = hashlib.sha256(repr((sorted(asdict(recipe).items()), seed)).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for image in images:
        digest.update(repr(image.shape).encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


def copied(value: Any) -> Any:
    """Copy of a nested state, its tensors included."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, list):
        return [copied(part) for part in value]
    return value


def write_state(path: Path, key: str, state: State) -> None:
    """Write a state so that the file is at any time either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {name: getattr(state, name) for name in State.__dataclass_fields__}
    content["history"] = [list(progress) for progress in state.history]
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            torch.save({"key": key, **content}, out)
            out.flush()
            os.fsync(out.fileno())
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def read_state(path: Path, key: str) -> State | None:
    """The state written at `path`, or None if there is none.

    Raises:
        ModelFileError: the file cannot be read.
        ParameterError: it belongs to a run with another recipe, seed, backbone or set of images.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content.pop("key")
        state = State(**content)
        history = [Progress(*progress) for progress in state.history]
    except Exception as error:  # whatever the reader raises, the file is what is at fault
        raise ModelFileError(f"{path}: this checkpoint cannot be read ({error}). Delete it.") from error
    if found != key:
        raise ParameterError(
            f"{path}: this checkpoint belongs to a fine-tuning with another recipe, seed, backbone or set of "
            "images. Delete it or name another file."
        )
    return State(**{**content, "history": history})
