"""The ODS sink: rows, quarantine and next offsets of a flush, in one transaction.

1. Lock the partitions' rows and compare their `next_offset`: whoever finds another value aborts,
   and a zombie that comes later waits here.
2. COPY the events and tombstones into their landing tables.
3. COPY the rejected into quarantine.
4. Move the offsets, commit.

A record that the database refuses by itself, against all that `decoding` checks, is found by
halving and goes to quarantine with the database's words; a failing database is an outage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from streaming import pgcopy
from streaming.database import Database, words
from streaming.decoding import Reason, Rejected, kafka_time, moment
from streaming.epochs import Epoch
from streaming.errors import DroppedError, FatalError, FencedError
from streaming.records import PartitionId, Record, Records, Slice
from streaming.sinks import epoch_rows
from streaming.sinks.ods_rows import (
    LANDING,
    QUARANTINE,
    Packed,
    pack,
    quarantine_row,
    read_headers,
)
from streaming.standstill import STANDSTILL

_DAY_MS = 86_400_000
DAYS_BEHIND, _DAYS_AHEAD = 400, 1
"""Days around today that get a partition of their own; others go to the default partition."""


@dataclass(frozen=True, slots=True)
class Landed:
    """How far a partition has landed in the ODS."""

    start_offset: int
    next_offset: int
    lake_claim: int | None
    last_record: tuple[int, int] | None
    """Offset and leader epoch of the last record that was read from Kafka."""


class InLake(NamedTuple):
    """The start of the newest claim known to be complete, and the offset below which all are."""

    claim: int
    next_offset: int


class Row(NamedTuple):
    """A partition's row in landing.offsets."""

    where: PartitionId
    topic_id: str
    landed: Landed


class _RefusedError(FatalError):
    """Postgres has refused a row of a COPY for what is in it."""


def table_of(topic: str) -> str:
    """Returns the name of a topic's landing table."""
    return topic.replace(".", "_")


