"""The landing consumer: Kafka → ODS → lake, every record exactly once in each.

Each sink knows by itself how far it has got, so nothing here needs to be remembered:

1. A partition is assigned: bring each sink up to the other; begin at the ODS' next offset, if the
   log still is what was landed.
2. Poll. What has been read is cut into slices, each a range of offsets of one partition.
3. Land slices in the ODS: rows, quarantine and next offsets in one transaction. Before, look
   whether the topics are still the same: under a topic that is made again the client reads on as
   if nothing had happened.
4. Hand on to the lake what the ODS has landed; put the files that are due.
5. Commit to Kafka the smaller of the two offsets, as a hint.

Polling, packing, the ODS and the lake have a thread each; slices are handed from one to the next:

    poll ──slices──► pack stage ──rows──► ODS stage ──landed slices──► lake stage

An outage holds up its own stage. What has been polled and not landed is bounded: when the buffer
is full, partitions pause, and polling goes on, so the group membership is kept. Fenced by another
consumer: throw everything away and begin at 1.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import NamedTuple, cast

import confluent_kafka as ck
import structlog

from streaming import kafka, metrics
from streaming.budget import Budget
from streaming.cuts import LastRecord, cut_logs
from streaming.errors import FatalError, FencedError, StreamingError
from streaming.kafka import Where
from streaming.opening import level, settle
from streaming.records import Headers, PartitionId, Records, Slice
from streaming.settings import KafkaSettings, LandingSettings
from streaming.sinks.lake import LakePartition, LakeSink
from streaming.sinks.ods import InLake, OdsSink
from streaming.sinks.ods_rows import Packed
from streaming.stage import Result, Stage

POLL_RECORDS = 1_000
POLL_S = 0.1
LOOK_S = 5.0
"""How often an idle consumer looks whether its topics are still there."""
RELIEF_S = 1.0
"""How long a full buffer is waited for before partitions pause: a pause throws away prefetches."""
FENCED_S = 5.0
"""Pause after another consumer has fenced this one."""
AHEAD = 2
"""Flushes that may wait: while one is being landed, the next is packed."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Partition:
    """An assigned partition: what was read and not yet handed over, and how far its sinks are.

    `ods_next` is written by the ODS stage alone, `lake_next` and `lake_claim` by the lake stage;
    everything else by the polling thread. Once `lost`, nothing more of it is landed.

    `last_record` is offset and leader epoch of the last one read, `before_turn` of the last one
    before the leader changed, until it is handed over.
    """

    id: PartitionId
    position: int
    ods_next: int
    lake_next: int
    lake_claim: int | None
    pending: Records = field(default_factory=Records)
    pending_bytes: int = 0
    last_record: LastRecord | None = None
    before_turn: LastRecord | None = None
    handed_over: int = 0
    committed: int = -1
    lost: bool = False

    def read(self, records: Records, leader_epoch: int | None) -> int:
        """Takes what has been polled; returns about how many bytes that is."""
        if below := records.index(self.position):
            records = records[below:]
        if not records:
            return 0
        self.position = records.offsets[-1] + 1
        if self.last_record is not None and self.last_record[1] != leader_epoch:
            self.before_turn = self.last_record
        self.last_record = None if leader_epoch is None else (self.position - 1, leader_epoch)
        self.pending.extend(records)
        size = records.size
        self.pending_bytes += size
        return size

    def cut(self) -> "_Work":
        """Returns what has been read since the last cut."""
        leader_epoch = None if self.last_record is None else self.last_record[1]
        each = Slice(self.id, self.handed_over, self.position, self.pending, leader_epoch)
        work = _Work(self, each, self.pending_bytes, self.before_turn)
        self.before_turn = None
        self.handed_over, self.pending, self.pending_bytes = self.position, Records(), 0
        return work


class _Work(NamedTuple):
    """A slice on its way through the stages, and about how many bytes it holds."""

    partition: Partition
    slice: Slice
    bytes: int
    before_turn: LastRecord | None


class _Opened(NamedTuple):
    """A partition that can be read, and its end of the lake."""

    partition: Partition
    lake: LakePartition


@dataclass(slots=True)
class _Opening:
    """Partitions that were assigned and are being opened."""

    wanted: set[Where]
    opened: Future[list[_Opened]]


