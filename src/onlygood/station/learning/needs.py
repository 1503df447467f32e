"""What this room needs of the record and of the recipes, so that it can be tested without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from onlygood.methods import Detector
from onlygood.station.decisions import Thresholds


class Duty(Protocol):
    """The model on duty of a recipe."""

    @property
    def name(self) -> str:
        """Of the recipe."""

    @property
    def detector(self) -> Detector:
        """The fitted detector."""

    @property
    def model(self) -> str:
        """SHA-256 of its file."""

    @property
    def thresholds(self) -> Thresholds:
        """What verdicts are made with."""

    @property
    def since(self) -> str:
        """When it went on duty, ISO 8601."""

    @property
    def activation(self) -> str:
        """Id of that in the record."""


class Duties(Protocol):
    """`Recipes`."""

    def names(self) -> list[str]:
        """Of all recipes."""

    def get(self, name: str = "") -> Duty:
        """What is on duty."""

    def activate(self, name: str, sha256: str, thresholds: Thresholds | None, who: str, why: str) -> Duty:
        """Put a model on duty."""


class Recorded(Protocol):
    """`Record`; each method as it says there."""

    def decision(self, decision_id: str) -> dict[str, Any]:
        """One decision."""

    def decisions(self, query: Any) -> list[dict[str, Any]]:
        """A page of decisions."""

    def scores(self, recipe: str, model: str = "", last: int = 1000) -> list[Any]:
        """`(seq, score, verdict, answer)`, oldest first."""

    def golden(self, recipe: str) -> list[dict[str, Any]]:
        """The golden set."""

    def add_golden(
        self, recipe: str, digest: str, picture: str, truth: str, who: str, name: str = "", decision_id: str = ""
    ) -> dict[str, Any]:
        """Put an image into it."""

    def remove_golden(self, recipe: str, digest: str, who: str) -> dict[str, Any]:
        """Take one out."""

    def add_model(
        self,
        sha256: str,
        recipe: str,
        method: str,
        origin: str,
        parent: str = "",
        info: Mapping[str, Any] | None = None,
        who: str = "station",
    ) -> dict[str, Any]:
        """Note a model file."""

    def models(self, recipe: str) -> list[dict[str, Any]]:
        """Of a recipe, newest first."""

    def audit(self, action: str, subject: str, detail: Mapping[str, Any], who: str) -> Any:
        """Write down what was done."""
