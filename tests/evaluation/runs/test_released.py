"""The released protocol: an oracle that says so, beside the honest figures of the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score
from tiles_and_engine import InThisProcess, tile

import onlygood
from onlygood.errors import ParameterError
from onlygood.evaluation.epochs import training_curve
from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.released import CHOSEN_BY_TEST
from onlygood.evaluation.runs.running import run_sweep
from onlygood.evaluation.runs.sweep import Candidate, plan
from onlygood.images import as_sources, read_image
from onlygood.images.preparing import resize
from onlygood.methods import method_names

LDKNN = Candidate("ldknn", parameters={"size": 64, "k": 2, "alpha": 1.0})
SIMPLENET = Candidate("simplenet", parameters={"size": 64, "epochs": 8, "updates": 1, "hidden": 16})
ULSAD = Candidate("ulsad", parameters={"size": 64, "epochs": 3, "most_updates": 3, "width": 0.125})
#: Figures that both records have of the honest run.
SHARED = ("image_auroc", "average_precision", "best_f1", "pixel_auroc", "aupro", "false_reject_1", "escape_5")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose defects are so faint that the choice of K or epoch matters."""
    root = tmp_path_factory.mktemp("data") / "tiles"
    seed = 100
    for kind, count in (("train/good", 6), ("test/good", 6), ("test/blot", 6)):
        (root / "red" / kind).mkdir(parents=True)
        for i in range(count):
            image = tile(seed)
            if "blot" in kind:
                image[30:44, 26:40] += 4 * np.uint8(i + 1)
            Image.fromarray(image).save(root / "red" / kind / f"{i}.png")
            seed += 1
    (root / "red" / "ground_truth" / "blot").mkdir(parents=True)
    mask = np.zeros((80, 80), np.uint8)
    mask[30:44, 26:40] = 255
    for i in range(6):
        Image.fromarray(mask).save(root / "red" / "ground_truth" / "blot" / f"{i}_mask.png")
    return root


def both(candidate: Candidate, tiles: Path, folder: Path, here: InThisProcess) -> tuple[Record, Record]:
    """The record of the honest run and that of the released one, from one file."""
    records = Records(folder / "runs.sqlite")
    found = []
    for protocol in ("honest", "released"):
        sweep = plan([tiles], [candidate], categories=["red"], protocol=protocol)
        run_sweep(sweep, records, here, features=folder / "features")
        record = records.get(sweep.specs[0])
        assert record is not None and record.status == "ok", record
        found.append(record)
    assert len(records.all()) == 2  # none replaces the other
    return found[0], found[1]


@pytest.mark.parametrize("candidate", [LDKNN, SIMPLENET, ULSAD], ids=lambda one: one.method)
def test_one_record_has_the_oracle_and_the_honest_run(
    candidate: Candidate, tiles: Path, tmp_path: Path, here: InThisProcess
) -> None:
    honest, released = (record.figures for record in both(candidate, tiles, tmp_path, here))
    assert "oracle" not in honest and not any(name.startswith("honest_") for name in honest)
    assert released["oracle"] is True
    for name in SHARED:
        assert released[f"honest_{name}"] == honest[name]
    kept = released["scores"]
    truth = np.array([kind != "good" for kind in kept["defect"]])
    assert kept["name"] == honest["scores"]["name"]
    assert released["image_auroc"] == pytest.approx(roc_auc_score(truth, kept["score"]))
    assert released["average_precision"] == pytest.approx(average_precision_score(truth, kept["score"]))
    assert 0 <= released["pixel_auroc"] <= 1 and 0 <= released["aupro"] <= 1
    assert released["false_reject_1"] is released["escape_1"] is released["per_type"][0]["escape_1"] is None
    what = CHOSEN_BY_TEST[candidate.method]
    by_value = {one[what]: one["image_auroc"] for one in released["tried"]}
    assert released["image_auroc"] == by_value[released["chosen"][what]] == max(by_value.values())


