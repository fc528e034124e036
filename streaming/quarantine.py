"""Looking into quarantine: which records are there, why, and their exact bytes."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from streaming.records import PartitionId


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


_COLUMNS = (
    'select topic, epoch, "partition", "offset", kafka_ts, key, headers, payload, reason, detail,'
    " quarantined_at from landing.quarantine"
)


def find(
    connection: psycopg.Connection,
    *,
    topic: str | None = None,
    reason: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
) -> list[Quarantined]:
    """Returns records in quarantine, the newest first.

    Args:
        connection: The ODS, as a role that may read landing.
        topic: Only of this topic.
        reason: Only with this reason, as in `decoding.Reason`.
        since: Only those put there at or after this moment.
        limit: At most so many.
    """
    query = (
        f"{_COLUMNS} where (%(topic)s::text is null or topic = %(topic)s)"
        " and (%(reason)s::text is null or reason = %(reason)s)"
        " and (%(since)s::timestamptz is null or quarantined_at >= %(since)s)"
        ' order by quarantined_at desc, topic, "partition", "offset" desc limit %(limit)s'
    )
    parameters = {"topic": topic, "reason": reason, "since": since, "limit": limit}
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(query, parameters).fetchall()


def get(connection: psycopg.Connection, where: PartitionId, offset: int) -> Quarantined | None:
    """Returns one record in quarantine, or None where it is not there."""
    query = (
        f"{_COLUMNS} where topic = %(topic)s and epoch = %(epoch)s"
        ' and "partition" = %(partition)s and "offset" = %(offset)s'
    )
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(query, {**where._asdict(), "offset": offset}).fetchone()


def count_by_reason(connection: psycopg.Connection) -> list[tuple[str, str, int]]:
    """Returns topic, reason and count of all that is in quarantine, the most frequent first."""
    return connection.execute(
        "select topic, reason, count(*) from landing.quarantine group by 1, 2 order by 3 desc, 1, 2"
    ).fetchall()
