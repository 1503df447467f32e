"""What has to be run: every printed row is run or says why not, restricted to what is there."""

from __future__ import annotations

import pytest

from onlygood.errors import ParameterError
from onlygood.evaluation.runs.released import CHOSEN_BY_TEST
from onlygood.evaluation.tables import PAPERS, load_paper, plan
from onlygood.evaluation.tables.definitions import development_rows, rows_of
from onlygood.evaluation.tables.planning import complete
from onlygood.evaluation.tables.published import categories_of
from onlygood.methods import Detector
from onlygood.methods.registry import find_method

ALL = {name: list(categories) for name, categories in categories_of().items()}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_printed_row_is_run_or_says_why_not(paper: str) -> None:
    rows = {(row.table, row.row, row.dataset): row for row in rows_of(paper)}
    for value in load_paper(paper).values:
        row = rows[value.table, value.row, value.dataset]
        assert bool(row.settings) != bool(row.why_not)
        assert "nobody" not in row.why_not, row
        assert row.why_not or value.shots in row.shots


@pytest.mark.parametrize("paper", PAPERS)
def test_every_definition_is_of_a_row_that_is_printed_or_of_a_figure(paper: str) -> None:
    from onlygood.evaluation.tables.definitions import _content

    printed = {(value.table, value.row) for value in load_paper(paper).values}
    for run in _content(paper)["run"]:
        if "figure" in run:
            assert run["figure"] in load_paper(paper).left_out
        else:
            assert all(any((t, row) in printed for t in run["tables"]) for row in run["rows"]), run


@pytest.mark.parametrize("paper", PAPERS)
def test_every_setting_is_a_detector_that_can_be_made(paper: str) -> None:
    settings = {repr(setting): setting for row in rows_of(paper) for setting in row.settings}
    assert settings
    for setting in settings.values():
        detector = find_method(setting.method)(**setting.parameters)
        assert isinstance(detector, Detector)
        detector._check_parameters()


def test_what_the_papers_say_of_their_parameters() -> None:
    rows = {(row.table, row.row, row.dataset): row for row in rows_of("reb")}
    (setting,) = rows["Table 2", "REB (K=5), Res18", "mvtec_ad"].settings
    assert setting.method == "reb"
    assert {"k": 5, "alpha": 1.0, "backbone": "resnet18", "fine_tune": "released"}.items() <= setting.parameters.items()
    assert len(rows["Table 2", "REB (Variable K), Res18", "mvtec_ad"].settings) == 6
    assert rows["Table 7", "DefectMaker+KNN", "mvtec_ad"].shots == (1, 2, 5, 10, 16, 20, 50)
    assert rows["Table 7", "DefectMaker+KNN", "mvtec_ad"].seeds == 5
    (local,) = (row for row in rows_of("ulsad") if row.row == "local branch, λ=0")
    assert local.settings[0].parameters["consistency"] == "none" and local.seeds == 5


def test_a_plan_is_of_what_is_there_and_says_what_is_not() -> None:
    here = plan("reb", {"btad": ["01", "03"]}, tables={"Table 2", "Table 4"})
    assert {run["dataset"] for run in here.runs} == {"btad"}
    assert {run["category"] for run in here.runs} == {"01", "03"}
    why = {(one["table"], one["row"]): one["why"] for one in here.cannot}
    assert why["Table 2", "PatchCore, Res18"] == "no data: MVTec AD is not there"
    assert why["Table 4", "RD++"] == "the library does not have this method"
    assert "no data of 1 of the categories of BTAD, so no mean: 02" in why["Table 4", "REB (K=57)"]
    reb = [run for run in here.runs if run["method"] == "reb"]
    assert sorted((run["category"], run["seed"]) for run in reb) == [(c, s) for c in ("01", "03") for s in range(3)]
    assert set(reb[0]) == {"dataset", "category", "method", "parameters", "seed", "shots"}


def test_runs_that_rows_share_are_planned_once() -> None:
    shared = plan("ulsad", ALL, tables={"Table 1", "Table 2", "Table 7", "Table 8"})
    keys = [repr(run) for run in shared.runs]
    assert len(set(keys)) == len(keys)
    ulsad = [run for run in shared.runs if run["method"] == "ulsad" and run["dataset"] == "mvtec_ad"]
    assert len(ulsad) == 15 * 5


