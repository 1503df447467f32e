"""PatchCore as people write it themselves, with torch and faiss; runs in onlygood's environment. See README.md.

Only the network and its weights come from onlygood, so that every peer looks through the same backbone.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from protocol import Channel

channel = Channel()

import faiss  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from onlygood.features.backbones import find_backbone  # noqa: E402
from onlygood.features.weights import load_network, resolve  # noqa: E402

PROJECTED = 128  # dimensions of the random projection, as in PatchCore's released code
SIGMA = 4  # pixels


class Extractor:
    """Patch features of two layers: forward hooks, 3x3 mean, the coarser map upsampled, concatenated."""

    def __init__(self, backbone: str, layers: list[str], weights: str | None, size: int) -> None:
        spec = find_backbone(backbone)
        steps: OrderedDict[str, nn.Module] = OrderedDict()
        for name, step in load_network(spec, resolve(spec, weights, allow_download=False)).steps():
            steps[name.replace(".", "_")] = step
            if name == layers[-1]:
                break
        self.network = nn.Sequential(steps).eval().to(memory_format=torch.channels_last)
        self.layers, self.size, self.found = layers, size, dict[str, Tensor]()
        for name in layers:
            self.network.get_submodule(name.replace(".", "_")).register_forward_hook(self._keep(name))
        self.mean = torch.tensor(spec.mean).view(1, 3, 1, 1)
        self.std = torch.tensor(spec.std).view(1, 3, 1, 1)

    def _keep(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.found[name] = output

        return hook

    def __call__(self, images: list[str]) -> Tensor:
        """Patch features `(n, h, w, d)` of image files."""
        pixels = np.stack([self._read(image) for image in images])
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - self.mean) / self.std
        self.network(x.contiguous(memory_format=torch.channels_last))
        maps = [F.avg_pool2d(self.found[name], 3, 1, 1) for name in self.layers]
        grid = maps[0].shape[-2:]
        maps[1:] = [F.interpolate(m, grid, mode="bilinear", align_corners=False) for m in maps[1:]]
        return torch.cat(maps, 1).permute(0, 2, 3, 1).contiguous()

    def _read(self, image: str) -> np.ndarray[Any, Any]:
        with Image.open(image) as file:
            return np.asarray(file.convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC))


def projected(vectors: Tensor, seed: int) -> Tensor:
    """A Gaussian random projection, which keeps distances nearly and makes the coreset cheaper."""
    generator = torch.Generator().manual_seed(seed)
    return vectors @ (torch.randn(vectors.shape[1], PROJECTED, generator=generator) / PROJECTED**0.5)


def greedy_coreset(points: Tensor, count: int, seed: int) -> Tensor:
    """Indices of `count` points, each the farthest from those before it."""
    squares = points.square().sum(1)
    chosen = torch.empty(count, dtype=torch.long)
    nearest = torch.full((len(points),), torch.inf)
    index = int(torch.randint(len(points), (1,), generator=torch.Generator().manual_seed(seed)))
    for number in range(count):
        chosen[number] = index
        distances = torch.addmv(squares, points, points[index], alpha=-2) + squares[index]
        torch.minimum(nearest, distances, out=nearest)
        nearest[index] = -torch.inf
        index = int(nearest.argmax())
    return chosen


class Detector:
    """The nearest bank vector of each patch; the farthest patch is the score."""

    def __init__(self, extract: Extractor, bank: Tensor) -> None:
        self.extract = extract
        self.index = faiss.IndexFlatL2(bank.shape[1])
        self.index.add(bank.numpy())
        reach = torch.arange(-4 * SIGMA, 4 * SIGMA + 1)
        kernel = torch.exp(-reach.square() / (2 * SIGMA**2))
        self.kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)

    def __call__(self, image: str) -> tuple[float, Tensor]:
        """Score and anomaly map `(size, size)` of an image file."""
        features = self.extract([image])[0]
        height, width, dim = features.shape
        squared, _ = self.index.search(features.view(-1, dim).numpy(), 1)
        distances = torch.from_numpy(squared).clamp_min(0).sqrt().view(1, 1, height, width)
        size, around = self.extract.size, 4 * SIGMA
        heat = F.interpolate(distances, (size, size), mode="bilinear", align_corners=False)
        heat = F.conv2d(F.pad(heat, [around] * 4, mode="reflect"), self.kernel)
        return float(distances.max()), F.conv2d(heat, self.kernel.mT)[0, 0]


@torch.inference_mode()
def fit(
    images: list[str],
    into: str,
    threads: int,
    coreset_ratio: float,
    batch: int = 8,
    picks: int | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Image files to a bank on disk. With `picks`, only so many are made greedily, the rest at random."""
    torch.set_num_threads(threads)
    started = time.perf_counter()
    extract = Extractor(**options)
    parts = [extract(images[start : start + batch]).flatten(0, 2) for start in range(0, len(images), batch)]
    vectors = torch.cat(parts)
    del parts
    size = int(len(vectors) * coreset_ratio)
    greedy = min(size, picks or size)
    points = projected(vectors, seed)
    begun = time.perf_counter()
    chosen = greedy_coreset(points, greedy, seed)
    picking = time.perf_counter() - begun
    if greedy < size:
        rest = np.random.default_rng(0).choice(len(vectors), size - greedy, replace=False)
        chosen = torch.cat([chosen, torch.from_numpy(rest)])
    folder = Path(into)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"bank": vectors[chosen], "options": options}, folder / "model.pt")
    seconds = time.perf_counter() - started
    whole = picking * size / greedy
    return {
        "seconds": seconds,
        "seconds_whole": seconds - picking + whole,
        "file_mib": (folder / "model.pt").stat().st_size / 2**20,
        "vectors": len(vectors),
        "dim": vectors.shape[1],
        "bank": size,
        "greedy_picks": greedy,
        "picking_seconds": picking,
        "picking_seconds_whole": whole,
    }


loaded: dict[str, Detector] = {}


def load(folder: str, threads: int, route: str = "plain") -> dict[str, Any]:
    """Make the detector ready from its file. In a fresh process the peak memory is then that of inspecting alone."""
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    started = time.perf_counter()
    model = torch.load(Path(folder) / "model.pt", weights_only=True)
    loaded[route] = Detector(Extractor(**model["options"]), model["bank"])
    return {"seconds": time.perf_counter() - started}


@torch.inference_mode()
def inspect(images: list[str], route: str = "plain") -> dict[str, Any]:
    """Image files to score and map, one at a time."""
    detect = loaded[route]
    milliseconds, scores, shape = [], [], []
    for image in images:
        started = time.perf_counter()
        score, heat = detect(image)
        milliseconds.append(1000 * (time.perf_counter() - started))
        scores.append(score)
        shape = list(heat.shape)
    return {"milliseconds": milliseconds, "scores": scores, "map_shape": shape}


if __name__ == "__main__":
    from importlib.metadata import version

    versions = {name: version(name) for name in ("torch", "faiss-cpu")}
    channel.serve({"fit": fit, "load": load, "inspect": inspect}, versions)
