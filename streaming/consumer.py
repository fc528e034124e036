"""The landing consumer: Kafka → ODS + lake, every record exactly once in each.

Each sink knows by itself how far it has got, so nothing here needs to be remembered:

1. A partition is assigned: ask both sinks for their next offset, begin at the smaller.
2. Poll. Each sink takes a record unless it has it already.
3. Flush the ODS: rows, quarantine and next offsets in one transaction. Before, look whether the
   topics are still the same: under a topic that is made again the client reads on as if nothing
   had happened.
4. Put the lake files that are due; none passes the ODS.
5. Commit to Kafka the smaller of the two, as a hint.

An outage of a sink pauses the partitions; polling goes on, so the group membership is kept.
Fenced by another consumer: throw everything away and begin at 1.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import confluent_kafka as ck
import structlog

from streaming import kafka
from streaming.errors import FatalError, FencedError, OutageError, StreamingError
from streaming.records import Headers, PartitionId, Record, Slice
from streaming.settings import KafkaSettings, LandingSettings
from streaming.sinks.lake import LakePartition, LakeSink
from streaming.sinks.ods import OdsSink

POLL_RECORDS = 1_000
POLL_S = 0.1
LOOK_S = 5.0
"""How often an idle consumer looks whether its topics are still there."""
RETRY_S = (0.2, 5.0)
"""First and longest pause between tries in an outage."""

log = structlog.get_logger()


@dataclass(slots=True)
class Partition:
    """What an assigned partition has read and not yet landed."""

    id: PartitionId
    position: int
    ods_next: int
    lake: LakePartition
    pending: list[Record] = field(default_factory=list)
    committed: int = -1

    def take(self, record: Record) -> None:
        """Takes the next record from Kafka; what has been read already is dropped."""
        if record.offset < self.position:
            return
        self.position = record.offset + 1
        if record.offset >= self.ods_next:
            self.pending.append(record)
        self.lake.append(record)

    def slice(self) -> Slice:
        """Returns what the ODS lacks of what has been read."""
        return Slice(self.id, self.ods_next, self.position, self.pending)

    def land_in_lake(self, *, all_of_it: bool = False) -> None:
        """Puts the lake files that are due; see `LakePartition.land`."""
        # After a crash the ODS may be far ahead of what has been read again.
        self.lake.land(min(self.ods_next, self.position), all_of_it=all_of_it)


class Consumer:
    """One landing process. Run it until it is stopped; it may be stopped from any thread."""

    def __init__(
        self,
        kafka_settings: KafkaSettings,
        settings: LandingSettings,
        ods: OdsSink,
        lake: LakeSink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kafka_settings = kafka_settings
        self._settings = settings
        self._ods = ods
        self._lake = lake
        self._clock = clock
        self._stop = threading.Event()

    def stop(self) -> None:
        """Asks `run` to land what it has and return."""
        self._stop.set()

    def run(self) -> None:
        """Lands records until stopped.

        Raises:
            FatalError: Going on would lose or double records.
        """
        while not self._stop.is_set():
            session = _Session(
                self._kafka_settings, self._settings, self._ods, self._lake, self._clock, self._stop
            )
            try:
                session.run()
            except FencedError as error:
                log.warning("fenced", error=str(error), then="the offsets are read again")
                self._stop.wait(RETRY_S[1])


class _Session:
    """One membership in the consumer group, from joining to leaving."""

    def __init__(
        self,
        kafka_settings: KafkaSettings,
        settings: LandingSettings,
        ods: OdsSink,
        lake: LakeSink,
        clock: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._kafka_settings = kafka_settings
        self._settings = settings
        self._ods = ods
        self._lake = lake
        self._clock = clock
        self._stop = stop
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._noted: dict[PartitionId, int] = {}
        self._flushed_at = self._looked_at = clock()
        self._topic_ids: dict[str, str] = {}
        self._abandoned = False
        self._admin = kafka.admin_client(kafka_settings)
        self._consumer = ck.Consumer(kafka.consumer_config(kafka_settings), logger=kafka.LOGGER)

    def run(self) -> None:
        if not self._wait_out(self._prepare):
            return
        self._consumer.subscribe(
            list(self._settings.topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        log.info("started", topics=self._settings.topics, group=self._kafka_settings.group_id)
        try:
            while not self._stop.is_set():
                self._poll()
                self._poll_out(self._land_due)
        except (FatalError, FencedError):
            self._abandoned = True
            raise
        finally:
            self._consumer.close()  # revokes, and so lands what is left
            self._ods.close()
        log.info("stopped")

    def _prepare(self) -> None:
        self._lake.prepare()
        self._ask_topic_ids(self._settings.topics)

    def _ask_topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        return kafka.topic_ids(self._kafka_settings, topics, self._admin)

    # 1. A partition is assigned or taken away ---------------------------------------------------

    def _on_assign(self, consumer: ck.Consumer, assigned: list[ck.TopicPartition]) -> None:
        start: list[ck.TopicPartition] = []

        def resolve() -> None:
            start.clear()
            ids = self._ask_topic_ids(sorted({each.topic for each in assigned}))
            self._topic_ids.update(ids)
            for each in assigned:
                opened = self._open(each.topic, each.partition, ids[each.topic])
                self._partitions[each.topic, each.partition] = opened
                start.append(ck.TopicPartition(each.topic, each.partition, opened.position))

        if not self._wait_out(resolve):
            start.clear()
        consumer.incremental_assign(start)
        consumer.resume(start)  # one that left us in an outage comes back paused
        if start:
            log.info("assigned", offsets={f"{at.topic}[{at.partition}]": at.offset for at in start})

    def _on_revoke(self, consumer: ck.Consumer, revoked: list[ck.TopicPartition]) -> None:
        keys = [(each.topic, each.partition) for each in revoked]
        leaving = [self._partitions[key] for key in keys if key in self._partitions]
        if not self._abandoned:
            deadline = self._clock() + self._settings.stop_within_s
            try:
                self._land(leaving, deadline)
            except StreamingError as error:
                # Nothing is committed for these: the next owner reads them again.
                log.warning("not landed on leaving", error=str(error))
        self._forget(keys)
        consumer.incremental_unassign(revoked)

    def _on_lost(self, consumer: ck.Consumer, lost: list[ck.TopicPartition]) -> None:
        log.warning("lost partitions", partitions=[f"{at.topic}[{at.partition}]" for at in lost])
        self._forget([(each.topic, each.partition) for each in lost])
        consumer.incremental_unassign(lost)

    def _forget(self, keys: list[tuple[str, int]]) -> None:
        for key in keys:
            self._partitions.pop(key, None)

    def _open(self, topic: str, partition: int, topic_id: str) -> Partition:
        where = PartitionId(topic, self._ods.epoch(topic, topic_id), partition)
        log_start = kafka.log_start(self._consumer, topic, partition)
        chain_start = self._lake.start(where)
        landed = self._ods.open(where, topic_id, log_start if chain_start is None else chain_start)
        lake = self._lake.open(where, landed.start_offset, landed.lake_claim)
        if landed.next_offset < log_start:
            raise FatalError(
                f"Kafka has dropped records of {where} before they were landed: offsets "
                f"{landed.next_offset} to {log_start - 1} are gone from the broker (retention), "
                "and the ODS does not have them. Restore them from another copy of the topic"
            )
        if lake.next_offset < log_start:
            log.warning("filling the lake from the ODS", partition=str(where), up_to=log_start)
            limit = self._settings.flush_max_records
            lake.fill(lambda start: self._ods.read(where, start, limit), log_start)
        position = min(landed.next_offset, lake.next_offset)
        return Partition(where, max(position, log_start), landed.next_offset, lake)

    # 2. Poll --------------------------------------------------------------------------------------

    def _poll(self, wait_s: float = POLL_S) -> None:
        for message in self._consumer.consume(POLL_RECORDS, wait_s):
            error = message.error()
            if error is not None:
                self._on_error(message, error)
                continue
            partition = self._partition(message)
            if partition is not None:
                partition.take(_record(message))

    def _partition(self, message: ck.Message) -> Partition | None:
        topic, number = message.topic(), message.partition()
        return None if topic is None or number is None else self._partitions.get((topic, number))

    def _on_error(self, message: ck.Message, error: ck.KafkaError) -> None:
        code = error.code()
        if code == ck.KafkaError._PARTITION_EOF:
            partition, offset = self._partition(message), message.offset()
            if partition is not None and offset is not None:
                # Also over transaction markers and what log compaction has taken.
                partition.position = max(partition.position, offset)
        elif code in (ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE):
            raise FatalError(
                f"the broker does not have the offset that comes next in {message.topic()}"
                f"[{message.partition()}]: {error.str()}. Retention has overtaken landing, or the "
                "log was cut; restore the records, then start again"
            )
        elif code == ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise FatalError(f"the topic {message.topic()} is gone: {error.str()}")
        elif kafka.is_passing(error):
            log.warning("Kafka is not well", error=error.str())
        else:
            kafka.raise_typed(error, "polling")

    # 3. to 5. Land --------------------------------------------------------------------------------

    def _land_due(self) -> None:
        now = self._clock()
        partitions = list(self._partitions.values())
        waiting = sum(len(partition.pending) for partition in partitions)
        aged = now - self._flushed_at >= self._settings.flush_interval_s
        if waiting >= self._settings.flush_max_records or aged:
            self._flush(partitions)
            self._put(partitions)
            self._commit(partitions)
            self._flushed_at = now  # only now: a failed put is due until it succeeds
        if now - self._looked_at >= LOOK_S:
            self._look_at_topics({partition.id.topic for partition in partitions})
        if waiting:
            log.debug("polled", positions=sum(partition.position for partition in partitions))

    def _land(self, partitions: list[Partition], deadline: float) -> None:
        """Lands all that has been read of partitions that we are about to lose."""
        self._flush(partitions)
        for partition in partitions:
            if self._clock() > deadline:
                log.warning("left to the next owner", partition=str(partition.id))
                continue
            partition.land_in_lake(all_of_it=True)
        self._note(partitions)
        self._commit(partitions, wait=True)

    def _flush(self, partitions: list[Partition]) -> None:
        slices = [
            partition.slice() for partition in partitions if partition.position > partition.ods_next
        ]
        if not slices:
            return
        # After the poll: what was read before this answer is of the topic that we know.
        self._look_at_topics({each.partition.topic for each in slices if each.records})
        quarantined = self._ods.land(slices)
        records = sum(len(each.records) for each in slices)
        log.debug("landed", records=records, quarantined=quarantined)
        for partition in partitions:
            if partition.position > partition.ods_next:
                partition.ods_next = partition.position
                partition.pending = []

    def _look_at_topics(self, topics: set[str]) -> None:
        self._looked_at = self._clock()
        if not topics:
            return
        for topic, topic_id in self._ask_topic_ids(sorted(topics)).items():
            if topic_id != self._topic_ids[topic]:
                self._ods.epoch(topic, topic_id)  # refuses it, unless it is an epoch of its own
                raise FencedError(f"the topic {topic} has begun another epoch")

    def _put(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            partition.land_in_lake()
        self._note(partitions)

    def _note(self, partitions: list[Partition]) -> None:
        claims = {
            partition.id: partition.lake.confirmed
            for partition in partitions
            if partition.lake.confirmed is not None
            and partition.lake.confirmed != self._noted.get(partition.id)
        }
        if claims:
            self._ods.note_lake(claims)
            self._noted.update(claims)

    def _commit(self, partitions: list[Partition], *, wait: bool = False) -> None:
        offsets = []
        for partition in partitions:
            slower = min(partition.ods_next, partition.lake.next_offset)
            if slower > partition.committed:
                partition.committed = slower
                offsets.append(
                    ck.TopicPartition(partition.id.topic, partition.id.partition, slower)
                )
        if not offsets:
            return
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except ck.KafkaException as failure:
            log.info("hint not committed", error=failure.args[0].str())

    # Outages --------------------------------------------------------------------------------------

    def _wait_out(self, step: Callable[[], None]) -> bool:
        """Repeats a step that needs other systems until it succeeds; False where we are stopped.

        Safe in Kafka's callbacks: the membership is kept by librdkafka's own thread.
        """
        with _Outage(self._clock) as outage:
            while not self._stop.is_set():
                try:
                    step()
                except OutageError as error:
                    self._stop.wait(outage.pause(error))
                else:
                    return True
        return False

    def _poll_out(self, step: Callable[[], None]) -> None:
        """Repeats a step until it succeeds or we are stopped; partitions pause, polling goes on."""
        with _Outage(self._clock) as outage:
            while not self._stop.is_set():
                try:
                    step()
                except OutageError as error:
                    until = self._clock() + outage.pause(error)
                    while self._clock() < until and not self._stop.is_set():
                        self._consumer.pause(self._consumer.assignment())
                        self._poll()
                else:
                    break
            if outage.error is not None:
                self._consumer.resume(self._consumer.assignment())


def _record(message: ck.Message) -> Record:
    kind, timestamp = message.timestamp()
    # The client's types allow text here, for what it sends; what it reads is bytes.
    offset = cast(int, message.offset())
    headers = cast(Headers | None, message.headers())
    return Record(offset, timestamp, kind, message.key(), headers, message.value())


class _Outage:
    """Says once that it began and once that it is over, and how long to wait between tries."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.error: OutageError | None = None
        self._clock = clock
        self._pause, self._longest = RETRY_S
        self._since = clock()

    def __enter__(self) -> "_Outage":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.error is not None and kind is None:
            log.info("outage over", seconds=round(self._clock() - self._since, 1))

    def pause(self, error: OutageError) -> float:
        """Returns the seconds until the next try."""
        if self.error is None:
            self._since = self._clock()
            log.error("outage", error=str(error), then="partitions pause until it is over")
        self.error = error
        seconds, self._pause = self._pause, min(self._pause * 2, self._longest)
        return seconds
