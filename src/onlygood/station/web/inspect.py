"""`POST /inspect`: an image in, a recorded decision out; and many at a time."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from concurrent.futures import Future
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse

from onlygood.errors import ImageError, OnlyGoodError, ParameterError
from onlygood.station.errors import BusyError
from onlygood.station.inspecting import Answer
from onlygood.station.running import Station
from onlygood.station.web import errors
from onlygood.station.web.access import Operator, TheStation, media_type
from onlygood.station.web.shapes import BINARY, FILE, NAME_LENGTH, BatchShape, InspectedShape

router = APIRouter(tags=["inspection"])

FORM = "multipart/form-data"
Recipe = Annotated[str, Query(max_length=NAME_LENGTH, description="Which recipe; may be left out if there is one.")]


def _form(name: str, many: bool) -> dict[str, Any]:
    """A form with one image, or several, for the OpenAPI document."""
    field = {"type": "array", "items": FILE, "minItems": 1} if many else FILE
    return {FORM: {"schema": {"type": "object", "properties": {name: field}, "required": [name]}}}


@router.post(
    "/inspect",
    summary="Inspect one image",
    response_model=InspectedShape,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                **dict.fromkeys(("image/png", "image/jpeg", "application/octet-stream"), BINARY),
                **_form("image", many=False),
            },
        }
    },
)
async def inspect(
    request: Request,
    station: TheStation,
    user: Operator,
    recipe: Recipe = "",
    name: Annotated[str, Query(max_length=1000, description="What you call the image; 200 characters are kept.")] = "",
    map: Annotated[bool, Query(description="Whether the answer shall have the anomaly map.")] = False,
) -> JSONResponse:
    """The body is the image file itself, or a form with a field `image`. Answered once the decision is recorded."""
    kind = media_type(request)
    if kind == FORM:
        async with request.form(max_files=1, max_fields=8) as form:
            upload = _uploads(form, "image")[0]
            data, name = await upload.read(), name or upload.filename or ""
    elif kind == "application/octet-stream" or kind.startswith("image/"):
        data = await request.body()
    else:
        raise HTTPException(
            415, f"{kind or 'No Content-Type'} is not taken. Send the image file as image/png or the like, or a form."
        )
    _check_size(len(data), station)
    answer = await asyncio.wrap_future(station.inspecting.submit(data, name, "rest", recipe, map))
    return JSONResponse(_table(answer))


@router.post(
    "/inspect/batch",
    summary="Inspect several images",
    response_model=BatchShape,
    response_model_exclude_unset=True,
    openapi_extra={"requestBody": {"required": True, "content": _form("images", many=True)}},
)
async def batch(
    request: Request,
    station: TheStation,
    user: Operator,
    recipe: Recipe = "",
) -> JSONResponse:
    """A form with a field `images` for each. An image that cannot be inspected does not keep the others from it."""
    if media_type(request) != FORM:
        raise HTTPException(415, "Send a form (multipart/form-data) with a field `images` for each image.")
    station.recipes.get(recipe)
    made: list[dict[str, Any]] = []
    waiting: deque[tuple[dict[str, Any], Future[Answer]]] = deque()
    async with request.form(max_files=station.settings.limits.batch, max_fields=8) as form:
        for upload in _uploads(form, "images"):
            item: dict[str, Any] = {"name": upload.filename or ""}
            made.append(item)
            data = await upload.read()
            try:
                if len(data) > station.settings.limits.upload_bytes:
                    raise ImageError(f"{len(data)} bytes; the limit is {station.settings.limits.upload_bytes}.")
                waiting.append((item, await _submit(station, data, item["name"], recipe, waiting)))
            except OnlyGoodError as error:
                item["error"] = _complaint(error)
        while waiting:
            await _settle(*waiting.popleft())
    return JSONResponse({"decisions": made})


async def _submit(
    station: Station, data: bytes, name: str, recipe: str, waiting: deque[tuple[dict[str, Any], Future[Answer]]]
) -> Future[Answer]:
    """Hand over an image of a batch; while the queue is full, wait for those of the same batch."""
    while True:
        try:
            return station.inspecting.submit(data, name, "rest", recipe)
        except BusyError:
            if not waiting or station.inspecting.stopping:
                raise
        await _settle(*waiting.popleft())


async def _settle(item: dict[str, Any], future: Future[Answer]) -> None:
    try:
        item["decision"] = _table(await asyncio.wrap_future(future))
    except OnlyGoodError as error:
        item["error"] = _complaint(error)


def _complaint(error: OnlyGoodError) -> dict[str, str]:
    _, code, message = errors.told(error)
    return {"code": code, "message": message}


def _uploads(form: FormData, field: str) -> list[UploadFile]:
    found = [one for one in form.getlist(field) if isinstance(one, UploadFile)]
    if not found:
        raise ParameterError(f"The form has no file in a field `{field}`.")
    return found


def _check_size(size: int, station: Station) -> None:
    most = station.settings.limits.upload_bytes
    if size > most:
        raise HTTPException(413, f"{size} bytes are too many; the limit is {most}.")
    if size == 0:
        raise ImageError("The body is empty. Send the bytes of an image file.")


def _table(answer: Answer) -> dict[str, Any]:
    table = {**answer.decision.as_dict(), "recorded": answer.recorded}
    if answer.map is not None:
        height, width = answer.map.shape
        data = base64.b64encode(np.ascontiguousarray(answer.map, "<f4").tobytes()).decode("ascii")
        table["map"] = {"width": width, "height": height, "data": data}
    return table
