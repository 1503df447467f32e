"""All of learning on the job, as the station holds it."""

from __future__ import annotations

from onlygood.station.decisions import Thresholds
from onlygood.station.learning import thresholds
from onlygood.station.learning.candidates import Candidates
from onlygood.station.learning.drift import DriftWatch
from onlygood.station.learning.golden import Golden
from onlygood.station.recipes import Recipes
from onlygood.station.record import Record
from onlygood.station.settings import Settings


class Learning:
    """Golden sets, candidates and the watch over drift.

    Args:
        settings: `data`, `engine` and `limits.pixels` count.
        record: The record.
        recipes: The models on duty.

    Attributes:
        golden: Golden sets.
        candidates: Candidate models.
        drift: The watch over drift.
    """

    def __init__(self, settings: Settings, record: Record, recipes: Recipes) -> None:
        self._record, self._recipes = record, recipes
        self.golden = Golden(settings.data, record, recipes, settings.limits.pixels)
        self.candidates = Candidates(settings.data, record, recipes, self.golden, settings.engine)
        self.drift = DriftWatch(settings.data, record, recipes)

    def start(self) -> None:
        """Begin to watch for drift."""
        self.drift.start()

    def close(self) -> None:
        """Stop watching, and give up a candidate that is being built."""
        self.candidates.close()
        self.drift.close()

    def histogram(self, recipe: str, last: int) -> dict[str, object]:
        """As `thresholds.histogram`."""
        return thresholds.histogram(self._record, self._recipes.get(recipe), last)

    def preview(self, recipe: str, then: Thresholds, last: int) -> dict[str, object]:
        """As `thresholds.preview`."""
        return thresholds.preview(self._record, self.golden, self._recipes.get(recipe), then, last)
