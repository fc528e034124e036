"""Where a log that was cut parts from what has landed."""

from confluent_kafka.admin import AdminClient

from streaming.landed import landed_records
from streaming.log_reader import LogReader, record_of
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Record, same
from streaming.settings import KafkaSettings
from streaming.sinks.ods import OdsSink

LOOKS = 1_000, 50_000
"""Offsets compared at first, and at most at a time."""


def parting(
    settings: KafkaSettings,
    admin: AdminClient,
    ods: OdsSink,
    store: ObjectStore,
    where: PartitionId,
    start: int,
    end: int,
) -> int:
    """Returns the first offset at which Kafka has another record than has landed.

    By the records, from the end backwards, until a whole range is the same: the end that a broker
    gives for our leader epoch can be too late. What Kafka has not got is no difference: compaction
    takes some.

    Args:
        settings: The broker.
        admin: A client for questions.
        ods: The ODS.
        store: The lake, which has what retention has dropped.
        where: The partition, in the newest epoch.
        start: Where the log begins.
        end: Where it ends, or what has landed of it: the smaller.
    """
    look, most = LOOKS
    first = high = end
    while high > start:
        low = max(start, high - look)
        place = (where.topic, where.partition)
        with LogReader(settings, admin, place, high, record_of) as log:
            theirs = log.read(low, high)
        ours = _landed(ods, store, where, low, high)
        others = [each.offset for each in theirs if not _is_same(each, ours.get(each.offset))]
        if others:
            first = others[0]
        elif theirs:
            break
        high, look = low, min(look * 2, most)
    return first


def _landed(
    ods: OdsSink, store: ObjectStore, where: PartitionId, low: int, high: int
) -> dict[int, Record]:
    """Returns by offset what has landed; where epochs overlap, the later one counts."""
    ours: dict[int, Record] = {}
    rows = [row for row in ods.partitions(where.topic) if row.where.partition == where.partition]
    for row in rows:
        if row.topic_id == rows[-1].topic_id:
            ours = {offset: ours[offset] for offset in ours if offset < row.landed.start_offset}
            end = min(high, row.landed.next_offset)
            ours |= {each.offset: each for each in landed_records(ods, store, row.where, low, end)}
    return ours


def _is_same(theirs: Record, ours: Record | None) -> bool:
    return ours is not None and same(theirs, ours)
