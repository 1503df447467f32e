"""What all pages share: the templates of this folder, one style sheet, the colours of the verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onlygood.errors import require
from onlygood.files import check_writable
from onlygood.inspection import Verdict
from onlygood.reports.colours import RAMP, VERDICT_COLOURS, VERDICT_INK, hexadecimal


def check_page(path: Path) -> None:
    """Say before long work, not after it, that a page cannot be written.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
        DataError: The path is a folder, or its folder is missing or may not be written to.
    """
    require("jinja2", "report", "The HTML report")
    check_writable(path, "report.html")


def page_environment(what: str) -> Any:
    """The Jinja environment of the pages, everything escaped; `what` is named if Jinja is missing.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
    """
    require("jinja2", "report", what)
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("onlygood", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    top = RAMP[:: len(RAMP) // 8]
    environment.globals.update(
        gradient=", ".join(hexadecimal((int(r), int(g), int(b))) for r, g, b in top),
        colours={str(v).lower(): (hexadecimal(VERDICT_COLOURS[v]), hexadecimal(VERDICT_INK[v])) for v in Verdict},
    )
    return environment
