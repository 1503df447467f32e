"""Candidate models: the one on duty and confirmed good images, built beside inspecting, judged, put on duty by hand."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onlygood
from onlygood.calibration import Calibration
from onlygood.errors import OnlyGoodError
from onlygood.methods import Detector, load
from onlygood.methods.bank import BankDetector
from onlygood.modelfile.archive import read_manifest
from onlygood.station.decisions import Thresholds, finite
from onlygood.station.errors import BusyError, NotFoundError, RefusedError
from onlygood.station.learning.building import GOLDEN
from onlygood.station.learning.gate import Gate, Outcome, judge
from onlygood.station.learning.golden import Golden
from onlygood.station.recipes import Recipe, Recipes
from onlygood.station.record import Action, Query, Record

#: Images of one candidate, at most; the newest confirmed ones go first, the others with the next candidate.
MOST = 500
#: Confirmed decisions looked through for them, newest first.
LOOKED_THROUGH = 2_000
#: Candidates that are listed, newest first.
LISTED = 10
#: Threads of the process that builds.
THREADS = 1

#: Has a process of its own do the work.
BUILDING = "from onlygood.station.learning.building import main; main()"

_PART = ".candidate."


@dataclass(frozen=True)
class Job:
    """The candidate that is being built, or the last one that was.

    Attributes:
        recipe: Of which recipe.
        state: `idle`, `running` or `failed`.
        stage: What it is at.
        done: Of that stage.
        total: Of that stage.
        error: Why it failed.
        notes: What a person should know of it.
    """

    recipe: str = ""
    state: str = "idle"
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    notes: tuple[str, ...] = ()


class Candidates:
    """The candidates of a station. One is built at a time.

    Args:
        data: The station's folder.
        record: Decisions, answers and models.
        duties: Models on duty.
        golden: Golden sets.
        engine: As of the station.
    """

    def __init__(self, data: Path, record: Record, duties: Recipes, golden: Golden, engine: str | None) -> None:
        self._files, self._pictures = duties.files, data / "pictures"
        self._record, self._duties, self._golden, self._engine = record, duties, golden, engine
        self._lock = threading.Lock()
        self._job, self._thread = Job(), None
        self._process: subprocess.Popen[str] | None = None
        self._closing = False
        self._gates: dict[str, Calibration] = {}
        for left in self._files.folder.glob(f"{_PART}*"):  # of a station that was cut short
            left.unlink(missing_ok=True)

    _thread: threading.Thread | None

    # building

    def start(self, recipe: str, who: str) -> dict[str, Any]:
        """Begin to build one from the images that operators confirmed as good and the model has not learned.

        Raises:
            UnknownRecipeError: There is no such recipe.
            RefusedError: The model on duty cannot learn, or there is nothing to learn.
            BusyError: Another one is being built.
        """
        duty = self._duties.get(recipe)
        check_can_learn(duty.detector)
        images = self.waiting(duty.name)
        if not images:
            raise RefusedError(
                "No good image waits to be learned: confirm parts as OK whose images are kept (settings: keep)."
            )
        golden = {one["digest"]: str(self._golden.path(one)) for one in self._golden.images(duty.name)}
        with self._lock:
            if self._closing:
                raise BusyError("The station is stopping.")
            if self._job.state == "running":
                raise BusyError(f"A candidate of {self._job.recipe} is being built; one at a time.", retry_after=10)
            self._job = Job(duty.name, "running", "start", 0, len(images))
        detail = {"parent": duty.model, "images": len(images)}
        self._record.audit(Action.BUILD_CANDIDATE, duty.name, detail, who)
        work = (duty, images, golden, who)
        self._thread = threading.Thread(target=self._build, args=work, name="candidate", daemon=True)
        self._thread.start()
        return self.progress(duty.name)

    def waiting(self, recipe: str) -> list[dict[str, Any]]:
        """Decisions whose image would be learned now: answered OK, kept, not learned yet and not in the golden set.

        None, if the newest candidate of the model on duty was built from just these.
        """
        used = self._learned(recipe) | {one["digest"] for one in self._golden.images(recipe)}
        found: dict[str, dict[str, Any]] = {}
        before, seen = None, 0
        while seen < LOOKED_THROUGH and len(found) < MOST:
            page = self._record.decisions(Query(recipe=recipe, answer="OK", before=before, limit=500))
            for one in page:
                if one["picture"] and one["digest"] not in used and len(found) < MOST:
                    found.setdefault(one["digest"], one)
            seen += len(page)
            if len(page) < 500:
                break
            before = page[-1]["seq"]
        return [] if set(found) == self._newest(recipe) else list(found.values())

    def progress(self, recipe: str) -> dict[str, Any]:
        """How building stands: `state`, `stage`, `done`, `total`, `error`, `notes`."""
        job = self._job
        if job.recipe != recipe:
            job = Job()
        return {name: getattr(job, name) for name in ("state", "stage", "done", "total", "error")} | {
            "notes": list(job.notes)
        }

    def wait(self, timeout: float | None = None) -> bool:
        """Until nothing is being built; whether that is so."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._job.state != "running"

    def close(self) -> None:
        """Give up what is being built; nothing is left of it."""
        with self._lock:
            self._closing = True
            process = self._process
        if process is not None:
            process.kill()
        if self._thread is not None:
            self._thread.join(10.0)

    def _learned(self, recipe: str) -> set[str]:
        """Digests of images that the model on duty, or one it was made from, got as a candidate."""
        models = {row["sha256"]: row for row in self._record.models(recipe)}
        digests: set[str] = set()
        model, gone_by = self._duties.get(recipe).model, set()
        while model in models and model not in gone_by:
            gone_by.add(model)
            digests.update(models[model]["info"].get("added", ()))
            left_out = models[model]["info"].get("left_out", {})
            digests.update(digest for digest, reason in left_out.items() if reason != GOLDEN)
            model = models[model]["parent"]
        return digests

    def _newest(self, recipe: str) -> set[str]:
        """Digests of what the newest candidate of the model on duty was built from, of those whose file is there."""
        model = self._duties.get(recipe).model
        for row in self._record.models(recipe):
            if row["origin"] == "candidate" and row["parent"] == model and self._files.has(row["sha256"]):
                return {*row["info"]["added"], *row["info"]["left_out"]}
        return set()

    def _build(self, duty: Recipe, images: list[dict[str, Any]], golden: dict[str, str], who: str) -> None:
        out = self._files.folder / f"{_PART}{os.getpid()}.{threading.get_ident()}.part"
        try:
            job = {
                "model": str(self._files.place(duty.model)),
                "images": [[one["digest"], one["name"], str(self._pictures / one["picture"])] for one in images],
                "golden": golden,
                "out": str(out),
                "engine": self._engine,
                "threads": THREADS,
            }
            result = self._run(job)
            self._register(duty, images, result, out, who)
            self._tell(state="idle", stage="", notes=tuple(result["warnings"]))
        except OnlyGoodError as error:
            self._tell(state="failed", error=str(error))
        except Exception as error:  # the station must go on
            self._tell(state="failed", error=f"{type(error).__name__}: {error}")
        finally:
            out.unlink(missing_ok=True)

    def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Have another process do it; raises `RefusedError` with what it says."""
        threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        home = str(Path(onlygood.__file__).parents[1])
        with self._lock:
            if self._closing:
                raise BusyError("The station is stopping.")
            self._process = process = subprocess.Popen(
                [sys.executable, "-c", BUILDING],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={
                    **os.environ,
                    **threads,
                    "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")])),
                },
            )
        assert process.stdin is not None and process.stdout is not None
        result: dict[str, Any] | None = None
        problem = ""
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                told = json.loads(line)
                if "stage" in told:
                    self._tell(**told)
                problem, result = told.get("problem", problem), told.get("result", result)
            status = process.wait()
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            process.kill()
            process.wait()
            self._process = None
        if result is None:
            raise RefusedError(problem or f"Building ended without a result (status {status}); the log tells more.")
        return result

    def _register(
        self, duty: Recipe, images: list[dict[str, Any]], result: dict[str, Any], out: Path, who: str
    ) -> None:
        """Give the file its name, keep the scores, and write the model down: in this order."""
        with out.open("rb") as file:
            model = hashlib.file_digest(file, "sha256").hexdigest()
        calibration = Calibration.from_dict(read_manifest(out)["calibration"])
        self._golden.scores.add(model, {digest: tuple(scored) for digest, scored in result["golden"].items()})  # type: ignore[misc]
        out.replace(self._files.place(model))
        by_digest = {one["digest"]: one for one in images}
        verdicts = [str(by_digest[digest]["verdict"]) for digest in result["added"]]
        info = {
            "images": result["images"],
            "added": result["added"],
            "left_out": result["left_out"],
            "added_by_verdict": {verdict: verdicts.count(verdict) for verdict in ("OK", "REVIEW", "NG")},
            "warnings": result["warnings"],
            "promise": str(calibration.promise),
            "ng_threshold": finite(float(calibration.ng_threshold)),
            "review_threshold": finite(float(calibration.review_threshold)),
        }
        self._record.add_model(model, duty.name, result["method"], "candidate", duty.model, info, who)

    def _tell(self, **changes: Any) -> None:
        self._job = replace(self._job, **changes)

    # judging

    def list(self, recipe: str) -> list[dict[str, Any]]:
        """The newest candidates with what the gate says on the golden set as it is now.

        Golden images that came later are scored for those made from the model on duty.
        """
        duty = self._duties.get(recipe)
        rows = [row for row in self._record.models(duty.name) if row["origin"] == "candidate"][:LISTED]
        return [self._told(duty, row, row["parent"] == duty.model) for row in rows]

    def gate(self, recipe: str, model: str, score: bool = True) -> Gate:
        """What the gate says of a candidate on the golden set as it is now.

        Args:
            recipe: Of which recipe.
            model: SHA-256.
            score: Whether golden images that have no score yet get one; else the gate says that they wait.

        Raises:
            UnknownRecipeError, NotFoundError: There is no such recipe, candidate or file.
        """
        duty = self._duties.get(recipe)
        self._row(duty.name, model)
        calibration = self._calibration(model)
        scored = self._golden.scored if score else lambda recipe, model, _: self._golden.known(recipe, model)
        then = scored(duty.name, model, lambda: self._load(model))
        now = scored(duty.name, duty.model, lambda: duty.detector)
        limits = thresholds_of(calibration)
        outcomes = [
            Outcome(
                one["digest"],
                one["name"],
                one["truth"],
                now.get(one["digest"]),
                then.get(one["digest"]),
                duty.thresholds,
                limits,
            )
            for one in self._golden.images(duty.name)
        ]
        return judge(outcomes, calibration.promise, duty.detector.calibration_.promise)

    def activate(self, recipe: str, model: str, who: str) -> Recipe:
        """Put a candidate on duty, with the thresholds it was judged with.

        Raises:
            UnknownRecipeError, NotFoundError: There is no such recipe, candidate or file.
            RefusedError: The gate turns it down, or it was made from another model than the one on duty.
        """
        duty = self._duties.get(recipe)
        row = self._row(duty.name, model)
        if duty.model == model:
            raise RefusedError("This candidate is on duty already.")
        if row["parent"] != duty.model:
            raise RefusedError(
                "This candidate was made from another model than the one on duty and would lose what that has learned "
                "since. Build a new one."
            )
        gate = self.gate(duty.name, model)
        if not gate.passed:
            raise RefusedError("The candidate fails its gate: " + " ".join(gate.reasons))
        why = f"candidate passed its gate: {gate.defects} defects, {gate.good} good images"
        return self._duties.activate(duty.name, model, thresholds_of(self._calibration(model)), who, why)

    def _told(self, duty: Recipe, row: Mapping[str, Any], score: bool) -> dict[str, Any]:
        table = {"model": row["sha256"], "time": row["time"], "parent": row["parent"], "images": row["info"]["images"]}
        info = {name: row["info"][name] for name in ("promise", "added_by_verdict", "warnings")}
        table["thresholds"] = {"ng": row["info"]["ng_threshold"], "review": row["info"]["review_threshold"]}
        table |= info | {"added": len(row["info"]["added"]), "left_out": len(row["info"]["left_out"])}
        try:
            gate = self.gate(duty.name, row["sha256"], score)
        except OnlyGoodError as error:
            gate = Gate(False, (str(error),), (), (), 0, 0, 0, 0, 0)
        on_duty = duty.model == row["sha256"]
        stale = not on_duty and row["parent"] != duty.model
        return table | {
            "passed": gate.passed and not stale,
            "on_duty": on_duty,
            "stale": stale,
            "gate": gate.as_dict(),
        }

    def _row(self, recipe: str, model: str) -> dict[str, Any]:
        for row in self._record.models(recipe):
            if row["sha256"] == model and row["origin"] == "candidate":
                return row
        raise NotFoundError(f"{recipe} has no such candidate.")

    def _calibration(self, model: str) -> Calibration:
        if model not in self._gates:
            self._gates[model] = Calibration.from_dict(read_manifest(self._file(model))["calibration"])
        return self._gates[model]

    def _load(self, model: str) -> Detector:
        return load(self._file(model), engine=self._engine, threads=THREADS)

    def _file(self, model: str) -> Path:
        if not self._files.has(model):
            raise NotFoundError("The file of this candidate is gone. Build a new one.")
        return self._files.place(model)


def check_can_learn(detector: Detector) -> None:
    """Raise `RefusedError` unless confirmed images can be added to this detector."""
    if not isinstance(detector, BankDetector):
        raise RefusedError(
            f"{detector.method} keeps no memory bank, so it cannot learn on the job. Fit it anew with all good images."
        )
    if detector.coreset < 1:
        raise RefusedError(
            "The model on duty is a coreset: it no longer holds what recalibrating needs. Fit one with coreset=1."
        )


def thresholds_of(calibration: Calibration) -> Thresholds:
    """Those of a calibration."""
    return Thresholds(float(calibration.ng_threshold), float(calibration.review_threshold))
