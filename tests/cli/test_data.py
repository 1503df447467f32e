"""`onlygood data check` as a user sees it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys


def test_a_sound_folder(og, part) -> None:
    done = og("data", "check", part)
    assert done.status == 0 and not done.err
    for words in ("Folders (folders)", "plate", "dent 2", "Nothing is missing"):
        assert words in done.out
    assert "Nothing is wrong" in og("data", "check", part, "--deep").out


def test_problems_are_status_1_and_named(og, part, tmp_path) -> None:
    shutil.copytree(part, tmp_path / "plate")
    (tmp_path / "plate" / "ground_truth" / "dent" / "1_mask.png").unlink()
    image = tmp_path / "plate" / "train" / "good" / "3.png"
    image.write_bytes(image.read_bytes()[:300])
    done = og("data", "check", tmp_path / "plate")
    assert done.status == 1 and "error: The mask of" in done.out and "dent/1_mask.png" in done.out
    assert "3.png" not in done.out and "Nothing" not in done.out
    deep = og("data", "check", tmp_path / "plate", "--deep", "--json")
    told = json.loads(deep.out)
    assert deep.status == 1 and told["fine"] is False and told["layout"] == "folders"
    assert [problem["severity"] for problem in told["problems"]] == ["error", "error"]
    assert told["problems"][1]["path"] == str(image) and told["problems"][1]["category"] == "plate"
    assert told["categories"][0]["counts"]["train"] == 8 and told["categories"][0]["masks"] == 1


def test_counts_beside_the_published_ones(og, part, tmp_path) -> None:
    shutil.copytree(part, tmp_path / "mvtec" / "bottle")
    done = og("data", "check", tmp_path / "mvtec")
    assert done.status == 1
    assert "8 for training (published: 209)" in done.out and "lacks 14 of 15 categories: cable" in done.out


def test_no_data_set_is_status_2(og, tmp_path) -> None:
    for words in (["nowhere"], ["."], [".", "--layout", "coco"]):
        done = og("data", "check", *words)
        assert done.status == 2 and not done.out and done.err.startswith("Error: ")


def test_help_has_an_example(og) -> None:
    assert "onlygood data check mvtec_anomaly_detection" in og("data", "check", "--help").out


def test_checking_needs_neither_torch_nor_scipy_nor_sklearn(part) -> None:
    script = (
        "import sys\nfor name in ('torch', 'scipy', 'sklearn', 'tifffile'): sys.modules[name] = None\n"
        "from onlygood.cli import main; main(sys.argv[1:])"
    )
    words = ["data", "check", str(part), "--deep"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
