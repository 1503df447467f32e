"""The record over HTTP: decisions by filter, their pictures, what operators say of them, and all of it as CSV."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from starlette.responses import JSONResponse, StreamingResponse

from onlygood.inspection import Verdict
from onlygood.station.inspecting import clean
from onlygood.station.record import reading
from onlygood.station.web.access import Operator, TheStation, Viewer
from onlygood.station.web.shapes import BINARY, NAME_LENGTH, DecisionShape

router = APIRouter(tags=["decisions"])

#: Kept pictures never change; what a browser holds it need not ask for again.
CACHED = {"Cache-Control": "private, max-age=86400"}
COMMENT_LENGTH = 2000
#: Decisions that are read at a time for a CSV file.
CSV_BLOCK = reading.PAGE

Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Of the decision.")]


class AnswerShape(BaseModel):
    """What a person said of a decision."""

    id: str
    decision_id: str
    time: datetime.datetime
    who: str
    answer: Literal["OK", "NG"]
    comment: str


class RecordedShape(DecisionShape):
    """A decision of the record."""

    seq: int = Field(description="Its number in the record; rises in the order of recording.")
    answer: AnswerShape | None = Field(description="The latest.")
    picture_removed: datetime.datetime | None = Field(description="When its pictures had to go for the quota.")


class WithAnswersShape(RecordedShape):
    """A decision of the record with all answers."""

    answers: list[AnswerShape] = Field(description="Oldest first.")


class PageShape(BaseModel):
    """Some decisions, and where to go on."""

    decisions: list[RecordedShape]
    next: int | None = Field(description="To be sent as `cursor` for the next page; null on the last one.")


class NewAnswer(BaseModel):
    """An operator's answer."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["OK", "NG"]
    comment: str = Field(default="", max_length=COMMENT_LENGTH)


Text = Annotated[str, Query(max_length=NAME_LENGTH)]
Time = Annotated[datetime.datetime | None, Query(description="ISO 8601; UTC if it names no zone.")]


def filters(
    recipe: Text = "",
    verdict: Annotated[list[Verdict], Query(max_length=3, description="One of these; may be repeated.")] = [],  # noqa: B006
    source: Annotated[str, Query(max_length=200, description="`rest`, `folder:NAME` or `camera:NAME`.")] = "",
    answered: Annotated[bool | None, Query(description="Whether an operator answered.")] = None,
    answer: Annotated[Literal["OK", "NG"] | None, Query(description="The latest answer.")] = None,
    since: Time = None,
    until: Time = None,
    min_score: FiniteFloat | None = None,
    max_score: FiniteFloat | None = None,
    name: Annotated[str, Query(max_length=500, description="Stands in the image's name.")] = "",
    model: Annotated[str, Query(max_length=64, description="SHA-256 of the model.")] = "",
    order: Annotated[reading.Order, Query(description="Newest, oldest or highest score first.")] = "newest",
) -> reading.Query:
    """Which decisions are asked for."""
    return reading.Query(
        recipe=recipe,
        verdicts=tuple(verdict),
        source=source,
        answered=answered,
        answer=answer or "",
        since=since,
        until=until,
        min_score=min_score,
        max_score=max_score,
        name=name,
        model=model,
        order=order,
    )


Filters = Annotated[reading.Query, Depends(filters)]
Number = Annotated[int | None, Query(ge=0, lt=2**63)]


@router.get("/decisions", summary="Decisions by filter", response_model=PageShape)
def decisions(
    station: TheStation,
    user: Viewer,
    query: Filters,
    limit: Annotated[int, Query(ge=1, le=reading.PAGE)] = 100,
    cursor: Annotated[Number, Query(description="`next` of the page before, with the same filters and order.")] = None,
    before: Annotated[Number, Query(description="Recorded before the decision of this `seq`.")] = None,
    after: Annotated[Number, Query(description="Recorded after the decision of this `seq`.")] = None,
) -> JSONResponse:
    """A page; follow `next` for more. What is recorded meanwhile shifts no page."""
    asked = replace(query, limit=limit, before=before, after=after)
    found = station.record.decisions(asked if cursor is None else asked.behind(cursor))
    more = found[-1]["seq"] if len(found) == limit else None
    return JSONResponse({"decisions": found, "next": more})


@router.get("/decisions/{decision_id}", summary="One decision", response_model=WithAnswersShape)
def decision(decision_id: Id, station: TheStation, user: Viewer) -> JSONResponse:
    """With all answers."""
    return JSONResponse(station.record.decision(decision_id))


