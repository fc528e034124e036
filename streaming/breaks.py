"""What has become of the logs since they were landed, and where a new epoch would begin."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from streaming import kafka
from streaming.cuts import cut_logs
from streaming.epochs import Epoch
from streaming.errors import FencedError
from streaming.kafka import Where
from streaming.opening import restore, settle
from streaming.parting import parting
from streaming.records import PartitionId
from streaming.settings import KafkaSettings
from streaming.sinks.lake import LakeSink
from streaming.sinks.ods import Landed, OdsSink, Row


class State(StrEnum):
    """What has become of a log."""

    OK = "ok"
    NEW = "new"
    RECREATED = "recreated"
    TRUNCATED = "truncated"
    OVERTAKEN = "overtaken"
    ENDED = "ended"


BREAKS = frozenset({State.RECREATED, State.TRUNCATED, State.OVERTAKEN})
"""What a person has to accept before landing goes on."""


class Span(NamedTuple):
    """Where a log begins and ends."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Log:
    """A partition in one epoch, and what has become of its log.

    `landed` is None where nothing has landed yet; `log` where Kafka cannot say, because the epoch
    has ended or the topic has no such partition any more.
    """

    where: PartitionId
    topic_id: str
    landed: Landed | None
    log: Span | None
    state: State

    @property
    def story(self) -> str:
        """What has happened, in words."""
        if self.landed is None or self.log is None:
            return str(self.state)
        landed, log = self.landed.next_offset, self.log
        if self.state is State.OVERTAKEN:
            gone = log.start - landed
            return f"overtaken: {gone} offsets are gone, {landed} to {log.start - 1}"
        if self.state is State.TRUNCATED and log.end < landed:
            return f"truncated: {landed - log.end} offsets are gone, {log.end} to {landed - 1}"
        return str(self.state)


