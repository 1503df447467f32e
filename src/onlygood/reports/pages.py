"""The HTML pages: one look for all of them, one file each that asks nothing of the network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from onlygood.errors import require
from onlygood.files import check_writable
from onlygood.inspection import Verdict
from onlygood.reports import wording
from onlygood.reports.colours import VERDICT_COLOURS, VERDICT_INK, hexadecimal, ramp_gradient

if TYPE_CHECKING:
    from jinja2 import Template


def check_page(path: Path) -> None:
    """Say before long work, not after it, that a page cannot be written.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
        DataError: The path is a folder, or its folder is missing or may not be written to.
    """
    require("jinja2", "report", "The HTML report")
    check_writable(path, "report.html")


def page_template(name: str) -> Template:
    """One of the templates of this folder, with the style sheet's colours and the filters set.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
    """
    require("jinja2", "report", "The HTML report")
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda one: files("onlygood.reports").joinpath(one).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent, area=wording.area, interval=wording.interval, counted=wording.counted
    )
    environment.globals.update(
        gradient=ramp_gradient(),
        colours={str(v).lower(): (hexadecimal(VERDICT_COLOURS[v]), hexadecimal(VERDICT_INK[v])) for v in Verdict},
    )
    return environment.get_template(name)
