"""Models over HTTP: the scores behind the thresholds, other thresholds tried, candidates built and put on duty."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, FiniteFloat

from onlygood.jsonable import plain
from onlygood.station.decisions import Thresholds
from onlygood.station.web.access import Engineer, Operator, TheStation, Viewer
from onlygood.station.web.shapes import Limits, RecipeName

router = APIRouter(prefix="/recipes", tags=["models"])

#: Parts looked back at, at most.
MOST = 20_000

Model = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the candidate's file.")]
Last = Annotated[int, Query(ge=1, le=MOST, description="Parts looked back at.")]


class RecentShape(BaseModel):
    """A part that the model on duty scored."""

    seq: int
    score: float
    verdict: Literal["OK", "REVIEW", "NG"]
    answer: Literal["OK", "NG"] | None = Field(description="What an operator said last.")


class HistogramShape(BaseModel):
    """Scores of good parts, then and now, and the thresholds on them."""

    model: str
    thresholds: Limits
    promise: str = Field(description="About false rejects, in words.")
    false_reject: float | None = Field(description="Rate of good parts above the NG threshold, by the calibration.")
    calibration: list[float] = Field(description="Scores of good images that were not learned.")
    recent: list[RecentShape] = Field(description="Oldest first.")


class Tried(BaseModel):
    """Thresholds that are tried."""

    ng: FiniteFloat
    review: FiniteFloat = Field(description="At most `ng`.")
    last: int = Field(default=1000, ge=1, le=MOST, description="Parts looked back at.")


class CountsShape(BaseModel):
    """Parts by verdict."""

    OK: int
    REVIEW: int
    NG: int


class BothShape(BaseModel):
    """With the thresholds on duty and with those tried."""

    now: CountsShape
    then: CountsShape


class AnsweredShape(BaseModel):
    """By what operators said."""

    OK: BothShape
    NG: BothShape


class GoldenCountsShape(BaseModel):
    """By the truth of the golden set."""

    good: BothShape
    defect: BothShape


class RatesShape(BaseModel):
    """Rates of good parts above the NG threshold, by the calibration; null if nothing was calibrated."""

    now: float | None
    then: float | None


class PreviewShape(BothShape):
    """What other thresholds would have done."""

    last: int = Field(description="Parts that the model on duty scored, of those looked back at.")
    answered: AnsweredShape
    golden: GoldenCountsShape
    false_reject: RatesShape


class JudgedShape(BaseModel):
    """Of a golden image."""

    score: float
    verdict: Literal["OK", "REVIEW", "NG"]


class OutcomeShape(BaseModel):
    """A golden image under the model on duty (`now`) and under the candidate (`then`)."""

    digest: str
    name: str
    truth: Literal["good", "defect"]
    learned: bool = Field(description="By the candidate: a good image then proves nothing and is not counted.")
    now: JudgedShape | None
    then: JudgedShape | None
    passed: bool


class GateShape(BaseModel):
    """What the gate says on the golden set as it is now."""

    passed: bool
    reasons: list[str] = Field(description="Why not.")
    notes: list[str] = Field(description="What a person should know.")
    outcomes: list[OutcomeShape]
    escapes: int = Field(description="Defects called OK.")
    false_rejects: int = Field(description="Good images called NG.")
    allowed_false_rejects: int = Field(description="So many are within the promise.")
    good: int
    defects: int


class CandidateShape(BaseModel):
    """A candidate."""

    model: str = Field(description="SHA-256 of its file.")
    time: str
    parent: str = Field(description="SHA-256 of the model it was made from.")
    images: int = Field(description="In its bank.")
    added: int = Field(description="Images it learned more than its parent.")
    left_out: int = Field(description="Confirmed images that it did not learn.")
    added_by_verdict: dict[str, int] = Field(description="What they were called when they came.")
    promise: str
    thresholds: Limits = Field(description="That it is judged with and goes on duty with.")
    warnings: list[str]
    passed: bool = Field(description="Whether it may be put on duty now.")
    on_duty: bool
    stale: bool = Field(description="Made from another model than the one on duty.")
    gate: GateShape


class ProgressShape(BaseModel):
    """How building stands."""

    state: Literal["idle", "running", "failed"]
    stage: str
    done: int
    total: int
    error: str
    notes: list[str]


class CandidatesShape(ProgressShape):
    """How building stands, what waits to be learned, and the candidates that were built, newest first."""

    waiting: int = Field(description="Confirmed good images that a candidate would learn now; 0 while one is built.")
    candidates: list[CandidateShape]


class ActivatedShape(BaseModel):
    """What is on duty now."""

    model: str
    thresholds: Limits
    since: str


@router.get("/{recipe}/histogram", summary="Scores and thresholds")
def histogram(recipe: RecipeName, station: TheStation, user: Viewer, last: Last = 1000) -> HistogramShape:
    """Scores of the calibration and of the last parts that the model on duty saw."""
    return HistogramShape.model_validate(plain(station.learning.histogram(recipe, last)))


@router.post("/{recipe}/thresholds/preview", summary="Try other thresholds")
def preview(recipe: RecipeName, body: Tried, station: TheStation, user: Viewer) -> PreviewShape:
    """Changes nothing."""
    thresholds = Thresholds(body.ng, body.review)
    return PreviewShape.model_validate(plain(station.learning.preview(recipe, thresholds, body.last)))


@router.get("/{recipe}/candidates", summary="Candidates")
def candidates(recipe: RecipeName, station: TheStation, user: Viewer) -> CandidatesShape:
    """With what the gate says of each on the golden set as it is now."""
    return _candidates(station, recipe)


@router.post("/{recipe}/candidates", status_code=202, summary="Build a candidate")
def build(recipe: RecipeName, station: TheStation, user: Operator) -> ProgressShape:
    """From the good images that operators confirmed; in the background, one at a time."""
    return ProgressShape.model_validate(station.learning.candidates.start(recipe, user.name))


@router.post("/{recipe}/candidates/{sha256}/activate", summary="Put a candidate on duty")
def activate(recipe: RecipeName, sha256: Model, station: TheStation, user: Engineer) -> ActivatedShape:
    """409 unless it passes its gate on the golden set as it is now."""
    duty = station.learning.candidates.activate(recipe, sha256, user.name)
    limits = {"ng": duty.thresholds.ng, "review": duty.thresholds.review}
    return ActivatedShape.model_validate(plain({"model": duty.model, "thresholds": limits, "since": duty.since}))


def _candidates(station: Any, recipe: str) -> CandidatesShape:
    room, name = station.learning.candidates, station.recipes.get(recipe).name
    progress = room.progress(name)
    waiting = 0 if progress["state"] == "running" else len(room.waiting(name))
    return CandidatesShape.model_validate(plain({**progress, "waiting": waiting, "candidates": room.list(name)}))
