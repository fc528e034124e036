"""Lands what the lake has once more: in an empty ODS, or in a table of that shape.

In an ODS it goes the way that the consumer goes: the same decoding, the same transactions, offset
by offset. So it can be killed and repeated, a consumer goes on where it ends, and records that the
ODS has already are not touched.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from streaming import lake_files, lake_manifest, pgcopy
from streaming.errors import FatalError, SettingError
from streaming.lake_manifest import Cover, File
from streaming.lake_reader import LakeReader
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Slice
from streaming.sinks.lake import read_claim
from streaming.sinks.ods import InLake, OdsSink
from streaming.sinks.ods_rows import LANDING, QUARANTINE, Packed, pack

EARLIER_EPOCH = "of an earlier epoch"
"""What the ODS gets for the topic's id of an epoch that is over: the lake does not keep it."""


@dataclass(frozen=True, slots=True)
class Range:
    """The offsets [start, end) of a partition; `last` is the start of the last claim in it."""

    partition: PartitionId
    start: int
    end: int
    last: int


def ranges(
    store: ObjectStore, topic: str, since: datetime | None = None, until: datetime | None = None
) -> list[Range]:
    """Returns what there is to land in an ODS: of each partition, whole files without a hole.

    Args:
        store: The lake.
        topic: The topic.
        since: From the first file on whose greatest Kafka timestamp is in this moment's hour or
            later; None: from the first.
        until: Up to the last file whose hour begins before this moment; None: to the last.
    """
    starts: dict[PartitionId, list[int]] = {}
    for hour, contents in lake_manifest.survey(store, topic, since=since).items():
        if until is None or hour.begins < until:
            there: list[File | Cover] = [*contents.files]
            there += (cover for each in contents.manifest.objects for cover in each.covers)
            for file in there:
                starts.setdefault(lake_manifest.partition_of(topic, file), []).append(file.start)
    found = []
    for partition, of in sorted(starts.items()):
        claim = read_claim(store, partition, max(of))
        if claim is None:
            raise FatalError(f"no claim names the lake's file of {partition} from {max(of)} on")
        found.append(Range(partition, min(of), claim.next, claim.start))
    return found


def kept_ranges(store: ObjectStore, sink: OdsSink, topic: str, since: datetime) -> list[Range]:
    """Returns what there is to land in an ODS that does not keep what is older.

    Of a partition that has nothing newer just its end, where a consumer goes on: else it would
    begin with all that the lake has. A partition that the ODS has begun to land goes on there.

    Args:
        store: The lake.
        sink: The ODS.
        topic: The topic.
        since: As in `ranges`.
    """
    recent = {each.partition: each.start for each in ranges(store, topic, since)}
    begun = {row.where: row.landed.start_offset for row in sink.partitions(topic)}
    found = []
    for each in ranges(store, topic):
        start = recent.get(each.partition, each.end)
        found.append(replace(each, start=min(start, begun.get(each.partition, start))))
    return found


def into_ods(
    store: ObjectStore, sink: OdsSink, wanted: Range, topic_id: str
) -> Iterator[tuple[int, int]]:
    """Lands a range in an ODS; yields how many offsets and records each transaction has landed.

    Args:
        store: The lake.
        sink: The ODS.
        wanted: The range.
        topic_id: Kafka's id of the topic, which tells the consumer that it may go on.

    Raises:
        SettingError: The ODS has landed this partition from another offset on.
        FencedError: A consumer lands it at the same time.
        FatalError: The lake has lost a claim or an object.
        OutageError: A system does not answer; the next try goes on.
    """
    where = wanted.partition
    landed = sink.open(where, topic_id, wanted.start)
    if landed.start_offset != wanted.start:
        raise SettingError(
            f"this ODS has landed {where} from offset {landed.start_offset} on, and what is to be "
            f"replayed begins at {wanted.start}: name an empty, migrated database in "
            "FLEETPULSE_ODS__DATABASE, or a table by --into"
        )
    position = landed.next_offset
    for each in LakeReader(store).slices(where, position, wanted.end):
        sink.land(sink.pack([each]))
        position = each.next
        yield each.next - each.start, len(each.records)
    if position < wanted.end:
        raise FatalError(
            f"the lake has lost the object of {where} at offset {position}: restore it"
        )
    sink.note_lake({where: InLake(wanted.last, wanted.end)})


