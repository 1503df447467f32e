"""The page an operator works with: plain files, read once, so that no path of a request touches the file system."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from fastapi import APIRouter, Request
from starlette.responses import Response

from onlygood.inspection import Verdict
from onlygood.reports.colours import VERDICT_COLOURS, VERDICT_INK, hexadecimal, ramp_gradient
from onlygood.station.errors import NotFoundError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticFile:
    """One file of the page, ready to be sent."""

    data: bytes
    type: str
    tag: str

    @classmethod
    def of(cls, name: str, data: bytes) -> StaticFile:
        """A file by its name's ending."""
        return cls(data, _TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(data).hexdigest()[:32]}"')


def colours_css() -> bytes:
    """The verdicts' colours and the ramp of the anomaly maps as variables, from the same table as the reports."""
    lines = [
        f"  --{str(verdict).lower()}: {hexadecimal(VERDICT_COLOURS[verdict])};"
        f" --{str(verdict).lower()}-ink: {hexadecimal(VERDICT_INK[verdict])};"
        for verdict in Verdict
    ]
    return "\n".join([":root {", *lines, f"  --ramp: linear-gradient(90deg, {ramp_gradient()});", "}", ""]).encode()


@cache
def static_files() -> MappingProxyType[str, StaticFile]:
    """All files of the page by name."""
    found = {
        item.name: StaticFile.of(item.name, item.read_bytes())
        for item in files("onlygood.station.web").joinpath("page").iterdir()
        if item.name.rpartition(".")[2] in _TYPES
    }
    found["colours.css"] = StaticFile.of("colours.css", colours_css())
    return MappingProxyType(found)


def _send(request: Request, name: str) -> Response:
    file = static_files().get(name)
    if file is None:
        raise NotFoundError("there is no such file; the page is at /")
    # Asked for anew each time, so that an updated station is never shown with an old page; the tag makes that cheap.
    headers = {"Cache-Control": "no-cache", "ETag": file.tag}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.data, media_type=file.type, headers=headers)


router = APIRouter(include_in_schema=False)


@router.get("/")
def index(request: Request) -> Response:
    """The page."""
    return _send(request, "index.html")


@router.get("/static/{name}")
def static(request: Request, name: str) -> Response:
    """A file of the page."""
    return _send(request, name)
