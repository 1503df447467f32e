"""Kept images copied into `ok/`, `review/` and `ng/`, wherever they came from."""

from __future__ import annotations

from pathlib import Path

from onlygood.station.decisions import Decision
from onlygood.station.moving import FOLDERS, copy
from onlygood.station.outputs.base import Output, RefusedDecisionError, UndeliveredError
from onlygood.station.settings import SortOut


class SortedOut(Output):
    """Copies the image of each decision to `PATH/ok`, `PATH/review` or `PATH/ng`.

    The copy is called by the decision's id, so that nothing of a request becomes a path, and two images of one name
    do not meet. It appears whole or not at all.

    Args:
        settings: Where to, and which verdicts.
        pictures: The folder that the station keeps pictures in.
    """

    def __init__(self, settings: SortOut, pictures: Path) -> None:
        super().__init__("sorted", verdicts=settings.verdicts)
        self._path = settings.path
        self._pictures = pictures

    def _deliver(self, decision: Decision) -> None:
        if not decision.picture:
            raise RefusedDecisionError(
                f"The image of decision {decision.id} was not kept, so it cannot be sorted. Keep all images (`keep`)."
            )
        source = self._pictures / decision.picture
        folder = self._path / FOLDERS[decision.verdict]
        name = f"{decision.id}{source.suffix}"
        if (folder / name).exists():  # from a try whose end was not seen
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copy(source, folder, name)
        except OSError as error:
            if not source.exists():
                raise RefusedDecisionError(f"The kept image of decision {decision.id} is gone already.") from None
            raise UndeliveredError(f"{folder} cannot be written: {error.strerror or error}.") from None
