"""Drift over HTTP: how the tests of a recipe stand, and a new run once somebody has seen to an alarm."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from onlygood.jsonable import plain
from onlygood.station.inspecting import clean
from onlygood.station.web.access import Operator, TheStation, Viewer
from onlygood.station.web.shapes import RecipeName

router = APIRouter(prefix="/recipes", tags=["drift"])


class AlarmShape(BaseModel):
    """What raised the alarm."""

    time: str
    decision_id: str
    against: Literal["calibration", "start"] = Field(description="Compared with which the parts have changed.")
    direction: Literal["rising", "falling"] = Field(description="Of the scores.")
    parts: int = Field(description="Of the run by then.")


class TestShape(BaseModel):
    """One of the two tests: the capital of a player who bets on a drift; 1 at the start."""

    capital_log10: float
    highest_log10: float
    direction: str = Field(description="`rising` or `falling` with an alarm; else empty.")
    alarm: bool


class TestsShape(BaseModel):
    """Both tests: against the calibration, and of the run's parts among themselves."""

    calibration: TestShape
    start: TestShape


class PointShape(BaseModel):
    """The greater capital of the two after a part."""

    seq: int
    time: str
    log10: float


class ComparisonShape(BaseModel):
    """Scores of the calibration and recent ones side by side, for the picture."""

    distance: float = Field(description="Kolmogorov-Smirnov.")
    p_value: float = Field(description="For one look; it raises no alarm.")
    higher: float = Field(description="Share of pairs in which the recent score is the higher one; 0.5 if alike.")


class DriftShape(BaseModel):
    """How the tests stand. Scores at or above the NG threshold are left out everywhere."""

    model: str
    since: str = Field(description="When the run began.")
    parts: int = Field(description="Of the run.")
    left_out: int = Field(description="Parts of the run at or above the NG threshold.")
    most_parts: int = Field(description="Then the next run begins.")
    false_alarm_rate: float = Field(description="Chance of a false alarm in a run, at most.")
    alarm_at: float = Field(description="Capital that raises the alarm.")
    alarm: AlarmShape | None
    exact: bool = Field(description="Whether the rate holds exactly against the calibration, too.")
    tests: TestsShape
    martingale: list[PointShape]
    calibration: list[float]
    recent: list[float]
    comparison: ComparisonShape


class SeenTo(BaseModel):
    """Why a new run begins."""

    why: str = Field(default="", max_length=500, description="Is written down in the audit trail.")


@router.get("/{recipe}/drift", summary="Are good parts scoring as they did?")
def drift(recipe: RecipeName, station: TheStation, user: Viewer) -> DriftShape:
    """The run of the model on duty at its thresholds."""
    return DriftShape.model_validate(plain(station.learning.drift.state(recipe)))


@router.post("/{recipe}/drift/restart", summary="Begin a new run")
def restart(recipe: RecipeName, body: SeenTo, station: TheStation, user: Operator) -> DriftShape:
    """Once somebody has seen to an alarm, or has changed something at the line."""
    station.learning.drift.restart(recipe, user.name, clean(body.why, 500))
    return drift(recipe, station, user)
