"""The tables of a backfill: empty ones like production's, and what its windows stand upon.

What is asked of the time before the lake is read again is copied: each device's last samples and
beats, and the verdicts that a clear may follow. What was learned is seen as it stood.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from streaming.backfill.base import Base, us_of
from streaming.sinks.ods import table_of

SAMPLES = 20
"""Of a device that was silent before, so many samples are known: no rule looks at more."""
BEATS = 2

STAGED = {
    "telemetry.raw": "stg_kafka__telemetry",
    "heartbeat.raw": "stg_kafka__heartbeats",
    "alerts.raw": "stg_kafka__alerts",
}
"""Where each topic's events are staged."""


def name_of(backfill_id: int) -> str:
    """Returns the name of a backfill's schema."""
    return f"backfill_{backfill_id}"


def left_behind(connection: psycopg.Connection) -> list[int]:
    """Returns the backfills that have a schema."""
    rows = connection.execute(
        r"select substring(nspname from 10)::bigint from pg_namespace"
        r" where nspname ~ '^backfill_\d+$' order by 1"
    ).fetchall()
    return [each for (each,) in rows]


def prepare(
    connection: psycopg.Connection,
    schema: str,
    base: Base,
    read_from: datetime,
    since: datetime,
    reached: datetime,
    clears: Mapping[str, int],
    as_it_stood: Iterable[str],
    left_out: Iterable[str],
) -> None:
    """Makes the tables.

    Args:
        connection: The ODS, as the role of dbt, in autocommit.
        schema: Where to.
        base: What the backfill is compared with.
        read_from: From when on the lake is read again.
        since: From when on windows are judged again.
        reached: Up to when at most.
        clears: How many clears end each rule's episodes.
        as_it_stood: Models of insights that are read and not made again.
        left_out: Models of rules that nobody asked for.
    """
    values = {
        "base": base.batch_id,
        "read_from": read_from,
        "read_from_us": us_of(read_from),
        "known_us": us_of(base.known_from),
        "since_us": us_of(since),
        "reached_us": us_of(reached),
        "clears": max(2, *clears.values()),
    }

    def run(statement: sql.Composed) -> None:
        connection.execute(statement, values)

    run(_like(schema, "batches", "control", "batches", unlogged=False))
    run(_BASE.format(sql.Identifier(schema, "batches")))
    run(_like(schema, "quarantine", "landing", "quarantine"))
    for topic, staged in STAGED.items():
        run(_like(schema, table_of(topic), "landing", table_of(topic)))
        run(_like(schema, staged, "staging", staged))
    run(_SAMPLES.format(sql.Identifier(schema, "stg_kafka__telemetry"), sql.Literal(SAMPLES)))
    run(_BEATS.format(sql.Identifier(schema, "stg_kafka__heartbeats"), sql.Literal(BEATS)))
    run(_KNOWN_FROM.format(sql.Identifier(schema, "stg_kafka__heartbeats")))
    run(_like(schema, "verdicts", "insights", "verdicts"))
    run(_VERDICTS.format(sql.Identifier(schema, "verdicts")))
    for model in as_it_stood:
        run(_seen_as_it_stood(connection, schema, model, base))
    for (
        model
    ) in left_out:  # tables: a batch that replaces its views takes with them what reads them
        run(_like(schema, model, "insights", model))


def _like(
    schema: str, name: str, of_schema: str, of_name: str, *, unlogged: bool = True
) -> sql.Composed:
    # Indexes too; of landing they are the partitions'.
    including = sql.SQL("including all") if of_schema != "landing" else sql.SQL("")
    return sql.SQL("create {} table {} (like {} {})").format(
        sql.SQL("unlogged" if unlogged else ""),
        sql.Identifier(schema, name),
        sql.Identifier(of_schema, of_name),
        including,
    )


def _seen_as_it_stood(
    connection: psycopg.Connection, schema: str, model: str, base: Base
) -> sql.Composed:
    """Returns the view of a model's rows, as if all had been there before the backfill's batches.

    A row that is made again carries a later batch than the one that first made it.
    """
    cursor = connection.execute(
        sql.SQL("select * from {} limit 0").format(sql.Identifier("insights", model))
    )
    columns = [
        sql.SQL("{}::bigint as batch_id").format(sql.Literal(base.batch_id))
        if column.name == "batch_id"
        else sql.Identifier(column.name)
        for column in cursor.description or ()
    ]
    return sql.SQL("create view {} as select {} from {}").format(
        sql.Identifier(schema, model),
        sql.SQL(", ").join(columns),
        sql.Identifier("insights", model),
    )


_BASE = sql.SQL("""
insert into {} (
    batch_id, from_offsets, to_offsets, from_watermark, watermark, records, state, done_at
)
values (%(base)s, '[]', '[]', %(read_from)s, %(read_from)s, 0, 'done', now())
""")
_SAMPLES = sql.SQL("""
insert into {}
select last_ones.*
from (select distinct device_id from reference.devices) as device
cross join lateral (
    select * from staging.stg_kafka__telemetry as sample
    where
        sample.device_id = device.device_id
        and sample.us <= %(read_from_us)s
        and sample.batch_id <= %(base)s
    order by sample.us desc, sample.epoch desc, sample."partition" desc, sample."offset" desc
    limit {}
) as last_ones
""")
# And what a spool has brought since: the time of such a beat as an event lies before.
_BEATS = sql.SQL("""
insert into {}
select last_ones.*
from (select distinct device_id from reference.devices) as device
cross join lateral (
    select * from staging.stg_kafka__heartbeats as beat
    where
        beat.device_id = device.device_id
        and beat.beat_us <= %(read_from_us)s
        and beat.batch_id <= %(base)s
    order by beat.beat_us desc, beat.epoch desc, beat."partition" desc, beat."offset" desc
    limit {}
) as last_ones
union
select * from staging.stg_kafka__heartbeats
where
    beat_us > %(read_from_us)s and beat_us <= %(reached_us)s
    and us <= %(read_from_us)s and batch_id <= %(base)s
""")
# Nobody's beat, which tells the models from when on anything is known.
_KNOWN_FROM = sql.SQL("""
insert into {} (
    epoch, "partition", "offset", device_id, us, arrival_us, spooled, interval_s, clock_fault,
    beat_us, batch_id
)
values (-1, -1, -1, '', %(known_us)s, %(known_us)s, false, 60, true, %(known_us)s, 1)
""")
# Key by key along the index: what is read grows with the fleet, not with history.
_VERDICTS = sql.SQL("""
insert into {}
with recursive keys as (
    (
        select rule_id, subject, component from insights.verdicts
        order by rule_id, subject, component
        limit 1
    )
    union all
    select following.*
    from keys
    cross join lateral (
        select v.rule_id, v.subject, v.component from insights.verdicts as v
        where (v.rule_id, v.subject, v.component) > (keys.rule_id, keys.subject, keys.component)
        order by v.rule_id, v.subject, v.component
        limit 1
    ) as following
)
select last_ones.*
from keys
cross join lateral (
    select newest.*
    from (
        select distinct on (v.window_end_us) v.* from insights.verdicts as v
        where
            v.rule_id = keys.rule_id
            and v.subject = keys.subject
            and v.component = keys.component
            and v.window_end_us <= %(since_us)s
            and v.batch_id <= %(base)s
        order by v.window_end_us desc, v.revision desc
    ) as newest
    where newest.verdict <> 'gone'
    order by newest.window_end_us desc
    limit %(clears)s
) as last_ones
""")
