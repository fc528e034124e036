"""Before a partition is read, each sink is brought up to the other, and both know its epoch.

In ordinary times the ODS is ahead, and the lake gets what it lacks from there. Where the ODS was
restored from a backup the lake is ahead. Then the ODS gets what it lacks from the lake, judged and
landed as if Kafka had sent it again: Kafka may have dropped it, or taken some of it by compaction.
"""

from typing import NamedTuple

import structlog

from streaming.epochs import Epoch
from streaming.errors import FatalError
from streaming.lake_reader import LakeReader
from streaming.records import PartitionId
from streaming.sinks.lake import LakePartition, LakeSink
from streaming.sinks.ods import InLake, Landed, OdsSink

_END = 2**63 - 1
"""Beyond every offset."""

log = structlog.get_logger()


class Level(NamedTuple):
    """A partition of which both sinks have the same."""

    landed: Landed
    lake: LakePartition


def restore(ods: OdsSink, lake: LakeSink, where: PartitionId, topic_id: str, start: int) -> Landed:
    """Brings the ODS up to the lake; returns how far it is.

    Args:
        ods: The ODS.
        lake: The lake.
        where: The partition.
        topic_id: Kafka's id of its topic.
        start: Where it begins, if neither knows it yet.

    Raises:
        FencedError: Another consumer lands this partition.
        FatalError: The lake has lost something.
        OutageError: Do it again.
    """
    chain_start = lake.start(where)
    landed = ods.open(where, topic_id, start if chain_start is None else chain_start)
    restored = 0
    beyond = LakeReader(lake.store).slices(where, landed.next_offset, _END, landed.lake_claim)
    for each in beyond:
        ods.land(ods.pack([each]))
        restored += len(each.records)
    if restored:
        landed = ods.open(where, topic_id, start)
        up_to = landed.next_offset
        log.warning("restored from the lake", partition=str(where), records=restored, up_to=up_to)
    return landed


def level(
    ods: OdsSink, lake: LakeSink, where: PartitionId, topic_id: str, start: int, limit: int
) -> Level:
    """Brings each sink up to the other, by at most so many records at a time; see `restore`."""
    landed = restore(ods, lake, where, topic_id, start)
    opened = lake.open(
        where,
        landed.start_offset,
        landed.lake_claim,
        lambda at: ods.read(where, at, landed.next_offset, limit),
    )
    return Level(landed, opened)


def settle(ods: OdsSink, lake: LakeSink, topic: str, limit: int) -> None:
    """Has both sinks know the same epochs of a topic; those that have ended are whole in both.

    The lake learns of an epoch only when it has all of the one before, and so does an ODS from an
    old backup: nothing can be landed in an epoch that has ended.

    Raises:
        FencedError: Another process does the same.
        FatalError: The lake has lost something, or the ODS all of a topic.
        OutageError: Do it again.
    """
    in_ods, in_lake = ods.epochs(topic), lake.epochs(topic)
    for epoch in in_lake[len(in_ods) :]:
        _complete(ods, lake, epoch, limit)
        ods.adopt(epoch)
        log.warning("epoch restored from the lake", topic=topic, epoch=epoch.epoch)
    for epoch in in_ods[len(in_lake) :]:
        _complete(ods, lake, epoch, limit)
        lake.begin(epoch)


def _complete(ods: OdsSink, lake: LakeSink, begun: Epoch, limit: int) -> None:
    """Brings the sinks up to each other in the epoch that ended when this one began."""
    ended = begun.epoch - 1
    ids = {
        row.where.partition: row.topic_id
        for row in ods.partitions(begun.topic)
        if row.where.epoch == ended
    }
    if not ids:
        raise FatalError(
            f"the lake knows epoch {begun.epoch} of {begun.topic}, the ODS nothing of the topic: "
            "restore a backup of the ODS, or replay the topic into it (`fleetpulse replay`)"
        )
    for number in sorted(ids.keys() | begun.starts.keys()):
        where = PartitionId(begun.topic, ended, number)
        start = lake.start(where)
        if number in ids or start is not None:
            topic_id = ids.get(number) or next(iter(ids.values()))
            whole = level(ods, lake, where, topic_id, start or 0, limit).lake
            whole.land(all_of_it=True)
            if whole.confirmed is not None:
                ods.note_lake({where: InLake(whole.confirmed, whole.next_offset)})
