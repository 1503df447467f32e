"""The printed values: every one has its source, means agree with their columns, and what does not is said."""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import fmean

import pytest

from onlygood.errors import DataError, ParameterError
from onlygood.evaluation.tables import PAPERS, Published, load_paper, load_papers
from onlygood.evaluation.tables.published import KINDS, PLAIN, categories_of, groups_of, members, parse_paper

VALUES = [value for paper in load_papers() for value in paper.values]


def of(paper: str, table: str, row: str, category: str = "mean", metric: str = "image_auroc", **more) -> Published:
    wanted = {"table": table, "row": row, "category": category, "metric": metric, **more}
    (found,) = [v for v in load_paper(paper).values if all(getattr(v, key) == w for key, w in wanted.items())]
    return found


def half_a_digit(value: Published) -> float:
    unit = 1.0 if value.paper == "btm" or value.metric in PLAIN else 0.01
    return 0.5 * unit * 10.0 ** -len(value.printed.partition(".")[2])


def lines_of_columns() -> dict[tuple, dict[str, Published]]:
    lines: dict[tuple, dict[str, Published]] = defaultdict(dict)
    for v in VALUES:
        lines[v.paper, v.table, v.row, v.dataset, v.metric, v.shots][v.category] = v
    return lines


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (of("reb", "Table 2", "REB (K=5), Res18"), 0.993),
        (of("reb", "Table 2", "REB (Variable K), WR50"), 0.995),
        (of("reb", "Table 2", "LDKNN (K=9), WR50", "screw"), 0.946),
        (of("reb", "Table 2", "PatchCore, Res18", metric="pixel_auroc"), 0.974),
        (of("reb", "Table 3", "LDKNN (Variable K), WR101", metric="image_auroc_natures"), 0.888),
        (of("reb", "Table 3", "LDKNN (K=45), WR50", metric="image_auroc_logical"), 0.830),
        (of("reb", "Table 4", "REB (K=57)", "02", "pixel_auroc"), 0.956),
        (of("reb", "Table 5", "DRAEM, GDE"), 0.910),
        (of("reb", "Table 6", "DefectMaker, LDKNN", dataset="mvtec_loco"), 0.842),
        (of("reb", "Table 7", "DefectMaker+LDKNN", shots=16), 0.962),
        (of("ulsad", "Table 1", "ULSAD", dataset="mpdd"), 0.9573),
        (of("ulsad", "Table 2", "RD", metric="aupro", dataset="visa"), 0.9177),
        (of("ulsad", "Table 4", "ULSAD", metric="images_per_second"), 33.42),
        (of("ulsad", "Table 12", "ULSAD", "pushpins", "aupro"), 0.6834),
        (of("ulsad", "Table 25", "PatchCore", metric="image_auroc_logical"), 0.7844),
        (of("ulsad", "Table 28", "λ=0.9", "juice_bottle", "pixel_auroc"), 0.8439),
        (of("simplenet", "Table 1", "SimpleNet", "screw"), 0.982),
        (of("simplenet", "Table 1", "CutPaste", "cable", "pixel_auroc"), 0.900),
        (of("simplenet", "Table 2", "level 1+2"), 0.967),
        (of("simplenet", "Table 5", "SimpleNet"), 0.865),
        (of("btm", "Table 1", "BTM, RGB+3D"), 0.930),
        (of("btm", "Table 2", "BTF, 3D", "foam", "aupro"), 0.693),
        (of("btm", "Table 3", "M3DM*, RGB+3D", "tire", "pixel_auroc"), 0.995),
    ],
    ids=lambda one: one.source if isinstance(one, Published) else "",
)
def test_anchors(value: Published, expected: float) -> None:
    assert value.value == expected


@pytest.mark.parametrize("name", PAPERS)
def test_every_value_has_its_source_and_place(name: str) -> None:
    paper = load_paper(name)
    assert paper.title and paper.reference
    places = set()
    for value in paper.values:
        assert value.source.startswith(f"{value.table}, line ") and ", column " in value.source
        assert value.row and re.fullmatch(r"\d+(\.\d+)?", value.printed)
        assert value.metric in PLAIN or 0 <= value.value <= 1
        assert value.category in ("mean", *categories_of()[value.dataset]) or members(value.dataset, value.category)
        assert all(remark.kind in KINDS and remark.text for remark in value.remarks)
        places.add((value.table, value.row, value.dataset, value.category, value.metric, value.shots))
    assert len(places) == len(paper.values)


def test_all_tables_of_results_are_held_and_what_is_not_is_named() -> None:
    held = {paper.name: {table.label for table in paper.tables} for paper in load_papers()}
    wanted = {
        "reb": range(2, 8),
        "ulsad": [1, 2, 3, 4, *range(7, 31)],
        "simplenet": range(1, 6),
        "btm": range(1, 4),
    }
    assert held == {name: {f"Table {n}" for n in numbers} for name, numbers in wanted.items()}
    figures = {"reb": (4, 5, 7), "ulsad": (7, 8), "simplenet": (5, 6), "btm": (8, 9, 10)}
    for name, numbers in figures.items():
        assert {f"Figure {n}" for n in numbers} <= set(load_paper(name).left_out)