@router.post("/decisions/{decision_id}/answer", summary="Say whether the part is good", response_model=WithAnswersShape)
def answer(decision_id: Id, body: NewAnswer, station: TheStation, user: Operator) -> JSONResponse:
    """The latest answer counts; all are kept with who gave them."""
    station.record.answer(decision_id, body.answer, user.name, clean(body.comment, COMMENT_LENGTH))
    return JSONResponse(station.record.decision(decision_id))


def _content(*kinds: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The picture.", "content": dict.fromkeys(kinds, BINARY)}}


@router.get(
    "/decisions/{decision_id}/image",
    summary="The image that was inspected",
    response_class=Response,
    responses=_content("image/png", "image/jpeg", "image/bmp", "image/tiff", "image/webp", "application/octet-stream"),
)
def image(
    decision_id: Id,
    station: TheStation,
    user: Viewer,
    display: Annotated[bool, Query(description="As PNG if browsers do not show its format (TIFF).")] = False,
) -> Response:
    """As it was received. 404 if it was not kept, or had to go for the quota."""
    data, media = station.pictures.image(station.record.decision(decision_id), display)
    return _picture(data, media, decision_id)


@router.get(
    "/decisions/{decision_id}/overlay.png",
    summary="What is anomalous, to lay over the image",
    response_class=Response,
    responses=_content("image/png"),
)
def overlay(decision_id: Id, station: TheStation, user: Viewer) -> Response:
    """Transparent where nothing is above the pixel threshold. 404 if no map was kept."""
    return _picture(station.pictures.overlay_png(station.record.decision(decision_id)), "image/png", decision_id)


@router.get(
    "/decisions/{decision_id}/thumbnail.jpg",
    summary="The image, small",
    response_class=Response,
    responses=_content("image/jpeg"),
)
def thumbnail(decision_id: Id, station: TheStation, user: Viewer) -> Response:
    """At most 160 pixels large."""
    return _picture(station.pictures.thumbnail(station.record.decision(decision_id)), "image/jpeg", decision_id)


@router.get(
    "/decisions.csv",
    summary="Decisions as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def decisions_csv(station: TheStation, user: Viewer, query: Filters) -> StreamingResponse:
    """All that the filters let through, however many."""
    pages = _pages(station.record, replace(query, limit=CSV_BLOCK))
    first = next(pages)  # so that an error is told as one, before anything is sent
    headers = {"Content-Disposition": 'attachment; filename="decisions.csv"'}
    return StreamingResponse(_csv(first, pages), media_type="text/csv; charset=utf-8", headers=headers)


def _picture(data: bytes, media: str, decision_id: str) -> Response:
    ending = media.rsplit("/", 1)[1].replace("octet-stream", "bin")
    headers = {"Content-Disposition": f'inline; filename="{decision_id}.{ending}"', **CACHED}
    return Response(data, media_type=media, headers=headers)


def _pages(record: Any, query: reading.Query) -> Iterator[list[dict[str, Any]]]:
    """All pages; at least one, if it is empty."""
    page = record.decisions(query)
    yield page
    while len(page) == query.limit:
        page = record.decisions(query.behind(page[-1]["seq"]))
        yield page


_PLAIN = ("seq", "id", "time", "recipe", "model", "source", "name", "verdict", "score", "p_value")
_AFTER = ("reason", "width", "height", "digest", "wait_ms", "inspect_ms", "picture")


def _csv(first: list[dict[str, Any]], pages: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    thresholds = ["ng_threshold", "review_threshold", "pixel_threshold", "regions"]
    answers = ["answer", "answered_by", "answered_at", "comment"]
    yield _lines([[*_PLAIN, *thresholds, *_AFTER, *answers]])
    yield _lines(map(_row, first))
    for page in pages:
        yield _lines(map(_row, page))


def _row(one: dict[str, Any]) -> list[Any]:
    limits, said = one["thresholds"], one["answer"] or {}
    return [
        *(one[name] for name in _PLAIN),
        *(limits["ng"], limits["review"], one["pixel_threshold"], len(one["regions"])),
        *(one[name] for name in _AFTER),
        *(said.get(name) for name in ("answer", "who", "time", "comment")),
    ]


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    """Spreadsheets run text that starts like a formula; names and comments come from anybody."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
