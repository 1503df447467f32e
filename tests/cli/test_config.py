"""The config file: what a person repeats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onlygood.modelfile import read_manifest

CONFIG = """
[fit]
method = "ldknn"
size = 64
false-reject = 0.02
k = 3
[fit.set]
map_sigma = 2.5
layers = ["blocks.4"]

[inspect]
json = true
"""


def test_the_file_in_the_folder_is_used_and_the_command_line_wins(og, part: Path) -> None:
    pytest.importorskip("torch")
    Path("onlygood.toml").write_text(CONFIG)
    assert og("fit", part, "-o", "a.og", "--k", 4).status == 0
    manifest = read_manifest("a.og")
    parameters = manifest["parameters"]
    assert manifest["method"] == "ldknn"
    assert (parameters["size"], parameters["false_reject"], parameters["map_sigma"]) == (64, 0.02, 2.5)
    assert parameters["k"] == 4 and parameters["layers"] == ["blocks.4"]
    assert len(json.loads(og("inspect", "a.og", part / "test").out)) == 5


def test_a_file_can_be_named(og, model: Path, part: Path) -> None:
    Path("mine.toml").write_text("[inspect]\ncsv = true\n")
    Path("onlygood.toml").write_text("[inspect]\njson = true\n")
    done = og("inspect", model, part / "test" / "good", "--config", "mine.toml")
    assert done.status == 0 and done.out.startswith("name,verdict,")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[fit]\nsizes = 64\n", ["mine.toml", "[fit]", "'sizes'"]),
        ("[inspect]\nmethod = 'knn'\n", ["mine.toml", "[inspect]", "'method'"]),
        ("[train]\nsize = 64\n", ["mine.toml", "'train'"]),
        ("size = 64\n", ["mine.toml", "'size'"]),
        ("[fit]\nsize = 'big'\n", ["mine.toml", "size = 'big'"]),
        ("[fit]\nconfig = 'other.toml'\n", ["mine.toml", "'config'"]),
        ("[fit\n", ["mine.toml", "TOML"]),
    ],
)
def test_a_mistake_in_the_file_names_file_and_key(og, text: str, expected: list[str]) -> None:
    Path("mine.toml").write_text(text)
    done = og("fit", ".", "-o", "a.og", "--config", "mine.toml")
    assert done.status == 2 and done.err.startswith("Error: ") and not done.out
    assert all(words in done.err for words in expected), done.err


@pytest.mark.parametrize("name", ["none.toml", "folder.toml"])
def test_a_missing_file_or_a_folder(og, name: str) -> None:
    Path("folder.toml").mkdir()
    done = og("fit", ".", "-o", "a.og", "--config", name)
    assert done.status == 2 and done.err.startswith("Error: ") and name in done.err