def test_means_are_those_of_the_printed_columns_or_a_remark_says_that_they_are_not() -> None:
    checked = 0
    for cells in lines_of_columns().values():
        for category, value in cells.items():
            columns = members(value.dataset, category)
            if not columns or not all(column in cells for column in columns):
                continue
            checked += 1
            # Each printed column is off by up to half a digit, and so is the mean.
            slack = half_a_digit(value) + fmean(half_a_digit(cells[column]) for column in columns) + 1e-9
            agrees = abs(fmean(cells[column].value for column in columns) - value.value) <= slack
            said = any(remark.kind in ("mean", "misprint") for remark in value.remarks)
            if value.dataset == "mvtec_loco" and value.paper == "reb" and value.table == "Table 3":
                said = any(remark.kind == "mean" for remark in value.remarks)
            assert agrees != said, f"{value}: the columns average {fmean(cells[c].value for c in columns):.5f}"
    assert checked > 400


def test_the_numbers_in_remarks_about_means_are_right() -> None:
    lines = lines_of_columns()
    found = 0
    for value in VALUES:
        for remark in value.remarks:
            said = re.search(r"average (\d+\.\d+)", remark.text)
            if not said or (value.paper, value.table) == ("ulsad", "Table 1"):
                continue
            cells = lines[value.paper, value.table, value.row, value.dataset, value.metric, value.shots]
            mean = fmean(cells[column].value for column in members(value.dataset, value.category))
            decimals = len(said[1].partition(".")[2])
            assert float(said[1]) == round(mean * (1 if value.paper == "btm" else 100), decimals)
            found += 1
    assert found >= 14


def test_total_of_loco_in_reb_is_the_mean_of_both_natures() -> None:
    for row in dict.fromkeys(v.row for v in load_paper("reb").values if v.table == "Table 3"):
        cells = {v.metric: v.value for v in load_paper("reb").values if v.row == row and v.dataset == "mvtec_loco"}
        if "image_auroc_structural" in cells:
            both = (cells["image_auroc_structural"] + cells["image_auroc_logical"]) / 2
            assert cells["image_auroc_natures"] == pytest.approx(both, abs=0.0011), row


@pytest.mark.parametrize(("first", "metrics"), [("Table 1", ["image_auroc"]), ("Table 2", ["pixel_auroc", "aupro"])])
def test_summaries_of_ulsad_repeat_the_means_of_its_long_tables(first: str, metrics: list[str]) -> None:
    long_tables = {f"Table {n}" for n in range(7, 22)}
    means = {
        (v.row, v.dataset, v.metric): (v.value, v.std)
        for v in load_paper("ulsad").values
        if v.table in long_tables and v.category == "mean"
    }
    summary = [v for v in load_paper("ulsad").values if v.table == first]
    assert len(summary) == 9 * 5 * len(metrics)
    for value in summary:
        assert means[value.row, value.dataset, value.metric] == (value.value, value.std)


def test_permuted_columns_are_read_alphabetically_and_say_under_which_name_they_stand() -> None:
    value = of("reb", "Table 3", "PatchCore, Res18", "juice_bottle")
    assert value.value == 0.936 and value.source.endswith("column Screw Bag")
    assert "permuted" in {remark.kind for remark in value.remarks}


def test_oracles_and_copies_are_marked() -> None:
    kinds = {(v.paper, v.row): {remark.kind for remark in v.remarks} for v in VALUES if v.category == "mean"}
    assert "oracle" in kinds["reb", "REB (Variable K), WR50"]
    assert "oracle" not in kinds["reb", "REB (K=9), WR50"]
    assert "oracle" in {remark.kind for remark in of("simplenet", "Table 1", "SimpleNet", "wood").remarks}
    assert "oracle" in {remark.kind for remark in of("ulsad", "Table 13", "ULSAD", "tubes").remarks}
    assert "copied" in kinds["btm", "BTF, RGB+3D"] and "copied" not in kinds["btm", "BTM, RGB+3D"]


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (of("reb", "Table 2", "FYD, Res18", "leather"), 0),
        (of("ulsad", "Table 1", "ULSAD", dataset="visa"), 2),
        (of("btm", "Table 1", "BTM, RGB", "peach"), 0),
        (of("btm", "Table 1", "BTM, RGB"), 1),
        (of("ulsad", "Table 4", "RD", metric="gpu_gb"), 2),
    ],
)
def test_places_are_those_printed(value: Published, places: int) -> None:
    assert value.places == places


def test_groups_hold_categories() -> None:
    for name, groups in groups_of().items():
        for group in groups.values():
            assert set(group) <= set(categories_of()[name])
    texture, objects = (set(groups_of()["mvtec_ad"][key]) for key in ("texture", "object"))
    assert not texture & objects and texture | objects == set(categories_of()["mvtec_ad"])


def test_an_unknown_paper_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ParameterError, match="reb, ulsad, simplenet, btm"):
        load_paper("magic")


GOOD = {
    "label": "Table 1",
    "about": "x",
    "dataset": "btad",
    "metrics": ["image_auroc"],
    "down": "row",
    "across": "category",
    "columns": ["01", "mean"],
    "values": "A: 1.5 2",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": "A: 1.5"}, "2 cells are needed"),
        ({"values": "A 1.5 2"}, "a label, a colon"),
        ({"values": "A: 1.5 two"}, "'two' is not a number"),
        ({"values": "A: 1|2 3"}, "1 numbers are needed"),
        ({"down": "diagonal"}, "'diagonal' is no axis"),
        ({"remark": [{"kind": "rumour", "text": "x"}]}, "'rumour' is no kind"),
    ],
)
def test_a_broken_table_is_an_error_that_says_where(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        parse_paper("p", {"title": "t", "reference": "r", "unit": "per cent", "table": [{**GOOD, **change}]})