class OdsSink:
    """Lands slices in Postgres. One connection, opened when needed and again after an outage."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._transaction = self._database.transaction
        self._days: set[tuple[str, int]] = set()

    def epoch(self, topic: str, topic_id: str) -> int:
        """Returns the topic's epoch.

        Raises:
            FatalError: The topic was deleted and created again since that epoch began.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "select epoch, topic_id from landing.offsets where topic = %s"
                " order by epoch desc limit 1",
                [topic],
            ).fetchone()
        if row is None:
            return 0
        if row[1] != topic_id:
            raise FatalError(
                f"the topic {topic} was deleted and created again: its id was {row[1]} and is "
                f"{topic_id}. Its offsets mean other records now, so nothing is landed. To go on "
                f"with the new one in an epoch of its own: `fleetpulse epochs begin {topic}`"
            )
        return int(row[0])

    def epochs(self, topic: str) -> list[Epoch]:
        """Returns the topic's epochs that were begun, the oldest first, without the first."""
        with self._transaction() as connection:
            return epoch_rows.read(connection, topic)

    def partitions(self, topic: str) -> list[Row]:
        """Returns all partitions of a topic that have begun to land, in all their epochs."""
        with self._transaction() as connection:
            rows = connection.execute(
                'select topic, epoch, "partition", topic_id, start_offset, next_offset,'
                " lake_claim, last_offset, leader_epoch from landing.offsets where topic = %s"
                ' order by epoch, "partition"',
                [topic],
            ).fetchall()
        return [Row(PartitionId(*row[:3]), row[3], _landed(*row[4:])) for row in rows]

    def begin(self, epoch: Epoch, seen: Mapping[int, int]) -> Epoch:
        """Begins an epoch; see `epoch_rows.begin`."""
        with self._transaction() as connection:
            return epoch_rows.begin(connection, epoch, seen)

    def adopt(self, epoch: Epoch) -> None:
        """Takes over an epoch that the lake knows; see `epoch_rows.adopt`."""
        with self._transaction() as connection:
            epoch_rows.adopt(connection, epoch)

    def open(self, partition: PartitionId, topic_id: str, log_start: int) -> Landed:
        """Returns how far a partition has landed; its row is made where there is none.

        Raises:
            FencedError: There is no row, and the epoch has ended.
        """
        with self._transaction() as connection:
            connection.execute(
                'insert into landing.offsets (topic, epoch, "partition", topic_id, start_offset,'
                " next_offset) select %(topic)s, %(epoch)s, %(partition)s, %(topic_id)s, %(at)s,"
                " %(at)s where not exists (select from landing.offsets where topic = %(topic)s"
                "  and epoch > %(epoch)s) on conflict do nothing",
                {**partition._asdict(), "topic_id": topic_id, "at": log_start},
            )
            row = connection.execute(
                "select start_offset, next_offset, lake_claim, last_offset, leader_epoch"
                " from landing.offsets"
                ' where topic = %s and epoch = %s and "partition" = %s',
                [*partition],
            ).fetchone()
        if row is None:
            raise FencedError(f"{partition} has ended: another epoch has begun")
        return _landed(*row)

    def pack(self, slices: Sequence[Slice]) -> Packed:
        """Makes rows of slices. May run in another thread, ahead of the landing of others."""
        return pack(slices)

    def land(self, packed: Packed) -> int:
        """Lands slices of different partitions, all or none.

        Returns:
            How many records went to quarantine.

        Raises:
            FencedError: A partition is not where a slice starts; nothing was landed.
            OutageError: The database cannot do it now, or its answer was lost: a second try finds
                itself fenced if the first one has landed.
        """
        now = datetime.now(UTC)
        self._ensure_days(packed.slices, now.date())
        try:
            return self._land(packed, now, isolating=False)
        except _RefusedError:
            return self._land(packed, now, isolating=True)

    def _land(self, packed: Packed, now: datetime, *, isolating: bool) -> int:
        with self._transaction() as connection:
            _lock(connection, packed.slices)
            rejected = [*packed.rejected]
            for topic, chunks in packed.events.items():
                if isolating:
                    rejected += self._copy_isolating(connection, topic, chunks, packed.slices)
                else:
                    _copy(connection, table_of(topic), LANDING, chunks)
            if rejected:
                _copy(connection, "quarantine", QUARANTINE, rejected)
            _move(connection, packed, now)
        return len(rejected)

    def note_lake(self, proven: Mapping[PartitionId, InLake]) -> None:
        """Remembers complete claims: where recovery begins to read, what retention may drop."""
        with self._transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "update landing.offsets set lake_claim = greatest(lake_claim, %s),"
                " lake_next = greatest(lake_next, %s)"
                ' where topic = %s and epoch = %s and "partition" = %s',
                [(*in_lake, *partition) for partition, in_lake in sorted(proven.items())],
            )

    def read(self, partition: PartitionId, start: int, end: int, limit: int) -> Slice:
        """Returns what has landed in [start, end), quarantined records included, as they came.

        Redriven records too: quarantine keeps their original bytes for ever.

        Args:
            partition: The partition.
            start: The first offset.
            end: All that is below has landed.
            limit: At most so many records; then the slice ends before `end`.

        Raises:
            DroppedError: Retention has dropped some of it.
        """
        query = sql.SQL(
            'select "offset", kafka_ms, kafka_ts_type, key, headers, payload from ('
            ' select "offset", (extract(epoch from kafka_ts) * 1000)::bigint as kafka_ms,'
            "  kafka_ts_type, key, headers::text, convert_to(payload::text, 'UTF8') as payload"
            "  from landing.{table}"
            '  where epoch = %(epoch)s and "partition" = %(partition)s'
            '  and "offset" >= %(start)s and "offset" < %(end)s and redrive is null'
            ' union all select "offset", kafka_ms, kafka_ts_type, key, headers::text, payload'
            "  from landing.quarantine where topic = %(topic)s and epoch = %(epoch)s"
            '  and "partition" = %(partition)s and "offset" >= %(start)s and "offset" < %(end)s'
            ') landed order by "offset" limit %(limit)s'
        ).format(table=sql.Identifier(table_of(partition.topic)))
        bounds = {**partition._asdict(), "start": start, "end": end, "limit": limit}
        with self._transaction() as connection:
            rows = connection.execute(query, bounds).fetchall()
            # After the rows: what is dropped between the two is refused, never left out.
            [(dropped,)] = connection.execute(_DROPPED, bounds).fetchall()
        if dropped:
            raise DroppedError(
                f"retention has dropped rows of {partition} between {start} and {end - 1}, for the "
                f"lake had all below {dropped}: restore the lake, or point FLEETPULSE_LAKE__URL at "
                "the one that this ODS was landed with"
            )
        records = Records.of(
            Record(offset, timestamp, kind, key, read_headers(headers), payload)
            for offset, timestamp, kind, key, headers, payload in rows
        )
        stop = records.offsets[-1] + 1 if len(records) == limit else max(start, end)
        return Slice(partition, start, stop, records)

    def close(self) -> None:
        """Ends the connection."""
        self._database.close()

    def _copy_isolating(
        self,
        connection: psycopg.Connection,
        topic: str,
        chunks: Sequence[bytes],
        slices: Sequence[Slice],
    ) -> list[bytes]:
        """Copies a topic's rows; returns as quarantine rows what the database refuses by itself."""
        try:
            with connection.transaction():
                _copy(connection, table_of(topic), LANDING, chunks)
        except _RefusedError as error:
            of_topic = [each for each in slices if each.partition.topic == topic and each.records]
            count = sum(len(each.records) for each in of_topic)
            if count == 1:
                refused = Rejected(Reason.REFUSED, str(error))
                return [quarantine_row(of_topic[0].partition, of_topic[0].records.row(0), refused)]
            rejected: list[bytes] = []
            for half in _halves(of_topic, count // 2):
                rows = pack(half).events[topic]
                rejected += self._copy_isolating(connection, topic, rows, half)
            return rejected
        return []

    def _ensure_days(self, slices: Sequence[Slice], today: date) -> None:
        first, last = today - timedelta(DAYS_BEHIND), today + timedelta(_DAYS_AHEAD)
        days = {
            (each.partition.topic, day) for each in slices for day in _days(each.records.timestamps)
        }
        for topic, number in sorted(days - self._days):
            day = moment(kafka_time(number * _DAY_MS)).date()
            if first <= day <= last:
                with self._transaction() as connection:
                    connection.execute("select landing.ensure_day(%s, %s)", [table_of(topic), day])
                self._days.add((topic, number))


_DROPPED: LiteralString = (
    "select max(next_offset) from landing.dropped where topic = %(topic)s and epoch = %(epoch)s"
    ' and "partition" = %(partition)s and first_offset < %(end)s and next_offset > %(start)s'
    " and offsets && int8range(%(start)s, greatest(%(start)s, %(end)s))"
)


def _days(timestamps: list[int]) -> set[int]:
    if not timestamps:
        return set()
    ends = {min(timestamps) // _DAY_MS, max(timestamps) // _DAY_MS}
    return ends if len(ends) == 1 else {timestamp // _DAY_MS for timestamp in timestamps}


def _lock(connection: psycopg.Connection, slices: Sequence[Slice]) -> None:
    """Locks the partitions' rows, in one order whoever asks, and compares their offsets."""
    rows = connection.execute(
        'select topic, epoch, "partition", next_offset from landing.offsets o'
        ' where (topic, epoch, "partition") in (select * from unnest(%s::text[], %s::int[],'
        " %s::int[])) and not exists (select from landing.offsets newer"
        "  where newer.topic = o.topic and newer.epoch > o.epoch)"
        ' order by topic, epoch, "partition" for no key update of o',
        [list(column) for column in zip(*(each.partition for each in slices), strict=True)],
    ).fetchall()
    found = {PartitionId(*where): offset for *where, offset in rows}
    for each in slices:
        if each.partition not in found:
            raise FencedError(f"{each.partition} has ended: another epoch has begun")
        if found[each.partition] != each.start:
            raise FencedError(
                f"the ODS is no longer at offset {each.start} of {each.partition}: "
                f"another consumer has landed it (up to {found[each.partition]})"
            )


def _move(connection: psycopg.Connection, packed: Packed, now: datetime) -> None:
    """Moves the offsets of locked partitions. A time from the future counts as now."""
    latest = {where: min(moment(seen), now) for where, seen in packed.latest.items()}
    columns = [
        (*each.partition, each.next, latest.get(each.partition), *_last_record(each))
        for each in packed.slices
    ]
    connection.execute(
        "update landing.offsets as at set next_offset = moved.next_offset, moved_at = now(),"
        " resumed_at = case when (select max(moved_at) from landing.offsets) < now() - %s"
        "  then now() else at.resumed_at end,"
        " max_event_ts = greatest(at.max_event_ts, moved.max_event_ts),"
        " last_offset = coalesce(moved.last_offset, at.last_offset),"
        " leader_epoch = coalesce(moved.leader_epoch, at.leader_epoch)"
        " from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[], %s::timestamptz[],"
        "  %s::bigint[], %s::int[]) as moved"
        '  (topic, epoch, "partition", next_offset, max_event_ts, last_offset, leader_epoch)'
        " where at.topic = moved.topic and at.epoch = moved.epoch"
        '  and at."partition" = moved."partition"',
        [STANDSTILL, *(list(column) for column in zip(*columns, strict=True))],
    )


def _last_record(each: Slice) -> tuple[int, int] | tuple[None, None]:
    if not each.records or each.leader_epoch is None:
        return None, None
    return each.records.offsets[-1], each.leader_epoch


def _landed(
    start: int, next_offset: int, lake_claim: int | None, last: int | None, leader: int | None
) -> Landed:
    record = None if last is None or leader is None else (last, leader)
    return Landed(start, next_offset, lake_claim, record)


def _halves(slices: Sequence[Slice], count: int) -> tuple[list[Slice], list[Slice]]:
    """Returns slices with the first `count` records of some, and with the others."""
    first: list[Slice] = []
    second: list[Slice] = []
    for each in slices:
        cut = min(count, len(each.records))
        first.append(replace(each, records=each.records[:cut]))
        second.append(replace(each, records=each.records[cut:]))
        count -= cut
    return first, second


def _copy(
    connection: psycopg.Connection, table: str, columns: Sequence[str], chunks: Sequence[bytes]
) -> None:
    statement = sql.SQL("copy landing.{} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    try:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for chunk in (pgcopy.HEADER, *chunks, pgcopy.TRAILER):
                copy.write(chunk)
    except psycopg.DataError as error:
        raise _RefusedError(words(error)) from error
