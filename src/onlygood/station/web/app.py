"""The application: the routers of all rooms, one way to tell errors, and what holds for every request."""

from __future__ import annotations

import html
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

import onlygood
from onlygood.station.running import Station
from onlygood.station.web import (
    audit,
    decisions,
    drift,
    errors,
    events,
    golden,
    health,
    inspect,
    models,
    page,
    recipes,
    session,
    statistics,
)
from onlygood.station.web.limits import Bodies
from onlygood.station.web.security import Security
from onlygood.station.web.tokens import Tokens

ROUTERS = (
    inspect.router,
    recipes.router,
    models.router,
    golden.router,
    drift.router,
    decisions.router,
    statistics.router,
    audit.router,
    health.router,
    session.router,
    events.router,
    page.router,
)

ABOUT = """Inspection at the line: images in, decisions out, each recorded before it is answered.

Errors are `{"error": {"code", "message"}}`. Where the station has tokens, send one as `Authorization: Bearer TOKEN`."""


def create_app(station: Station) -> FastAPI:
    """The application of a station that has been made; it starts and stops nothing itself."""
    app = FastAPI(
        title="onlygood station",
        version=onlygood.__version__,
        description=ABOUT,
        docs_url=None,  # they would load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.station = station
    app.state.tokens = Tokens(station.settings.data)
    errors.install(app, station.telemetry)
    for router in ROUTERS:
        app.include_router(router, responses=errors.ANY)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(listing(app.openapi()))

    app.add_middleware(Bodies, limits=station.settings.limits)
    app.add_middleware(Security, settings=station.settings, telemetry=station.telemetry)
    return app


def listing(document: dict[str, Any]) -> str:
    """The routes of an OpenAPI document as a plain page that loads nothing."""
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation.get('summary', ''))}<br>{html.escape(operation.get('description', ''))}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    title = html.escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        '<p>All of it for programs: <a href="/openapi.json">openapi.json</a></p>'
        f"<table><tr><th>method<th>path<th>what it does</tr>{rows}</table></html>"
    )
