"""For those who run the station: does it live, can it work, and its numbers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from onlygood.station.running import Station
from onlygood.station.web.access import Anybody, TheStation, Viewer

router = APIRouter(tags=["operation"])


class Ready(BaseModel):
    """Whether the station can take an image now."""

    ready: bool
    reasons: list[str] = Field(default_factory=list, description="Why not; told to those with a token.")
    problems: list[str] = Field(default_factory=list, description="What is wrong and does not keep it from working.")
    state: dict[str, Any] = Field(default_factory=dict, description="Of record, queue, inputs and outputs.")


@router.get("/health", summary="Does the process live")
async def health() -> dict[str, str]:
    """Always 200 while it does."""
    return {"status": "ok"}


@router.get("/ready", summary="Can it take an image now", responses={503: {"model": Ready, "description": "Not now."}})
async def ready(station: TheStation, user: Anybody, response: Response) -> Ready:
    """200 if it can, else 503. The reasons are told to those who may view."""
    found = await run_in_threadpool(look, station)
    response.status_code = 200 if found.ready else 503
    return found if user else Ready(ready=found.ready)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(station: TheStation, user: Viewer) -> Response:
    """In its text format."""
    return Response(station.telemetry.text(), media_type=station.telemetry.content_type)


def look(station: Station) -> Ready:
    """How the station is doing."""
    record, depth, most = station.record.state, station.inspecting.depth, station.settings.limits.queue
    reasons, problems = [], [*station.recipes.problems.values()]
    if station.stopping.is_set():
        reasons.append("The station is stopping.")
    if depth >= most:
        reasons.append(f"{depth} images wait already.")
    if record["database"] != "ok":
        problems.append(f"The database is gone: {record.get('message', '')} {record['journal']} decisions wait for it.")
    elif record.get("message"):
        problems.append(str(record["message"]))
    if record.get("full"):
        reasons.append("The database is gone and the journal is full.")
    parts = [part.state for part in (*station.inputs, *station.outputs)]
    problems += [f"{part.name}: {part.problem}" for part in parts if part.problem]
    state = {
        "record": dict(record.items()),
        "queue": {"depth": depth, "limit": most},
        "parts": [part.as_dict() for part in parts],
        "recipes": {name: station.recipes.get(name).model for name in station.recipes.names()},
    }
    return Ready(ready=not reasons, reasons=reasons, problems=problems, state=state)