def test_the_chosen_k_scores_as_a_detector_of_that_k(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    _, record = both(LDKNN, tiles, tmp_path, here)
    found, folder = record.figures, tiles / "red"
    assert [one["k"] for one in found["tried"]] == [0, 2, 3, 5, 7, 9, 11]  # the run's own, too
    names = [folder / "test" / name for name in found["scores"]["name"]]
    truth = [kind != "good" for kind in found["scores"]["defect"]]
    for one in found["tried"]:
        k = {"k": one["k"], "alpha": 1.0} if one["k"] else {"alpha": 0.0}
        scores = onlygood.LDKNN(size=64, threads=1, **k).fit(folder).score(names)
        assert one["image_auroc"] == pytest.approx(roc_auc_score(truth, scores))
        if one["k"] == found["chosen"]["k"]:
            np.testing.assert_allclose(found["scores"]["score"], scores, rtol=1e-5)


def test_choosing_by_test_images_raises_the_figure(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    _, released = both(LDKNN, tiles, tmp_path, here)
    assert released.figures["image_auroc"] > released.figures["honest_image_auroc"]


def test_with_nothing_to_gain_the_oracle_is_the_honest_run(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    """Without density every K is the same: the run's own is kept."""
    plain = Candidate("ldknn", parameters={"size": 64, "k": 5, "alpha": 0.0})
    honest, released = both(plain, tiles, tmp_path, here)
    assert (
        released.figures["chosen"] == {"k": 5} and len({one["image_auroc"] for one in released.figures["tried"]}) == 1
    )
    np.testing.assert_allclose(released.figures["scores"]["score"], honest.figures["scores"]["score"], rtol=1e-5)
    assert released.figures["pixel_auroc"] == pytest.approx(honest.figures["pixel_auroc"], abs=1e-6)


def test_the_chosen_epoch_scores_as_a_training_that_ended_there(
    tiles: Path, tmp_path: Path, here: InThisProcess
) -> None:
    _, record = both(SIMPLENET, tiles, tmp_path, here)
    found = record.figures
    assert [one["epoch"] for one in found["tried"]] == [4, 8]
    ended = {**SIMPLENET.parameters, "epochs": found["chosen"]["epoch"]}
    names = [tiles / "red" / "test" / name for name in found["scores"]["name"]]
    scores = onlygood.SimpleNet(threads=1, **ended).fit(tiles / "red").score(names)
    np.testing.assert_allclose(found["scores"]["score"], scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", sorted(set(method_names()) - set(CHOSEN_BY_TEST)))
def test_what_does_not_peek_is_refused_before_anything_is_run(tiles: Path, method: str) -> None:
    with pytest.raises(ParameterError, match=f"no released protocol of {method}.*honest run is the one"):
        plan([tiles], [LDKNN, Candidate(method)], protocol="released")


@pytest.mark.parametrize(("parameters", "expected"), [({"coreset": 0.1}, "coreset=0.1.*full bank"), ({"k": 0}, "k=0")])
def test_what_cannot_be_swept_is_refused(tiles: Path, parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        plan([tiles], [Candidate("reb", parameters=parameters)], protocol="released")


def test_ulsad_is_judged_as_its_code_does(tiles: Path) -> None:
    """Maps as they are before the last epoch, brought to one scale by the good test images after it."""
    folder = tiles / "red"
    test = [*sorted((folder / "test" / "good").iterdir()), *sorted((folder / "test" / "blot").iterdir())]
    labels = [0] * 6 + [1] * 6
    parameters = {"size": 64, "epochs": 2, "most_updates": 0, "schedule": "constant", "width": 0.125, "threads": 1}
    detector = onlygood.ULSAD(**parameters, image_score="max")
    curve = training_curve(detector, folder, test, labels, every=1, as_released=True)
    maps = branch_maps(curve.detector, test)
    of_good = maps[:6].transpose(1, 0, 2).reshape(2, -1)
    low, high = np.quantile(of_good, (0.9, 0.995), axis=1)[..., None]
    scores = (0.1 * (maps - low) / (high - low)).mean(axis=1).max(axis=1)
    assert curve.figures[1].image_auroc == pytest.approx(roc_auc_score(labels, scores))
    assert curve.figures[0].image_auroc == pytest.approx(
        roc_auc_score(labels, unscaled_scores(parameters, folder, test))
    )
    plain = training_curve(onlygood.ULSAD(**parameters, image_score="max"), folder, test, labels, every=1)
    assert plain.detector.head_.onnx == curve.detector.head_.onnx  # what is fitted is the same


def unscaled_scores(parameters: dict[str, Any], folder: Path, paths: list[Path]) -> np.ndarray:
    """Highest of the plain mean of both maps after the first epoch, `(n,)`."""
    import torch

    found: list[float] = []

    def look(epoch: int, epochs: int, head: Any, detector: Any) -> None:
        if epoch > 1:
            return
        network = head.branches.eval()
        for path in paths:
            image = resize(read_image(path), 64, path.name)[None]
            with torch.no_grad():
                maps = network(torch.tensor(detector.graph_(image)), torch.tensor(image))
            found.append(float(maps.mean(dim=1).max()))

    detector = onlygood.ULSAD(**parameters, image_score="max")
    detector._watcher = look
    detector.fit(folder)
    return np.array(found)


def branch_maps(detector: onlygood.ULSAD, paths: list[Path]) -> np.ndarray:
    """Local and global patch scores `(n, 2, h * w)`, each on a scale of its own."""
    found = [detector._scores_of(source).branches for source in as_sources([str(path) for path in paths])]
    return np.array([[one["local"].ravel(), one["global"].ravel()] for one in found])
