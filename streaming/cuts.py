"""Whether a log that looks healthy by its offsets was cut since, and has grown again."""

import time
from collections.abc import Mapping
from typing import NamedTuple, cast

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from streaming import kafka
from streaming.errors import OutageError
from streaming.kafka import Where
from streaming.landed import landed_records
from streaming.log_reader import record_of
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Record, same
from streaming.settings import KafkaSettings
from streaming.sinks.ods import OdsSink

QUEUE_BYTES = 1_000_000

LastRecord = tuple[int, int]
"""Offset and leader epoch of a record."""


def cut_logs(
    settings: KafkaSettings,
    admin: AdminClient,
    ods: OdsSink,
    store: ObjectStore,
    last_records: Mapping[PartitionId, LastRecord],
) -> set[PartitionId]:
    """Returns the partitions whose broker does not have the last record that we have read.

    The broker is asked by the record's leader epoch, and its record there is compared: a last
    replica that comes back with an older disk keeps its leader epoch. Not at the next offset: that
    may lie behind markers of a later leader. A client asks by leader epoch when it first learns who
    leads, so it is a new one, outside the group. What retention has taken cannot be asked for.

    Args:
        settings: The broker.
        admin: A client for questions.
        ods: The ODS.
        store: The lake, which has what retention has dropped.
        last_records: Offset and leader epoch of the last record.

    Raises:
        OutageError: The broker or the ODS does not answer.
    """
    if not last_records:
        return set()
    places = [(each.topic, each.partition) for each in last_records]
    starts = kafka.log_starts(admin, places)
    begins: list[ck.TopicPartition] = []
    ours: dict[Where, _Ours] = {}
    for place, (partition, (offset, leader_epoch)) in zip(
        places, last_records.items(), strict=True
    ):
        if offset >= starts[place]:
            begins.append(ck.TopicPartition(*place, offset, leader_epoch=leader_epoch))
            record = next(landed_records(ods, store, partition, offset, offset + 1), None)
            ours[place] = _Ours(partition, offset, leader_epoch, record)
    if not begins:
        return set()
    consumer = ck.Consumer(kafka.reader_config(settings, QUEUE_BYTES), logger=kafka.LOGGER)
    found: set[PartitionId] = set()
    deadline = time.monotonic() + kafka.ANSWER_WITHIN_S
    try:
        consumer.assign(begins)
        while ours:
            if time.monotonic() > deadline:
                raise OutageError(f"Kafka does not answer for {sorted(ours)}")
            for message in consumer.consume(100, 0.05):
                place = cast(Where, (message.topic(), message.partition()))
                if place not in ours:
                    continue  # it has answered
                is_cut = _is_cut(message, ours[place])
                if is_cut:
                    found.add(ours[place].partition)
                if is_cut is not None:
                    del ours[place]
    finally:
        consumer.close()
    return found


class _Ours(NamedTuple):
    """The last record of a partition; `record` is None where it has not landed yet."""

    partition: PartitionId
    offset: int
    leader_epoch: int
    record: Record | None


def _is_cut(message: ck.Message, ours: _Ours) -> bool | None:
    """Returns what a partition's first message says; None: nothing yet."""
    error, offset = message.error(), message.offset()
    if error is None:
        if offset != ours.offset:
            return False  # compaction has taken it
        if message.leader_epoch() != ours.leader_epoch:
            return True
        return ours.record is not None and not same(record_of(message), ours.record)
    if error.code() == ck.KafkaError._AUTO_OFFSET_RESET:
        return True
    if error.code() == ck.KafkaError._PARTITION_EOF:
        return offset is not None and offset <= ours.offset
    if not kafka.is_passing(error):
        kafka.raise_typed(error, "asking whether the logs were cut")
    return None
