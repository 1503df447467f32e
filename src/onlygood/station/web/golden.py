"""Golden sets over HTTP: images with known answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from onlygood.errors import ParameterError
from onlygood.jsonable import plain
from onlygood.station.inspecting import clean
from onlygood.station.web.access import Engineer, TheStation, Viewer, media_type
from onlygood.station.web.shapes import BINARY, RecipeName

router = APIRouter(prefix="/recipes", tags=["golden sets"])

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the image file.")]
Truth = Literal["good", "defect"]

_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".bmp": "image/bmp", ".tif": "image/tiff"}


class OfDecision(BaseModel):
    """The image of a decision, with what it truly shows."""

    model_config = ConfigDict(extra="forbid")

    decision_id: str = Field(pattern="^[0-9a-f]{32}$")
    truth: Truth


class GoldenShape(BaseModel):
    """An image with a known answer."""

    digest: str = Field(description="SHA-256 of the image file.")
    name: str
    truth: Truth
    time: str
    who: str
    decision_id: str = Field(description="Of the decision it comes from; empty if it was sent.")


class GoldenSetShape(BaseModel):
    """A golden set, oldest first."""

    golden: list[GoldenShape]


@router.get("/{recipe}/golden", summary="The golden set")
def golden(recipe: RecipeName, station: TheStation, user: Viewer) -> GoldenSetShape:
    """Images with known answers, with which candidates are judged."""
    return GoldenSetShape(golden=[_shape(one) for one in station.learning.golden.images(recipe)])


@router.post(
    "/{recipe}/golden",
    status_code=201,
    summary="Put an image into the golden set",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": OfDecision.model_json_schema()},
                **dict.fromkeys(("image/png", "image/jpeg", "application/octet-stream"), BINARY),
            },
        }
    },
)
async def add(
    request: Request,
    recipe: RecipeName,
    station: TheStation,
    user: Engineer,
    truth: Annotated[Truth | None, Query(description="Of an image that is sent.")] = None,
    name: Annotated[str, Query(max_length=1000, description="Of an image that is sent.")] = "",
) -> GoldenShape:
    """The body is JSON that names a decision, or an image file with `truth` in the address."""
    room = station.learning.golden
    kind = media_type(request)
    if kind == "application/json":
        try:
            of = OfDecision.model_validate_json(await request.body())
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise ParameterError(wrong[:2000]) from None
        return _shape(await run_in_threadpool(room.add_decision, recipe, of.decision_id, of.truth, user.name))
    if kind != "application/octet-stream" and not kind.startswith("image/"):
        raise HTTPException(
            415, "Send JSON with a decision's id and the truth, or an image file as image/png or the like."
        )
    if truth is None:
        raise ParameterError("truth: is the image `good` or does it show a `defect`? Add ?truth= to the address.")
    data = await request.body()
    return _shape(await run_in_threadpool(room.add, recipe, data, truth, user.name, clean(name)))


@router.delete("/{recipe}/golden/{digest}", summary="Take an image out of the golden set")
def remove(recipe: RecipeName, digest: Digest, station: TheStation, user: Engineer) -> GoldenShape:
    """Its file stays, for the record names it."""
    return _shape(station.learning.golden.remove(recipe, digest, user.name))


@router.get(
    "/{recipe}/golden/{digest}/image",
    summary="The picture of a golden image",
    response_class=FileResponse,
    responses={200: {"content": dict.fromkeys((*_TYPES.values(), "application/octet-stream"), BINARY)}},
)
def image(recipe: RecipeName, digest: Digest, station: TheStation, user: Viewer) -> FileResponse:
    """The file as it came."""
    path = station.learning.golden.file(recipe, digest)
    return FileResponse(path, media_type=_TYPES.get(path.suffix, "application/octet-stream"))


def _shape(one: dict[str, Any]) -> GoldenShape:
    return GoldenShape.model_validate(plain({name: one[name] for name in GoldenShape.model_fields}))
