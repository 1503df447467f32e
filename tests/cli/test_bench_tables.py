"""`onlygood bench tables`: what it writes, and what becomes of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("jinja2", reason="the page needs Jinja2")

from onlygood.evaluation.tables import plan


def records() -> list[dict]:
    runs = plan("reb", {"btad": ["01", "02", "03"]}, tables={"Table 4"}, seeds=[0]).runs
    return [{**run, "metrics": {"image_auroc": 0.9, "pixel_auroc": 0.95}} for run in runs]


def test_three_files_are_written_and_counted(og, tmp_path: Path) -> None:
    (tmp_path / "runs.json").write_text(json.dumps(records()))
    into = tmp_path / "new" / "tables"
    done = og("bench", "tables", "--paper", "reb", "--records", tmp_path / "runs.json", "--into", into)
    assert done.status == 0, done.err
    assert sorted(path.name for path in into.iterdir()) == ["reb.csv", "reb.html", "reb.md"]
    assert "707 numbers" in done.out
    # REB, SPADE, PaDiM and PatchCore: two metrics of three categories and their mean.
    assert f"{4 * 2 * 4} beside them, 0 where nothing is printed" in done.out
    assert "| ours | 90.0 | 90.0 | 90.0 | 90.0 |" in (into / "reb.md").read_text("utf-8")


def test_without_records_the_printed_tables_are_written(og, tmp_path: Path) -> None:
    done = og("bench", "tables", "--paper", "btm", "--into", tmp_path)
    assert done.status == 0 and "616 numbers" in done.out and "0 beside them" in done.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no file of records"),
        ("[", "is not valid JSON"),
        ("{}", "is no list of records"),
        ("[1]", "is no list of records"),
        ('[{"dataset": "btad"}]', "Record 0 lacks category, method, parameters, metrics"),
    ],
)
def test_bad_records_are_one_error_and_nothing_is_written(
    og, tmp_path: Path, content: str | None, message: str
) -> None:
    file, into = tmp_path / "runs.json", tmp_path / "tables"
    if content is not None:
        file.write_text(content)
    done = og("bench", "tables", "--paper", "reb", "--records", file, "--into", into)
    assert done.status == 2 and message in done.err and done.err.count("Error:") == 1
    assert not into.exists()


def test_data_that_no_table_needs_is_said(og, tmp_path: Path) -> None:
    for place in ("train/good", "test/good", "test/bad"):
        (tmp_path / "part" / place).mkdir(parents=True)
        Image.new("RGB", (64, 64), (90, 90, len(place))).save(tmp_path / "part" / place / "0.png")
    done = og("bench", "tables", "--paper", "reb", "--root", tmp_path / "part", "--into", tmp_path / "tables")
    assert done.status == 0 and "Nothing of these tables can be run" in done.err and "0 beside them" in done.out


def test_an_unknown_paper_and_a_file_in_the_way_are_errors(og, tmp_path: Path) -> None:
    assert "Known are: reb, ulsad, simplenet, btm" in og("bench", "tables", "--paper", "x", "--into", tmp_path).err
    (tmp_path / "there").write_text("")
    assert "is a file. Name a folder" in og("bench", "tables", "--paper", "btm", "--into", tmp_path / "there").err
