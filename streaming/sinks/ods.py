"""The ODS sink: rows, quarantine and next offsets of a flush, in one transaction.

1. Lock the partitions' rows and compare their `next_offset`: whoever finds another value aborts,
   and a zombie that comes later waits here.
2. COPY the events and tombstones into their landing tables, decoding while the server works.
3. COPY the rejected into quarantine.
4. Move the offsets, commit.

A record that the database refuses by itself, against all that `decoding` checks, is found by
halving and goes to quarantine with the database's words; a failing database is an outage.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import cast

import orjson
import psycopg
from psycopg import sql

from streaming import pgcopy
from streaming.decoding import (
    Decoder,
    Judged,
    Microseconds,
    Reason,
    Rejected,
    kafka_time,
    moment,
)
from streaming.errors import FatalError, FencedError, OutageError
from streaming.records import Headers, PartitionId, Record, Records, Slice

_LANDING = ("epoch", "partition", "offset", "kafka_ts", "kafka_ts_type", "key", "headers",
            "payload", "device_id", "site_id", "event_ts", "gateway_ts")  # fmt: skip
_QUARANTINE = ("epoch", "partition", "offset", "kafka_ts", "kafka_ts_type", "key", "headers",
               "topic", "payload", "reason", "detail", "device_id", "arrival_ts")  # fmt: skip
_CHUNK = 1_000
"""Rows sent at a time: while the server stores one chunk, the next is decoded."""
_DAY_MS = 86_400_000
_DAYS_BEHIND, _DAYS_AHEAD = 400, 1
"""Days around today that get a partition of their own; others go to the default partition."""


@dataclass(frozen=True, slots=True)
class Landed:
    """How far a partition has landed in the ODS."""

    start_offset: int
    next_offset: int
    lake_claim: int | None


def table_of(topic: str) -> str:
    """Returns the name of a topic's landing table."""
    return topic.replace(".", "_")


@dataclass(slots=True)
class _Copied:
    """What a COPY of events has left over: rows for quarantine, and the largest times seen."""

    rejected: list[bytes] = field(default_factory=list)
    latest: dict[PartitionId, Microseconds] = field(default_factory=dict)

    def note(self, where: PartitionId, records: Records, judged: Judged) -> None:
        self.rejected += (
            _quarantine_row(where, records.row(number), verdict)
            for number, verdict in judged.rejected.items()
        )
        if judged.event_ts:
            self._seen(where, max(map(min, judged.event_ts, judged.arrivals)))

    def add(self, other: "_Copied") -> None:
        self.rejected += other.rejected
        for where, latest in other.latest.items():
            self._seen(where, latest)

    def _seen(self, where: PartitionId, latest: Microseconds) -> None:
        self.latest[where] = max(latest, self.latest.get(where, latest))


