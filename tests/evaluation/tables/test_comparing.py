"""Printed beside ours: means over seeds and categories against NumPy, oracles, and the reasons."""

from __future__ import annotations

import csv
from io import StringIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.errors import DataError
from onlygood.evaluation.tables import Compared, compare, load_paper, plan
from onlygood.evaluation.tables.layout import grids, ours_text, printed_text
from onlygood.evaluation.tables.published import categories_of
from onlygood.evaluation.tables.writing import COLUMNS, to_csv, to_markdown

REB = load_paper("reb")
BTAD = categories_of()["btad"]


def record(category: str, auroc: float, seed: int = 0, **more) -> dict:
    """A record of REB (K=57) on BTAD, as planned."""
    (run,) = (
        one
        for one in plan("reb", {"btad": [category]}, tables={"Table 4"}).runs
        if one["method"] == "reb" and one["seed"] == 0
    )
    return {**run, "seed": seed, "metrics": {"image_auroc": auroc, "pixel_auroc": auroc - 0.1}, **more}


def cell(compared: tuple[Compared, ...], row: str, category: str = "mean", metric: str = "image_auroc", **more):
    wanted = {"row": row, "category": category, "metric": metric, **more}
    (found,) = [one for one in compared if all(getattr(one, key) == value for key, value in wanted.items())]
    return found


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0.5, 1)] * 3), min_size=1, max_size=5))
def test_means_and_deviations_are_those_of_numpy(values: list[tuple[float, float, float]]) -> None:
    records = [record(c, v, seed) for seed, row in enumerate(values) for c, v in zip(BTAD, row)]
    found = cell(compare(records, REB), "REB (K=57)")
    per_seed = np.array(values).mean(axis=1)
    assert found.ours == pytest.approx(per_seed.mean()) and found.seeds == len(values)
    assert found.difference == pytest.approx(per_seed.mean() - 0.960)
    if len(values) > 1:
        assert found.std == pytest.approx(per_seed.std(ddof=1))
    else:
        assert found.std is None
    assert ("ours: 1 of 3 seeds" in found.reasons) == (len(values) == 1)


def test_a_mean_of_some_of_the_categories_is_not_shown() -> None:
    compared = compare([record("01", 0.9), record("02", 0.8)], REB)
    assert cell(compared, "REB (K=57)", "02").ours == 0.8
    mean = cell(compared, "REB (K=57)")
    assert mean.ours is None and mean.difference is None
    assert "ours: 2 of 3 categories so far" in mean.reasons


def test_without_records_everything_is_printed_alone() -> None:
    compared = compare([], REB)
    assert len(compared) == len(REB.values) and all(one.ours is None for one in compared)
    assert "the library does not have this method" in cell(compared, "RD++", table="Table 4").reasons


def test_another_backbone_is_compared_and_said_and_never_mixed() -> None:
    def on(backbone: str, category: str, auroc: float) -> dict:
        one = record(category, auroc)
        return {**one, "parameters": {**one["parameters"], "backbone": backbone}}

    lite = [on("efficientnet_lite0", category, 0.9) for category in BTAD]
    both = cell(compare([*lite, on("resnet18", "01", 0.5)], REB), "REB (K=57)")
    assert both.ours == pytest.approx(0.9)
    assert "backbone: efficientnet_lite0 in place of wide_resnet50_2" in both.reasons
    exact = cell(compare([*lite, *(record(category, 0.7) for category in BTAD)], REB), "REB (K=57)")
    assert exact.ours == pytest.approx(0.7) and not any("in place of" in text for text in exact.reasons)


@pytest.mark.parametrize("change", [{"k": 5}, {"alpha": 0.5}, {"aggregator": "concat"}, {"size": 224}])
def test_other_parameters_are_another_run(change: dict) -> None:
    records = [record(category, 0.9) for category in BTAD]
    for one in records:
        one["parameters"] = {**one["parameters"], **change}
    assert cell(compare(records, REB), "REB (K=57)").ours is None


