"""Which model answers for which recipe: swapping without losing a request, rolling back, watching the given files."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onlygood.errors import ModelFileError, OnlyGoodError, ParameterError
from onlygood.methods import Detector
from onlygood.station.decisions import Thresholds, finite
from onlygood.station.errors import NotFoundError, RefusedError, UnknownRecipeError
from onlygood.station.logs import log
from onlygood.station.model_files import Given, ModelFiles, Stamp, stamp
from onlygood.station.model_keeping import remove_old
from onlygood.station.record import Action, Record
from onlygood.station.settings import Settings
from onlygood.station.telemetry import Telemetry

#: Seconds between two looks at the model files.
POLL = 2.0

#: Who changes a model when its file changes.
WATCHER = "station"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Recipe:
    """A model on duty under a name.

    Attributes:
        name: Of the recipe.
        detector: The fitted detector; its own verdicts do not count here.
        model: SHA-256 of its file.
        thresholds: What verdicts are made with.
        since: When it went on duty, ISO 8601.
        activation: Id of that in the record.
    """

    name: str
    detector: Detector
    model: str
    thresholds: Thresholds
    since: str
    activation: str

    @property
    def own_thresholds(self) -> Thresholds:
        """Those the model was calibrated to."""
        return thresholds_of(self.detector)


class Recipes:
    """The recipes of a station.

    Args:
        settings: `data`, `models`, `keep_models`, `engine` and `threads` count.
        record: Remembers what was on duty.
        telemetry: Tells what is.
        poll: Seconds between two looks at the model files.

    Attributes:
        files: The station's copies of the model files.

    Raises:
        ModelFileError: The file of a recipe cannot be used and there is no earlier one.
        ParameterError: A name is none.
    """

    def __init__(self, settings: Settings, record: Record, telemetry: Telemetry, poll: float = POLL) -> None:
        self._settings = settings
        self._record = record
        self._telemetry = telemetry
        self._poll = poll
        self.files = ModelFiles(settings.data / "models", settings.engine, settings.threads)
        self._given = Given(self.files.folder / "given.json")
        self._changing = threading.RLock()
        self._on_duty: dict[str, Recipe] = {}
        self._problems: dict[str, str] = {}
        self._unsettled: dict[str, Stamp] = {}
        self._stopping = threading.Event()
        self._watching: threading.Thread | None = None
        if not settings.models:
            raise ParameterError("The station needs a model: --model part.og, or [models] in its settings.")
        self._stamps = {name: stamp(path) for name, path in settings.models.items()}
        for name, path in settings.models.items():
            check_name(name)
            self._begin(name, path)
        self._remove_old()  # a station that was killed may have left some

    # asking

    def names(self) -> list[str]:
        """Of all recipes, as they were given."""
        return list(self._settings.models)

    def get(self, name: str = "") -> Recipe:
        """The recipe of that name as it is now; empty for the only one.

        Raises:
            UnknownRecipeError: There is none, or none is named and there are several.
        """
        if not name:
            return self.default()
        try:
            return self._on_duty[name]
        except KeyError:
            raise UnknownRecipeError(
                f"There is no recipe {name[:80]!r}. There are: {', '.join(self.names())}."
            ) from None

    def default(self) -> Recipe:
        """The only recipe; raises `UnknownRecipeError` if there are several."""
        names = self.names()
        if len(names) > 1:
            raise UnknownRecipeError(f"Name a recipe; there are several: {', '.join(names)}.")
        return self._on_duty[names[0]]

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with the model file of a recipe, by its name; the model on duty is not concerned."""
        return dict(self._problems)

    # changing

    def add(self, name: str, sha256: str, who: str, origin: str = "upload", parent: str = "") -> Detector:
        """Load a model that was taken in, and write it down as one of the recipe. It does not go on duty by that.

        Raises:
            ModelFileError, NotFoundError, UnknownRecipeError: As named; a file that cannot be used is thrown away.
        """
        self.get(name)
        return self._add(name, sha256, who, origin, parent)

    def activate(
        self, name: str, sha256: str, thresholds: Thresholds | None = None, who: str = WATCHER, why: str = ""
    ) -> Recipe:
        """Put a model on duty: it is loaded first; requests under way finish with the old one.

        Args:
            name: Of the recipe.
            sha256: Of a model file the station has.
            thresholds: None for those the model was calibrated to.
            who: Is written down.
            why: Likewise.

        Raises:
            ModelFileError, NotFoundError, UnknownRecipeError, ParameterError: As named; the old one stays on duty.
        """
        with self._changing:  # from the look at the file on: no other change may remove it meanwhile
            before = self.get(name)
            detector = before.detector if before.model == sha256 else self.files.load(sha256)
            return self._put(name, detector, sha256, thresholds, who, why)

    def replace(self, name: str, sha256: str, who: str, why: str) -> Recipe:
        """Write down a model that was taken in and put it on duty with its own thresholds; errors as `add`."""
        with self._changing:
            detector = self.add(name, sha256, who)
            return self._put(name, detector, sha256, None, who, why)

    def set_thresholds(self, name: str, thresholds: Thresholds, who: str, why: str = "") -> Recipe:
        """Move the thresholds of the model on duty.

        Raises:
            ParameterError: They are not finite, or `review` is above `ng`.
            UnknownRecipeError: There is no such recipe.
        """
        if not (np.isfinite(thresholds.ng) and np.isfinite(thresholds.review) and thresholds.review <= thresholds.ng):
            raise ParameterError(f"ng={thresholds.ng}, review={thresholds.review}: two numbers, review at most ng.")
        with self._changing:
            current = self.get(name)
            return self._put(name, current.detector, current.model, thresholds, who, why)

    def roll_back(self, name: str, who: str) -> Recipe:
        """Go back to the model and the thresholds before the last activation; called again, forth.

        Raises:
            RefusedError: There was none before, or its file is no longer kept (`keep_models`).
            ModelFileError: Its file is damaged; the one on duty stays.
        """
        self.get(name)
        with self._changing:
            found = self._record.activations(name, 2)
            if len(found) < 2:
                raise RefusedError(f"Nothing was on duty for {name} before this, so there is nothing to go back to.")
            back = found[1]
            why = f"roll-back to the activation of {back['time']}"
            try:
                return self.activate(name, back["model"], thresholds_from(back), who, why)
            except NotFoundError:
                raise RefusedError(
                    f"The station no longer keeps the model file {back['model']} that was on duty for {name} before "
                    f"(keep_models = {self._settings.keep_models}). Send it again: PUT /recipes/{name}/model."
                ) from None

    def _add(self, name: str, sha256: str, who: str, origin: str, parent: str = "") -> Detector:
        try:
            detector = self.files.load(sha256)
        except ModelFileError as error:
            self._tell(Action.REFUSE_MODEL, name, {"model": sha256, "origin": origin, "problem": str(error)}, who)
            self._throw_away(sha256)
            raise
        self._record.add_model(sha256, name, detector.method, origin, parent, info_of(detector), who)
        return detector

    def _throw_away(self, sha256: str) -> None:
        """Remove a copy that is no good, unless some recipe knows it; in doubt it stays."""
        with self._changing, suppress(OnlyGoodError):
            if not any(sha256 == row["sha256"] for name in self.names() for row in self._record.models(name)):
                self.files.path(sha256).unlink(missing_ok=True)

    def _put(
        self, name: str, detector: Detector, sha256: str, thresholds: Thresholds | None, who: str, why: str
    ) -> Recipe:
        """Write the activation down, then swap the reference: in this order, so that no decision comes before it."""
        with self._changing:
            thresholds = thresholds or thresholds_of(detector)
            row = self._record.activate(name, sha256, thresholds, who, why)
            before = self._on_duty.get(name)
            recipe = self._use(name, detector, thresholds, row)
            if before is not None and before.model != sha256:
                self._remove_old()
            return recipe

    def _remove_old(self) -> None:
        """Remove model files that nobody needs any more; what is on duty or was given last is needed in any case."""
        with self._changing:
            needed = {recipe.model for recipe in self._on_duty.values()}
            needed.update(filter(None, map(self._given.get, self.names())))
            remove_old(self.files, self._record, self._settings.keep_models, needed)

    def _use(self, name: str, detector: Detector, thresholds: Thresholds, row: Mapping[str, Any]) -> Recipe:
        recipe = Recipe(name, detector, row["model"], thresholds, row["time"], row["id"])
        self._on_duty[name] = recipe
        self._telemetry.on_duty(name, recipe.model, detector.method)
        log(
            "on_duty",
            recipe=name,
            model=recipe.model,
            method=detector.method,
            ng=thresholds.ng,
            review=thresholds.review,
            who=row["who"],
            why=row["why"],
        )
        return recipe

    # the given files

    def _begin(self, name: str, path: Path) -> None:
        """What was on duty last is again, unless the given file is another one than then."""
        last = next(iter(self._record.activations(name, 1)), None)
        try:
            sha256 = self._take_file(path)
            known = last is not None and sha256 in (self._given.get(name), last["model"])
            if not known or not self._resume(name, last):
                self._activate_file(name, sha256, path)
        except ModelFileError as error:
            if last is None or not self._resume(name, last):
                raise
            self._refuse(name, path, error)

    def _resume(self, name: str, last: Mapping[str, Any] | None) -> bool:
        """Put back on duty what was; whether its file is still there and good."""
        if last is None:
            return False
        try:
            detector = self.files.load(last["model"])
        except (ModelFileError, NotFoundError) as error:
            log("not_resumed", level="error", recipe=name, model=last["model"], problem=str(error))
            return False
        self._use(name, detector, thresholds_from(last), last)
        return True

    def _activate_file(self, name: str, sha256: str, path: Path) -> None:
        with self._changing:
            detector = self._add(name, sha256, WATCHER, "file")
            self._put(name, detector, sha256, None, WATCHER, f"file {path.name}")
            self._given.set(name, sha256)

    def _take_file(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                return self.files.take_in(file)
        except FileNotFoundError:
            raise ModelFileError(f"There is no model file {path}. Check the path, or copy it there.") from None
        except OSError as error:
            raise ModelFileError(f"The model file {path} cannot be copied: {error.strerror or error}.") from error

    def _refuse(self, name: str, path: Path, error: Exception) -> None:
        text = str(error)
        problem = text if str(path) in text else f"{path}: {text}"
        self._problems[name] = f"{problem} The model before stays on duty."
        self._telemetry.refused("bad_model")
        self._tell(Action.REFUSE_FILE, name, {"file": str(path), "problem": problem}, WATCHER)

    def _tell(self, action: Action, name: str, detail: Mapping[str, Any], who: str) -> None:
        """Log and audit; an audit that cannot be written now must not hide what it is about."""
        log(action, level="error", recipe=name, **detail)
        try:
            self._record.audit(action, name, detail, who)
        except OnlyGoodError as error:
            log("not_audited", level="error", action=action, recipe=name, problem=str(error))

    # watching

    def watch(self) -> None:
        """Begin to look at the given model files."""
        self._watching = threading.Thread(target=self._watch, name="recipes", daemon=True)
        self._watching.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._watching is not None:
            self._watching.join(10.0)

    def look(self) -> None:
        """Take over the model files that have changed and have been at rest since the look before."""
        for name, path in self._settings.models.items():
            seen = stamp(path)
            if seen == self._stamps[name]:
                self._unsettled.pop(name, None)
                continue
            if name not in self._unsettled or self._unsettled[name] != seen:  # it may still be written
                self._unsettled[name] = seen
                continue
            del self._unsettled[name]
            self._stamps[name] = seen
            self._changed_file(name, path)

    def _watch(self) -> None:
        while not self._stopping.wait(self._poll):
            try:
                self.look()
            except Exception as error:  # looking must go on
                log("watching_failed", level="error", error=error)

    def _changed_file(self, name: str, path: Path) -> None:
        try:
            sha256 = self._take_file(path)
            if sha256 != self._given.get(name):
                self._activate_file(name, sha256, path)
            self._problems.pop(name, None)
        except OnlyGoodError as error:
            self._refuse(name, path, error)


def check_name(name: str) -> None:
    """Raise `ParameterError` unless a recipe may have this name: it stands in addresses, topics and metrics."""
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"{name!r} cannot be the name of a recipe: letters, digits and _ . - only, 64 at most, a letter or digit "
            "first. Name it: --model name=part.og"
        )


def thresholds_of(detector: Detector) -> Thresholds:
    """Those a detector was calibrated to."""
    return Thresholds(float(detector.calibration_.ng_threshold), float(detector.calibration_.review_threshold))


def thresholds_from(activation: Mapping[str, Any]) -> Thresholds:
    """Those of an activation in the record."""
    ng, review = activation["thresholds"]["ng"], activation["thresholds"]["review"]
    return Thresholds(math.inf if ng is None else float(ng), -math.inf if review is None else float(review))


def info_of(detector: Detector) -> dict[str, Any]:
    """What a person wants to know of a model, as plain JSON types."""
    calibration, training = detector.calibration_, detector.training_
    return {
        "method": detector.method,
        "size": detector.size,
        "backbone": detector.graph_.spec.backbone,
        "images": len(training.names),
        "fitted": training.date,
        "false_reject": calibration.false_reject,
        "review": calibration.review,
        "promise": str(calibration.promise),
        "ng_threshold": finite(float(calibration.ng_threshold)),
        "review_threshold": finite(float(calibration.review_threshold)),
        "has_map": detector.has_map,
    }
