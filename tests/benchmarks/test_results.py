"""The page of results: what is said of recorded runs; the runs themselves are tested with evaluation.runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from onlygood.evaluation.runs import Record, Records, RunSpec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KNN, TUNED = "1-NN, full bank, plain maximum", "DefectMaker (quick) + 1-NN"


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which imports others by name."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import results

    return results


def record(results: Any, row: str, category: str, seed: int, auroc: float, dataset: str = "data", **costs: Any):
    what = results.ROWS[row]
    spec = RunSpec(dataset, category, what.method, what.preset, what.parameters, seed, most_train=200)
    figures = {"image_auroc": auroc, "pixel_auroc": None, "aupro": None, "n_train": 9, "n_groups": 8, "n_good": 3}
    rates = {f"{name}_{percent}": 0.25 for name in ("false_reject", "escape") for percent in (1, 5)}
    given = {"fit_seconds": 10.0, "ms_per_image": 20.0, "model_bytes": 3_000_000, "peak_bytes": 600 * 2**20, **costs}
    return spec, Record(spec, "ok", "", "", "", {**figures, "n_defect": 5, **rates}, given), row


def measured(results: Any, path: Path, made: list[Any]) -> Any:
    records = Records(path)
    for _, one, _ in made:
        records.add(one)
    return results.collected(records, {spec: row for spec, _, row in made})


def test_seeds_are_drawn_together_and_what_is_not_known_is_a_dash(results: Any, tmp_path: Path) -> None:
    made = [
        record(results, TUNED, "tiles", 0, 0.9, fit_seconds=100.0, fit_shared_tuning=False, peak_bytes=None),
        record(results, TUNED, "tiles", 1, 0.8, fit_seconds=4.0, fit_shared_tuning=True, peak_bytes=None),
        record(results, KNN, "mono", 0, 0.7, "ELPV", fit_shared_tuning=True),
    ]
    text = results.table(measured(results, tmp_path / "a.sqlite", made), ["tiles", "elpv_mono", "nothing"])
    lines = text.splitlines()
    assert "### tiles" in lines and "### elpv_mono" in lines and "nothing" not in text
    assert "9 training images in 8 groups; 3 good, 5 defective" in lines
    rates = " | ".join(["25.0 %"] * 4)
    # the second seed found its backbone fine-tuned, so its time does not count
    assert f"| {TUNED} | 2 | 0.850 ± 0.071 | - | - | {rates} | 100 | 20 | 3 | - |" in lines
    assert f"| {KNN} | 1 | 0.700 | - | - | {rates} | - | 20 | 3 | 600 |" in lines


def test_averages_are_of_rows_with_all_sets_and_errors_are_against_plain_neighbours(
    results: Any, tmp_path: Path
) -> None:
    made = [
        record(results, KNN, "tiles", 0, 0.9),
        record(results, KNN, "mono", 0, 0.7, "ELPV"),
        record(results, "PaDiM", "tiles", 0, 1.0),
        record(results, "PaDiM", "tiles", 1, 0.9),
        record(results, "PaDiM", "mono", 0, 0.75, "ELPV"),
        record(results, "DFM", "tiles", 0, 1.0),
    ]
    lines = results.averages(measured(results, tmp_path / "a.sqlite", made), ["tiles", "elpv_mono"]).splitlines()[2:]
    assert lines == [
        f"| {KNN} | 0.8000 | 100% | {results.ROWS[KNN].published} |",
        f"| PaDiM | 0.8500 | 75% | {results.ROWS['PaDiM'].published} |",
    ]


def test_every_row_is_a_method_with_parameters_that_it_has(results: Any) -> None:
    from onlygood.evaluation.runs.measuring import make_detector

    specs = [RunSpec("a", "b", row.method, row.preset, row.parameters) for row in results.ROWS.values()]
    assert len(set(specs)) == len(specs)
    for spec in specs:
        assert make_detector(spec).method == spec.method