def test_where_it_ran_does_not_matter() -> None:
    records = [record(category, 0.9) for category in BTAD]
    for one in records:
        one["parameters"] = {**one["parameters"], "threads": 8, "engine": "openvino", "false_reject": 0.05}
    assert cell(compare(records, REB), "REB (K=57)").ours == pytest.approx(0.9)


def test_the_oracle_takes_the_best_setting_of_each_category() -> None:
    runs = plan("reb", {"mvtec_ad": categories_of()["mvtec_ad"]}, tables={"Table 2"}).runs
    ldknn = [one for one in runs if one["method"] == "ldknn" and one["parameters"]["backbone"] == "resnet18"]
    random = np.random.default_rng(3)
    records = [{**one, "metrics": {"image_auroc": float(random.uniform(0.8, 1)), "aupro": 0.5}} for one in ldknn]
    best: dict[str, float] = {}
    for one in records:
        best[one["category"]] = max(best.get(one["category"], 0), one["metrics"]["image_auroc"])
    compared = compare(records, REB)
    found = cell(compared, "LDKNN (Variable K), Res18", table="Table 2")
    assert found.ours == pytest.approx(np.mean(list(best.values())))
    assert "ours, too, is the best by test score, of 6 of 6 settings" in found.reasons
    texture = cell(compared, "LDKNN (Variable K), Res18", "mean of texture")
    names = ("carpet", "grid", "leather", "tile", "wood")
    assert texture.ours == pytest.approx(np.mean([best[name] for name in names]))
    fixed = cell(compared, "LDKNN (K=5), Res18", table="Table 2")
    assert fixed.ours < found.ours and not any("best" in text for text in fixed.reasons)


def test_shots_are_kept_apart() -> None:
    runs = plan("reb", {"mvtec_ad": categories_of()["mvtec_ad"]}, tables={"Table 7"}, seeds=[0]).runs
    records = [{**r, "metrics": {"image_auroc": 0.5 + r["shots"] / 100}} for r in runs if r["method"] == "padim"]
    compared = compare(records, REB)
    for shots in (1, 16, 50):
        assert cell(compared, "PaDiM", table="Table 7", shots=shots).ours == pytest.approx(0.5 + shots / 100)


def test_the_total_of_loco_is_the_mean_of_both_natures() -> None:
    runs = plan("reb", {"mvtec_loco": categories_of()["mvtec_loco"]}, tables={"Table 3"}).runs
    metrics = {"image_auroc": 0.9, "image_auroc_structural": 0.8, "image_auroc_logical": 0.6}
    records = [{**r, "metrics": metrics} for r in runs if r["method"] == "knn"]
    compared = compare(records, REB)
    assert cell(compared, "PatchCore, Res18", metric="image_auroc_natures").ours == pytest.approx(0.7)
    assert cell(compared, "PatchCore, Res18", metric="image_auroc_logical").ours == pytest.approx(0.6)


def on_tiles(backbone: str | None = None) -> list[dict]:
    runs = plan("reb", {"tiles": ["tiles"]}, backbones=None if backbone is None else (), backbone=backbone).runs
    return [
        {**r, "metrics": {"image_auroc": 0.9, "pixel_auroc": 0.8, "ms_per_image": 20}}
        for r in runs
        if r["method"] == "ldknn"
    ]


def test_other_data_get_the_rows_with_our_numbers_alone() -> None:
    compared = [one for one in compare(on_tiles(), REB) if one.dataset == "tiles"]
    table = [one for one in compared if one.table == "Table 2"]
    assert {one.metric for one in table} == {"image_auroc", "pixel_auroc", "images_per_second"}
    assert {one.row for one in table} == {
        f"LDKNN ({k}), {b}"
        for k, b in (("K=5", "Res18"), ("K=9", "WR50"), ("Variable K", "Res18"), ("Variable K", "WR50"))
    }
    assert all(one.published is None and one.difference is None for one in table)
    assert {one.ours for one in table if one.metric == "images_per_second"} == {50.0}
    swept = sorted({one.swept[1] for one in compared if one.table == "Figure 5" and one.swept})
    assert swept == [1, 3, 5, 9, 15, 21, 33, 45, 57]


