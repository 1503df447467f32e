"""The install without extras: small, free of torch, and enough to inspect with a file that was fitted elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onlygood

ROOT = Path(__file__).parents[1]
MOST_PACKAGES, MOST_MEGABYTES = 19, 280

REPORT = """
import json, onlygood, sys
from importlib.metadata import distributions
others = [d for d in distributions() if d.metadata["Name"] not in ("pip", "setuptools")]
size = sum(f.locate().stat().st_size for d in others for f in d.files if f.locate().exists())
score = onlygood.load(sys.argv[1]).score([sys.argv[2]])[0]
heavy = [name for name in ("torch", "timm", "sklearn", "scipy", "onnx") if name in sys.modules]
print(json.dumps({"names": [d.metadata["Name"] for d in others], "bytes": size, "score": score, "heavy": heavy}))
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment with nothing but onlygood and what it needs."""
    folder = tmp_path_factory.mktemp("clean")
    tree = folder / "tree"  # building leaves files in the tree
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    wheel = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, tree)
    assert wheel.returncode == 0, wheel.stderr
    assert run(sys.executable, "-m", "venv", folder / "env").returncode == 0
    python = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *folder.glob("*.whl"))
    if "connection" in install.stderr.lower() and install.returncode:
        pytest.skip("the package index cannot be reached")
    assert install.returncode == 0, install.stderr
    return python


def test_it_inspects_and_is_small(python: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    good = [rng.integers(90, 130, (64, 64, 3), dtype=np.uint8) for _ in range(12)]
    detector = onlygood.KNN(size=64).fit(good)
    detector.save(tmp_path / "part.og")
    bad = good[0].copy()
    bad[20:40, 20:40] = (250, 10, 10)
    Image.fromarray(bad).save(tmp_path / "bad.png")

    told = json.loads(run(python, "-c", REPORT, tmp_path / "part.og", tmp_path / "bad.png").stdout)
    assert len(told["names"]) <= MOST_PACKAGES and told["bytes"] < MOST_MEGABYTES * 2**20
    assert "torch" not in told["names"] and not told["heavy"]
    assert told["score"] == pytest.approx(detector.score([bad])[0], rel=1e-6)

    inspected = run(python.with_name("onlygood"), "inspect", tmp_path / "part.og", tmp_path / "bad.png", "--json")
    assert inspected.returncode == 1, inspected.stderr  # an NG was found
    assert json.loads(inspected.stdout)[0]["verdict"] == "NG"
    fitting = run(python.with_name("onlygood"), "fit", tmp_path, "-o", tmp_path / "other.og")
    assert fitting.returncode not in (0, 1) and "onlygood[fit]" in fitting.stderr