class Consumer:
    """One landing process. Run it until it is stopped; it may be stopped from any thread.

    Args:
        kafka_settings: The broker and the group.
        settings: How writes are grouped, and how much may wait in memory.
        open_ods: Makes the ODS sink; another one after a fence, for the last step of the old one
            may still hang.
        open_lake: Makes the lake sink.
    """

    def __init__(
        self,
        kafka_settings: KafkaSettings,
        settings: LandingSettings,
        open_ods: Callable[[], OdsSink],
        open_lake: Callable[[], LakeSink],
    ) -> None:
        self._kafka_settings = kafka_settings
        self._settings = settings
        self._open_ods = open_ods
        self._open_lake = open_lake
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
                self._kafka_settings,
                self._settings,
                self._open_ods(),
                self._open_lake(),
                self._stop,
            )
            try:
                session.run()
            except FencedError as error:
                log.warning("fenced", error=str(error), then="the offsets are read again")
                metrics.FENCED.inc()
                self._stop.wait(FENCED_S)


class _Session:
    """One membership in the consumer group, from joining to leaving."""

    def __init__(
        self,
        kafka_settings: KafkaSettings,
        settings: LandingSettings,
        ods: OdsSink,
        lake: LakeSink,
        stop: threading.Event,
    ) -> None:
        self._kafka_settings = kafka_settings
        self._settings = settings
        self._stop = stop
        self._partitions: dict[Where, Partition] = {}
        self._openings: list[_Opening] = []
        self._budget = Budget(settings.unlanded_bytes)
        self._paused = False
        self._flushed_at = self._looked_at = time.monotonic()
        self._abandoned = False
        self._admin = kafka.admin_client(kafka_settings)
        self._consumer = ck.Consumer(
            kafka.consumer_config(kafka_settings, settings.unread_bytes),
            logger=kafka.LOGGER,
        )
        # Each sink, and what follows it here, belongs to the thread of its stage.
        self._pack_stage = Stage("packing")
        self._ods = ods
        self._ods_stage = Stage("ods")
        self._topic_ids: dict[str, str] = {}
        self._lake = lake
        self._in_lake: dict[PartitionId, _Opened] = {}
        self._lake_stage = Stage("lake", self._put, settings.flush_interval_s)
        self._stages = (self._pack_stage, self._ods_stage, self._lake_stage)

    def run(self) -> None:
        ended_well = False
        try:
            self._prepare()
            self._consumer.subscribe(
                list(self._settings.topics),
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            log.info("started", topics=self._settings.topics, group=self._kafka_settings.group_id)
            while not self._stop.is_set():
                self._check()
                self._begin_opened()
                self._hold_back()
                self._poll()
                self._hand_over_due()
            self._check()
            ended_well = True
        finally:
            if not ended_well:
                self._abandoned = True
                self._end_stages()
            self._consumer.close()  # revokes, and so lands what is left
            self._end_stages()
        log.info("stopped")

    def _prepare(self) -> None:
        """Waits until Kafka and the lake have answered, and know the topics and us."""
        answers: list[Future[object]] = [
            self._ods_stage.submit(lambda: self._ask_topic_ids(self._settings.topics)),
            self._lake_stage.submit(self._lake.prepare),
        ]
        while not self._stop.wait(0.05) and not all(answer.done() for answer in answers):
            self._check()

    def _check(self) -> None:
        for stage in self._stages:
            stage.check()

    def _end_stages(self) -> None:
        for stage in self._stages:
            stage.end()
        self._pack_stage.join(1)
        self._lake_stage.join(1)
        if self._ods_stage.join(1):
            self._ods.close()

    # 1. A partition is assigned or taken away ---------------------------------------------------

    def _on_assign(self, consumer: ck.Consumer, assigned: list[ck.TopicPartition]) -> None:
        # Reading begins once the sinks have said where, which may take as long as an outage.
        consumer.incremental_assign([])
        wanted = {(each.topic, each.partition) for each in assigned}
        if wanted:
            opened = self._ods_stage.submit(partial(self._open_all, sorted(wanted)))
            self._openings.append(_Opening(wanted, opened))

    def _begin_opened(self) -> None:
        for opening in [each for each in self._openings if each.opened.done()]:
            self._openings.remove(opening)
            start: list[ck.TopicPartition] = []
            for opened in opening.opened.result():
                partition = opened.partition
                where = (partition.id.topic, partition.id.partition)
                if where in opening.wanted:
                    self._partitions[where] = partition
                    self._lake_stage.submit(partial(self._add_to_lake, opened))
                    start.append(ck.TopicPartition(*where, partition.position))
            if start:
                self._consumer.incremental_assign(start)
                offsets = {f"{at.topic}[{at.partition}]": at.offset for at in start}
                log.info("assigned", offsets=offsets)

    def _on_revoke(self, consumer: ck.Consumer, revoked: list[ck.TopicPartition]) -> None:
        leaving = self._leaving(revoked)
        if leaving and not self._abandoned:
            try:
                self._land_all(leaving, time.monotonic() + self._settings.stop_within_s)
            except (StreamingError, TimeoutError, CancelledError) as error:
                # Nothing is committed for these: the next owner reads them again.
                log.warning("not landed on leaving", error=str(error) or type(error).__name__)
        self._forget(consumer, leaving)

    def _on_lost(self, consumer: ck.Consumer, lost: list[ck.TopicPartition]) -> None:
        log.warning("lost partitions", partitions=[f"{at.topic}[{at.partition}]" for at in lost])
        self._forget(consumer, self._leaving(lost))

    def _leaving(self, taken: list[ck.TopicPartition]) -> list[Partition]:
        """Returns those of the partitions taken from us that have been opened."""
        keys = {(each.topic, each.partition) for each in taken}
        for opening in self._openings:
            opening.wanted -= keys
        return [self._partitions[key] for key in sorted(keys & self._partitions.keys())]

    def _land_all(self, partitions: list[Partition], deadline: float) -> None:
        """Lands all that has been read of partitions that we are about to lose."""

        def close() -> None:
            self._lake.close([each.id for each in partitions if not each.lost])
            self._publish()

        self._hand_over(partitions)
        packed = self._pack_stage.submit(lambda: None)
        self._await(packed, deadline)
        landed = self._ods_stage.submit(lambda: None)
        self._await(landed, deadline)
        self._await(self._lake_stage.submit(close), deadline)
        # What retention goes by must not miss a topic's last claim when it falls silent.
        noted = self._ods_stage.submit(lambda: None)
        self._await(noted, deadline)
        self._commit(partitions, wait=True)

    def _await(self, future: Future[Result], deadline: float) -> Result:
        """Waits for a step; not for the end of an outage."""
        while True:
            self._check()
            for stage in self._stages:
                if stage.outage is not None:
                    raise stage.outage
            try:
                return future.result(0.05)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise

    def _forget(self, consumer: ck.Consumer, partitions: list[Partition]) -> None:
        for each in partitions:
            each.lost = True
            self._budget.give(each.pending_bytes)
            del self._partitions[each.id.topic, each.id.partition]
            for copy in ("kafka", "ods", "lake"):
                metrics.NEXT_OFFSET.remove(copy, each.id.topic, each.id.partition)
        gone = [each.id for each in partitions]
        if gone:
            self._lake_stage.submit(partial(self._take_from_lake, gone))
        # Also of none: else the client takes back all, and fails at what was still being opened.
        consumer.incremental_unassign(
            [ck.TopicPartition(each.topic, each.partition) for each in gone]
        )

    # 1. In the ODS stage

    def _open_all(self, wanted: Sequence[Where]) -> list[_Opened]:
        topics = sorted({topic for topic, _ in wanted})
        for topic in topics:
            settle(self._ods, self._lake, topic, self._settings.flush_max_records)
        ids = self._ask_topic_ids(topics)
        self._topic_ids.update(ids)
        starts = kafka.log_starts(self._admin, wanted)
        opened: list[_Opened] = []
        for topic, number in wanted:
            where = PartitionId(topic, self._ods.epoch(topic, ids[topic]), number)
            log_start, limit = starts[topic, number], self._settings.flush_max_records
            landed, lake = level(self._ods, self._lake, where, ids[topic], log_start, limit)
            at = landed.next_offset
            partition = Partition(
                where,
                at,
                at,
                lake.next_offset,
                landed.lake_claim,
                last_record=landed.last_record,
                handed_over=at,
            )
            opened.append(_Opened(partition, lake))
        # After the ODS was asked: another consumer may still have landed more.
        ends = kafka.high_watermarks(self._admin, wanted)
        for place, (partition, _) in zip(wanted, opened, strict=True):
            _refuse_broken(partition.id, partition.position, starts[place], ends[place])
        self._refuse_cut({each.partition.id: each.partition.last_record for each in opened})
        return opened

    def _refuse_cut(self, last_records: Mapping[PartitionId, LastRecord | None]) -> None:
        known = {where: last for where, last in last_records.items() if last is not None}
        for where in cut_logs(
            self._kafka_settings, self._admin, self._ods, self._lake.store, known
        ):
            raise FatalError(
                f"the log of {where} was cut and has grown since: it does not have the last record "
                f"that we have read. {kafka.CUT}: `fleetpulse epochs begin {where.topic}`"
            )

    def _ask_topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        return kafka.topic_ids(self._kafka_settings, topics, self._admin)

    # 2. Poll --------------------------------------------------------------------------------------

    def _hold_back(self) -> None:
        """Pauses partitions while the buffer is full, and resumes them when half of it is free."""
        if self._paused and self._budget.is_low:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())
            log.info("resumed")
        elif self._paused or (self._budget.is_full and not self._budget.wait(RELIEF_S)):
            if not self._paused:
                log.info("paused", why="what has been read waits to be landed")
            self._paused = True
            self._consumer.pause(self._consumer.assignment())  # also what was assigned since
        metrics.PAUSED.set(self._paused)
        metrics.WAITING_BYTES.set(self._budget.held)

    def _poll(self) -> None:
        messages = self._consumer.consume(POLL_RECORDS, POLL_S)
        if not any(map(ck.Message.error, messages)):
            self._read(messages)
            return
        # In their order: an end of the log is told after the records that come before it.
        for is_error, run in groupby(messages, lambda message: message.error() is not None):
            if is_error:
                for message in run:
                    self._on_error(message)
            else:
                self._read(list(run))

    def _read(self, messages: Sequence[ck.Message]) -> None:
        # The client's types allow text and None here, for what it sends.
        places = cast(
            Iterable[Where],
            zip(map(ck.Message.topic, messages), map(ck.Message.partition, messages), strict=True),
        )
        start = 0
        for where, run in groupby(places):
            stop = start + sum(1 for _ in run)
            partition = self._partitions.get(where)
            if partition is not None:
                self._budget.take(_read_run(partition, messages[start:stop]))
            start = stop

    def _on_error(self, message: ck.Message) -> None:
        error = cast(ck.KafkaError, message.error())
        code = error.code()
        if code == ck.KafkaError._PARTITION_EOF:
            partition = self._partitions.get(cast(Where, (message.topic(), message.partition())))
            offset = message.offset()
            if partition is not None and offset is not None:
                # Also over transaction markers and what log compaction has taken.
                partition.position = max(partition.position, offset)
        elif code in (ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE):
            raise FatalError(
                f"the broker does not have what comes next in {message.topic()}"
                f"[{message.partition()}]: {error.str()}. Retention has overtaken landing, or the "
                f"log was cut. {kafka.CUT}: `fleetpulse epochs list` tells what has happened, "
                f"`fleetpulse epochs begin {message.topic()}` accepts it"
            )
        elif code == ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise FatalError(f"the topic {message.topic()} is gone: {error.str()}")
        elif kafka.is_passing(error):
            log.warning("Kafka is not well", error=error.str())
        else:
            kafka.raise_typed(error, "polling")

    def _hand_over_due(self) -> None:
        now = time.monotonic()
        partitions = list(self._partitions.values())
        waiting = sum(len(partition.pending) for partition in partitions)
        aged = now - self._flushed_at >= self._settings.flush_interval_s
        full = waiting >= self._settings.flush_max_records or self._budget.is_full
        if (aged or full) and self._pack_stage.waiting + self._ods_stage.waiting < AHEAD:
            if self._hand_over(partitions):
                self._looked_at = now
            self._commit(partitions)
            self._tell_metrics(partitions)
            self._flushed_at = now
        if now - self._looked_at >= LOOK_S and not self._ods_stage.waiting:
            topics = sorted(self._topic_ids)
            self._ods_stage.submit(
                lambda: self._look_at_topics(partial(self._ask_topic_ids, topics))
            )
            self._looked_at = now
        if waiting:
            log.debug("polled", positions=sum(partition.position for partition in partitions))

    def _tell_metrics(self, partitions: Iterable[Partition]) -> None:
        for each in partitions:
            where = each.id.topic, each.id.partition
            _, end = self._consumer.get_watermark_offsets(ck.TopicPartition(*where), cached=True)
            for copy, offset in (("kafka", end), ("ods", each.ods_next), ("lake", each.lake_next)):
                if offset >= 0:  # the end of the log is not known before something was read
                    metrics.NEXT_OFFSET.labels(copy, *where).set(offset)

    def _hand_over(self, partitions: Iterable[Partition]) -> bool:
        work = [each.cut() for each in partitions if each.position > each.handed_over]
        if work:
            self._pack_stage.submit(partial(self._pack, work))
        return bool(work)

    # 3. In the pack stage

    def _pack(self, work: Sequence[_Work]) -> None:
        # After the poll: what was read before this answer is of the topic that we know.
        topics = sorted({each.slice.partition.topic for each in work if each.slice.records})
        asked = kafka.ask_topic_ids(self._kafka_settings, topics, self._admin) if topics else dict
        packed = self._ods.pack([each.slice for each in work])
        self._ods_stage.submit(partial(self._land, work, packed, asked))

    # 3. In the ODS stage

    def _land(
        self, work: Sequence[_Work], packed: Packed, asked: Callable[[], dict[str, str]]
    ) -> None:
        live = [each for each in work if not each.partition.lost]
        if len(live) < len(work):
            packed = self._ods.pack([each.slice for each in live])
        self._look_at_topics(asked)
        self._refuse_cut({each.slice.partition: each.before_turn for each in live})
        with metrics.FLUSH_S.time():
            quarantined = self._ods.land(packed) if live else 0
        metrics.QUARANTINED.inc(quarantined)
        for each in live:
            each.partition.ods_next = each.slice.next
            metrics.LANDED.labels(each.slice.partition.topic).inc(len(each.slice.records))
        records = sum(len(each.slice.records) for each in live)
        log.debug("landed", records=records, quarantined=quarantined)
        self._lake_stage.submit(partial(self._take, work))

    def _look_at_topics(self, asked: Callable[[], dict[str, str]]) -> None:
        for topic, topic_id in asked().items():
            if topic_id != self._topic_ids[topic]:
                self._ods.epoch(topic, topic_id)  # refuses it, unless it is an epoch of its own
                raise FencedError(f"the topic {topic} has begun another epoch")

    # 4. In the lake stage -------------------------------------------------------------------------

    def _add_to_lake(self, opened: _Opened) -> None:
        if not opened.partition.lost:
            self._lake.add(opened.lake)
            self._in_lake[opened.partition.id] = opened

    def _take(self, work: Sequence[_Work]) -> None:
        self._lake.take(each.slice for each in work if not each.partition.lost)
        self._put()
        self._budget.give(sum(each.bytes for each in work))

    def _put(self) -> None:
        self._lake.land()
        self._publish()

    def _take_from_lake(self, gone: Sequence[PartitionId]) -> None:
        self._lake.forget(gone)
        for each in gone:
            self._in_lake.pop(each, None)

    def _publish(self) -> None:
        """Tells the others how far the lake has got."""
        proven: dict[PartitionId, InLake] = {}
        for where, (partition, lake) in self._in_lake.items():
            partition.lake_next = lake.next_offset
            if lake.confirmed is not None and lake.confirmed != partition.lake_claim:
                partition.lake_claim = lake.confirmed
                proven[where] = InLake(lake.confirmed, lake.next_offset)
        if proven:
            self._ods_stage.submit(lambda: self._ods.note_lake(proven))

    # 5. Commit a hint -----------------------------------------------------------------------------

    def _commit(self, partitions: Iterable[Partition], *, wait: bool = False) -> None:
        offsets = []
        for each in partitions:
            slower = min(each.ods_next, each.lake_next)
            if slower > each.committed:
                each.committed = slower
                offsets.append(ck.TopicPartition(each.id.topic, each.id.partition, slower))
        if not offsets:
            return
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except ck.KafkaException as failure:
            log.info("hint not committed", error=failure.args[0].str())


