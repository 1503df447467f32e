"""Recipes over HTTP: what is on duty, another model, other thresholds, and back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, Field, FiniteFloat
from starlette.concurrency import run_in_threadpool

from onlygood.errors import ModelFileError
from onlygood.jsonable import plain
from onlygood.station.decisions import Thresholds, finite
from onlygood.station.inspecting import clean
from onlygood.station.recipes import Recipe, info_of
from onlygood.station.running import Station
from onlygood.station.web.access import Engineer, TheStation, Viewer, media_type
from onlygood.station.web.shapes import (
    BINARY,
    ActivationsShape,
    Limits,
    ModelsShape,
    RecipeName,
    RecipeShape,
    RecipesShape,
)

router = APIRouter(prefix="/recipes", tags=["recipes"])

#: A model file is written to disk in blocks of so many bytes.
BLOCK = 2**20

Why = Annotated[str, Query(max_length=500, description="Is written down in the audit trail.")]


class NewThresholds(BaseModel):
    """Other thresholds."""

    ng: FiniteFloat = Field(description="Scores above are NG.")
    review: FiniteFloat = Field(description="Other scores above are REVIEW; at most `ng`.")
    why: str = Field(default="", max_length=500)


@router.get("", summary="All recipes")
def recipes(station: TheStation, user: Viewer) -> RecipesShape:
    """With the model on duty of each."""
    names = station.recipes.names()
    shapes = [_shape(station, station.recipes.get(name)) for name in names]
    return RecipesShape(recipes=shapes, default=names[0] if len(names) == 1 else None)


@router.get("/{recipe}", summary="One recipe")
def recipe(recipe: RecipeName, station: TheStation, user: Viewer) -> RecipeShape:
    """With the model on duty."""
    return _shape(station, station.recipes.get(recipe))


@router.put(
    "/{recipe}/model",
    summary="Put another model file on duty",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": BINARY},
        }
    },
)
async def put_model(
    request: Request, recipe: RecipeName, station: TheStation, user: Engineer, why: Why = ""
) -> RecipeShape:
    """The body is the file. It is checked and tried first; if it is no good the model before stays on duty."""
    station.recipes.get(recipe)
    kind = media_type(request, "application/octet-stream")
    if kind != "application/octet-stream":
        raise HTTPException(415, "Send the model file itself as application/octet-stream.")
    with station.recipes.files.incoming() as incoming:
        block = bytearray()
        async for piece in request.stream():
            block += piece
            if len(block) >= BLOCK:
                await run_in_threadpool(incoming.write, bytes(block))
                block.clear()
        incoming.write(bytes(block))
        if not incoming.size:
            raise ModelFileError("The body is empty. Send the bytes of a model file.")
        sha256 = await run_in_threadpool(incoming.keep)
    after = await run_in_threadpool(station.recipes.replace, recipe, sha256, user.name, clean(why, 500) or "sent")
    return _shape(station, after)


@router.post("/{recipe}/rollback", summary="Back to what was on duty before")
def roll_back(recipe: RecipeName, station: TheStation, user: Engineer) -> RecipeShape:
    """The model and the thresholds before the last activation; 409 if there were none or the file is not kept."""
    return _shape(station, station.recipes.roll_back(recipe, user.name))


@router.put("/{recipe}/thresholds", summary="Move the thresholds")
def put_thresholds(recipe: RecipeName, body: NewThresholds, station: TheStation, user: Engineer) -> RecipeShape:
    """Of the model on duty, from the next image on."""
    thresholds = Thresholds(body.ng, body.review)
    return _shape(station, station.recipes.set_thresholds(recipe, thresholds, user.name, clean(body.why, 500)))


@router.get("/{recipe}/activations", summary="What was on duty")
def activations(
    recipe: RecipeName, station: TheStation, user: Viewer, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> ActivationsShape:
    """The newest first."""
    station.recipes.get(recipe)
    return ActivationsShape(activations=plain(station.record.activations(recipe, limit)))


@router.get("/{recipe}/models", summary="Models of a recipe")
def models(recipe: RecipeName, station: TheStation, user: Viewer) -> ModelsShape:
    """All that were given, sent or built; `file` tells whether the station still keeps the file."""
    station.recipes.get(recipe)
    files = station.recipes.files
    table = [{**row, "file": files.has(row["sha256"])} for row in station.record.models(recipe)]
    return ModelsShape(models=plain(table))


def _shape(station: Station, recipe: Recipe) -> RecipeShape:
    info: dict[str, Any] = plain(info_of(recipe.detector))
    return RecipeShape(
        name=recipe.name,
        model=recipe.model,
        method=recipe.detector.method,
        thresholds=_limits(recipe.thresholds),
        own_thresholds=_limits(recipe.own_thresholds),
        pixel_threshold=finite(float(recipe.detector.calibration_.pixel_threshold)),
        since=recipe.since,
        activation=recipe.activation,
        problem=station.recipes.problems.get(recipe.name, ""),
        info=info,
    )


def _limits(thresholds: Thresholds) -> Limits:
    return Limits(ng=finite(thresholds.ng), review=finite(thresholds.review))
