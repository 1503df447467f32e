"""Figures of the line over HTTP."""

from __future__ import annotations

import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from onlygood.station.record.reading import as_utc
from onlygood.station.web.access import TheStation, Viewer
from onlygood.station.web.shapes import NAME_LENGTH

router = APIRouter(tags=["decisions"])


class VerdictCounts(BaseModel):
    """A number for each verdict."""

    OK: int
    REVIEW: int
    NG: int


class AnswerCounts(BaseModel):
    """How often operators said OK and NG."""

    OK: int
    NG: int


class AnswersShape(BaseModel):
    """What operators said, by the station's verdict."""

    OK: AnswerCounts
    REVIEW: AnswerCounts
    NG: AnswerCounts


class CycleShape(BaseModel):
    """Milliseconds from a part's arrival to its verdict; null without parts."""

    parts: int = Field(description="How many the percentiles are of.")
    p50: float | None
    p95: float | None
    p99: float | None


class StatisticsShape(BaseModel):
    """Figures of a recipe, or of all."""

    recipe: str
    since: datetime.datetime | None
    total: int
    verdicts: VerdictCounts
    answers: AnswersShape
    to_review: int = Field(description="REVIEW without an answer.")
    cycle_ms: CycleShape
    parts_per_hour: int = Field(description="Decisions of the hour until now.")


@router.get("/statistics", summary="Counts and cycle times", response_model=StatisticsShape)
def statistics(
    station: TheStation,
    user: Viewer,
    recipe: Annotated[str, Query(max_length=NAME_LENGTH, description="Empty for all.")] = "",
    since: Annotated[datetime.datetime | None, Query(description="Counts from then on; ISO 8601.")] = None,
    last: Annotated[int, Query(ge=1, le=100_000, description="Parts that the cycle times are of.")] = 1000,
) -> JSONResponse:
    """Counts of verdicts and answers, cycle times of the last parts, parts per hour."""
    moment = None if since is None else as_utc(since, "since")
    return JSONResponse(station.record.statistics(recipe, moment, last))
