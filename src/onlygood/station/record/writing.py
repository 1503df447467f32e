"""Takes decisions from many threads and puts them on the disk: into the database, or into the journal meanwhile.

One thread writes. It takes all that was handed over while it was busy and commits it in one transaction, so that many
clients share one wait for the disk. A second thread brings the journal into the database once that is back.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from onlygood.station.decisions import Decision
from onlygood.station.errors import NotRecordedError, StationError
from onlygood.station.record import rows, tables
from onlygood.station.record.journal import Journal, JournalFullError
from onlygood.station.record.store import Store, cause

#: Decisions of one transaction, at most.
BATCH = 500
#: Seconds between two looks at a database that is gone, and at one that is not; and between two times of tidying it.
RETRY, LOOK, TIDY = 0.5, 5.0, 1.0
#: Below this many free bytes the state says so.
LEAST_FREE = 16 * 2**20


class _Handed:
    """One decision that a thread waits for."""

    def __init__(self, decision: Decision) -> None:
        self.row = rows.to_row(decision)
        self.line = rows.to_line(decision)
        self.done = threading.Event()
        self.where = ""
        self.error: BaseException | None = None


class Writer:
    """The two threads.

    Args:
        store: The database.
        journal: Where decisions go while it is gone.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store, self._journal = store, journal
        self._handed: list[_Handed] = []
        self._change = threading.Condition()
        self._closing = False
        self._stop = threading.Event()
        self._behind = threading.Event()
        self._problem = journal.damage
        #: That the disk is nearly full, say; nothing is lost yet.
        self._warning = ""
        self._gone = self._untidy = False
        while journal.waiting and self._catch_up():
            pass
        if journal.waiting:
            self._behind.set()
        self._threads = [
            threading.Thread(target=self._write_for_ever, name="record-writer", daemon=True),
            threading.Thread(target=self._catch_up_for_ever, name="record-journal", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def state(self) -> dict[str, Any]:
        """As `Record.state`."""
        gone, waiting = self._gone, self._journal.waiting
        message = "; ".join(filter(None, (self._problem, self._warning)))
        return {"database": "gone" if gone else "ok", "journal": waiting, "message": message}

    def add(self, decision: Decision) -> str:
        """As `Record.add`."""
        handed = _Handed(rows.checked(decision))
        with self._change:
            if self._closing:
                raise NotRecordedError("The station is stopping.", retry_after=5)
            self._handed.append(handed)
            self._change.notify()
        handed.done.wait()
        if handed.error is not None:
            raise handed.error
        return handed.where

    def close(self) -> None:
        """Write what was handed over, then stop. What waits in the journal waits on."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._stop.set()
        self._behind.set()
        for thread in self._threads:
            thread.join()

    def _write_for_ever(self) -> None:
        while True:
            with self._change:
                while not self._handed and not self._closing:
                    self._change.wait()
                batch, self._handed = self._handed[:BATCH], self._handed[BATCH:]
            if not batch:
                return
            try:
                self._write(batch)
            except BaseException as error:
                for handed in batch:
                    if not handed.where:
                        handed.error = NotRecordedError(f"The decision could not be recorded: {error}")
                        handed.error.__cause__ = error
            for handed in batch:
                handed.done.set()

    def _write(self, batch: Sequence[_Handed]) -> None:
        # Only this thread adds to the journal, so once it is empty it stays empty until we say otherwise. While
        # something waits there, new decisions go behind it: the order of the record is that of the line.
        if not self._journal.waiting:
            try:
                self._insert_or_refuse(batch)
                return
            except SQLAlchemyError as error:
                self._lost(error)
        for handed in batch:
            handed.where = ""
        refused = self._to_journal([handed for handed in batch if handed.error is None])
        for handed, refusal in refused:
            handed.error = refusal
        self._behind.set()

    def _insert_or_refuse(self, batch: Sequence[_Handed]) -> None:
        """Into the database, all in one transaction; one that it does not take must not keep the others out."""
        try:
            self._insert([handed.row for handed in batch])
        except (IntegrityError, DataError) as error:
            if len(batch) == 1:
                batch[0].error = StationError(f"The database refuses the decision: {cause(error)}")
                return
            for handed in batch:
                self._insert_or_refuse([handed])
            return
        for handed in batch:
            handed.where = "database"
        self._found()

    def _insert(self, table_rows: Sequence[dict[str, Any]]) -> None:
        for attempt in (1, 2):
            try:
                with self._store.transaction() as connection:
                    self._store.insert_new(connection, tables.decisions, table_rows)
                self._untidy = True
                return
            except SQLAlchemyError as error:
                # The server was restarted since: the connections of before are no use, new ones are.
                if attempt == 2 or not getattr(error, "connection_invalidated", False):
                    raise

    def _to_journal(self, batch: Sequence[_Handed]) -> list[tuple[_Handed, BaseException]]:
        """Into the journal; those that it does not take, with the reason."""
        if not batch:
            return []
        try:
            self._journal.append([handed.line for handed in batch])
        except JournalFullError as error:
            if len(batch) > 1:  # as many as fit
                return [pair for handed in batch for pair in self._to_journal([handed])]
            return [(batch[0], self._refusal(error))]
        except OSError as error:
            return [(handed, self._refusal(error)) for handed in batch]
        for handed in batch:
            handed.where = "journal"
        self._warning = ""
        return []

    def _refusal(self, error: Exception) -> NotRecordedError:
        self._warning = f"decisions are not answered: {cause(error)}"
        return NotRecordedError(
            f"The decision is not answered, for it cannot be recorded: the database says '{self._problem}', "
            f"the journal '{cause(error)}'. Bring the database back, or make room on the disk.",
            retry_after=5,
        )

    def _catch_up_for_ever(self) -> None:
        looked = time.monotonic()
        while not self._stop.is_set():
            if not self._behind.wait(TIDY):
                if self._untidy:
                    self._untidy = False
                    with suppress(Exception):  # another time; if the database is gone others find out
                        self._store.tidy()
                if time.monotonic() - looked > LOOK:
                    self._look()
                    looked = time.monotonic()
                continue
            if self._stop.is_set():
                return
            if not self._journal.waiting:
                self._behind.clear()
                if self._journal.waiting:  # something came in between
                    self._behind.set()
            elif not self._catch_up():
                self._stop.wait(RETRY)

    def _catch_up(self) -> bool:
        """Bring the first lines of the journal into the database; False if it is still gone."""
        lines, mark = self._journal.first(BATCH)
        try:
            try:
                self._insert([rows.to_row(rows.from_line(line)) for line in lines])
            except (IntegrityError, DataError, KeyError, TypeError, ValueError):
                for line in lines:
                    self._catch_up_one(line)
        except (SQLAlchemyError, OSError) as error:
            self._lost(error)
            return False
        self._journal.take(len(lines), mark)
        if not self._journal.waiting:
            self._found()
        return True

    def _catch_up_one(self, line: bytes) -> None:
        try:
            self._insert([rows.to_row(rows.from_line(line))])
        except (IntegrityError, DataError, KeyError, TypeError, ValueError) as error:
            aside: Path = self._journal.path.with_name(f"{self._journal.path.name}.refused")
            with aside.open("ab") as file:
                file.write(line + b"\n")
            self._warning = (
                f"the database refuses a decision of the journal ({cause(error)}); it is kept in {aside.name}"
            )

    def _look(self) -> None:
        """Is the database there, while nothing is written, and is there room?"""
        try:
            self._store.ping()
        except SQLAlchemyError as error:
            self._lost(error)
            return
        free = _free(self._journal.path.parent)
        self._warning = f"only {free / 2**20:.0f} MiB are free on the disk" if free < LEAST_FREE else ""
        self._found()

    def _lost(self, error: BaseException) -> None:
        self._gone, self._problem = True, cause(error)

    def _found(self) -> None:
        if self._gone:
            self._gone, self._problem, self._warning = False, "", ""


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return LEAST_FREE
