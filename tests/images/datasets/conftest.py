"""The published numbers, made as small as the miniature trees."""

from __future__ import annotations

import pytest
from dataset_trees import COUNTS

from onlygood.images.datasets import published


@pytest.fixture
def small(monkeypatch):
    """Compare with the numbers of the miniatures instead of the published ones."""
    real = published._tables()
    tables = {name: {**real[name], "categories": COUNTS[name]} for name in real}
    monkeypatch.setattr(published, "_tables", lambda: tables)
