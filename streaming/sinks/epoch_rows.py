"""A topic's epochs in the ODS: which were begun, and where their partitions began."""

from collections.abc import Mapping
from dataclasses import replace

import psycopg

from streaming.epochs import Epoch
from streaming.errors import FencedError


def read(connection: psycopg.Connection, topic: str) -> list[Epoch]:
    """Returns the epochs that were begun, the oldest first; the first one, 0, is not among them."""
    rows = connection.execute(
        "select topic, epoch, e.topic_id,"
        ' json_object_agg("partition", start_offset) filter (where "partition" is not null),'
        " begun_at, begun_by, why from landing.epochs e left join landing.offsets"
        " using (topic, epoch) where topic = %s"
        " group by topic, epoch, e.topic_id, begun_at, begun_by, why order by epoch",
        [topic],
    ).fetchall()
    return [
        Epoch(name, epoch, topic_id, {int(number): at for number, at in starts.items()}, *begun)
        for name, epoch, topic_id, starts, *begun in rows
    ]


def begin(connection: psycopg.Connection, epoch: Epoch, seen: Mapping[int, int]) -> Epoch:
    """Begins an epoch for all partitions of its topic, where the one before has ended.

    A partition that `epoch.starts` does not name goes on where it is, if the topic is the same.

    Args:
        connection: The ODS, in a transaction.
        epoch: The epoch.
        seen: Next offsets by which `starts` was found: they must be the same still.

    Returns:
        The epoch with the starts of all its partitions.

    Raises:
        FencedError: Something else has happened meanwhile; nothing was written.
    """
    # Waits for what is being landed, and holds up what comes: see `_lock` in ods.py.
    connection.execute("lock table landing.offsets in exclusive mode")
    rows = connection.execute(
        'select epoch, "partition", topic_id, next_offset from landing.offsets where topic = %s'
        " and epoch = (select max(epoch) from landing.offsets where topic = %s)",
        [epoch.topic, epoch.topic],
    ).fetchall()
    before = {number: at for newest, number, _, at in rows if newest == epoch.epoch - 1}
    if not before or any(before.get(number) != at for number, at in seen.items()):
        raise FencedError(
            f"{epoch.topic} has moved on meanwhile, epoch {epoch.epoch} was not begun: try again"
        )
    going_on = before if all(topic_id == epoch.topic_id for _, _, topic_id, _ in rows) else {}
    whole = replace(epoch, starts=going_on | epoch.starts)
    adopt(connection, whole)
    return whole


def adopt(connection: psycopg.Connection, epoch: Epoch) -> None:
    """Takes over an epoch that has begun; rows that a replay has made already stay as they are."""
    connection.execute(
        "insert into landing.epochs (topic, epoch, topic_id, begun_at, begun_by, why)"
        " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
        [epoch.topic, epoch.epoch, epoch.topic_id, epoch.begun_at, epoch.begun_by, epoch.why],
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            'insert into landing.offsets (topic, epoch, "partition", topic_id, start_offset,'
            " next_offset) values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
            [
                (epoch.topic, epoch.epoch, number, epoch.topic_id, at, at)
                for number, at in sorted(epoch.starts.items())
            ],
        )
