"""Spans of event time that are judged one after another, each with what the lake has of it.

The lake is ordered by arrival. Which record is an event, and of which time, has been settled when
it was staged; what it says is read again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg import sql

from streaming import replay
from streaming.backfill.base import Base, us_of
from streaming.backfill.schema import STAGED
from streaming.errors import FatalError
from streaming.lake_reader import LakeReader
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Slice
from streaming.redrive import read_redriven
from streaming.sinks.ods import table_of
from streaming.sinks.ods_rows import LANDING, pack

MOST_RECORDS = 2_000_000
"""A chunk has so many records at most, or is an hour."""
STEP = timedelta(hours=1)
NEAR = 65_536
"""Offsets that are so close are read together."""

Repairs = Mapping[PartitionId, Mapping[int, bytes]]
"""Payloads that records were redriven with, by offset."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Event time (since, until], and how many events it has."""

    since: datetime
    until: datetime
    records: int


class _Run(NamedTuple):
    where: PartitionId
    start: int
    end: int
    records: int


def chunks(
    connection: psycopg.Connection, base: Base, since: datetime, until: datetime
) -> Iterator[Chunk]:
    """Cuts a range of event time so that the database holds little of it at once."""
    return cut(_counts(connection, base, since, until), since, until)


def cut(counts: Mapping[int, int], since: datetime, until: datetime) -> Iterator[Chunk]:
    """Cuts a range into chunks of whole hours from its beginning on, as many as are few events.

    Args:
        counts: How many events there are in each hour, by its number.
        since: Beginning of the range.
        until: Its end.
    """
    start, end, records = since, since, 0
    while end < until:
        more = counts.get((end - since) // STEP, 0)
        if end > start and records + more > MOST_RECORDS:
            yield Chunk(start, end, records)
            start, records = end, 0
        end, records = min(end + STEP, until), records + more
    yield Chunk(start, end, records)


def _counts(
    connection: psycopg.Connection, base: Base, since: datetime, until: datetime
) -> Mapping[int, int]:
    """Returns how many events there are by the number of the hour."""
    counts: dict[int, int] = {}
    span = {"since": us_of(since), "until": us_of(until), "base": base.batch_id}
    for topic in STAGED:
        for hour, count in connection.execute(_COUNTS.format(**_staged(topic)), span):
            counts[hour] = counts.get(hour, 0) + count
    return counts


def repairs(store: ObjectStore, base: Base) -> Repairs:
    """Returns what records were redriven with, as the lake was told.

    Raises:
        FatalError: An object cannot be read.
    """
    found: dict[PartitionId, dict[int, bytes]] = {}
    if base.redrive:
        for topic in STAGED:
            for each in read_redriven(store, topic):
                if each.number <= base.redrive and each.payload is not None:
                    found.setdefault(each.partition, {})[each.offset] = each.payload
    return found


def load(
    connection: psycopg.Connection,
    store: ObjectStore,
    schema: str,
    base: Base,
    repaired: Repairs,
    chunk: Chunk,
    batch_id: int,
) -> None:
    """Cuts the chunk's batch in the backfill's schema, and fills the tables that it reads.

    Args:
        connection: The ODS, as the role of dbt, in autocommit.
        store: The lake.
        schema: The backfill's.
        base: What it is compared with.
        repaired: Payloads of redriven records.
        chunk: What to read.
        batch_id: The batch's number.

    Raises:
        FatalError: The lake has lost an object.
        OutageError: It does not answer.
    """
    span = {"since": us_of(chunk.since), "until": us_of(chunk.until), "base": base.batch_id}
    for topic in STAGED:
        into = sql.Identifier(schema, table_of(topic))
        with connection.transaction():
            connection.execute(sql.SQL("truncate {}").format(into))
            for run in _runs(connection, topic, span):
                payloads = repaired.get(run.where, {})
                for each in LakeReader(store).slices(run.where, run.start, run.end):
                    rows = pack([_with(each, payloads)]).events[topic]
                    replay.put(connection, into, LANDING, rows)
            connection.execute(_ONLY_STAGED.format(into=into, **_staged(topic)), span)
    quarantine = sql.Identifier(schema, "quarantine")
    connection.execute(sql.SQL("truncate {}").format(quarantine))
    connection.execute(_CLOCK_FAULTS.format(quarantine), span)
    connection.execute(
        _BATCH.format(sql.Identifier(schema, "batches")),
        {
            "batch_id": batch_id,
            "base": base.batch_id,
            "since": chunk.since,
            "until": chunk.until,
            "records": chunk.records,
        },
    )


def finish(connection: psycopg.Connection, schema: str, chunk: Chunk, batch_id: int) -> None:
    """Moves the chunk's batch to done, once its models have run.

    Raises:
        FatalError: Not every event was staged: the lake has not got it.
    """
    staged = 0
    for table in STAGED.values():
        query = sql.SQL("select count(*) from {} where batch_id = %s")
        row = connection.execute(query.format(sql.Identifier(schema, table)), [batch_id]).fetchone()
        staged += row[0] if row else 0
    if staged != chunk.records:
        raise FatalError(
            f"the lake has {staged} of the {chunk.records} events between {chunk.since} and "
            f"{chunk.until}: `fleetpulse verify` tells which are missing. Nothing was changed"
        )
    connection.execute(
        sql.SQL("update {} set state = 'done', done_at = now() where batch_id = %s").format(
            sql.Identifier(schema, "batches")
        ),
        [batch_id],
    )


def _staged(topic: str) -> dict[str, sql.Composable]:
    """Returns where a topic's events are staged, when they were, and which are of a span."""
    beats = topic == "heartbeat.raw"
    return {
        "staged": sql.Identifier("staging", STAGED[topic]),
        "us": sql.SQL("least(us, beat_us)" if beats else "us"),
        "of_span": _BEATS_OF_SPAN if beats else _EVENTS_OF_SPAN,
    }


def _runs(connection: psycopg.Connection, topic: str, span: Mapping[str, int]) -> list[_Run]:
    """Returns where a topic's events of a span are: those that are close to each other as one."""
    found: list[_Run] = []
    query = _RUNS.format(**_staged(topic), near=sql.Literal(NEAR))
    for epoch, partition, start, end, records in connection.execute(query, span).fetchall():
        run = _Run(PartitionId(topic, epoch, partition), start, end, records)
        if found and found[-1].where == run.where and start - found[-1].end < NEAR:
            run = run._replace(start=found[-1].start, records=found.pop().records + records)
        found.append(run)
    return found


def _with(each: Slice, payloads: Mapping[int, bytes]) -> Slice:
    """Returns a slice with the payloads that its redriven records landed with."""
    offsets = each.records.offsets
    for number in (number for number, offset in enumerate(offsets) if offset in payloads):
        each.records.payloads[number] = payloads[offsets[number]]
    return each


_EVENTS_OF_SPAN = sql.SQL("us > %(since)s and us <= %(until)s and batch_id <= %(base)s")
# The earlier of two times is in the span: for the sake of the indexes, one of them is.
_BEATS_OF_SPAN = sql.SQL(
    "(us > %(since)s and us <= %(until)s or beat_us > %(since)s and beat_us <= %(until)s)"
    " and us > %(since)s and beat_us > %(since)s and batch_id <= %(base)s"
)
_COUNTS = sql.SQL("""
select ({us} - %(since)s - 1) / 3600000000, count(*) from {staged}
where {of_span}
group by 1
""")
_RUNS = sql.SQL("""
select epoch, "partition", min("offset"), max("offset") + 1, count(*)
from {staged}
where {of_span}
group by epoch, "partition", "offset" / {near}
order by epoch, "partition", min("offset")
""")
_ONLY_STAGED = sql.SQL("""
delete from {into} as r
where not exists (
    select from {staged} as staged
    where
        staged.epoch = r.epoch
        and staged."partition" = r."partition"
        and staged."offset" = r."offset"
        and staged.event_id is not null
        and {of_span}
)
""")
# Quarantine is kept for ever. A beat stays one though it was redriven since.
_CLOCK_FAULTS = sql.SQL("""
insert into {} (
    topic, epoch, "partition", "offset", kafka_ts, kafka_ms, kafka_ts_type, reason, detail,
    device_id, arrival_ts, quarantined_at, state
)
select
    q.topic, q.epoch, q."partition", q."offset", q.kafka_ts, q.kafka_ms, q.kafka_ts_type, q.reason,
    q.detail, q.device_id, q.arrival_ts, q.quarantined_at, 'held'
from staging.stg_kafka__heartbeats as beat
inner join landing.quarantine as q
    on q.topic = 'heartbeat.raw' and q.epoch = beat.epoch and q."partition" = beat."partition"
        and q."offset" = beat."offset"
where
    beat.clock_fault
    and beat.beat_us > %(since)s
    and beat.beat_us <= %(until)s
    and beat.batch_id <= %(base)s
""")
_BATCH = sql.SQL("""
insert into {} (batch_id, from_offsets, to_offsets, from_watermark, watermark, records)
select %(batch_id)s, '[]', to_offsets, %(since)s, %(until)s, %(records)s
from control.batches where batch_id = %(base)s
""")
