"""What anomalib's PatchCore, PaDiM and DFM make of given features; runs in the peers' environment.

    python benchmarks/peers/anomalib_numbers.py IN.npz OUT.npz

Each model's own functions are called with the arrays of IN.npz (`benchmarks/agreement.py` makes them); no images, no
weights. Feature maps are `(n, c, h, w)`, as anomalib has them.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would send statistics
warnings.simplefilter("ignore")

import anomalib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from anomalib.models.components import PCA, KCenterGreedy  # noqa: E402
from anomalib.models.image.dfm.torch_model import DFMModel, SingleClassGaussian  # noqa: E402
from anomalib.models.image.padim.torch_model import PadimModel  # noqa: E402
from anomalib.models.image.patchcore.torch_model import PatchcoreModel  # noqa: E402

logging.disable(logging.WARNING)
Arrays = dict[str, np.ndarray]


def tensors(given: Arrays, *names: str) -> list[torch.Tensor]:
    return [torch.from_numpy(given[name].copy()) for name in names]


def patchcore(given: Arrays) -> Arrays:
    """Features from maps, coreset picks, patch and image scores, map."""
    fine, coarse, bank, queries, points = tensors(given, "fine", "coarse", "bank", "queries", "points")
    model = PatchcoreModel(["layer2", "layer3"], "resnet18", pre_trained=False, num_neighbors=int(given["b"])).eval()
    pooled = {"layer2": model.feature_pooler(fine), "layer3": model.feature_pooler(coarse)}
    n, h, w, d = queries.shape
    model.memory_bank = bank
    flat = queries.reshape(-1, d)
    distances, rows = model.nearest_neighbors(flat, 1)
    distances, rows = distances.reshape(n, -1), rows.reshape(n, -1)
    scores = model.compute_anomaly_score(distances, rows, flat)
    torch.manual_seed(0)
    sampler = KCenterGreedy(points[:, None], len(given["picks"]) / len(points))  # three dimensions: no projection
    return {
        "patchcore_features": model.generate_embedding(pooled).numpy(),
        "patchcore_distances": distances.numpy(),
        "patchcore_scores": scores.numpy(),
        "patchcore_maps": model.anomaly_map_generator(distances.reshape(n, 1, h, w), (int(given["size"]),) * 2).numpy(),
        "picks": np.array(sampler.select_coreset_idxs()),
    }


def padim(given: Arrays) -> Arrays:
    """Features from maps; distances and map of given features, in single and in double precision."""
    finest, fine, coarse = tensors(given, "finest", "fine", "coarse")
    count = finest.shape[1] + fine.shape[1] + coarse.shape[1]
    model = PadimModel("resnet18", ["layer1", "layer2", "layer3"], pre_trained=False, n_features=1).eval()
    assert count >= given["channels"].max()
    model.idx = torch.from_numpy(given["channels"].astype(np.int64))
    out: Arrays = {}
    maps = {"layer1": finest, "layer2": fine, "layer3": coarse}
    out["padim_features"] = model.generate_embedding(maps).numpy()
    generator = model.anomaly_map_generator
    for name, kind in (("padim", torch.float32), ("padim_double", torch.float64)):
        torch.set_default_dtype(kind)
        train, test = (one.to(kind) for one in tensors(given, "padim_train", "padim_test"))
        mean, inverse = model.gaussian.fit(train)
        out[f"{name}_distances"] = generator.compute_distance(test, [mean, inverse])[:, 0].numpy()
    torch.set_default_dtype(torch.float32)
    distances = torch.from_numpy(out["padim_double_distances"]).float()
    out["padim_maps"] = generator.smooth_anomaly_map(
        generator.up_sample(distances[:, None], (int(given["size"]),) * 2)
    ).numpy()
    return out


def dfm(given: Arrays) -> Arrays:
    """Scores and error of each cell by reconstruction, with our number of components and with its own rule."""
    out: Arrays = {}
    (coarse,) = tensors(given, "coarse")
    pooled = torch.nn.functional.avg_pool2d(coarse, int(given["pool"]))
    flat = pooled.reshape(len(pooled), -1)
    train = int(given["train"])
    for name, components in (("dfm", int(given["components"])), ("dfm_own", float(given["share"]))):
        model = DFMModel("resnet18", "layer3", pre_trained=False, n_comps=components).eval()
        model.memory_bank = [flat[:train].clone()]
        model.fit()
        scores, maps = model.score(flat[train:].clone(), pooled[train:].shape)
        out |= {f"{name}_scores": scores.numpy(), f"{name}_maps": maps[:, 0].numpy()}
        out[f"{name}_components"] = model.pca_model.num_components.numpy()
    # The likelihood: `fit` fails in torch.mean, which knows no `device`. So what it would set is set here.
    pca = PCA(int(given["components"]))
    pca.fit(flat[:train].clone())
    z = pca.transform(flat[:train].clone())
    gaussian = SingleClassGaussian()
    try:
        gaussian.fit(z.T)
        out["nll_fits"] = np.array(True)
    except TypeError:
        out["nll_fits"] = np.array(False)
        gaussian.mean_vec = z.mean(dim=0)
        gaussian.u_mat, gaussian.sigma_mat, _ = torch.linalg.svd(
            (z - gaussian.mean_vec).T / len(z) ** 0.5, full_matrices=False
        )
    out["nll_scores"] = gaussian.score_samples(pca.transform(flat[train:].clone())).numpy()
    return out


def main() -> None:
    source, target = (Path(name) for name in sys.argv[1:])
    given: Arrays = dict(np.load(source))
    with torch.no_grad():
        found: dict[str, Any] = {**patchcore(given), **padim(given), **dfm(given)}
    np.savez(target, version=anomalib.__version__, torch=torch.__version__, **found)


if __name__ == "__main__":
    main()