def test_shots_and_seeds_are_multiplied_and_seeds_can_be_fewer() -> None:
    few = plan("reb", {"mvtec_ad": ["screw"]}, tables={"Table 7"}, seeds=[1, 3, 9])
    padim = [(run["shots"], run["seed"]) for run in few.runs if run["method"] == "padim"]
    assert sorted(padim) == [(shots, seed) for shots in (1, 2, 5, 10, 16, 20, 50) for seed in (1, 3)]
    none = plan("reb", {"mvtec_ad": ["screw"]}, tables={"Table 7"}, seeds=[9])
    why = {one["row"]: one["why"] for one in none.cannot}
    assert not none.runs and why["PaDiM"] == "none of its seeds is asked for: 0, 1, 2, 3, 4"


def test_the_released_protocol_is_planned_for_rows_printed_as_oracles_alone() -> None:
    for paper, data, printed in (
        ("simplenet", {"mvtec_ad": ["screw"]}, "simplenet"),
        ("ulsad", {"btad": ["01"]}, "ulsad"),
        ("reb", {"mvtec_ad": ["screw"]}, "ldknn"),
    ):
        honest, both = plan(paper, data), plan(paper, data, protocol="released")
        added = [run for run in both.runs if "protocol" in run]
        assert [run for run in both.runs if "protocol" not in run] == list(honest.runs) and both.cannot == honest.cannot
        assert added and all(run["protocol"] == "released" for run in added)
        assert {run["method"] for run in added} <= CHOSEN_BY_TEST.keys() and printed in {run["method"] for run in added}
        assert len({repr(run) for run in added}) == len(added)
    variable = plan("reb", {"mvtec_ad": ["screw"]}, tables={"Table 2"}, protocol="released")
    by_test = [run for run in variable.runs if "protocol" in run and run["parameters"]["backbone"] == "resnet18"]
    assert sorted({run["method"] for run in by_test}) == ["ldknn", "reb"]
    assert len({run["parameters"]["k"] for run in by_test}) == 1  # the protocol itself tries the others
    with pytest.raises(ParameterError, match="Unknown protocol 'magic'"):
        plan("reb", {}, protocol="magic")


def test_weights_that_are_not_at_hand_are_said_or_replaced() -> None:
    data = {"mvtec_ad": ["screw"]}
    lacking = plan("simplenet", data, tables={"Table 4"}, backbones={"resnet18"})
    assert {run["parameters"]["backbone"] for run in lacking.runs} == {"resnet18"}
    why = {one["row"]: one["why"] for one in lacking.cannot}
    assert why["ResNet50"] == "the weights of resnet50 are not at hand: onlygood weights fetch resnet50"
    replaced = plan("simplenet", data, tables={"Table 2", "Table 4"}, backbones=(), backbone="efficientnet_lite0")
    assert {run["parameters"]["backbone"] for run in replaced.runs} == {"efficientnet_lite0"}
    # Names of feature maps belong to one backbone, so those rows have no counterpart on another.
    assert not any(run["parameters"].get("layers") for run in replaced.runs)
    assert any(one["row"] == "level 1" and "names feature maps" in one["why"] for one in replaced.cannot)


@pytest.mark.parametrize("paper", PAPERS)
def test_data_the_paper_does_not_know_gets_its_main_rows(paper: str) -> None:
    rows = development_rows(paper, "tiles")
    assert rows and all(row.dataset == "tiles" and row.settings for row in rows)
    runs = plan(paper, {"tiles": ["tiles"]}).runs
    assert runs and {(run["dataset"], run["category"], run["shots"]) for run in runs} == {("tiles", "tiles", None)}


def test_parameters_are_the_same_whether_defaults_are_written_or_not() -> None:
    assert complete("knn", {}) == complete("knn", {"k": 1, "coreset": 1, "threads": 3, "engine": "openvino"})
    assert complete("knn", {"backbone": "torchvision/resnet18/IMAGENET1K_V1"}) == complete(
        "knn", {"backbone": "resnet18"}
    )
    assert complete("knn", {"layers": ("a", "b")}) == complete("knn", {"layers": ["a", "b"]})
    assert complete("knn", {"k": 2}) != complete("knn", {})


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ParameterError, match="Known are: reb"):
        plan("magic", {})
    with pytest.raises(ParameterError, match="Unknown backbone"):
        plan("reb", ALL, tables={"Table 4"}, backbone="magic")
