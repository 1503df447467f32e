"""Two small categories of drawn tiles on disk, and an engine that runs in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiles_and_engine import InThisProcess, draw_category


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set `tiles` with the categories `blue` and `red`."""
    root = tmp_path_factory.mktemp("data") / "tiles"
    draw_category(root / "blue", 100)
    draw_category(root / "red", 200)
    return root


@pytest.fixture
def here() -> InThisProcess:
    pytest.importorskip("torch", reason="fitting needs torch")
    return InThisProcess()
