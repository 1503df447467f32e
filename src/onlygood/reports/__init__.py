"""Pictures: overlays, charts and the HTML report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from onlygood.reports.overlay import overlay, save_overlay, side_by_side

if TYPE_CHECKING:
    from onlygood.reports.data import ReportData, ReportItem
    from onlygood.reports.html import render_report, write_report

#: Loaded when they are asked for: who only draws, such as an inspection of one image, does not wait for the report.
_HOMES = {
    "ReportData": "onlygood.reports.data",
    "ReportItem": "onlygood.reports.data",
    "render_report": "onlygood.reports.html",
    "write_report": "onlygood.reports.html",
}

__all__ = [
    "ReportData",
    "ReportItem",
    "overlay",
    "render_report",
    "save_overlay",
    "side_by_side",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'onlygood.reports' has no attribute {name!r}")