class OdsSink:
    """Lands slices in Postgres. One connection, opened when needed and again after an outage."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None
        self._decoders: dict[str, Decoder] = {}
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
                f"{topic_id}. Its offsets mean other records now, so nothing is landed. "
                "Restore the topic, or land it under another name"
            )
        return int(row[0])

    def open(self, partition: PartitionId, topic_id: str, log_start: int) -> Landed:
        """Returns how far a partition has landed; its row is made where there is none."""
        with self._transaction() as connection:
            connection.execute(
                'insert into landing.offsets (topic, epoch, "partition", topic_id, start_offset,'
                " next_offset) values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
                [*partition, topic_id, log_start, log_start],
            )
            row = connection.execute(
                "select start_offset, next_offset, lake_claim from landing.offsets"
                ' where topic = %s and epoch = %s and "partition" = %s',
                [*partition],
            ).fetchone()
        if row is None:
            raise FatalError(f"landing.offsets has no row for {partition} that was just put there")
        return Landed(*row)

    def land(self, slices: Sequence[Slice]) -> int:
        """Lands slices of different partitions, all or none.

        Returns:
            How many records went to quarantine.

        Raises:
            FencedError: A partition is not where a slice starts; nothing was landed.
            OutageError: The database cannot do it now, or its answer was lost: the caller reads
                the offsets again before it goes on.
        """
        now = datetime.now(UTC)
        by_topic: dict[str, list[Slice]] = defaultdict(list)
        for each in slices:
            by_topic[each.partition.topic].append(each)
        self._ensure_days(by_topic, now.date())
        ceiling = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        copied = _Copied()
        with self._transaction() as connection:
            _lock(connection, slices)
            for topic, of_topic in by_topic.items():
                copied.add(self._copy_isolating(connection, topic, of_topic))
            if copied.rejected:
                _copy(connection, "quarantine", _QUARANTINE, [b"".join(copied.rejected)])
            _move(connection, slices, copied.latest, ceiling)
        return len(copied.rejected)

    def note_lake(self, claims: dict[PartitionId, int]) -> None:
        """Remembers complete claims: where recovery begins to read the lake's chain."""
        with self._transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "update landing.offsets set lake_claim = greatest(lake_claim, %s)"
                ' where topic = %s and epoch = %s and "partition" = %s',
                [(start, *partition) for partition, start in sorted(claims.items())],
            )

    def read(self, partition: PartitionId, start: int, end: int, limit: int) -> Slice:
        """Returns what has landed in [start, end), quarantined records included, as they came.

        Args:
            partition: The partition.
            start: The first offset.
            end: All that is below has landed.
            limit: At most so many records; then the slice ends before `end`.
        """
        query = sql.SQL(
            'select "offset", kafka_ts, kafka_ts_type, key, headers, payload from ('
            ' select "offset", kafka_ts, kafka_ts_type, key, headers::text,'
            "  convert_to(payload::text, 'UTF8') as payload from landing.{table}"
            '  where epoch = %(epoch)s and "partition" = %(partition)s'
            '  and "offset" >= %(start)s and "offset" < %(end)s'
            ' union all select "offset", kafka_ts, kafka_ts_type, key, headers::text, payload'
            "  from landing.quarantine where topic = %(topic)s and epoch = %(epoch)s"
            '  and "partition" = %(partition)s and "offset" >= %(start)s and "offset" < %(end)s'
            ') landed order by "offset" limit %(limit)s'
        ).format(table=sql.Identifier(table_of(partition.topic)))
        bounds = {**partition._asdict(), "start": start, "end": end, "limit": limit}
        with self._transaction() as connection:
            rows = connection.execute(query, bounds).fetchall()
        records = Records.of(
            Record(offset, _milliseconds(moment), kind, key, _read_headers(headers), payload)
            for offset, moment, kind, key, headers, payload in rows
        )
        stop = records.offsets[-1] + 1 if len(records) == limit else max(start, end)
        return Slice(partition, start, stop, records)

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _copy_isolating(
        self, connection: psycopg.Connection, topic: str, slices: Sequence[Slice]
    ) -> _Copied:
        """Copies events; what the database refuses by itself is left over for quarantine."""
        count = sum(len(each.records) for each in slices)
        copied = _Copied()
        if not count:
            return copied
        try:
            with connection.transaction():
                chunks = self._rows(topic, slices, copied)
                _copy(connection, table_of(topic), _LANDING, chunks)
        except psycopg.DataError as error:
            copied = _Copied()
            if count == 1:
                each = next(each for each in slices if each.records)
                refused = Rejected(Reason.REFUSED, _words(error))
                row = _quarantine_row(each.partition, each.records.row(0), refused)
                copied.rejected.append(row)
            else:
                for half in _halves(slices, count // 2):
                    copied.add(self._copy_isolating(connection, topic, half))
        return copied

    def _rows(self, topic: str, slices: Sequence[Slice], copied: _Copied) -> Iterator[bytes]:
        """Yields chunks of landing rows; the rejected and the largest times go to `copied`."""
        decoder = self._decoders.get(topic)
        if decoder is None:
            decoder = self._decoders[topic] = Decoder(topic)
        for each in slices:
            for start in range(0, len(each.records), _CHUNK):
                records = each.records[start : start + _CHUNK]
                judged = decoder.judge(records)
                copied.note(each.partition, records, judged)
                yield _landing_rows(each.partition, records, judged)

    def _ensure_days(self, by_topic: dict[str, list[Slice]], today: date) -> None:
        first, last = today - timedelta(_DAYS_BEHIND), today + timedelta(_DAYS_AHEAD)
        days: set[tuple[str, int]] = set()
        for topic, slices in by_topic.items():
            for each in slices:
                days |= {(topic, day) for day in _days(each.records.timestamps)}
        for topic, number in sorted(days - self._days):
            day = moment(kafka_time(number * _DAY_MS)).date()
            if first <= day <= last:
                with self._transaction() as connection:
                    connection.execute("select landing.ensure_day(%s, %s)", [table_of(topic), day])
                self._days.add((topic, number))

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._url, options="-c timezone=UTC -c statement_timeout=60s"
                )
            with self._connection.transaction():
                yield self._connection
        except psycopg.Error as error:
            broken = self._connection is None or self._connection.broken
            self.close()
            if broken or _passing(error):
                raise OutageError(f"the ODS does not serve us: {_words(error)}") from error
            raise FatalError(
                f"the ODS refused us: {_words(error)} ({error.sqlstate}). "
                "Is it migrated (`fleetpulse migrate`), and has the role fleetpulse_consumer "
                "its rights?"
            ) from error
        except BaseException:
            self.close()
            raise


