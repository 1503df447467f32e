"""anomalib's PatchCore as a child process; runs in the peers' environment. See README.md for the steps."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from protocol import Channel

channel = Channel()
os.environ["TRUST_REMOTE_CODE"] = "1"  # TorchInferencer unpickles; the file is our own
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would send statistics
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from anomalib.data import Folder  # noqa: E402
from anomalib.engine import Engine  # noqa: E402
from anomalib.models import Patchcore  # noqa: E402
from anomalib.models.components import KCenterGreedy  # noqa: E402
from anomalib.models.image.patchcore import torch_model  # noqa: E402
from anomalib.pre_processing import PreProcessor  # noqa: E402
from anomalib_routes import ROUTES, TRAINER  # noqa: E402
from lightning.pytorch import seed_everything  # noqa: E402
from PIL import Image  # noqa: E402
from torchvision.transforms.v2 import Compose, Normalize, Resize  # noqa: E402

logging.disable(logging.WARNING)


def build(
    backbone: str,
    layers: list[str],
    weights: str | None,
    size: int,
    mean: list[float],
    std: list[float],
    coreset_ratio: float,
    num_neighbors: int,
    seed: int = 0,
) -> Patchcore:
    """PatchCore with the weights of `weights`, or random ones; `mean` and `std` are of 0..255."""
    seed_everything(seed, verbose=False)  # of random weights and of the coreset
    normalize = Normalize([m / 255 for m in mean], [s / 255 for s in std])
    model = Patchcore(
        backbone=backbone,
        layers=layers,
        pre_trained=False,
        coreset_sampling_ratio=coreset_ratio,
        num_neighbors=num_neighbors,
        pre_processor=PreProcessor(Compose([Resize((size, size), antialias=True), normalize])),
        evaluator=False,
        visualizer=False,
    )
    if weights is not None:
        network = model.model.feature_extractor.feature_extractor
        tensors = renamed(torch.load(weights, map_location="cpu", weights_only=True), backbone)
        network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    return model


def renamed(tensors: dict[str, torch.Tensor], backbone: str) -> dict[str, torch.Tensor]:
    """Tensors under timm's names: as they are if they have them, else by order, every shape checked."""
    wanted = timm.create_model(backbone, pretrained=False).state_dict()
    if all(name in tensors for name in wanted if not name.startswith(("fc.", "classifier."))):
        return tensors
    if [t.shape for t in tensors.values()] != [t.shape for t in wanted.values()]:
        raise ValueError(f"The weight file does not hold the tensors of timm's {backbone} in its order.")
    return dict(zip(wanted, tensors.values()))


