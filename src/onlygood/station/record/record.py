"""The record: the one door to the database, the journal and the audit trail."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onlygood.errors import ParameterError
from onlygood.station.decisions import Decision, Thresholds, now
from onlygood.station.errors import BusyError, NotFoundError, StationError
from onlygood.station.record import audit, changes, reading, rows, tables
from onlygood.station.record.audit import Action, AuditCheck
from onlygood.station.record.changes import KnownModel
from onlygood.station.record.journal import Journal
from onlygood.station.record.locking import FolderLock
from onlygood.station.record.reading import Query, Scored
from onlygood.station.record.statistics import Counts, statistics
from onlygood.station.record.store import Store
from onlygood.station.record.writing import Writer
from onlygood.station.settings import Limits


class Record:
    """Every decision, answer and change of a station, on the disk before anybody hears of it.

    Made by `open`. All methods may be called from several threads. Those that read or change anything but decisions
    raise `BusyError` while the database cannot be reached.
    """

    def __init__(self, store: Store, writer: Writer, journal: Journal, lock: FolderLock) -> None:
        self._store, self._writer, self._journal, self._lock = store, writer, journal, lock
        self._counts = Counts()

    @classmethod
    def open(cls, url: str, data: Path, limits: Limits | None = None, *, keep: str = "all") -> Record:
        """Open the record of a station, bring its tables up to date and the journal into the database.

        Args:
            url: SQLAlchemy address of the database; empty for SQLite in `data`.
            data: The station's folder; made if it is not there. One station at a time may use it.
            limits: `journal_bytes` bounds the journal.
            keep: Whose images are kept; noted in the audit trail when it changes.

        Raises:
            StationError: The folder cannot be written to or is used by another station, or the database cannot be
                reached, is of something else or of a newer version.
        """
        limits = limits or Limits()
        try:
            data.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(data)
        except OSError as error:
            raise StationError(f"The folder {data} cannot be used: {error}. Name another one (--data).") from error
        try:
            store = Store(url or f"sqlite:///{data / 'record.sqlite'}")
            try:
                journal = Journal(data / "journal", limits.journal_bytes)
            except OSError as error:
                store.close()
                raise StationError(f"The journal in {data} cannot be used: {error}. Mend its rights.") from error
        except BaseException:
            lock.close()
            raise
        record = cls(store, Writer(store, journal), journal, lock)
        record._note_policy(keep)
        return record

    def add(self, decision: Decision) -> str:
        """Record a decision; it is on the disk when this returns.

        What several threads add at the same time is committed together. One whose id is recorded already is left
        as it is.

        Returns:
            `database`, or `journal` while the database cannot be reached or others still wait there.

        Raises:
            NotRecordedError: Neither takes it, so it must not be answered.
            StationError: It holds what is no number.
        """
        return self._writer.add(decision)

    @property
    def state(self) -> dict[str, Any]:
        """`database`: `ok` or `gone`; `journal`: decisions that wait in it; `message`: what is wrong, or empty."""
        return self._writer.state

    def decision(self, decision_id: str) -> dict[str, Any]:
        """`Decision.as_dict`, `seq`, `answers` (oldest first), `answer` (the latest or None), `picture_removed`.

        Pictures that had to go for the quota are told by their time in `picture_removed`; `picture` is empty then.

        Raises:
            NotFoundError: There is none of that id.
        """
        with self._store.reading() as connection:
            try:
                return reading.decision(connection, decision_id)
            except NotFoundError:
                self._perhaps_waiting()
                raise

    def decisions(self, query: Query | None = None) -> list[dict[str, Any]]:
        """A page of decisions, each as `decision` gives it, without `answers`."""
        with self._store.reading() as connection:
            return reading.page(connection, query or Query())

    def scores(self, recipe: str, model: str = "", last: int = 1000) -> list[Scored]:
        """`(seq, score, verdict, answer)` of the last decisions of a recipe, oldest first.

        The answer is the latest or None. Only those of a model (SHA-256), unless that is empty.
        """
        with self._store.reading() as connection:
            return reading.scores(connection, recipe, model, last)

    def statistics(self, recipe: str = "", since: datetime.datetime | None = None, last: int = 1000) -> dict[str, Any]:
        """Figures of a recipe, or of all.

        Returns:
            `total` and `verdicts` (number of each) since that time; `answers` (by verdict, how often operators said OK
            and NG); `to_review` (REVIEW without an answer); `cycle_ms` (`p50`, `p95`, `p99` of the milliseconds from
            arrival to verdict over the `last` decisions, and how many `parts` these are); `parts_per_hour` (decisions
            of the hour until now).
        """
        with self._store.reading() as connection:
            return statistics(connection, self._counts, recipe, since, last)

    def answer(self, decision_id: str, answer: str, who: str, comment: str = "") -> dict[str, Any]:
        """Note what a person says of a decision, `OK` or `NG`. The latest answer counts.

        Raises:
            NotFoundError: There is no such decision.
            ParameterError: It is neither OK nor NG.
        """
        if answer not in ("OK", "NG"):
            raise ParameterError(f"answer={answer!r}: use OK or NG.")
        with self._store.writing() as connection:
            try:
                return changes.answer(connection, decision_id, answer, who, comment)
            except NotFoundError:
                self._perhaps_waiting()
                raise

    def activate(self, recipe: str, model: str, thresholds: Thresholds, who: str, why: str) -> dict[str, Any]:
        """Put a model (SHA-256) on duty for a recipe, with an entry in the audit trail that says from what to what.

        Returns:
            `id, time, recipe, model, thresholds {ng, review}, who, why`.
        """
        with self._store.writing() as connection:
            return changes.activate(connection, recipe, model, thresholds, who, why)

    def activations(self, recipe: str, limit: int = 100) -> list[dict[str, Any]]:
        """Activations of a recipe, newest first: the first is on duty."""
        with self._store.reading() as connection:
            return changes.latest_activations(connection, recipe, limit)

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
        """Note a model file; one that the recipe has already is left as it is.

        Args:
            sha256: Of the file.
            recipe: That may use it.
            method: Its method's name.
            origin: `file`, `upload` or `candidate`.
            parent: SHA-256 of the model that it was made from, if any.
            info: Anything else worth knowing, plain JSON types.
            who: Brought it.
        """
        if origin not in ("file", "upload", "candidate"):
            raise ParameterError(f"origin={origin!r}: use file, upload or candidate.")
        row = {
            "sha256": sha256,
            "recipe": rows.storable(recipe),
            "method": method,
            "origin": origin,
            "parent": parent,
            "info": dict(info or {}),
        }
        with self._store.writing() as connection:
            return changes.add_model(connection, row, who)

    def models(self, recipe: str) -> list[dict[str, Any]]:
        """Models that were taken in for a recipe, newest first."""
        with self._store.reading() as connection:
            return changes.models_of(connection, recipe)

    def known_models(self) -> list[KnownModel]:
        """All models of all recipes, with their last activations."""
        with self._store.reading() as connection:
            return changes.known_models(connection)

    def golden(self, recipe: str) -> list[dict[str, Any]]:
        """The golden set of a recipe, oldest first.

        Of each image `id, recipe, time, who, digest, picture, truth, name, decision_id` and `action` (`add`).
        """
        with self._store.reading() as connection:
            return changes.golden_set(connection, recipe)

    def add_golden(
        self, recipe: str, digest: str, picture: str, truth: str, who: str, name: str = "", decision_id: str = ""
    ) -> dict[str, Any]:
        """Put an image with a known answer (`good` or `defect`) into a golden set; adding it again changes that."""
        row = {"recipe": recipe, "action": "add", "digest": digest, "picture": picture, "truth": truth, "name": name}
        with self._store.writing() as connection:
            return changes.change_golden(connection, {**row, "decision_id": decision_id}, who)

    def remove_golden(self, recipe: str, digest: str, who: str) -> dict[str, Any]:
        """Take an image out of a golden set; raises `NotFoundError` if it is not in it."""
        with self._store.writing() as connection:
            for image in changes.golden_set(connection, recipe):
                if image["digest"] == digest:
                    names = ("recipe", "digest", "picture", "truth", "name", "decision_id")
                    row = {**{name: image[name] for name in names}, "action": "remove"}
                    return changes.change_golden(connection, row, who)
        raise NotFoundError(f"The golden set of {recipe} has no image of that digest.")

    def audit(self, action: Action, subject: str, detail: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Add an entry to the audit trail; gives `seq, time, who, action, subject, detail, previous, digest`."""
        with self._store.writing() as connection:
            return audit.append(connection, who, action, subject, detail)

    def audit_trail(self, limit: int = 100, before: int | None = None, subject: str = "") -> list[dict[str, Any]]:
        """Entries of the audit trail, newest first; those before the entry `before`, of that subject (recipe) alone."""
        with self._store.reading() as connection:
            return audit.trail(connection, limit, before, subject)

    def verify_audit(self) -> AuditCheck:
        """Whether the audit trail is whole, and if not, where it breaks first."""
        with self._store.reading() as connection:
            return audit.verify(connection)

    def unanswered(self, ids: Sequence[str]) -> set[str]:
        """Those of these decisions that no operator answered."""
        with self._store.reading() as connection:
            return reading.unanswered(connection, ids)

    def pictures_removed(self, ids: Iterable[str]) -> None:
        """Note that the pictures of these decisions had to go."""
        moment = now()
        rows_of_them = [{"id": one, "time": moment} for one in ids]
        if rows_of_them:
            with self._store.writing() as connection:
                self._store.insert_new(connection, tables.removed_pictures, rows_of_them)

    def close(self) -> None:
        """Write what is under way and let go of the database. What waits in the journal waits for the next start."""
        self._writer.close()
        self._journal.close()
        self._store.close()
        self._lock.close()

    def _perhaps_waiting(self) -> None:
        if self._journal.waiting:
            raise BusyError("The decision may still wait in the journal for the database. Try again.", retry_after=2)

    def _note_policy(self, keep: str) -> None:
        """Whose images are kept is part of what an auditor wants to know."""
        with self._store.writing() as connection:
            known = audit.last_of(connection, Action.KEEP_IMAGES)
            if known is None or known["subject"] != keep:
                audit.append(connection, "station", Action.KEEP_IMAGES, keep)
