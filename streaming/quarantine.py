"""Quarantine: which records are there, why, with which bytes, and what people did about them.

A record's row stays for ever, with its original bytes; `landing.quarantine_log` is append-only:

    held ──redrive──► redriven     it has landed under its own identity: see `redrive`
      └────drop─────► dropped      nobody will repair it; a redrive takes that back
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from streaming.errors import QuarantineError
from streaming.records import RecordId


class State(StrEnum):
    """What became of a quarantined record."""

    HELD = "held"
    REDRIVEN = "redriven"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One record in quarantine. `payload` is None for a record that has no value."""

    topic: str
    epoch: int
    partition: int
    offset: int
    kafka_ts: datetime
    key: bytes | None
    headers: list[list[str | None]] | None
    payload: bytes | None
    reason: str
    detail: str
    quarantined_at: datetime
    state: State

    @property
    def record(self) -> RecordId:
        """Its identity."""
        return RecordId(self.topic, self.epoch, self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody did about a record. `payload` is a repair's."""

    action: str
    payload: bytes | None
    done_by: str
    done_at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records; None: whatever it is.

    `reason` is as in `decoding.Reason`; `since` the moment of quarantining.
    """

    topic: str | None = None
    reason: str | None = None
    since: datetime | None = None
    state: State | None = None

    def parameters(self) -> dict[str, Any]:
        """Returns the parameters of the predicate `_MATCHING`."""
        return {
            "topic": self.topic,
            "reason": self.reason,
            "since": self.since,
            "state": self.state,
        }


_COLUMNS: LiteralString = (
    'select topic, epoch, "partition", "offset", kafka_ts, key, headers, payload, reason, detail,'
    " quarantined_at, state from landing.quarantine"
)
_IDENTITIES: LiteralString = 'select topic, epoch, "partition", "offset" from landing.quarantine'
_COUNT: LiteralString = "select count(*) from landing.quarantine"
_STATE: LiteralString = "select state from landing.quarantine"
_DROP: LiteralString = "update landing.quarantine set state = 'dropped'"
_ENTRIES: LiteralString = (
    "select action, payload, done_by, done_at, note from landing.quarantine_log"
)
_MATCHING: LiteralString = (
    " (%(topic)s::text is null or topic = %(topic)s)"
    " and (%(reason)s::text is null or reason = %(reason)s)"
    " and (%(since)s::timestamptz is null or quarantined_at >= %(since)s)"
    " and (%(state)s::text is null or state = %(state)s)"
)
_RECORD: LiteralString = '(topic, epoch, "partition", "offset") = (%s, %s, %s, %s)'


def find(
    connection: psycopg.Connection, wanted: Filter = Filter(), *, limit: int = 50
) -> list[Quarantined]:
    """Returns records in quarantine, the newest first."""
    query = (
        f"{_COLUMNS} where {_MATCHING}"
        ' order by quarantined_at desc, topic, "partition", "offset" desc limit %(limit)s'
    )
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(query, {**wanted.parameters(), "limit": limit}).fetchall()


def get(connection: psycopg.Connection, record: RecordId) -> Quarantined:
    """Returns one record in quarantine.

    Raises:
        QuarantineError: It is not there.
    """
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        found = cursor.execute(f"{_COLUMNS} where {_RECORD}", record).fetchone()
    if found is None:
        raise QuarantineError(f"{record} is not in quarantine: see `fleetpulse quarantine list`")
    return found


def count(connection: psycopg.Connection, wanted: Filter) -> int:
    """Returns how many records match."""
    query = f"{_COUNT} where {_MATCHING}"
    [(number,)] = connection.execute(query, wanted.parameters())
    return int(number)


def count_by_reason(
    connection: psycopg.Connection, state: State | None = None
) -> list[tuple[str, str, str, int]]:
    """Returns topic, reason, state and count of all in that state, the most frequent first."""
    return connection.execute(
        "select topic, reason, state, count(*) from landing.quarantine"
        " where %(state)s::text is null or state = %(state)s"
        " group by 1, 2, 3 order by 4 desc, 1, 2, 3",
        {"state": state},
    ).fetchall()


def pages(
    connection: psycopg.Connection, wanted: Filter, size: int
) -> Iterator[Sequence[RecordId]]:
    """Yields the records that match, page by page, in the order of their identity."""
    query = (
        f"{_IDENTITIES} where {_MATCHING}"
        ' and (topic, epoch, "partition", "offset") >'
        " (%(last_topic)s, %(last_epoch)s, %(last_partition)s, %(last_offset)s)"
        ' order by topic, epoch, "partition", "offset" limit %(size)s'
    )
    page: Sequence[RecordId] = [RecordId("", -1, -1, -1)]
    while page:
        last = {f"last_{name}": value for name, value in page[-1]._asdict().items()}
        rows = connection.execute(query, {**wanted.parameters(), **last, "size": size})
        page = list(map(RecordId._make, rows))
        if page:
            yield page


def history(connection: psycopg.Connection, record: RecordId) -> list[Entry]:
    """Returns what was done about a record, in order."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(f"{_ENTRIES} where {_RECORD} order by entry", record).fetchall()


def repair(
    connection: psycopg.Connection, record: RecordId, payload: bytes, *, by: str, note: str | None
) -> None:
    """Keeps another payload beside a record's own, for its redrive; the newest counts.

    Raises:
        QuarantineError: The record is not there, or has been redriven.
    """
    with connection.transaction():
        _lock(connection, record)
        _append(connection, record, "repair", payload, by, note)


def drop(connection: psycopg.Connection, record: RecordId, *, by: str, why: str) -> None:
    """Marks a record as one that nobody will repair. It stays, and stays accounted for.

    Raises:
        QuarantineError: The record is not there, has been redriven, or dropped before.
    """
    with connection.transaction():
        if _lock(connection, record) is State.DROPPED:
            raise QuarantineError(f"{record} has been dropped before: see `quarantine show`")
        connection.execute(f"{_DROP} where {_RECORD}", record)
        _append(connection, record, "drop", None, by, why)


def _lock(connection: psycopg.Connection, record: RecordId) -> State:
    row = connection.execute(f"{_STATE} where {_RECORD} for no key update", record).fetchone()
    if row is None:
        raise QuarantineError(f"{record} is not in quarantine: see `fleetpulse quarantine list`")
    state = State(row[0])
    if state is State.REDRIVEN:
        raise QuarantineError(f"{record} has been redriven: its landing table has it")
    return state


def _append(
    connection: psycopg.Connection,
    record: RecordId,
    action: str,
    payload: bytes | None,
    by: str,
    note: str | None,
) -> None:
    connection.execute(
        'insert into landing.quarantine_log (topic, epoch, "partition", "offset", action, payload,'
        " done_by, note) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [*record, action, payload, by, note],
    )
