"""The tables of the papers: what they print, what has to be run for them, and both side by side."""

from __future__ import annotations

from onlygood.evaluation.tables.comparing import Compared, compare
from onlygood.evaluation.tables.planning import Plan, plan
from onlygood.evaluation.tables.published import PAPERS, Paper, Published, Remark, Table, load_paper, load_papers

__all__ = [
    "PAPERS",
    "Compared",
    "Paper",
    "Plan",
    "Published",
    "Remark",
    "Table",
    "compare",
    "load_paper",
    "load_papers",
    "plan",
]
