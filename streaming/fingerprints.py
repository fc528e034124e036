"""What of a record must be the same in every copy of it, with hashes for its bytes."""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import psycopg
from psycopg import sql

from streaming.records import PartitionId, Record
from streaming.sinks.ods import table_of
from streaming.sinks.ods_rows import read_headers


class Fingerprint(NamedTuple):
    """A record's timestamp (ms since 1970), headers, and the SHA-256 of its key and payload."""

    timestamp: int
    timestamp_type: int
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None
    payload: bytes | None


def of(record: Record) -> Fingerprint:
    """Returns a record's fingerprint."""
    return Fingerprint(
        record.timestamp,
        record.timestamp_type,
        tuple((name, value) for name, value in record.headers or ()),
        _digest(record.key),
        _digest(record.payload),
    )


def in_ods(
    connection: psycopg.Connection, where: PartitionId, low: int, high: int
) -> Iterator[tuple[int, Fingerprint]]:
    """Yields what the ODS has of the records in [low, high), as they came.

    The database hashes: payloads stay there. Of a redriven record, quarantine has the original.
    """
    query = sql.SQL(
        'select "offset", (extract(epoch from kafka_ts) * 1000)::bigint, kafka_ts_type,'
        " headers::text, sha256(key), sha256(convert_to(payload::text, 'UTF8'))"
        ' from landing.{table} where epoch = %(epoch)s and "partition" = %(partition)s'
        ' and "offset" >= %(low)s and "offset" < %(high)s and redrive is null'
        ' union all select "offset", kafka_ms, kafka_ts_type, headers::text, sha256(key),'
        " sha256(payload) from landing.quarantine where topic = %(topic)s and epoch = %(epoch)s"
        ' and "partition" = %(partition)s and "offset" >= %(low)s and "offset" < %(high)s'
    ).format(table=sql.Identifier(table_of(where.topic)))
    rows = connection.execute(query, {**where._asdict(), "low": low, "high": high})
    for offset, timestamp, kind, headers, key, payload in rows:
        pairs = tuple((name, value) for name, value in read_headers(headers) or ())
        yield offset, Fingerprint(timestamp, kind, pairs, key, payload)


def _digest(value: bytes | None) -> bytes | None:
    return None if value is None else sha256(value).digest()