class Inspector:
    """Compares what has landed with the logs as they are.

    Args:
        settings: The broker.
        ods: The ODS, as the consumer.
        lake: The lake.
        limit: How many records to handle at a time.
    """

    def __init__(self, settings: KafkaSettings, ods: OdsSink, lake: LakeSink, limit: int) -> None:
        self._settings = settings
        self._ods = ods
        self._lake = lake
        self._limit = limit
        self._admin = kafka.admin_client(settings)

    def inspect(self, topics: Sequence[str]) -> list[Log]:
        """Returns the partitions of the topics, in all their epochs.

        Raises:
            FatalError: A topic does not exist.
            OutageError: A system does not answer.
        """
        ids = kafka.topic_ids(self._settings, topics, self._admin)
        parts = kafka.partitions_of(self._admin, self._settings, topics)
        places = [(topic, number) for topic in topics for number in parts[topic]]
        rows = {topic: self._ods.partitions(topic) for topic in topics}
        # After the ODS was asked: a consumer that runs is never ahead of these ends.
        starts = kafka.log_starts(self._admin, places)
        ends = kafka.high_watermarks(self._admin, places)
        spans = {place: Span(starts[place], ends[place]) for place in places}
        last_records = {
            row.where: row.landed.last_record
            for topic in topics
            for row in _current(rows[topic])
            if row.topic_id == ids[topic] and row.landed.last_record is not None
        }
        cut = cut_logs(self._settings, self._admin, self._ods, self._lake.store, last_records)
        return [
            log
            for topic in topics
            for log in self._of_topic(topic, ids[topic], rows[topic], spans, cut)
        ]

    def restore(self, topic: str) -> None:
        """Brings the ODS up to the lake: one from a backup may only seem overtaken.

        Raises:
            FencedError: A consumer lands the topic.
            FatalError: The lake has lost something.
            OutageError: A system does not answer.
        """
        settle(self._ods, self._lake, topic, self._limit)
        for where, topic_id, landed in _current(self._ods.partitions(topic)):
            restore(self._ods, self._lake, where, topic_id, landed.start_offset)

    def next_epoch(self, logs: Sequence[Log], begun_at: datetime, begun_by: str) -> Epoch:
        """Returns the epoch that accepts what has become of a topic's logs.

        Its `starts` name the partitions that do not just go on.

        Args:
            logs: The logs of one topic, of which some are broken.
            begun_at: The time.
            begun_by: Who accepts it.
        """
        current = [log for log in logs if log.state is not State.ENDED]
        starts = {log.where.partition: self._begins_at(log) for log in current}
        stories = {
            _story(log, starts[log.where.partition]) for log in current if log.state in BREAKS
        }
        return Epoch(
            current[0].where.topic,
            current[0].where.epoch + 1,
            current[0].topic_id,
            {number: at for number, at in starts.items() if at is not None},
            begun_at,
            begun_by,
            "; ".join(sorted(stories)),
        )

    def begin(self, epoch: Epoch, logs: Sequence[Log]) -> Epoch:
        """Begins an epoch in the ODS and in the lake.

        Args:
            epoch: The epoch, from `next_epoch`.
            logs: The logs it was made from.

        Returns:
            The epoch with the starts of all its partitions.

        Raises:
            FencedError: Something else has happened meanwhile; nothing was changed.
            OutageError: A system does not answer. If the ODS has the epoch, the consumer goes on.
        """
        seen = {
            log.where.partition: log.landed.next_offset
            for log in logs
            if log.state in BREAKS and log.landed is not None
        }
        begun = self._ods.begin(epoch, seen)
        with suppress(FencedError):  # a consumer that runs has begun to do the same
            settle(self._ods, self._lake, epoch.topic, self._limit)
        return begun

    def _of_topic(
        self,
        topic: str,
        topic_id: str,
        rows: Sequence[Row],
        spans: dict[Where, Span],
        cut: set[PartitionId],
    ) -> list[Log]:
        newest = rows[-1].where.epoch if rows else 0
        current = {row.where.partition: row for row in _current(rows)}
        logs = [
            Log(row.where, row.topic_id, row.landed, None, State.ENDED)
            for row in rows
            if row.where.epoch < newest
        ]
        recreated = any(row.topic_id != topic_id for row in current.values())
        numbers = {number for name, number in spans if name == topic}
        for number in sorted(numbers | current.keys()):
            where, span = PartitionId(topic, newest, number), spans.get((topic, number))
            landed = current[number].landed if number in current else None
            if recreated:
                state = State.RECREATED
            elif landed is None or span is None:
                state = State.NEW
            else:
                state = self._state(where, landed, span, is_cut=where in cut)
            logs.append(Log(where, topic_id, landed, span, state))
        return logs

    def _state(self, where: PartitionId, landed: Landed, log: Span, *, is_cut: bool) -> State:
        if is_cut or landed.next_offset > log.end:
            return State.TRUNCATED
        if landed.next_offset < log.start:
            # What the lake has beyond the ODS is restored from there.
            reached = self._lake.reached(where, landed.start_offset, landed.lake_claim)
            return State.OVERTAKEN if reached < log.start else State.OK
        return State.OK

    def _begins_at(self, log: Log) -> int | None:
        """Returns where a log begins in the next epoch; None: where it is."""
        if log.log is None or log.state is State.OK:
            return None
        if log.state is not State.TRUNCATED or log.landed is None:
            return log.log.start
        start, end = log.log
        end = min(end, log.landed.next_offset)
        return parting(
            self._settings, self._admin, self._ods, self._lake.store, log.where, start, end
        )


def _current(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows of the newest epoch, of a topic's rows in the order of their epochs."""
    return [row for row in rows if row.where.epoch == rows[-1].where.epoch]


def _story(log: Log, start: int | None) -> str:
    if log.state is State.RECREATED:
        return str(log.state)
    story = f"truncated at {start}" if log.state is State.TRUNCATED else log.story
    return f"partition {log.where.partition} {story}"
