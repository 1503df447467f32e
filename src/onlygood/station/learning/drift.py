"""The watch over drift: one run of the tests for each recipe, fed from the record, its alarm kept over restarts."""

from __future__ import annotations

import datetime
import json
import math
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onlygood.calibration.drift import DriftTest, compare, one_of_each
from onlygood.errors import OnlyGoodError
from onlygood.files import replacing
from onlygood.methods.trained import TrainedDetector
from onlygood.station.recipes import Recipe, Recipes
from onlygood.station.record import Action, Query, Record

#: Between two looks at the record.
SECONDS = 5.0
#: Points of the path that are told, at most.
POINTS = 500
#: Parts on which the picture of the two distributions rests, at most.
RECENT = 500


class Run:
    """The tests of one model at one threshold, from one decision on.

    Args:
        duty: What is on duty.
        after: Decisions up to this number (`seq`) are not of this run.
    """

    def __init__(self, duty: Recipe, after: int) -> None:
        detector = duty.detector
        calibration, groups = detector.calibration_, detector.training_.groups
        scores = calibration.scores
        # a trained network calibrates with held-out images, one of each group already
        self.exact = isinstance(detector, TrainedDetector)
        if not self.exact and len(groups) == len(scores):
            scores = one_of_each(scores, groups)
        self.test = DriftTest(scores, duty.thresholds.ng)
        self.activation, self.model, self.thresholds = duty.activation, duty.model, duty.thresholds
        self.since, self.after, self.last = duty.since, after, after
        self.times: list[str] = []
        self.seqs: list[int] = []
        self.alarm: dict[str, Any] | None = None

    def add(self, decision: dict[str, Any]) -> bool:
        """The next decision; whether it raises the alarm."""
        self.last = decision["seq"]
        if self.test.over:
            return False
        before = len(self.test.scores)
        raised = self.test.add(decision["score"])
        if len(self.test.scores) > before:
            self.times.append(decision["time"])
            self.seqs.append(decision["seq"])
        if raised:
            by = self.test.alarm
            test = self.test.against_calibration if by == "calibration" else self.test.against_start
            self.alarm = {
                "time": decision["time"],
                "decision_id": decision["id"],
                "against": by,
                "direction": test.state.direction,
                "parts": test.state.parts,
            }
        return raised