def _days(timestamps: list[int]) -> set[int]:
    if not timestamps:
        return set()
    ends = {min(timestamps) // _DAY_MS, max(timestamps) // _DAY_MS}
    return ends if len(ends) == 1 else {timestamp // _DAY_MS for timestamp in timestamps}


def _lock(connection: psycopg.Connection, slices: Sequence[Slice]) -> None:
    """Locks the partitions' rows, in one order whoever asks, and compares their offsets."""
    rows = connection.execute(
        'select topic, epoch, "partition", next_offset from landing.offsets'
        ' where (topic, epoch, "partition") in (select * from unnest(%s::text[], %s::int[],'
        ' %s::int[])) order by topic, epoch, "partition" for no key update',
        [list(column) for column in zip(*(each.partition for each in slices), strict=True)],
    ).fetchall()
    found = {PartitionId(*where): offset for *where, offset in rows}
    for each in slices:
        if found.get(each.partition) != each.start:
            raise FencedError(
                f"the ODS is no longer at offset {each.start} of {each.partition}: "
                f"another consumer has landed it (up to {found.get(each.partition)})"
            )


def _move(
    connection: psycopg.Connection,
    slices: Sequence[Slice],
    latest: dict[PartitionId, Microseconds],
    ceiling: Microseconds,
) -> None:
    """Moves the offsets of locked partitions. A time from the future counts as now."""
    columns = [
        (
            *each.partition,
            each.next,
            moment(min(latest[each.partition], ceiling)) if each.partition in latest else None,
        )
        for each in slices
    ]
    connection.execute(
        "update landing.offsets as at set next_offset = moved.next_offset, moved_at = now(),"
        " max_event_ts = greatest(at.max_event_ts, moved.max_event_ts)"
        " from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[], %s::timestamptz[])"
        '  as moved (topic, epoch, "partition", next_offset, max_event_ts)'
        " where at.topic = moved.topic and at.epoch = moved.epoch"
        '  and at."partition" = moved."partition"',
        [list(column) for column in zip(*columns, strict=True)],
    )


def _halves(slices: Sequence[Slice], count: int) -> tuple[list[Slice], list[Slice]]:
    """Returns slices with the first `count` records of some, and with the others."""
    first: list[Slice] = []
    second: list[Slice] = []
    for each in slices:
        cut = min(count, len(each.records))
        first.append(Slice(each.partition, each.start, each.next, each.records[:cut]))
        second.append(Slice(each.partition, each.start, each.next, each.records[cut:]))
        count -= cut
    return first, second


def _landing_rows(where: PartitionId, records: Records, judged: Judged) -> bytes:
    """Returns the rows of events and tombstones."""
    rows: list[bytes] = []
    if judged.events:
        rows += _event_rows(where, _only(records, judged.events), judged)
    if judged.tombstones:
        told = _only(records, judged.tombstones)
        starts = pgcopy.identities(len(_LANDING), where.epoch, where.partition, told)
        keys, headers = map(pgcopy.blob, told.keys), map(_headers, told.headers)
        nothing = [pgcopy.NULL * 5] * len(told)
        rows += chain.from_iterable(zip(starts, keys, headers, nothing, strict=True))
    return b"".join(rows)


def _event_rows(where: PartitionId, records: Records, judged: Judged) -> Iterator[bytes]:
    # An event's key is its device_id, and it has a payload.
    payloads = cast(list[bytes], records.payloads)
    devices = list(map(pgcopy.blob, records.keys))
    sites = [pgcopy.blob(each.site_id.encode()) for each in judged.envelopes]
    headers = [pgcopy.NULL] * len(records)
    if any(records.headers):
        headers = list(map(_headers, records.headers))
    rows = zip(
        pgcopy.identities(len(_LANDING), where.epoch, where.partition, records),
        devices,
        headers,
        map(pgcopy.length, map(len, payloads)),
        payloads,
        devices,
        sites,
        pgcopy.moments(judged.event_ts),
        pgcopy.moments(judged.gateway_ts),
        strict=True,
    )
    return chain.from_iterable(rows)


def _only(records: Records, numbers: Sequence[int]) -> Records:
    """Returns the records at these positions."""
    if len(numbers) == len(records):
        return records
    return Records(*([column[number] for number in numbers] for column in records.columns()))


def _quarantine_row(where: PartitionId, record: Record, rejected: Rejected) -> bytes:
    device_id = rejected.device_id
    columns = (
        *pgcopy.identities(len(_QUARANTINE), where.epoch, where.partition, Records.of([record])),
        pgcopy.blob(record.key),
        _headers(record.headers),
        pgcopy.blob(where.topic.encode()),
        pgcopy.blob(record.payload),
        pgcopy.blob(rejected.reason.encode()),
        pgcopy.blob(_storable(rejected.detail)),
        pgcopy.blob(None if device_id is None else device_id.encode()),
        *pgcopy.moments([rejected.arrival]),
    )
    return b"".join(columns)


def _headers(headers: Headers | None) -> bytes:
    if not headers:
        return pgcopy.NULL
    encoded = [
        (name, None if value is None else base64.b64encode(value).decode())
        for name, value in headers
    ]
    return pgcopy.blob(orjson.dumps(encoded))


def _read_headers(headers: str | None) -> Headers | None:
    if headers is None:
        return None
    return [
        (name, None if value is None else base64.b64decode(value))
        for name, value in orjson.loads(headers)
    ]


def _storable(text: str) -> bytes:
    return text.replace("\x00", "\\x00")[:1000].encode("utf-8", "backslashreplace")


def _milliseconds(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def _copy(
    connection: psycopg.Connection, table: str, columns: Sequence[str], chunks: Iterable[bytes]
) -> None:
    statement = sql.SQL("copy landing.{} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(pgcopy.HEADER)
        for chunk in chunks:
            copy.write(chunk)
        copy.write(pgcopy.TRAILER)


def _passing(error: psycopg.Error) -> bool:
    """Returns whether waiting can help: the server's state, not our statement, is the cause.

    08 connection, 25006 read-only, 40 rolled back, 53 resources, 55 locks, 57 operator, 58 system,
    28 not yet let in, 3D and XX: the database is away or damaged.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state[:2] in ("08", "40", "53", "55", "57", "58") or state == "25006"


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip()
