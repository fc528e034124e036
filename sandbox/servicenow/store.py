"""Incidents, journal entries and reference names in one SQLite file that survives `kill -9`."""

import hashlib
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sandbox.servicenow import rules
from sandbox.servicenow.errors import NoRecordError
from sandbox.servicenow.fields import COLUMNS, INCIDENT, JOURNALS, Kind
from sandbox.servicenow.query import Query
from sandbox.servicenow.rules import Record

_FIRST_NUMBER: Final = 10001
_SYS_ID: Final = re.compile(r"[0-9a-f]{32}")
_SCHEMA: Final = f"""
create table if not exists incident (
    {", ".join(f"{f.name} text not null collate nocase" for f in COLUMNS)},
    primary key (sys_id)
);
create unique index if not exists incident_number on incident (number);
create index if not exists incident_correlation on incident (correlation_id);
create table if not exists journal (
    entry integer primary key, sys_id text not null, element text not null,
    value text not null, created_on text not null, created_by text not null
);
create index if not exists journal_sys_id on journal (sys_id);
create table if not exists name (
    sys_id text primary key, record_table text not null, name text not null
);
create table if not exists counter (
    only integer primary key check (only = 1), last integer not null
);
insert or ignore into counter values (1, {_FIRST_NUMBER - 1});
"""  # noqa: S608 - the names are constants of this package


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal field."""

    element: str
    value: str
    created_on: str
    created_by: str


@dataclass(frozen=True, slots=True)
class Page:
    """A cut of a query's records, and how many it has in all."""

    records: list[Record]
    total: int


def utc_now() -> datetime:
    """The wall clock in UTC."""
    return datetime.now(UTC)


class Store:
    """The instance's tables.

    One connection behind a lock: SQLite has one writer anyway, and a sandbox has few readers.

    Args:
        path: The database file; made if absent.
        now: The clock.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = utc_now) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._now = now
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file; everything answered is already on disk."""
        self._db.close()

    def insert(self, body: Mapping[str, object], *, user: str) -> Record:
        """Creates an incident with the next number.

        Raises:
            DataPolicyError: See `rules.created`.
        """
        with self._transaction() as db:
            record = rules.created(body, user=user, now=self._stamp())
            (last,) = db.execute("update counter set last = last + 1 returning last").fetchone()
            record |= {"sys_id": uuid.uuid4().hex, "number": f"INC{last:07d}"}
            self._write(db, record)
            self._journal(db, record, body, user)
        return record

    def update(self, sys_id: str, body: Mapping[str, object], *, user: str) -> Record:
        """Changes an incident.

        Raises:
            NoRecordError: There is none of that sys_id.
            DataPolicyError: See `rules.updated`.
        """
        with self._transaction() as db:
            before = self._read(db, sys_id)
            record = rules.updated(before, body, user=user, now=self._stamp())
            self._write(db, record)
            self._journal(db, record, body, user)
        return record

    def delete(self, sys_id: str) -> None:
        """Removes an incident and its journal.

        Raises:
            NoRecordError: There is none of that sys_id.
        """
        with self._transaction() as db:
            self._read(db, sys_id)
            db.execute("delete from journal where sys_id = ?", (sys_id,))
            db.execute("delete from incident where sys_id = ?", (sys_id,))

    def get(self, sys_id: str) -> Record:
        """One incident.

        Raises:
            NoRecordError: There is none of that sys_id.
        """
        with self._lock:
            return self._read(self._db, sys_id)

    def find(self, query: Query, *, limit: int, offset: int) -> Page:
        """The incidents that a query matches, one page of them."""
        where = f"from incident where {query.where}"
        with self._lock:
            (total,) = self._db.execute(f"select count(*) {where}", query.values).fetchone()
            rows = self._db.execute(
                f"select * {where} order by {query.order} limit ? offset ?",
                (*query.values, limit, offset),
            ).fetchall()
        return Page([dict(row) for row in rows], total)

    def journal(self, sys_id: str) -> list[Entry]:
        """An incident's journal entries, newest first."""
        with self._lock:
            rows = self._db.execute(
                "select element, value, created_on, created_by from journal"
                " where sys_id = ? order by entry desc",
                (sys_id,),
            ).fetchall()
        return [Entry(*row) for row in rows]

    def name_of(self, sys_id: str) -> str:
        """The display value of a reference; empty if nothing carries that sys_id."""
        with self._lock:
            row = self._db.execute(
                "select name from name where sys_id = ?1"
                " union all select number from incident where sys_id = ?1",
                (sys_id,),
            ).fetchone()
        return "" if row is None else str(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield self._db
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%d %H:%M:%S")

    def _read(self, db: sqlite3.Connection, sys_id: str) -> Record:
        row = db.execute("select * from incident where sys_id = ?", (sys_id,)).fetchone()
        if row is None:
            raise NoRecordError
        return dict(row)

    def _write(self, db: sqlite3.Connection, record: Record) -> None:
        for field in COLUMNS:
            if field.kind is Kind.REFERENCE:
                record[field.name] = self._refer(db, field.reference, record[field.name])
        names = ", ".join(record)
        marks = ", ".join(f":{name}" for name in record)
        statement = f"insert or replace into incident ({names}) values ({marks})"  # noqa: S608
        db.execute(statement, record)

    def _refer(self, db: sqlite3.Connection, table: str, value: str) -> str:
        """A reference's sys_id. A name that is new here joins the directory: nobody else would."""
        if not value or _SYS_ID.fullmatch(value):
            return value
        sys_id = hashlib.md5(f"{table}:{value}".encode(), usedforsecurity=False).hexdigest()
        db.execute("insert or ignore into name values (?, ?, ?)", (sys_id, table, value))
        return sys_id

    def _journal(
        self, db: sqlite3.Connection, record: Record, body: Mapping[str, object], user: str
    ) -> None:
        for field in JOURNALS:
            value = rules.text(body.get(field.name))[: INCIDENT[field.name].max_length]
            if value:
                db.execute(
                    "insert into journal (sys_id, element, value, created_on, created_by)"
                    " values (?, ?, ?, ?, ?)",
                    (record["sys_id"], field.name, value, record["sys_updated_on"], user),
                )
