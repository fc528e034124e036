"""Micro-batches: the range between two vectors, with the watermark that closes windows.

A vector has an offset for each partition and the number of a redrive. A record belongs to the first
batch whose vector lies beyond its offset and, if it was redriven, not below its number: a redriven
record comes late, once, whether or not its offset was batched before.

`control.batches` is the truth. Batch n follows n − 1 without a gap; there are never two unfinished
ones (an index forbids it); dbt moves a batch from `cut` to `done` in its last transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from streaming.settings import InsightsSettings
from streaming.sinks.ods import table_of

RETRY_FIRST = timedelta(seconds=10)
RETRY_LONGEST = timedelta(minutes=10)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the orchestrator sees it."""

    batch_id: int
    watermark: datetime
    records: int
    state: str
    attempt: int
    cut_at: datetime
    attempted_at: datetime

    @property
    def run_key(self) -> str:
        """The key of the run of this attempt: Dagster never runs a key twice."""
        return f"{self.batch_id}:{self.attempt}"

    def retry_at(self) -> datetime:
        """Returns when a failed attempt may be followed by the next: later each time."""
        doubled: timedelta = RETRY_FIRST * 2 ** min(self.attempt - 1, 10)
        return self.attempted_at + min(doubled, RETRY_LONGEST)


class _Range(NamedTuple):
    topic: str
    epoch: int
    partition: int
    start: int
    next: int

    @property
    def records(self) -> int:
        return self.next - self.start


class _Pending(NamedTuple):
    """What is in no batch yet: offsets of each partition, and redrives (from, to]."""

    ranges: Sequence[_Range]
    from_redrive: int
    to_redrive: int

    @property
    def records(self) -> int:
        return sum(each.records for each in self.ranges) + self.to_redrive - self.from_redrive

    def shortened(self, most: int) -> "_Pending":
        """Returns the first part of all: the same share of each keeps them abreast in time."""
        share = most / self.records
        redrives = _share(self.to_redrive - self.from_redrive, share)
        return _Pending(
            [each._replace(next=each.start + _share(each.records, share)) for each in self.ranges],
            self.from_redrive,
            self.from_redrive + redrives,
        )


def _share(count: int, share: float) -> int:
    return max(int(count * share), min(count, 1))


_BATCH = (
    "select batch_id, watermark, records, state, attempt, cut_at, attempted_at from control.batches"
)


_CUT_LOCK = "select pg_advisory_xact_lock(hashtext('fleetpulse.batches.cut'))"


def unfinished(connection: psycopg.Connection) -> Batch | None:
    """Returns the batch that is not done, or None."""
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(f"{_BATCH} where state <> 'done'").fetchone()


def newest(connection: psycopg.Connection) -> Batch | None:
    """Returns the batch that was cut last, or None."""
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(f"{_BATCH} order by batch_id desc limit 1").fetchone()


def last_done(connection: psycopg.Connection) -> Batch | None:
    """Returns the newest batch that is done, or None: what the insights tell of by now."""
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            f"{_BATCH} where state = 'done' order by batch_id desc limit 1"
        ).fetchone()


def waiting(connection: psycopg.Connection, behind: Batch) -> int:
    """Returns how many offsets have landed, and records were redriven, behind a batch."""
    return _pending(connection, behind).records


def retry(connection: psycopg.Connection, batch: Batch) -> Batch | None:
    """Begins the next attempt of an unfinished batch; None where somebody else already has."""
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            "update control.batches set attempt = attempt + 1, attempted_at = now(), run_id = null"
            " where batch_id = %s and attempt = %s and state <> 'done'"
            " returning batch_id, watermark, records, state, attempt, cut_at, attempted_at",
            [batch.batch_id, batch.attempt],
        ).fetchone()


def note_run(connection: psycopg.Connection, batch: Batch, run_id: str) -> None:
    """Remembers which run works on the batch."""
    connection.execute(
        "update control.batches set run_id = %s where batch_id = %s and attempt = %s",
        [run_id, batch.batch_id, batch.attempt],
    )


def cut(
    connection: psycopg.Connection,
    settings: InsightsSettings,
    watermark: datetime | None,
    now: datetime,
) -> Batch | None:
    """Cuts the next batch where one is due: the ODS has moved on, or time has.

    Absence is found by the clock: without records a batch is cut every `idle_interval_s`, if the
    watermark has moved.

    Args:
        connection: The ODS, as the role of the orchestrator.
        settings: Intervals and bounds.
        watermark: The whole watermark; None: not yet believed, so nothing is cut.
        now: The time.

    Returns:
        The new batch, or None where none is due or one is unfinished.
    """
    if watermark is None:
        return None
    with connection.transaction():
        connection.execute(_CUT_LOCK)
        last = newest(connection)
        if last is not None and last.state != "done":
            return None
        pending = _pending(connection, last)
        advanced = last is None or watermark > last.watermark
        interval = settings.min_interval_s if pending.records else settings.idle_interval_s
        too_soon = last is not None and now - last.cut_at < timedelta(seconds=interval)
        if too_soon or not (pending.records or advanced):
            return None
        if pending.records > settings.max_batch_records:
            pending = pending.shortened(settings.max_batch_records)
            reached = _watermark_within(connection, pending.ranges, settings, now)
            # The records that wait would come late to windows that the whole watermark closes.
            watermark = min(watermark, reached or (_NEVER if last is None else last.watermark))
        if last is not None:
            watermark = max(watermark, last.watermark)
        return _insert(connection, last, pending, watermark)