def test_on_one_backbone_rows_that_differ_by_theirs_alone_are_one() -> None:
    compared = compare(on_tiles("efficientnet_lite0"), REB)
    rows = {one.row for one in compared if one.dataset == "tiles" and one.table == "Table 2"}
    assert rows == {"LDKNN (K=5), Res18", "LDKNN (Variable K), Res18", "LDKNN (K=9), WR50"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "Record 0: Unknown method 'magic'"),
        ({"metrics": None}, "Record 0 lacks metrics"),
        ({"parameters": {"backbone": "magic"}}, "Record 0: Unknown backbone 'magic'"),
    ],
)
def test_a_record_that_cannot_be_used_is_an_error_that_names_it(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compare([{**record("01", 0.9), **change}], REB)


def test_a_figure_that_is_not_finite_is_none() -> None:
    assert cell(compare([record("01", float("nan"))], REB), "REB (K=57)", "01").ours is None


def test_csv_holds_every_number_and_can_be_read_back() -> None:
    compared = compare([record(category, 0.9 + i / 100) for i, category in enumerate(BTAD)], REB)
    rows = list(csv.DictReader(StringIO(to_csv(compared, REB))))
    assert len(rows) == len(compared) and tuple(rows[0]) == COLUMNS
    for row, one in zip(rows, compared):
        assert float(row["published"]) == one.published.value
        assert row["ours"] == "" if one.ours is None else float(row["ours"]) == pytest.approx(one.ours)
    (mean,) = (r for r in rows if r["row"] == "REB (K=57)" and (r["category"], r["metric"]) == ("mean", "image_auroc"))
    assert float(mean["difference"]) == pytest.approx(0.91 - 0.96)
    assert mean["source"] == "Table 4, line REB (K=57), column mean"


def test_markdown_puts_ours_under_printed() -> None:
    compared = compare([record(category, 0.9) for category in BTAD], REB)
    lines = to_markdown(
        compared, REB, [{"table": "Table 2", "row": "x", "dataset": "d", "why": "no data"}]
    ).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("| REB (K=57)") and "96.0" in line)
    assert lines[at + 1] == "| ours | 90.0 | 90.0 | 90.0 | 90.0 |"
    assert lines[at + 2] == "| difference | −6.0 | −9.6 | +1.5 | −9.8 |"
    assert "* no data: Table 2: x." in lines
    widths = {line.count(" | ") for line in lines[at - 9 : at + 3] if line.startswith("|") and "---" not in line}
    assert len(widths) == 1


def test_grids_put_means_first_and_number_the_notes() -> None:
    (grid,) = (g for g in grids(compare([], REB), REB) if g.table == "Table 3" and g.metric == "image_auroc")
    assert set(grid.columns) == {*categories_of()["mvtec_loco"]}
    line = next(one for one in grid.lines if one.row == "SINBAD, WR50")
    said = [grid.notes[number - 1] for number in line.notes]
    assert any(text.startswith("misprint: repeats the categories") for text in said)
    assert any(text.startswith("permuted: ") for text in said)
    (wide,) = (g for g in grids(compare([], REB), REB) if g.table == "Table 2" and g.metric == "image_auroc")
    assert wide.columns[:3] == ("mean", "mean of texture", "mean of object")


def test_texts_have_the_printed_places() -> None:
    ulsad = cell(compare([], load_paper("ulsad")), "ULSAD", table="Table 1", dataset="mpdd")
    assert printed_text(ulsad) == "95.73 ± 0.45" and ours_text(ulsad) == ""
    loco = cell(compare([], load_paper("ulsad")), "ULSAD", table="Table 1", dataset="mvtec_loco")
    assert printed_text(loco) == "84.1 ± 0.86"
    btm = cell(compare([], load_paper("btm")), "BTM, RGB+3D", "bagel", "image_auroc")
    assert printed_text(btm) == "98.0"
