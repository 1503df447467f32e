"""For those who run the station: does it live, can it work, and its numbers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from onlygood.station.web.access import Anybody, TheStation, Viewer

router = APIRouter(tags=["operation"])


class Ready(BaseModel):
    """Whether the station can take an image now."""

    ready: bool
    reasons: list[str] = Field(default_factory=list, description="Why not; told to those with a token.")
    problems: list[str] = Field(default_factory=list, description="What is wrong and does not keep it from working.")
    record: dict[str, Any] = Field(default_factory=dict, description="Of the database and the journal.")
    pictures: dict[str, Any] = Field(default_factory=dict, description="How much is kept, and why not.")
    queue: int = Field(default=0, description="Images that wait or are worked on.")
    recipes: list[dict[str, Any]] = Field(default_factory=list, description="Model on duty of each, and its problem.")
    connections: list[dict[str, Any]] = Field(default_factory=list, description="Inputs and outputs.")


@router.get("/health", summary="Does the process live")
async def health() -> dict[str, str]:
    """Always 200 while it does."""
    return {"status": "ok"}


@router.get("/ready", summary="Can it take an image now", responses={503: {"model": Ready, "description": "Not now."}})
async def ready(station: TheStation, user: Anybody, response: Response) -> Ready:
    """200 if it can, else 503. The reasons are told to those who may view."""
    status = await run_in_threadpool(station.status)
    response.status_code = 200 if status["ready"] else 503
    return Ready(**status) if user else Ready(ready=status["ready"])


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(station: TheStation, user: Viewer) -> Response:
    """In its text format."""
    return Response(station.telemetry.text(), media_type=station.telemetry.content_type)
