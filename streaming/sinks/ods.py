"""The ODS sink: rows, quarantine and next offsets of a flush, in one transaction.

1. Move each partition's `next_offset` by compare-and-set: whoever finds another value aborts,
   and a zombie that comes later waits on these rows.
2. COPY the events and tombstones into their landing tables.
3. COPY the rejected into quarantine.
4. Commit.

A record that the database refuses by itself, against all that `decoding` checks, is found by
halving and goes to quarantine with the database's words; a failing database is an outage.
"""

import base64
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson
import psycopg
from psycopg import sql

from streaming import pgcopy
from streaming.decoding import Decoder, Event, Reason, Rejected, kafka_time
from streaming.errors import FatalError, FencedError, OutageError
from streaming.records import Headers, PartitionId, Record, Slice

_LANDING = ("epoch", "partition", "offset", "kafka_ts", "kafka_ts_type", "key", "headers",
            "payload", "device_id", "site_id", "event_ts", "gateway_ts")  # fmt: skip
_QUARANTINE = ("epoch", "partition", "offset", "kafka_ts", "kafka_ts_type", "key", "headers",
               "topic", "payload", "reason", "detail", "device_id", "arrival_ts")  # fmt: skip
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


class OdsSink:
    """Lands slices in Postgres. One connection, opened when needed and again after an outage."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None
        self._decoders: dict[str, Decoder] = {}
        self._days: set[tuple[str, date]] = set()

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
        flush = _Flush()
        now = datetime.now(UTC)
        for each in slices:
            decoder = self._decoders.get(each.partition.topic)
            if decoder is None:
                decoder = self._decoders[each.partition.topic] = Decoder(each.partition.topic)
            flush.add(each, decoder, now)
        self._ensure_days(flush.days, now.date())
        with self._transaction() as connection:
            self._move(connection, slices, flush.max_event_ts)
            for topic, rows in flush.rows.items():
                flush.rejected += _copy_isolating(connection, topic, rows)
            if flush.rejected:
                _copy(connection, "quarantine", _QUARANTINE, flush.rejected)
        return len(flush.rejected)

    def note_lake(self, claims: dict[PartitionId, int]) -> None:
        """Remembers complete claims: where recovery begins to read the lake's chain."""
        with self._transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "update landing.offsets set lake_claim = greatest(lake_claim, %s)"
                ' where topic = %s and epoch = %s and "partition" = %s',
                [(start, *partition) for partition, start in sorted(claims.items())],
            )

    def read(self, partition: PartitionId, start: int, limit: int) -> list[Record]:
        """Returns the records that have landed, quarantined ones included, as they came.

        A timestamp beyond Postgres' range comes back as the nearest that Python can hold.
        """
        query = sql.SQL(
            'select "offset", kafka_ts, kafka_ts_type, key, headers, payload from ('
            ' select "offset", kafka_ts, kafka_ts_type, key, headers::text,'
            "  convert_to(payload::text, 'UTF8') as payload from landing.{table}"
            '  where epoch = %(epoch)s and "partition" = %(partition)s and "offset" >= %(start)s'
            ' union all select "offset", kafka_ts, kafka_ts_type, key, headers::text, payload'
            "  from landing.quarantine where topic = %(topic)s and epoch = %(epoch)s"
            '  and "partition" = %(partition)s and "offset" >= %(start)s'
            ') landed order by "offset" limit %(limit)s'
        ).format(table=sql.Identifier(table_of(partition.topic)))
        with self._transaction() as connection:
            rows = connection.execute(
                query, {**partition._asdict(), "start": start, "limit": limit}
            ).fetchall()
        return [
            Record(offset, _milliseconds(moment), kind, key, _read_headers(headers), payload)
            for offset, moment, kind, key, headers, payload in rows
        ]

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _move(
        self,
        connection: psycopg.Connection,
        slices: Sequence[Slice],
        max_event_ts: dict[PartitionId, datetime],
    ) -> None:
        with connection.cursor() as cursor:
            for each in sorted(slices, key=lambda each: each.partition):  # no deadlocks
                cursor.execute(
                    "update landing.offsets set next_offset = %s, moved_at = now(),"
                    " max_event_ts = greatest(max_event_ts, %s)"
                    ' where topic = %s and epoch = %s and "partition" = %s and next_offset = %s',
                    [each.next, max_event_ts.get(each.partition), *each.partition, each.start],
                )
                if cursor.rowcount != 1:
                    raise FencedError(
                        f"the ODS is no longer at offset {each.start} of {each.partition}: "
                        "another consumer has landed it"
                    )

    def _ensure_days(self, days: set[tuple[str, date]], today: date) -> None:
        first, last = today - timedelta(_DAYS_BEHIND), today + timedelta(_DAYS_AHEAD)
        for table, day in sorted(days - self._days):
            if first <= day <= last:
                with self._transaction() as connection:
                    connection.execute("select landing.ensure_day(%s, %s)", [table, day])
                self._days.add((table, day))

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


