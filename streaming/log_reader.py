"""Reads one partition's log in order, as a consumer of no group."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from streaming import kafka
from streaming.errors import OutageError
from streaming.kafka import Where
from streaming.records import Headers, Record
from streaming.settings import KafkaSettings

POLL_S = 0.05
"""How long one batch from Kafka may gather."""

Taken = TypeVar("Taken")


class LogReader(Generic[Taken]):
    """The records of one partition as Kafka has them.

    Args:
        settings: The broker.
        admin: A client for questions.
        where: The partition.
        end: Where reading ends: an offset that the log has reached, or markers up to there.
        take: What is kept of a record.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        admin: AdminClient,
        where: Where,
        end: int,
        take: Callable[[ck.Message], Taken],
    ) -> None:
        self.start = kafka.log_starts(admin, [where])[where]
        self.end = end
        self._where = where
        self._take = take
        self._consumer = ck.Consumer(kafka.reader_config(settings), logger=kafka.LOGGER)
        self._position: int | None = None
        self._waiting: list[tuple[int, Taken]] = []

    def __enter__(self) -> "LogReader[Taken]":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, low: int, high: int) -> list[Taken]:
        """Returns what was taken of the records in [low, high); ranges must come in order."""
        if self._position is None:
            self._position = max(low, self.start)
            if self._position < self.end:
                self._consumer.assign([ck.TopicPartition(*self._where, self._position)])
        while self._position < min(high, self.end):
            self._position = self._read(self._position)
        inside = [taken for offset, taken in self._waiting if low <= offset < high]
        self._waiting = [each for each in self._waiting if each[0] >= high]
        return inside

    def _read(self, position: int) -> int:
        # A batch is only handed over when it is full or its time is up: short times, many tries.
        name = f"{self._where[0]}[{self._where[1]}]"
        messages: list[ck.Message] = []
        deadline = time.monotonic() + kafka.ANSWER_WITHIN_S
        while not messages:
            if time.monotonic() > deadline:
                raise OutageError(f"Kafka does not answer while reading {name}")
            messages = self._consumer.consume(10_000, POLL_S)
        for message in messages:
            offset, error = message.offset(), message.error()
            if error is None and offset is not None:
                position = offset + 1
                if offset < self.end:
                    self._waiting.append((offset, self._take(message)))
            elif error is not None and error.code() == ck.KafkaError._PARTITION_EOF:
                position = max(position, self.end)
            elif error is not None:
                kafka.raise_typed(error, f"reading {name}")
        return position


def record_of(message: ck.Message) -> Record:
    """Returns a message as a record."""
    kind, timestamp = message.timestamp()
    headers = cast(Headers | None, message.headers())
    return Record(
        cast(int, message.offset()), timestamp, kind, message.key(), headers, message.value()
    )
