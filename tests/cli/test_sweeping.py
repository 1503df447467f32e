"""`onlygood bench run` and `onlygood bench list`: what they print, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.sweepfile import read_sweep

FILE = """
data = ["{part}"]
shots = [2, 0]
draws = 2

[[method]]
name = "knn"
parameters = {{ size = 64 }}

[[method]]
name = "patchcore"
preset = "quick"
parameters = {{ size = 64 }}
seeds = [3]
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A file of records: a finished run and a failed one."""
    records = Records(tmp_path / "runs.sqlite")
    spec = RunSpec("plates", "plate", "knn", "paper", {"size": 64, "k": 3}, 1, 5, 2)
    figures = {"image_auroc": 0.98765, "false_reject_1": 0.25, "pixel_auroc": None, "scores": {"score": [0.5]}}
    records.add(Record(spec, "ok", "a", "b", "f0", figures, {"fit_seconds": 1.25}, {"host": "here"}))
    records.add(Record(replace(spec, shots=None, draw=0), "failed", "a", "b", "f0", error="no room, alas"))
    return records.path


def test_a_sweep_from_options_and_again(og, part: Path) -> None:
    pytest.importorskip("torch")
    words = ["bench", "run", "--data", part, "--method", "knn", "--set", "size=64", "--shots", "2,99", "--workers", 1]
    done = og(*words, "--threads", 1)
    assert done.status == 2  # one cannot be
    assert done.err.startswith("Warning: plate, knn size=64, 99 shots, draw 0 failed: DataError: 99 shots cannot")
    assert done.err.count("\n") == 1
    for expected in ("done now     1", "done before  0", "failed       1", "runs.sqlite.features", "--retry"):
        assert expected in done.out
    again = og(*words)
    assert again.status == 2 and not again.err and "done now     0" in again.out and "done before  1" in again.out
    found = json.loads(og("bench", "list", "runs.sqlite", "--json").out)
    assert sorted(record["status"] for record in found) == ["failed", "ok"]


def test_the_list_is_a_table_csv_or_json(og, listed: Path) -> None:
    table = og("bench", "list", listed)
    assert table.status == 0 and not table.err
    assert "plates/plate, knn (paper) k=3 size=64, seed 1, 5 shots, draw 2" in table.out
    for expected in ("I-AUROC", "0.9877", "25.0%", "1.2", "failed", "    no room, alas"):
        assert expected in table.out
    rows = list(csv.DictReader(io.StringIO(og("bench", "list", listed, "--csv").out)))
    assert [row["status"] for row in rows] == ["failed", "ok"] or [row["status"] for row in rows] == ["ok", "failed"]
    good = next(row for row in rows if row["status"] == "ok")
    assert good["image_auroc"] == "0.98765" and good["pixel_auroc"] == "" and good["parameters"] == "k=3 size=64"
    assert (good["shots"], good["draw"], good["seed"], good["preset"]) == ("5", "2", "1", "paper")
    assert next(row for row in rows if row["status"] == "failed")["error"] == "no room, alas"
    found = json.loads(og("bench", "list", listed, "--json").out)
    assert all("scores" not in record["figures"] for record in found)
    assert {record["key"] for record in found} == {row["key"] for row in rows}


def test_an_oracle_is_listed_as_one(og, tmp_path: Path) -> None:
    records = Records(tmp_path / "runs.sqlite")
    spec = RunSpec("plates", "plate", "simplenet", protocol="released")
    figures = {"image_auroc": 0.98765, "honest_image_auroc": 0.9321, "oracle": True, "chosen": {"epoch": 12}}
    records.add(Record(spec, "ok", "a", "b", "f0", figures))
    records.add(Record(replace(spec, protocol="honest"), "ok", "a", "b", "f0", {"image_auroc": 0.9321}))
    table = og("bench", "list", records.path).out
    assert re.search(r"plates/plate, simplenet, released protocol +0\.9877 ", table)
    assert "oracle: epoch 12 chosen by the test images; honest: I-AUROC 0.9321" in table
    assert table.count("oracle") == 1
    rows = list(csv.DictReader(io.StringIO(og("bench", "list", records.path, "--csv").out)))
    assert {(row["protocol"], row["oracle"], row["honest_image_auroc"]) for row in rows} == {
        ("released", "True", "0.9321"),
        ("honest", "", ""),
    }


def test_a_method_that_does_not_peek_has_no_released_protocol(og, part: Path) -> None:
    told = og("bench", "run", "--data", part, "--method", "patchcore", "--protocol", "released")
    assert told.status == 2 and "no released protocol of patchcore" in told.err and told.err.count("\n") == 1
    told = og("bench", "run", "--data", part, "--method", "knn", "--protocol", "magic")
    assert told.status == 2 and "Known are: honest, released" in told.err


def test_a_sweep_file_says_it_all(part: Path, tmp_path: Path) -> None:
    from onlygood.evaluation.runs.sweep import plan

    (tmp_path / "sweep.toml").write_text(FILE.format(part=part), "utf-8")
    asked = read_sweep(tmp_path / "sweep.toml")
    specs = plan(asked.pop("roots"), asked.pop("candidates"), **asked).specs
    assert {(s.method, s.preset, s.seed, s.shots, s.draw) for s in specs} == {
        (method, preset, seed, shots, draw)
        for method, preset, seed in (("knn", None, 0), ("patchcore", "quick", 3))
        for shots, draw in ((2, 0), (2, 1), (None, 0))
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "give --data"),
        (["--data", "{part}"], "give --method"),
        (["--data", "nowhere", "--method", "knn"], "nowhere"),
        (["--data", "{part}", "--method", "magic"], "Unknown method 'magic'"),
        (["--data", "{part}", "--method", "knn", "--set", "alpha=1"], "knn has no parameter alpha"),
        (["--data", "{part}", "--method", "knn", "--seeds", "0,one"], "'one' is no whole number"),
        (["--data", "{part}", "--method", "knn", "--category", "magic"], "no category 'magic'"),
        (["--data", "{part}", "--method", "knn", "--engine", "magic"], "Unknown engine 'magic'"),
        (["--data", "{part}", "--method", "knn", "--address", "auto"], "--address is of --engine ray"),
        (["--data", "{part}", "--method", "knn", "--workers", "9999"], "more than the"),
        (["--data", "{part}", "--method", "knn", "--into", "none/a.sqlite"], "no folder none"),
        (["--data", "{part}", "--preset", "paper"], "--preset and --set"),
        (["none.toml"], "no sweep file none.toml"),
        (["--data", "{part}", "--method", "knn", "--mlflow", "magic://nowhere"], "MLflow"),
        (["bad.toml"], "unknown entry 'magic'"),
        (["worse.toml"], "seeds = 3 is not of the kind"),
        (["nameless.toml"], "each method is a table with a name"),
        (["broken.toml"], "not valid TOML"),
    ],
)
def test_what_cannot_be_run_is_one_error(og, part: Path, words: list[str], expected: str) -> None:
    for name, text in (("bad", "magic = 1"), ("worse", "seeds = 3"), ("nameless", "method = ['knn']"), ("broken", "=")):
        Path(f"{name}.toml").write_text(text)
    done = og("bench", "run", *(word.format(part=part) for word in words))
    assert done.status == 2 and not done.out
    assert done.err.startswith("Error: ") and done.err.count("Error:") == 1 and expected in done.err
    assert not Path("runs.sqlite").exists()


def test_what_cannot_be_listed(og, listed: Path) -> None:
    for words, expected in (
        (["none.sqlite"], "no file of records none.sqlite"),
        ([listed, "--csv", "--json"], "not both"),
    ):
        done = og("bench", "list", *words)
        assert done.status == 2 and not done.out and expected in done.err