class _Flush:
    """The rows of one transaction."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[bytes, Slice, Record]]] = defaultdict(list)
        self.rejected: list[bytes] = []
        self.days: set[tuple[str, date]] = set()
        self.max_event_ts: dict[PartitionId, datetime] = {}

    def add(self, each: Slice, decoder: Decoder, now: datetime) -> None:
        topic = each.partition.topic
        rows = self.rows[topic]
        table = table_of(topic)
        latest = None
        day_number = None
        for record in each.records:
            verdict = decoder.decode(record)
            if isinstance(verdict, Rejected):
                self.rejected.append(_quarantine_row(each.partition, record, verdict))
                continue
            if record.timestamp // 86_400_000 != day_number:
                day_number = record.timestamp // 86_400_000
                self.days.add((table, kafka_time(record.timestamp).date()))
            rows.append((_landing_row(each.partition, record, verdict), each, record))
            if verdict is not None:
                seen = min(verdict.envelope.event_ts, verdict.arrival, now)
                if latest is None or seen > latest:
                    latest = seen
        if latest is not None:
            self.max_event_ts[each.partition] = latest


def _landing_row(partition: PartitionId, record: Record, event: Event | None) -> bytes:
    start = pgcopy.identity(
        partition.epoch, partition.partition, record.offset, record.timestamp, record.timestamp_type
    )
    if event is None:
        tail = pgcopy.blob(None) * 5
    else:
        envelope = event.envelope
        tail = (
            pgcopy.blob(record.payload)
            + pgcopy.blob(envelope.device_id.encode())
            + pgcopy.blob(envelope.site_id.encode())
            + pgcopy.moment(envelope.event_ts)
            + pgcopy.moment(envelope.gateway_ts)
        )
    return start + pgcopy.blob(record.key) + _headers(record.headers) + tail


def _quarantine_row(partition: PartitionId, record: Record, rejected: Rejected) -> bytes:
    start = pgcopy.identity(
        partition.epoch, partition.partition, record.offset, record.timestamp, record.timestamp_type
    )
    return b"".join(
        (
            start,
            pgcopy.blob(record.key),
            _headers(record.headers),
            pgcopy.blob(partition.topic.encode()),
            pgcopy.blob(record.payload),
            pgcopy.blob(rejected.reason.encode()),
            pgcopy.blob(_storable(rejected.detail)),
            pgcopy.blob(None if rejected.device_id is None else rejected.device_id.encode()),
            pgcopy.moment(rejected.arrival),
        )
    )


def _headers(headers: Headers | None) -> bytes:
    if not headers:
        return pgcopy.blob(None)
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


def _copy_isolating(
    connection: psycopg.Connection, topic: str, rows: list[tuple[bytes, Slice, Record]]
) -> list[bytes]:
    """Copies rows; returns as quarantine rows those that the database refuses by themselves."""
    if not rows:
        return []
    try:
        with connection.transaction():
            _copy(connection, table_of(topic), _LANDING, [row for row, _, _ in rows])
    except psycopg.DataError as error:
        if len(rows) == 1:
            _, each, record = rows[0]
            rejected = Rejected(Reason.REFUSED, _words(error))
            return [_quarantine_row(each.partition, record, rejected)]
        middle = len(rows) // 2
        return _copy_isolating(connection, topic, rows[:middle]) + _copy_isolating(
            connection, topic, rows[middle:]
        )
    return []


def _copy(
    connection: psycopg.Connection, table: str, columns: Sequence[str], rows: Sequence[bytes]
) -> None:
    statement = sql.SQL("copy landing.{} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(pgcopy.copy_data(len(columns), rows))


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
