"""`onlygood bench speed`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onlygood.evaluation.speed import STAGES


def test_json_holds_every_quantity(og, model: Path, part: Path) -> None:
    done = og("bench", "speed", model, part / "test", "--repeats", 1, "--most", 2, "--threads", 1, "--json")
    assert done.status == 0 and not done.err
    found = json.loads(done.out)
    expected = "model bytes method backbone size patches dim engine device precision threads index vectors"
    expected += " load_seconds machine versions stages first_ms images_per_second recall images repeats warm_up"
    assert found.keys() == {*expected.split(), "whole_over_backbone"}
    assert (found["images"], found["repeats"], found["threads"], found["engine"]) == (2, 1, 1, "onnxruntime")
    assert list(found["stages"]) == list(STAGES) and all(one["runs"] == 2 for one in found["stages"].values())
    assert found["recall"]["vectors"] == found["vectors"] and 0 <= found["recall"]["value"] <= 1


def test_the_table_is_for_a_person(og, model: Path, part: Path) -> None:
    done = og("bench", "speed", model, part / "test" / "good" / "0.png", part / "test" / "dent", "--repeats", 1)
    assert done.status == 0 and not done.err
    for expected in (
        *STAGES.values(),
        "median ms",
        "p95 ms",
        "whole / backbone",
        "recall",
        "not counted",
        "3, 1 times",
    ):
        assert expected in done.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none.png"], "no image file none.png"),
        (["nowhere"], "no folder nowhere"),
        (["{part}/test", "--engine", "magic"], "Unknown engine 'magic'"),
        (["{part}/test", "--threads", "0"], "threads=0"),
    ],
)
def test_bad_input_is_one_error(og, model: Path, part: Path, words: list[str], expected: str) -> None:
    done = og("bench", "speed", model, *(word.format(part=part) for word in words))
    assert done.status == 2 and not done.out
    assert done.err.startswith("Error: ") and done.err.count("Error") == 1 and expected in done.err


def test_a_missing_model_and_wrong_usage(og, part: Path) -> None:
    done = og("bench", "speed", "none.og", part)
    assert done.status == 2 and "no model file none.og" in done.err and not done.out
    for words in (["bench", "speed"], ["bench", "magic"], ["bench", "speed", "a.og", "b.png", "--repeats", "0"]):
        done = og(*words)
        assert done.status == 2 and "Usage: onlygood bench" in done.err
