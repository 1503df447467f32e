"""The audit trail over HTTP."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from onlygood.station.web.access import Engineer, TheStation
from onlygood.station.web.shapes import NAME_LENGTH

router = APIRouter(prefix="/audit", tags=["audit"])


class EntryShape(BaseModel):
    """Who changed what, when."""

    seq: int
    time: datetime.datetime
    who: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous: str = Field(description="Digest of the entry before.")
    digest: str = Field(description="SHA-256 of `previous` and the rest of the entry as JSON.")


class TrailShape(BaseModel):
    """Some entries, and where to go on."""

    entries: list[EntryShape] = Field(description="Newest first.")
    next: int | None = Field(description="To be sent as `before` for the next page; null on the last one.")


class CheckShape(BaseModel):
    """Whether the trail is whole."""

    whole: bool
    entries: int
    broken_at: int | None = Field(description="`seq` of the first entry that does not fit.")
    digest: str = Field(description="Of the last that fits; note it elsewhere to know later that none was cut off.")


@router.get("", summary="Who changed what, when", response_model=TrailShape)
def trail(
    station: TheStation,
    user: Engineer,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    recipe: Annotated[str, Query(max_length=NAME_LENGTH, description="What concerns it alone; empty for all.")] = "",
) -> JSONResponse:
    """Newest first."""
    found = station.record.audit_trail(limit, before, recipe)
    more = found[-1]["seq"] if len(found) == limit else None
    return JSONResponse({"entries": found, "next": more})  # as the digests were made, to be made again by anybody


@router.get("/verify", summary="Whether the audit trail is whole")
def verify(station: TheStation, user: Engineer) -> CheckShape:
    """Follows the chain of digests from the first entry."""
    return CheckShape.model_validate(station.record.verify_audit().as_dict())
