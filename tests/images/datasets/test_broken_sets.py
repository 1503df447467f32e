"""Data sets with something missing, misplaced or damaged: each is named with its file, and nothing is hidden."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import BUILDERS, mask, picture, points, write_table
from PIL import Image

from onlygood.errors import DataError, DataWarning
from onlygood.images.datasets import check_dataset, open_dataset


def remove(root: Path, name: str) -> None:
    path = root / name
    if path.is_dir():
        for inside in sorted(path.rglob("*"), reverse=True):
            inside.rmdir() if inside.is_dir() else inside.unlink()
        path.rmdir()
    else:
        path.unlink()


#: layout, what is taken away, what the error must name.
MISSING = [
    ("mvtec_ad", "bottle/ground_truth/broken/000_mask.png", "bottle/ground_truth/broken/000_mask.png"),
    ("mvtec_ad", "bottle/test/broken/000.png", "bottle/ground_truth/broken/000_mask.png is the mask of is missing"),
    ("mvtec_ad", "bottle/test/broken", "no folder {root}/bottle/test/broken"),
    ("mvtec_ad", "bottle/ground_truth", "bottle/ground_truth/contamination/001_mask.png"),
    ("mvtec_ad", "screw/train/good", "screw/train/good is missing"),
    ("mvtec_ad", "screw/train", "screw/train/good is missing"),
    ("mvtec_ad", "screw/test", "screw/test is missing"),
    ("mvtec_ad", "screw/test/good", "screw/test/good is missing"),
    ("mpdd", "tubes/train/good", "tubes/train/good is missing"),
    ("btad", "01/ground_truth/ko/000.png", "01/ground_truth/ko/000_mask.png"),
    ("btad", "02/train/ok", "02/train/ok is missing"),
    (
        "mvtec_loco",
        "pushpins/ground_truth/logical_anomalies/000",
        "pushpins/ground_truth/logical_anomalies/000/000.png",
    ),
    ("mvtec_loco", "pushpins/test/logical_anomalies/000.png", "pushpins/ground_truth/logical_anomalies/000 is missing"),
    ("mvtec_loco", "pushpins/validation", "pushpins/validation/good is missing"),
    ("mvtec_3d", "bagel/train/good/xyz/001.tiff", "expected {root}/bagel/train/good/xyz/001.tiff"),
    ("mvtec_3d", "bagel/validation/good/rgb/000.png", "expected {root}/bagel/validation/good/rgb/000.png"),
    ("mvtec_3d", "bagel/test/crack/gt/000.png", "expected {root}/bagel/test/crack/gt/000.png"),
    ("mvtec_3d", "bagel/validation", "bagel/validation/good is missing"),
    ("visa", "split_csv/1cls.csv", "split_csv/1cls.csv is missing"),
    ("visa", "pcb1/Data/Images/Normal/0001.JPG", "pcb1/Data/Images/Normal/0001.JPG (line 10 of 1cls.csv) is missing"),
    ("visa", "pcb1/Data/Masks/Anomaly/001.png", "expected {root}/pcb1/Data/Masks/Anomaly/001.png"),
    ("magnetic_tile", "MT_Free", "MT_Free/Imgs is missing"),
    ("magnetic_tile", "MT_Crack/Imgs/exp1_num_77.png", "expected {root}/MT_Crack/Imgs/exp1_num_77.png"),
    ("magnetic_tile", "MT_Crack/Imgs/exp1_num_77.jpg", "MT_Crack/Imgs/exp1_num_77.png is the mask of is missing"),
    ("elpv", "images/mono0003.png", "images/mono0003.png"),
    ("kolektor_sdd", "kos03/Part1_label.bmp", "expected {root}/kos03/Part1_label.bmp"),
    ("kolektor_sdd", "kos03/Part1.jpg", "kos03/Part1_label.bmp is the mask of is missing"),
    ("cifar10", "data_batch_3.bin", "data_batch_3.bin"),
    ("folders", "trays/ground_truth/dent/001_mask.png", "trays/ground_truth/dent/001_mask.png"),
    ("folders", "trays/train/ok", "trays/train/good is missing"),
    ("manifest", "good/1.png", "Line 3 of {root}/manifest.csv names the image {root}/good/1.png"),
    ("manifest", "masks/b.png", "Line 7 of {root}/manifest.csv names the mask {root}/masks/b.png"),
]


@pytest.mark.parametrize(("layout", "gone", "named"), MISSING)
def test_what_is_missing_is_named(layout, gone, named, tmp_path, small) -> None:
    if layout == "mvtec_3d":
        pytest.importorskip("tifffile")
    root = BUILDERS[layout](tmp_path / "data")
    remove(root, gone)
    with pytest.raises(DataError, match="cannot be used") as error:
        open_dataset(root)
    assert named.format(root=root) in str(error.value)
    found = check_dataset(root, deep=True)
    assert not found.fine
    assert any(named.format(root=root) in problem.message for problem in found.problems)


@pytest.mark.parametrize(
    ("layout", "put", "named"),
    [
        ("mvtec_ad", "bottle/train/broken/000.png", "bottle/train/broken lies beside"),
        ("mvtec_ad", "bottle/ground_truth/broken/000.png", "masks of the same image"),
        ("mvtec_loco", "pushpins/test/odd_anomalies/000.png", "odd_anomalies is neither of"),
        ("mvtec_loco", "pushpins/ground_truth/logical_anomalies/009/000.png", "logical_anomalies/009 is missing"),
        ("folders", "trays/train/bad/000.png", "trays/train/bad lies beside"),
    ],
)
def test_what_is_misplaced_is_named(layout, put, named, tmp_path, small) -> None:
    root = BUILDERS[layout](tmp_path / "data")
    picture(root / put)
    with pytest.raises(DataError, match="cannot be used") as error:
        open_dataset(root)
    assert named in str(error.value)


def test_everything_is_listed_though_an_error_shows_five(tmp_path, small) -> None:
    root = BUILDERS["visa"](tmp_path)
    for path in (root / "candle" / "Data" / "Images" / "Normal").iterdir():
        path.unlink()
    remove(root, "pcb1/Data/Masks")
    assert len(check_dataset(root).problems) == 7
    with pytest.raises(DataError, match="And 2 more; `onlygood data check` lists all"):
        open_dataset(root)


def test_a_category_that_is_not_there_is_a_difference(tmp_path, small) -> None:
    for layout, gone in (("mvtec_ad", "screw"), ("visa", "pcb1")):
        root = BUILDERS[layout](tmp_path / layout)
        remove(root, gone)
        with pytest.warns(DataWarning, match=f"lacks 1 of 2 categories: {gone}"):
            assert len(open_dataset(root).categories) == 1


def test_a_missing_image_is_a_difference_of_counts(tmp_path, small) -> None:
    root = BUILDERS["mvtec_ad"](tmp_path)
    remove(root, "screw/train/good/001.png")
    with pytest.warns(DataWarning, match=r"screw differs .*: 2 for training \(published: 3\)"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "No such file"),
        ("[", "is no JSON"),
        ("{}", "no list of defects"),
        ("[]", "no list of defects"),
        ('[{"defect_name": "a"}]', "entry without"),
        (
            json.dumps([{"defect_name": "a", "pixel_value": 9, "saturation_threshold": 0, "relative_saturation": 0}]),
            "0.0",
        ),
        (
            json.dumps([{"defect_name": "a", "pixel_value": 9, "saturation_threshold": 2, "relative_saturation": 1}]),
            "2.0",
        ),
        (
            json.dumps(
                [
                    {"defect_name": n, "pixel_value": 9, "saturation_threshold": 1, "relative_saturation": 1}
                    for n in "ab"
                ]
            ),
            "pixel value 9 to two defects",
        ),
    ],
)
def test_a_bad_config_of_loco_costs_spro_alone(text, named, tmp_path, small) -> None:
    root = BUILDERS["mvtec_loco"](tmp_path)
    path = root / "pushpins" / "defects_config.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.warns(DataWarning, match="No sPRO of pushpins") as warned:
        data = open_dataset(root)
    assert named in str(warned[0].message) and str(path) in str(warned[0].message)
    assert not data.category("pushpins").saturations and data.category("screw_bag").saturations


VISA_COLUMNS = ["object", "split", "label", "image", "mask"]


@pytest.mark.parametrize(
    ("columns", "rows", "named"),
    [
        (VISA_COLUMNS[:4], [["candle", "train", "normal", "a.JPG"]], "lacks rows or one of the columns"),
        (VISA_COLUMNS, [], "lacks rows"),
        (
            VISA_COLUMNS,
            [["candle", "train", "anomaly", "a.JPG", "b.png"]],
            "Line 2 of .*1cls.csv says 'train', 'anomaly'",
        ),
        (VISA_COLUMNS, [["candle", "holdout", "normal", "a.JPG", ""]], "says 'holdout', 'normal'"),
        (VISA_COLUMNS, [["candle", "test", "odd", "a.JPG", ""]], "says 'test', 'odd'"),
        (VISA_COLUMNS, [["candle", "test", "anomaly", "a.JPG", ""]], "expected in line 2"),
    ],
)
def test_a_bad_table_of_visa(columns, rows, named, tmp_path, small) -> None:
    root = BUILDERS["visa"](tmp_path)
    write_table(root / "split_csv" / "1cls.csv", columns, rows)
    with pytest.raises(DataError, match=named):
        open_dataset(root)


LINES = {
    "no_label": (["a.png", "train", "", "", ""], "Line 2 of .* has no label"),
    "split": (["a.png", "fit", "good", "", ""], "has the split 'fit'"),
    "bad_in_train": (["a.png", "train", "scratch", "", ""], "puts the defective image .*a.png .scratch. into train"),
    "no_path": (["", "train", "good", "", ""], "names no image"),
    "no_image": (["b.png", "test", "good", "", ""], "names the image .*b.png, which is not there"),
    "no_mask": (["a.png", "test", "scratch", "a.png; m.png", ""], "names the mask .*m.png"),
    "short": (["a.png"], "has the split ''"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_bad_line_of_a_manifest(case, tmp_path) -> None:
    picture(tmp_path / "a.png")
    row, named = LINES[case]
    table = write_table(tmp_path / "parts.csv", ["path", "split", "label", "mask", "category"], [row])
    with pytest.raises(DataError, match=named):
        open_dataset(table)


def test_other_faults_of_a_manifest(tmp_path) -> None:
    picture(tmp_path / "a.png")
    table = tmp_path / "parts.csv"
    write_table(table, ["path", "split"], [["a.png", "train"]])
    with pytest.raises(DataError, match="lacks the column 'label'"):
        open_dataset(table)
    write_table(table, ["path", "split", "label"], [])
    with pytest.raises(DataError, match="lists no image"):
        open_dataset(table)
    write_table(table, ["path", "split", "label"], [["a.png", "train", "good"], ["a.png", "test", "good"]])
    with pytest.raises(DataError, match=r"Line 3 of .* again, after line 2"):
        open_dataset(table)
    write_table(table, ["path", "split", "label"], [["a.png", "train", "good"]])
    with pytest.raises(DataError, match=r"parts in .* has no good test image.*no defective test image"):
        open_dataset(table)
    table.write_bytes(b"path,split,label\n\xff,train,good\n")
    with pytest.raises(DataError, match="cannot be read as CSV in UTF-8"):
        open_dataset(table)


def test_bad_labels_of_elpv(tmp_path, small) -> None:
    root = BUILDERS["elpv"](tmp_path)
    (root / "labels.csv").write_text("images/mono0000.png 0 mono\nimages/mono0001.png mono\n")
    with pytest.raises(DataError, match=r"Line 2 of .*labels.csv"):
        open_dataset(root)


def test_a_batch_of_cifar10_cut_short(tmp_path, small) -> None:
    root = BUILDERS["cifar10"](tmp_path)
    path = root / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_2.bin holds no whole"):
        open_dataset(root)


def deep_problems(root: Path) -> list[tuple[str, str]]:
    return [(problem.severity, problem.message) for problem in check_dataset(root, deep=True).problems]


def test_deep_finds_what_is_damaged(tmp_path, small) -> None:
    root = BUILDERS["mvtec_ad"](tmp_path)
    damaged = root / "bottle" / "train" / "good" / "001.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    (root / "screw" / "test" / "good" / "000.png").write_bytes(b"")
    truth = root / "screw" / "ground_truth" / "broken" / "000_mask.png"
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(truth)
    mask(root / "screw" / "ground_truth" / "contamination" / "001_mask.png", 0)
    assert check_dataset(root).fine  # their names are all there
    found = deep_problems(root)
    expected = [
        ("error", str(damaged)),
        ("error", f"{truth} is 5 x 5 pixels"),
        ("warning", "marks no pixel"),
        ("error", "screw/test/good/000.png is empty"),
    ]
    assert len(found) == len(expected)
    for (severity, message), (expected_severity, words) in zip(found, expected):
        assert severity == expected_severity and words in message


def test_deep_finds_a_training_image_among_the_test_images(tmp_path, small) -> None:
    root = BUILDERS["mvtec_ad"](tmp_path)
    first = root / "bottle" / "train" / "good" / "000.png"
    (root / "bottle" / "test" / "good" / "001.png").write_bytes(first.read_bytes())
    (root / "screw" / "train" / "good" / "001.png").write_bytes(
        (root / "screw" / "train" / "good" / "000.png").read_bytes()
    )
    found = deep_problems(root)
    assert [severity for severity, _ in found] == ["warning", "note"]
    assert f"as {first}, which is fitted on" in found[0][1]


def test_deep_reads_the_points_of_scans(tmp_path, small) -> None:
    pytest.importorskip("tifffile")
    root = BUILDERS["mvtec_3d"](tmp_path)
    path = root / "tire" / "train" / "good" / "xyz" / "000.tiff"
    path.write_bytes(path.read_bytes()[:100])
    other = root / "tire" / "test" / "crack" / "rgb" / "000.png"
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(other)
    points(root / "tire" / "test" / "crack" / "xyz" / "000.tiff")
    messages = [message for _, message in deep_problems(root)]
    assert len(messages) == 3 and str(path) in messages[0]
    assert "The mask" in messages[1] and "grid of points" in messages[2] and "20 x 20" in messages[2]


def test_deep_knows_the_pixel_values_of_loco(tmp_path, small) -> None:
    root = BUILDERS["mvtec_loco"](tmp_path)
    folder = root / "pushpins" / "ground_truth" / "logical_anomalies" / "000"
    mask(folder / "000.png", 7)
    two = np.zeros((12, 16), np.uint8)
    two[2, 2:4] = (200, 255)
    Image.fromarray(two).save(folder / "001.png")
    messages = [message for _, message in deep_problems(root)]
    assert len(messages) == 2
    assert "pixel value 7, unknown" in messages[0] and "holds: 200, 255" in messages[1]