@dataclass(frozen=True)
class Standing:
    """How the run of a recipe stood at the last look.

    Attributes:
        recipe: Its name.
        alarm: As `GET /recipes/{recipe}/drift` tells it; None without one.
        parts: Of the run, that count.
        left_out: Parts of the run at or above the NG threshold.
        capital: By what is compared with, `calibration` and `start`; 1 at the start of the run.
    """

    recipe: str
    alarm: dict[str, Any] | None
    parts: int
    left_out: int
    capital: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the recipe."""
        capital = {name: math.log10(value) for name, value in self.capital.items()}
        return {"alarm": self.alarm, "parts": self.parts, "left_out": self.left_out, "capital_log10": capital}


class DriftWatch:
    """Looks at what was recorded since, every few seconds.

    A run ends with an alarm, which stays until a person has seen to it (`restart`); with another activation (model or
    thresholds); or after its most parts, when the next one begins by itself. Where each run began is kept in
    `drift.json`, so that a station that starts again finds it.

    Args:
        data: The station's folder.
        record: Knows the decisions.
        duties: Models on duty.
        seconds: Between two looks.
    """

    def __init__(self, data: Path, record: Record, duties: Recipes, seconds: float = SECONDS) -> None:
        self._path, self._record, self._duties, self._seconds = data / "drift.json", record, duties, seconds
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._watch, name="drift", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10.0)

    @property
    def alarms(self) -> list[str]:
        """Recipes whose alarm nobody has seen to yet."""
        return sorted(one.recipe for one in self.standing() if one.alarm)

    def standing(self) -> list[Standing]:
        """How the runs of what is on duty stood at the last look; the database is not asked, and nothing is waited for.

        A recipe that was not looked at since its last activation is not among them.
        """
        found = []
        for name in self._duties.names():
            run = self._runs.get(name)
            if run is not None and run.activation == self._duties.get(name).activation:
                test = run.test
                tests = {"calibration": test.against_calibration, "start": test.against_start}
                capital = {name: one.state.capital for name, one in tests.items()}
                found.append(Standing(name, run.alarm, len(test.scores), test.left_out, capital))
        return found

    def look(self, recipe: str) -> Run:
        """Take in what was recorded since the last look."""
        with self._lock:
            return self._look(self._duties.get(recipe))

    def restart(self, recipe: str, who: str, why: str = "") -> None:
        """Begin a new run with the next part: a person has seen to the alarm, or has changed something at the line."""
        duty = self._duties.get(recipe)
        with self._lock:
            run = self._look(duty)
            newest = self._record.decisions(Query(recipe=duty.name, limit=1))
            detail = {"alarm": run.alarm, "parts": len(run.test.scores), "why": why}
            self._record.audit(Action.RESTART_DRIFT, duty.name, detail, who)
            self._begin(duty, max([run.last, *(one["seq"] for one in newest)]))

    def state(self, recipe: str) -> dict[str, Any]:
        """All that a page needs, after a look at the record."""
        run = self.look(recipe)
        with self._lock:
            return _told(run)

    def _watch(self) -> None:
        while not self._stopping.wait(self._seconds):
            for name in self._duties.names():
                try:
                    self.look(name)
                except (OnlyGoodError, OSError):
                    continue  # the database is gone, say; the next look catches up

    def _look(self, duty: Recipe) -> Run:
        run = self._runs.get(duty.name)
        if run is None or run.activation != duty.activation:
            kept = self._kept().get(duty.name, {})
            same = run is None and kept.get("activation") == duty.activation
            after = kept.get("after", 0) if same else 0
            run = self._begin(duty, after if isinstance(after, int) else 0)
        since = datetime.datetime.fromisoformat(run.since) if run.since else None
        limits = {"ng": _finite(duty.thresholds.ng), "review": _finite(duty.thresholds.review)}
        while not run.test.over:
            query = Query(recipe=duty.name, model=run.model, since=since, after=run.last, order="oldest", limit=500)
            page = self._record.decisions(query)
            for decision in page:
                if decision["thresholds"] != limits:  # of an earlier activation, still under way then
                    continue
                if run.add(decision):
                    self._raise(duty, run)
                if run.test.over:
                    break
            if page and not run.test.over:
                run.last = page[-1]["seq"]
            if run.test.over and not run.alarm:
                run = self._begin(duty, run.last)
            elif len(page) < 500:
                break
        return run

    def _begin(self, duty: Recipe, after: int) -> Run:
        run = self._runs[duty.name] = Run(duty, after)
        self._keep(duty.name, {"activation": duty.activation, "after": after})
        return run

    def _raise(self, duty: Recipe, run: Run) -> None:
        """An alarm goes into the audit trail, once: after a restart the same parts raise it again."""
        kept = self._kept().get(duty.name, {})
        if kept.get("alarm") != run.alarm:
            self._record.audit(Action.DRIFT_ALARM, duty.name, run.alarm or {}, "station")
            self._keep(duty.name, {"activation": duty.activation, "after": run.after, "alarm": run.alarm})

    def _kept(self) -> dict[str, Any]:
        try:
            table = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        clean = table if isinstance(table, dict) else {}
        return {name: entry for name, entry in clean.items() if isinstance(entry, dict)}

    def _keep(self, recipe: str, entry: dict[str, Any]) -> None:
        old = self._kept()
        if "alarm" not in entry and all(old.get(recipe, {}).get(key) == value for key, value in entry.items()):
            return  # the alarm of the same run stays known
        with replacing(self._path) as partial:
            partial.write_text(json.dumps({**old, recipe: entry}, indent=1), "utf-8")


def _told(run: Run) -> dict[str, Any]:
    test = run.test
    tests = {"calibration": test.against_calibration, "start": test.against_start}
    paths = {name: np.asarray(one.path) / math.log(10) for name, one in tests.items()}
    parts = len(test.scores)
    higher = np.maximum(*paths.values()) if len(paths["calibration"]) == parts else paths["start"]
    shown = _spread(higher)
    recent = test.scores[-RECENT:]
    picture = compare(test.reference, recent)
    return {
        "model": run.model,
        "since": run.times[0] if run.times else run.since,
        "parts": parts,
        "left_out": test.left_out,
        "most_parts": test.most,
        "false_alarm_rate": test.alpha,
        "alarm_at": 2 / test.alpha,
        "alarm": run.alarm,
        "exact": run.exact,
        "tests": {
            name: {
                "capital_log10": float(paths[name][-1]) if len(paths[name]) else 0.0,
                "highest_log10": max(0.0, float(paths[name].max())) if len(paths[name]) else 0.0,
                "direction": one.state.direction,
                "alarm": bool(one.state.alarm_at),
            }
            for name, one in tests.items()
        },
        "martingale": [{"seq": run.seqs[i], "time": run.times[i], "log10": float(higher[i])} for i in shown],
        "calibration": test.reference.tolist(),
        "recent": recent.tolist(),
        "comparison": {"distance": picture.distance, "p_value": picture.p_value, "higher": picture.higher},
    }


def _spread(path: Any) -> list[int]:
    """Places of the path to show: all of a short one; of a long one the highest of each stretch, and the last."""
    if len(path) <= POINTS:
        return list(range(len(path)))
    edges = np.linspace(0, len(path), POINTS).astype(int)
    places = {int(a + np.argmax(path[a:b])) for a, b in pairwise(edges)}
    return sorted(places | {len(path) - 1})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