def _read_run(partition: Partition, messages: Sequence[ck.Message]) -> int:
    """Hands messages to their partition, by leader epoch; returns about how many bytes they are."""
    first, last = messages[0].leader_epoch(), messages[-1].leader_epoch()
    if first == last:
        return partition.read(_records(messages), last)
    turns = groupby(messages, ck.Message.leader_epoch)
    return sum(partition.read(_records(list(run)), leader) for leader, run in turns)


def _refuse_broken(where: PartitionId, at: int, log_start: int, log_end: int) -> None:
    if at < log_start:
        raise FatalError(
            f"Kafka has dropped records of {where} before they were landed: offsets {at} to "
            f"{log_start - 1} are gone from the broker (retention), and neither the ODS nor the "
            "lake has them. Fetch them from another copy of the topic if there is one (the cluster "
            "that it is mirrored from); to go on without them: `fleetpulse epochs begin "
            f"{where.topic}`"
        )
    if at > log_end:
        raise FatalError(
            f"the log of {where} was cut: it ends at {log_end}, and what lies below {at} has "
            f"landed. {kafka.CUT}: `fleetpulse epochs begin {where.topic}`"
        )


def _records(messages: Sequence[ck.Message]) -> Records:
    """Returns polled messages of one partition, column by column: half the cost of row by row."""
    kinds, timestamps = zip(*map(ck.Message.timestamp, messages), strict=True)
    return Records(
        cast(list[int], list(map(ck.Message.offset, messages))),
        list(timestamps),
        list(kinds),
        cast(list[bytes | None], list(map(ck.Message.key, messages))),
        cast(list[Headers | None], list(map(ck.Message.headers, messages))),
        cast(list[bytes | None], list(map(ck.Message.value, messages))),
    )