def into_table(
    store: ObjectStore,
    connection: psycopg.Connection,
    table: str,
    topic: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[int]:
    """Puts exactly the records of a range of Kafka timestamps in a table, all or none.

    What breaks its contract goes to a table beside it, with the reason. Both are made where they
    are not there.

    Args:
        store: The lake.
        connection: The database, as a role that may create tables.
        table: The table, as `name` or `schema.name`; the other one is `<name>_quarantine`.
        topic: The topic.
        since: The first moment; None: from the first record on.
        until: The moment after the last; None: up to the newest record.

    Yields:
        How many records were put there since the last time.

    Raises:
        SettingError: Some of the records are there already, or the table is of another shape.
        FatalError: The lake has lost an object, or the database refuses a record.
    """
    names = {LANDING: _identifier(table), QUARANTINE: _identifier(f"{table}_quarantine")}
    try:
        with connection.transaction():
            connection.execute(_LANDING_DDL.format(names[LANDING]))
            connection.execute(_QUARANTINE_DDL.format(names[QUARANTINE]))
            for rows in LakeReader(store).tables(topic, since, until):
                for packed in _packed(topic, rows):
                    put(connection, names[LANDING], LANDING, packed.events[topic])
                    put(connection, names[QUARANTINE], QUARANTINE, packed.rejected)
                yield len(rows)
    except psycopg.errors.UniqueViolation as error:
        raise SettingError(
            f"{table} has records of this range already: name another table, or empty it"
        ) from error
    except psycopg.ProgrammingError as error:
        raise SettingError(f"{table} cannot take the records: {error}") from error
    except psycopg.DataError as error:
        raise FatalError(f"the database refuses a record by itself: {error}") from error


def _packed(topic: str, rows: pa.Table) -> Iterator[Packed]:
    """Yields rows of any partitions as rows of the ODS."""
    partitions = rows.group_by(["epoch", "partition"], use_threads=False).aggregate([])
    for each in partitions.to_pylist():
        ours = rows.filter(
            pc.and_(
                pc.equal(rows["epoch"], each["epoch"]),
                pc.equal(rows["partition"], each["partition"]),
            )
        ).sort_by("offset")
        records = lake_files.records(ours)
        where = PartitionId(topic, each["epoch"], each["partition"])
        yield pack([Slice(where, records.offsets[0], records.offsets[-1] + 1, records)])


def _identifier(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))


def put(
    connection: psycopg.Connection,
    table: sql.Identifier,
    columns: tuple[str, ...],
    rows: list[bytes],
) -> None:
    """Copies rows, as `sinks.ods_rows` packs them, into a table."""
    if not rows:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table, names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in (pgcopy.HEADER, *rows, pgcopy.TRAILER):
            copy.write(chunk)


_LANDING_DDL = sql.SQL(
    "create table if not exists {} ("
    ' epoch integer not null, "partition" integer not null, "offset" bigint not null,'
    " kafka_ts timestamptz not null, kafka_ts_type smallint not null, key bytea, headers json,"
    " payload json, device_id text, site_id text, event_ts timestamptz, gateway_ts timestamptz,"
    ' primary key (epoch, "partition", "offset"))'
)
_QUARANTINE_DDL = sql.SQL(
    "create table if not exists {} ("
    ' topic text not null, epoch integer not null, "partition" integer not null,'
    ' "offset" bigint not null, kafka_ts timestamptz not null, kafka_ts_type smallint not null,'
    " key bytea, headers json, payload bytea, reason text not null, detail text not null,"
    " device_id text, arrival_ts timestamptz, kafka_ms bigint not null,"
    ' primary key (topic, epoch, "partition", "offset"))'
)
