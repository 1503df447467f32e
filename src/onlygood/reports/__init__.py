"""Pictures: overlays, charts and the HTML report."""

from __future__ import annotations

from onlygood.reports.data import ReportData, ReportItem
from onlygood.reports.html import render_report, write_report
from onlygood.reports.overlay import overlay, save_overlay, side_by_side

__all__ = [
    "ReportData",
    "ReportItem",
    "overlay",
    "render_report",
    "save_overlay",
    "side_by_side",
    "write_report",
]
