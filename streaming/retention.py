"""Retention of landing: whole days are dropped, once the lake has them and insights have read them.

1. Survey a day: its rows by partition, and how many of them the lake, by its confirmed claims, or
   the insights, by the batches that are done, do not have.
2. Read the lake: it is to be the only copy, so each of these offsets must be in its objects now.
3. Drop the day. The database looks again by itself (`landing.drop_day`), in the transaction that
   drops the day and notes exactly which offsets it had: whoever comes later knows them from lost.

A record that comes late for a dropped day lands as any other. The next time it is dropped too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import psycopg

from streaming.errors import FatalError, SettingError
from streaming.lake_reader import LakeReader
from streaming.object_store import ObjectStore
from streaming.records import PartitionId
from streaming.sinks.ods import DAYS_BEHIND

FAR = 100_000
"""Runs of offsets that are farther apart are read from the lake by themselves."""

TRIES = 3
"""How often a day is tried: others hold it, or a record has come while it was looked at."""

Run = tuple[int, int]
"""Offsets without a hole: the first, and the one after the last."""


_MEANWHILE = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.ObjectNotInPrerequisiteState,  # it is held by now
)


class Rows(NamedTuple):
    """A day's rows of one partition, and how many of them nobody else has yet."""

    where: PartitionId
    records: int
    runs: Sequence[Run]
    not_in_lake: int
    not_in_insights: int


class State(StrEnum):
    """What may become of a day, or has."""

    DUE = "due"
    HELD = "held"
    BUSY = "busy"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a topic that is older than what is kept.

    Attributes:
        topic: The topic.
        day: The day (UTC) of the Kafka timestamps.
        state: Whether it may be dropped, or was.
        records: How many records landing has, or had.
        freed: How many bytes the drop gave back. None by rows of the default partition.
        why: Why it was not dropped.
    """

    topic: str
    day: date
    state: State
    records: int
    freed: int = 0
    why: str = ""


def kept_from(keep_days: int | None, now: datetime) -> datetime:
    """Returns the beginning (UTC) of the first day that is kept.

    Raises:
        SettingError: None: all are.
    """
    if keep_days is None:
        raise SettingError(
            "FLEETPULSE_LANDING__KEEP_DAYS is not set, so landing keeps all: set how many days"
        )
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(keep_days)


def due(
    connection: psycopg.Connection, topics: Sequence[str], keep_days: int | None, now: datetime
) -> Iterator[Day]:
    """Yields the days that are older than what landing keeps, and whether they may be dropped.

    Args:
        connection: The ODS, as the role of the orchestrator, in autocommit.
        topics: Topic names.
        keep_days: How many days landing keeps.
        now: The time.

    Raises:
        SettingError: It keeps all.
    """
    for topic, day in _days(connection, topics, keep_days, now):
        yield _judge(topic, day, _survey(connection, topic, day))


def drop_due(
    connection: psycopg.Connection,
    store: ObjectStore,
    topics: Sequence[str],
    keep_days: int | None,
    now: datetime,
    by: str,
) -> Iterator[Day]:
    """Drops the days that are older than what landing keeps; yields what has become of each.

    One that must not be dropped yet does not hinder the others. It may be killed and repeated.

    Args:
        connection: The ODS, as the role of the orchestrator, in autocommit.
        store: The lake.
        topics: Topic names.
        keep_days: How many days landing keeps.
        now: The time.
        by: Who does it.

    Raises:
        SettingError: Landing keeps all.
        FatalError: The lake has lost records that it had: nothing more is dropped.
        OutageError: The lake does not answer.
    """
    for topic, day in _days(connection, topics, keep_days, now):
        yield _drop(connection, store, topic, day, by)


def _days(
    connection: psycopg.Connection, topics: Sequence[str], keep_days: int | None, now: datetime
) -> list[tuple[str, date]]:
    before = kept_from(keep_days, now)
    since = (now - timedelta(DAYS_BEHIND)).date()
    rows = connection.execute(
        "select topic, day from unnest(%s::text[]) as topic, landing.days_before(topic, %s, %s)"
        " as day order by day, topic",
        [list(topics), before.date(), since],
    ).fetchall()
    return [(topic, day) for topic, day in rows]


def _survey(connection: psycopg.Connection, topic: str, day: date) -> list[Rows]:
    rows = connection.execute(
        'select epoch, "partition", records, offsets, not_in_lake, not_in_insights'
        " from landing.survey_day(%s, %s)",
        [topic, day],
    ).fetchall()
    return [
        Rows(
            PartitionId(topic, epoch, number), records, [(r.lower, r.upper) for r in offsets], *lack
        )
        for epoch, number, records, offsets, *lack in rows
    ]


def _judge(topic: str, day: date, rows: Sequence[Rows]) -> Day:
    why = [
        *_lacking("in the lake", [(each.where, each.not_in_lake) for each in rows]),
        *_lacking("left behind by insights", [(each.where, each.not_in_insights) for each in rows]),
    ]
    state = State.HELD if why else State.DUE
    return Day(topic, day, state, sum(each.records for each in rows), why="; ".join(why))


def _lacking(where: str, counts: Sequence[tuple[PartitionId, int]]) -> Iterator[str]:
    wanting = [partition for partition, count in counts if count]
    if wanting:
        total = sum(count for _, count in counts)
        yield f"{total} records of {', '.join(map(str, wanting))} are not yet {where}"


def _drop(
    connection: psycopg.Connection, store: ObjectStore, topic: str, day: date, by: str
) -> Day:
    why = ""
    for _ in range(TRIES):
        rows = _survey(connection, topic, day)
        found = _judge(topic, day, rows)
        if found.state is State.HELD:
            return found
        for each in rows:
            _find_in_lake(store, each, day)
        try:
            [(records, freed)] = connection.execute(
                "select records, freed from landing.drop_day(%s, %s, %s)", [topic, day, by]
            )
        except _MEANWHILE as error:
            why = f"others were at work on it: {error.diag.message_primary}"
        else:
            return Day(topic, day, State.DROPPED, records, freed)
    return Day(topic, day, State.BUSY, found.records, why=why)


def _find_in_lake(store: ObjectStore, rows: Rows, day: date) -> None:
    """Reads the lake; raises where one of the offsets is not in it."""
    for runs in _near(rows.runs):
        position, end = runs[0][0], runs[-1][1]
        for piece in LakeReader(store).pieces(rows.where, position, end, ("offset",)):
            there = set() if piece.rows is None else set(piece.rows["offset"].to_pylist())
            for offset in _inside(runs, piece.start, piece.next):
                if offset not in there:
                    raise _lost(rows.where, offset, day, piece.absent or piece.claimed)
            position = piece.next
        if position < end:
            raise _lost(rows.where, position, day, "a claim")


def _lost(where: PartitionId, offset: int, day: date, name: str) -> FatalError:
    return FatalError(
        f"the lake has lost offset {offset} of {where} ({name}): restore it. Landing keeps {day}, "
        "and whatever else would be dropped"
    )


def _near(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Yields runs in groups that are worth one walk along the lake's chain."""
    group: list[Run] = []
    for run in runs:
        if group and run[0] - group[-1][1] > FAR:
            yield group
            group = []
        group.append(run)
    if group:
        yield group


def _inside(runs: Sequence[Run], low: int, high: int) -> Iterator[int]:
    for first, end in runs:
        yield from range(max(first, low), min(end, high))