def cut_for_backfill(
    connection: psycopg.Connection, backfill_id: int, *, tickets: bool
) -> Batch | None:
    """Cuts the batch that merges a backfill: no record is in it, and no window closes.

    Args:
        connection: The ODS, as the role of the orchestrator.
        backfill_id: Whose revisions become verdicts.
        tickets: Whether ticketing learns of the transitions that follow.

    Returns:
        The new batch, or None where one is unfinished.
    """
    with connection.transaction():
        connection.execute(_CUT_LOCK)
        with connection.cursor(row_factory=class_row(Batch)) as cursor:
            return cursor.execute(
                "insert into control.batches (batch_id, from_offsets, to_offsets, from_watermark,"
                " watermark, records, from_redrive, to_redrive, backfill_id, tickets)"
                " select batch_id + 1, to_offsets, to_offsets, watermark, watermark, 0, to_redrive,"
                "  to_redrive, %s, %s"
                " from (select * from control.batches order by batch_id desc limit 1) as last"
                " where state = 'done'"
                " returning batch_id, watermark, records, state, attempt, cut_at, attempted_at",
                [backfill_id, tickets],
            ).fetchone()


def _pending(connection: psycopg.Connection, last: Batch | None) -> _Pending:
    """Returns what has landed since the last batch."""
    [(from_redrive, to_redrive)] = connection.execute(
        "select coalesce((select to_redrive from control.batches where batch_id = %s), 0), last"
        " from landing.redrives",
        [last and last.batch_id],
    )
    rows = connection.execute(
        'select o.topic, o.epoch, o."partition", coalesce(b."offset", o.start_offset),'
        " o.next_offset from landing.offsets o left join ("
        "  select v.* from control.batches c, jsonb_to_recordset(c.to_offsets)"
        '  as v(topic text, epoch integer, "partition" integer, "offset" bigint)'
        '  where c.batch_id = %s) b using (topic, epoch, "partition")'
        ' order by o.topic, o.epoch, o."partition"',
        [last and last.batch_id],
    ).fetchall()
    return _Pending([_Range(*row) for row in rows], from_redrive, to_redrive)


def _watermark_within(
    connection: psycopg.Connection,
    ranges: Sequence[_Range],
    settings: InsightsSettings,
    now: datetime,
) -> datetime | None:
    """Returns the watermark by the records in the ranges alone; None where they say nothing."""
    moments: list[datetime] = []
    for each in ranges:
        if not each.records:
            continue  # all of this partition is in batches already: it holds nobody back
        query = sql.SQL(
            "select max(least(event_ts, case when gateway_ts between kafka_ts - interval '20 days'"
            " and kafka_ts + interval '5 minutes' then gateway_ts else kafka_ts end, %s))"
            ' from landing.{} where epoch = %s and "partition" = %s'
            ' and "offset" >= %s and "offset" < %s'
        ).format(sql.Identifier(table_of(each.topic)))
        row = connection.execute(
            query, [now, each.epoch, each.partition, each.start, each.next]
        ).fetchone()
        if row and row[0] is not None:
            moments.append(row[0] - timedelta(seconds=settings.late_tolerance_s))
    return min(moments, default=None)


def _insert(
    connection: psycopg.Connection,
    last: Batch | None,
    pending: _Pending,
    watermark: datetime,
) -> Batch | None:
    def vector(bound: str) -> Jsonb:
        return Jsonb(
            [
                {
                    "topic": each.topic,
                    "epoch": each.epoch,
                    "partition": each.partition,
                    "offset": getattr(each, bound),
                }
                for each in pending.ranges
            ]
        )

    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            "insert into control.batches (batch_id, from_offsets, to_offsets, from_watermark,"
            " watermark, records, from_redrive, to_redrive)"
            " values (%s, %s, %s, coalesce(%s::timestamptz, '-infinity'), %s, %s, %s, %s)"
            " returning batch_id, watermark, records, state, attempt, cut_at, attempted_at",
            [
                1 if last is None else last.batch_id + 1,
                vector("start"),
                vector("next"),
                last and last.watermark,
                watermark,
                pending.records,
                pending.from_redrive,
                pending.to_redrive,
            ],
        ).fetchone()