class Timed(KCenterGreedy):
    """anomalib's coreset selection, timed. With `picks`, only so many are made greedily, the rest at random.

    The whole is then reckoned from the later half of the picks: the first ones wait for memory.
    """

    picks: int | None = None
    report: dict[str, Any] = {}  # noqa: RUF012

    def select_coreset_idxs(self) -> list[int]:
        size = self.coreset_size
        greedy = min(size, self.picks or size)
        self.times: list[float] = []
        self.coreset_size = greedy
        chosen = super().select_coreset_idxs()
        self.times.append(time.perf_counter())
        picking = self.times[-1] - self.times[0]
        if greedy < size:
            chosen += np.random.default_rng(0).choice(self.n_observations, size - greedy, replace=False).tolist()
        later = self.times[len(self.times) // 2 :]
        whole = picking + (size - greedy) * (later[-1] - later[0]) / max(len(later) - 1, 1)
        Timed.report = {"vectors": self.n_observations, "dim": self.embedding.shape[1], "bank": size}
        Timed.report |= {"greedy_picks": greedy, "picking_seconds": picking, "picking_seconds_whole": whole}
        return chosen

    def update_distances(self, cluster_center: Any) -> None:
        self.times.append(time.perf_counter())
        super().update_distances(cluster_center)


torch_model.KCenterGreedy = Timed


def fit(
    images: list[str],
    into: str,
    threads: int,
    batch: int = 32,
    workers: int = 0,
    picks: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Image files to a checkpoint on disk, as anomalib documents it: `Engine.fit` on a `Folder`."""
    torch.set_num_threads(threads)
    Timed.picks = picks
    folder = Path(into).resolve()
    good = folder / "good"
    shutil.rmtree(folder, ignore_errors=True)
    good.mkdir(parents=True)
    for number, image in enumerate(images):
        (good / f"{number:05d}{Path(image).suffix}").symlink_to(Path(image).resolve())
    started = time.perf_counter()
    model = build(**options)
    data = Folder(
        name="good",
        root=folder,
        normal_dir="good",
        train_batch_size=batch,
        num_workers=workers,
        test_split_mode="none",
        val_split_mode="none",
    )
    engine = Engine(default_root_dir=folder / "run", **TRAINER)
    engine.fit(model=model, datamodule=data)
    checkpoint = Path(engine.best_model_path)
    seconds = time.perf_counter() - started
    checkpoint.rename(folder / "model.ckpt")
    whole = seconds - Timed.report["picking_seconds"] + Timed.report["picking_seconds_whole"]
    mib = (folder / "model.ckpt").stat().st_size / 2**20
    return {"seconds": seconds, "seconds_whole": whole, "file_mib": mib, **Timed.report}


def export(folder: str, threads: int) -> dict[str, Any]:
    """Every file that the routes need, beside the checkpoint.

    Left to its defaults, anomalib 2.7.0 exports a PatchCore at 256 pixels that takes only batches of exactly
    two images: the loop over chunks of patches fixes the example's batch. So the batch is fixed to one here.
    """
    torch.set_num_threads(threads)
    model = Patchcore.load_from_checkpoint(Path(folder) / "model.ckpt").eval()
    any_size = {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    onnx = {"dynamic_shapes": (any_size,), "opset_version": 18}
    seconds: dict[str, float | str] = {}
    for name, make in (
        ("torch", lambda: model.to_torch(folder)),
        ("onnx", lambda: model.to_onnx(folder, **onnx)),
        ("openvino", lambda: model.to_openvino(folder, onnx_kwargs=onnx)),
    ):
        started = time.perf_counter()
        try:
            make()
            seconds[name] = time.perf_counter() - started
        except Exception as error:  # an export that fails is a result too
            seconds[name] = f"{type(error).__name__}: {error}"[:2000]
    return {"seconds": seconds}


loaded: dict[str, Any] = {}


def load(folder: str, route: str, threads: int) -> dict[str, Any]:
    """Make a route ready from its file. In a fresh process the peak memory is then that of inspecting alone."""
    torch.set_num_threads(threads)
    started = time.perf_counter()
    loaded[route] = ROUTES[route](Path(folder).resolve(), threads)
    return {"seconds": time.perf_counter() - started}


def inspect(images: list[str], route: str) -> dict[str, Any]:
    """Image files to score and map, one at a time."""
    seconds, scores, shape = loaded[route].inspect(images)
    return {"milliseconds": [1000 * s for s in seconds], "scores": scores, "map_shape": shape}


def maps(image: str, **options: Any) -> dict[str, Any]:
    """Mean and absolute sum of each channel of each feature map, to check that both sides extract the same."""
    model = build(**options).eval()
    pixels = torch.from_numpy(np.asarray(Image.open(image).convert("RGB"), np.float32) / 255).permute(2, 0, 1)[None]
    found = model.model.feature_extractor(model.pre_processor.transform(pixels))
    return {"maps": {name: [m.mean(dim=(0, 2, 3)).tolist(), m.abs().sum().item()] for name, m in found.items()}}


if __name__ == "__main__":
    from importlib.metadata import version

    packages = ("anomalib", "torch", "torchvision", "timm", "lightning", "onnxruntime", "openvino")
    steps = {"fit": fit, "export": export, "load": load, "inspect": inspect, "maps": maps}
    channel.serve(steps, {name: version(name) for name in packages})
