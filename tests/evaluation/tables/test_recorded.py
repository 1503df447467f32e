"""Plans as runs and back: what is planned is what is compared, whichever way it was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.tables import compare, load_paper, plan
from onlygood.evaluation.tables.recorded import (
    Data,
    as_sweep,
    datasets_of,
    limited,
    open_data,
    table_name,
    to_compare,
)


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """A tiny set in the layout of MVTec AD that is none of its categories."""
    random = np.random.default_rng(0)
    for folder, count in (("train/good", 3), ("test/good", 2), ("test/scratch", 2)):
        place = tmp_path / "tiles" / folder
        place.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(place / f"{number}.png")
    masks = tmp_path / "tiles" / "ground_truth" / "scratch"
    masks.mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((40, 40), np.uint8)
        mask[5:9, 5:9] = 255
        Image.fromarray(mask).save(masks / f"{number}_mask.png")
    return tmp_path / "tiles"


def ended(spec: RunSpec, **more) -> Record:
    figures = {"image_auroc": 0.9, "pixel_auroc": 0.8, "aupro": None, "n_train": 3, "n_good": 2, "n_defect": 2}
    return Record(
        spec, "ok", "2026-01-01", "2026-01-01", "", {**figures, "per_type": [], **more}, {"ms_per_image": 25.0}
    )


@pytest.mark.parametrize(
    ("dataset", "category", "counts", "name"),
    [
        ("MVTec AD", "screw", (320, 41, 119), "mvtec_ad"),
        ("MVTec AD", "screw", (None, 41, 119), "mvtec_ad"),
        ("MVTec AD", "screw", (32, 41, 119), "screw (other images than MVTec AD)"),
        ("MVTec AD", "screw", (320, 41, 11), "screw (other images than MVTec AD)"),
        ("MVTec AD", "cookie", (31, 14, 32), "cookie"),
        ("MVTec LOCO AD", "pushpins", (372, 138, 172), "mvtec_loco"),
        ("CIFAR-10", "ship", (5000, 1000, 9000), "cifar10"),
        ("my parts", "screw", (320, 41, 119), "my parts"),
    ],
)
def test_only_what_is_as_published_is_the_papers(dataset: str, category: str, counts: tuple, name: str) -> None:
    assert table_name(dataset, category, *counts) == name


def test_what_is_planned_and_run_is_what_is_compared(tiles: Path) -> None:
    data = open_data([tiles])
    ((name, categories),) = data.names.items()
    assert categories == ["tiles"]
    planned = limited(plan("reb", data.names, backbones=(), backbone="efficientnet_lite0"), ["ldknn"])
    sweep = as_sweep(planned, data)
    assert len(sweep.specs) == len(planned.runs) and {spec.dataset for spec in sweep.specs} == set(data.sets)
    plain = to_compare(ended(spec) for spec in sweep.specs)
    assert datasets_of(plain) == {name: ["tiles"]}
    rows = {one.row for one in compare(plain, load_paper("reb")) if one.table == "Table 2" and one.dataset == name}
    assert {"LDKNN (K=5), Res18", "LDKNN (K=9), WR50"} <= rows
    speeds = {one.ours for one in compare(plain, load_paper("reb")) if one.metric == "images_per_second"}
    assert speeds == {40.0}


def test_a_preset_is_the_same_run_as_its_parameters() -> None:
    counts = {"n_train": 400, "n_good": 21, "n_defect": 49}
    spec = RunSpec("BTAD", "01", "reb", "released", {"backbone": "wide_resnet50_2", "k": 57})
    compared = compare(to_compare([ended(spec, **counts)]), load_paper("reb"))
    (found,) = [one for one in compared if (one.row, one.category, one.metric) == ("REB (K=57)", "01", "image_auroc")]
    assert found.ours == 0.9 and not any("in place of" in text for text in found.reasons)


def test_draws_are_the_seeds_of_few_shot_runs() -> None:
    wanted = plan("reb", {"mvtec_ad": ["screw"]}, tables={"Table 7"})
    screw = Data({}, {"mvtec_ad": ["screw"]}, {("mvtec_ad", "screw"): ("MVTec AD", "screw")})
    specs = [spec for spec in as_sweep(limited(wanted, ["padim"]), screw).specs if spec.shots == 5]
    assert sorted((spec.draw, spec.seed) for spec in specs) == [(draw, 0) for draw in range(5)]
    plain = to_compare(ended(spec, n_good=41, n_defect=119) for spec in specs)
    assert sorted((one["seed"], one["shots"], one["dataset"]) for one in plain) == [
        (n, 5, "mvtec_ad") for n in range(5)
    ]


def test_failed_runs_and_parts_of_the_training_images_are_left_out() -> None:
    spec = RunSpec("parts", "a", "knn")
    failed = Record(spec, "failed", "", "", "", error="no")
    part = ended(RunSpec("parts", "a", "knn", most_train=10))
    assert to_compare([failed, part]) == []


def test_natures_of_loco_come_from_its_types_of_defect() -> None:
    types = [{"name": "logical_anomalies", "image_auroc": 0.7}, {"name": "structural_anomalies", "image_auroc": 0.8}]
    (plain,) = to_compare([ended(RunSpec("MVTec LOCO AD", "pushpins", "knn"), per_type=types)])
    assert plain["metrics"]["image_auroc_logical"] == 0.7 and plain["metrics"]["image_auroc_structural"] == 0.8
    assert "aupro" not in plain["metrics"]


def test_of_runs_recorded_twice_the_later_counts() -> None:
    spec = RunSpec("parts", "a", "knn", "released", {"backbone": "resnet18"})
    first, second = ended(spec, image_auroc=0.99), ended(spec, image_auroc=0.5)
    compared = compare(to_compare([first, second]), load_paper("reb"))
    assert {one.ours for one in compared if one.row == "PatchCore, Res18" and one.metric == "image_auroc"} == {
        None,
        0.5,
    }


def test_a_plan_of_the_released_protocol_is_run_so_and_found_again() -> None:
    screw = Data({}, {"mvtec_ad": ["screw"]}, {("mvtec_ad", "screw"): ("MVTec AD", "screw")})
    planned = plan("simplenet", screw.names, tables={"Table 1"}, seeds=[0], protocol="released")
    specs = [spec for spec in as_sweep(planned, screw).specs if spec.method == "simplenet"]
    assert sorted(spec.protocol for spec in specs) == ["honest", "released"]
    counts = {"n_train": 320, "n_good": 41, "n_defect": 119}
    (spec,) = (one for one in specs if one.protocol == "released")
    found = printed([ended(spec, oracle=True, honest_image_auroc=0.8, **counts)], "simplenet", "SimpleNet")
    assert found.ours == 0.9 and found.oracle


def simplenet(protocol: str, category: str = "screw", **figures) -> Record:
    parameters = {"backbone": "wide_resnet50_2"}
    spec = RunSpec("MVTec AD", category, "simplenet", "released", parameters, protocol=protocol)
    return ended(spec, n_train=320, n_good=41, n_defect=119, **figures)


def printed(records: list[Record], paper: str, row: str, table: str = "Table 1"):
    """The image AUROC of screws that is shown beside a printed row."""
    wanted = (table, row, "screw", "image_auroc")
    compared = compare(to_compare(records), load_paper(paper))
    (found,) = [one for one in compared if (one.table, one.row, one.category, one.metric) == wanted]
    return found


def test_an_oracle_stands_beside_rows_printed_as_oracles_alone() -> None:
    honest = simplenet("honest", image_auroc=0.9)
    oracle = simplenet("released", image_auroc=0.95, oracle=True, honest_image_auroc=0.9)
    for records in ([honest, oracle], [oracle, honest], [oracle]):
        found = printed(records, "simplenet", "SimpleNet")
        assert found.ours == 0.95 and found.oracle
        assert "ours is an oracle, chosen by test images (released protocol); honest: 90.00 %" in found.reasons
        assert not any("ours: the last epoch" in text for text in found.reasons)
    alone = printed([honest], "simplenet", "SimpleNet")
    assert alone.ours == 0.9 and not alone.oracle
    assert any("ours: the last epoch" in text for text in alone.reasons)


def test_a_row_with_a_fixed_k_takes_no_oracle() -> None:
    spec = RunSpec("MVTec AD", "screw", "ldknn", "released", {"backbone": "resnet18"}, protocol="released")
    counts = {"n_train": 320, "n_good": 41, "n_defect": 119}
    oracle = ended(spec, image_auroc=0.95, oracle=True, honest_image_auroc=0.9, **counts)
    fixed = printed([oracle], "reb", "LDKNN (K=5), Res18", "Table 2")
    assert fixed.ours is None and not fixed.oracle
    variable = printed([oracle], "reb", "LDKNN (Variable K), Res18", "Table 2")
    assert variable.ours == 0.95 and variable.oracle


def test_on_other_data_an_oracle_has_a_row_of_its_own() -> None:
    made = [
        ended(RunSpec("parts", "a", "ulsad", "released", protocol=protocol), image_auroc=auroc, **more)
        for protocol, auroc, more in (
            ("honest", 0.8, {}),
            ("released", 0.9, {"oracle": True, "honest_image_auroc": 0.8}),
        )
    ]
    compared = compare(to_compare(made), load_paper("ulsad"))
    found = {
        (one.row, one.ours, one.oracle) for one in compared if one.dataset == "parts" and one.metric == "image_auroc"
    }
    assert {("ULSAD", 0.8, False), ("ULSAD, released protocol", 0.9, True)} <= found
    assert {(ours, oracle) for _, ours, oracle in found} == {(0.8, False), (0.9, True)}
    assert all(row.endswith("released protocol") == oracle for row, _, oracle in found)
