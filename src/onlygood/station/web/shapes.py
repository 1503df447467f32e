"""The JSON that routes give, for the OpenAPI document."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from onlygood.station.web.errors import Complaint

#: In an address; whether there is one of that name is looked up.
NAME_LENGTH = 64
RecipeName = Annotated[str, Path(max_length=NAME_LENGTH, description="Of the recipe.")]

#: A file as it is, for the OpenAPI document.
FILE: dict[str, Any] = {"type": "string", "format": "binary"}
BINARY: dict[str, Any] = {"schema": FILE}


class Limits(BaseModel):
    """Scores above `ng` are NG, others above `review` REVIEW; null while nothing is calibrated."""

    ng: float | None
    review: float | None


class RegionShape(BaseModel):
    """A connected area of the map above the pixel threshold."""

    box: list[int] = Field(description="Left, top, right, bottom in pixels; the last two are exclusive.")
    area: int = Field(description="Pixels.")
    peak: float = Field(description="Highest value of the map inside.")
    branch: str | None = Field(default=None, description="Of a method with several maps, the one that found it.")


class DecisionShape(BaseModel):
    """One decision about one image."""

    id: str = Field(description="32 hexadecimal digits that sort by time.")
    time: datetime.datetime
    recipe: str
    model: str = Field(description="SHA-256 of the model file.")
    source: str = Field(description="`rest`, `folder:NAME` or `camera:NAME`.")
    name: str
    verdict: Literal["OK", "REVIEW", "NG"]
    score: float
    p_value: float = Field(description="Share of good images at least this anomalous, in (0, 1].")
    thresholds: Limits
    pixel_threshold: float | None
    reason: str = Field(description="`structural`, `logical` or empty.")
    regions: list[RegionShape]
    width: int
    height: int
    digest: str = Field(description="SHA-256 of the image file.")
    wait_ms: float
    inspect_ms: float
    picture: str
    map_picture: str


class MapShape(BaseModel):
    """An anomaly map."""

    width: int
    height: int
    data: str = Field(description="Base64 of float32, little endian, row by row.")


class InspectedShape(DecisionShape):
    """A decision, where it is recorded, and the map if asked for."""

    recorded: Literal["database", "journal"] = Field(description="`journal` while the database is gone.")
    map: MapShape | None = None


class BatchItem(BaseModel):
    """What became of one image."""

    name: str
    decision: InspectedShape | None = None
    error: Complaint | None = None


class BatchShape(BaseModel):
    """What became of each image, in their order."""

    decisions: list[BatchItem]


class RecipeShape(BaseModel):
    """A recipe and the model on duty."""

    name: str
    model: str = Field(description="SHA-256 of the model file.")
    method: str
    thresholds: Limits
    own_thresholds: Limits = Field(description="Those the model was calibrated to.")
    pixel_threshold: float | None
    since: str
    activation: str
    problem: str = Field(description="What is wrong with the model file that was given; empty if nothing is.")
    info: dict[str, Any] = Field(description="Method, images, promise and the like.")


class RecipesShape(BaseModel):
    """All recipes."""

    recipes: list[RecipeShape]
    default: str | None = Field(description="The one that answers if none is named; null if there are several.")


class ActivationsShape(BaseModel):
    """What was on duty, the newest first."""

    activations: list[dict[str, Any]]


class ModelsShape(BaseModel):
    """Models of a recipe."""

    models: list[dict[str, Any]]
