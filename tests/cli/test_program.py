"""The program as a whole: help, errors, warnings, interruption, what is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import onlygood
from onlygood.methods import Detector, method_names

COMMANDS = (
    "fit",
    "inspect",
    "bulk",
    "choose",
    "evaluate",
    "info",
    "export",
    "synthesize",
    "figures",
    "data",
    "weights",
    "bench",
    "report",
    "station",
    "demo",
)


def test_help_names_every_command_and_each_has_an_example(og) -> None:
    first = og("--help")
    assert first.status == 0 and not first.err
    for command in COMMANDS:
        assert command in first.out
        help_text = og(command, "-h")
        assert help_text.status == 0 and f"Usage: onlygood {command}" in help_text.out
    for command in COMMANDS:
        if command in ("data", "weights", "bench", "demo"):  # of several commands, or of one word
            continue
        assert f"    onlygood {command} " in og(command, "--help").out


def test_help_of_fit_names_every_method(og) -> None:
    words = re.findall(r"\w+", og("fit", "--help").out)
    assert set(method_names()) <= set(words)


def test_version(og) -> None:
    assert og("--version").out == f"onlygood {onlygood.__version__}\n"


def test_the_program_starts_without_anything_heavy() -> None:
    heavy = ("numpy", "torch", "faiss", "onnxruntime", "PIL", "scipy", "sklearn", "fastapi", "sqlalchemy")
    script = f"import sys, onlygood.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_inspecting_info_and_export_do_without_torch(model: Path, part: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="exporting needs onnx")
    script = "import sys; sys.modules['torch'] = None; from onlygood.cli import main; main(sys.argv[1:])"
    export = ["export", model, "-o", tmp_path / "plate.onnx", "--images", part, "--vectors", 50]
    for words in (["inspect", model, part / "test" / "good" / "0.png"], ["info", model], export):
        done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit", "nowhere", "-o", "a.og"], "There is no folder nowhere"),
        (["fit", ".", "-o", "a.og"], "holds no image"),
        (["fit", ".", "-o", "a.og", "--method", "magic"], "Unknown method 'magic'"),
        (["fit", ".", "-o", "a.og", "--preset", "magic"], "no preset 'magic'"),
        (["fit", ".", "-o", "a.og", "--backbone", "magic"], "holds no image|Unknown backbone"),
        (["fit", ".", "-o", "a.og", "--method", "knn", "--alpha", "1"], "knn has no parameter alpha"),
        (["fit", ".", "-o", "a.og", "--set", "map_sigma=wide"], "map_sigma='wide'"),
        (["fit", ".", "-o", "a.og", "--set", "seed"], "name=value"),
        (["fit", ".", "-o", "a.og", "--k", "0"], "k=0"),
        (["fit", ".", "-o", "a.og", "--false-reject", "2"], "false_reject=2"),
        (["fit", ".", "-o", "none/a.og"], "no folder none"),
        (["fit", ".", "-o", "."], "is a folder"),
        (["info", "none.og"], "no model file none.og"),
        (["inspect", "none.og", "a.png"], "no model file none.og"),
        (["evaluate", "none.og", "."], "no model file none.og"),
        (["export", "none.og", "-o", "a.onnx"], "--images DIR"),
        (["export", "none.og", "-o", "a.onnx", "--images", "nowhere"], "no folder nowhere"),
        (["export", "none.og", "-o", "a.onnx", "--images", "."], "no model file none.og"),
        (["export", "none.og", "-o", "a.onnx", "--to", "tensorrt"], "Unknown format 'tensorrt'"),
        (["synthesize", ".", "-o", "out"], "holds no image"),
        (["synthesize", ".", "-o", "out", "--kinds", "magic"], "Unknown kind of defect 'magic'"),
        (["synthesize", ".", "-o", "out", "--saliency", "magic"], "Unknown saliency 'magic'"),
        (["weights", "fetch", "magic"], "Unknown backbone 'magic'"),
        (["demo", "--cells", "magic"], "mono"),
    ],
)
def test_what_is_wrong_is_one_error_and_status_2(og, words: list[str], expected: str) -> None:
    done = og(*words)
    assert done.status == 2 and not done.out
    assert done.err.startswith("Error: ") and done.err.count("Error") == 1 and "Traceback" not in done.err
    assert any(one in done.err for one in expected.split("|"))


@pytest.mark.parametrize(
    "words", [["fit"], ["fit", "."], ["inspect", "a.og"], ["magic"], ["info", "a.og", "--magic"], ["export", "a.og"]]
)
def test_wrong_usage_is_status_2_too(og, words: list[str]) -> None:
    done = og(*words)
    assert done.status == 2 and "Usage: onlygood" in done.err and not done.out


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "Stopped"),
        (OSError(28, "No space left on device", "a.og"), 2, "a.og: No space left on device"),
        (ZeroDivisionError("a fault of ours"), 2, "a fault of ours"),
    ],
)
def test_what_breaks_off_leaves_nothing(og, part: Path, tmp_path: Path, monkeypatch, raised, status, words) -> None:
    def fit(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(Detector, "fit", fit)
    done = og("fit", part, "-o", "a.og")
    assert done.status == status and words in done.err
    assert not list(tmp_path.iterdir())


def test_a_weakness_of_the_data_is_a_warning(og, part: Path) -> None:
    pytest.importorskip("torch")
    folder = Path("one")
    folder.mkdir()
    (folder / "a.png").write_bytes((part / "train" / "good" / "0.png").read_bytes())
    done = og("fit", folder, "-o", "a.og", "--size", "64", "--method", "knn")
    assert done.status == 0 and Path("a.og").is_file()
    assert done.err.startswith("Warning: Fitted on a single image") and done.err.count("\n") == 1
    assert "Nothing can be promised" in done.out
    assert og("info", "a.og").status == 0
    assert og("inspect", "a.og", folder, "--json", "--overlay", "pictures").status == 0
