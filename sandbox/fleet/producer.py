"""Puts records into Kafka: history as fast as the broker takes it, then each when it arrives."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sandbox.fleet.errors import DeliveryError
from sandbox.fleet.records import Record
from streaming.contracts import CONTRACTS

_MAX_MESSAGE_BYTES = 1_048_000
_QUEUE_FULL_WAIT_S = 0.05
_PATIENCE_S = 0.1
"""The longest that a signal waits for its answer."""

_BREATH = 500
"""How many records of history are handed over between two looks at what became of them."""

_ANSWER_S = 5.0
_DELIVERY_MS = 30_000

SETTINGS: Mapping[str, str | int | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    # As the Java clients choose partitions, so a device keeps its own whoever sends for it.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 5,
    "message.max.bytes": _MAX_MESSAGE_BYTES,
    "queue.buffering.max.messages": 50_000,
    "delivery.timeout.ms": _DELIVERY_MS,
    # What a retry mends is no news; what it does not mend comes back by the delivery reports.
    "log_level": 0,
}


@dataclass(slots=True)
class Produced:
    """What the broker has acknowledged.

    Attributes:
        counts: Number of records by topic and partition.
        sent: Number of records handed to the client so far.
        reached: Arrival of the latest record handed over, ms.
    """

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    sent: int = 0
    reached: int = 0

    @property
    def total(self) -> int:
        """Number of records acknowledged."""
        return self.counts.total()


def now_ms() -> int:
    """Returns the wall clock in ms."""
    return time.time_ns() // 1_000_000


class FleetProducer:
    """Produces records in their order, none before its arrival.

    Args:
        client: librdkafka's properties for the connection.
        stop: Set it from outside to end the run early; what was sent is still flushed.
        clock: The wall clock in ms.
    """

    def __init__(
        self,
        client: Mapping[str, str | int | float | bool],
        stop: Event,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._address = client["bootstrap.servers"]
        self._producer = Producer({**client, **SETTINGS})
        self._stop = stop
        self._clock = clock
        self._failed: str | None = None
        self.produced = Produced()

    def run(self, records: Iterable[Record], progress: Callable[[Produced], None]) -> Produced:
        """Produces until the records end or `stop` is set, then waits for the acknowledgements.

        Raises:
            DeliveryError: The broker does not answer, lacks a topic, or did not take a record.
        """
        self._check_topics()
        for record in records:
            if not self._wait_until(record.arrival, progress):
                break
            self._produce(record)
            if self.produced.sent % _BREATH == 0:
                self._producer.poll(0)
                self._check()
                progress(self.produced)
        self._flush()
        progress(self.produced)
        return self.produced

    def _check_topics(self) -> None:
        try:
            topics = self._producer.list_topics(timeout=_ANSWER_S).topics
        except KafkaException as error:
            raise DeliveryError(
                f"no broker answers at {self._address}: {error.args[0].str()}; "
                "see `fleetpulse sandbox status`"
            ) from error
        if missing := [topic for topic in CONTRACTS if topic not in topics]:
            raise DeliveryError(
                f"the broker at {self._address} has no topic {', '.join(missing)}; "
                "`fleetpulse sandbox up` creates the topics"
            )

    def _wait_until(self, arrival: int, progress: Callable[[Produced], None]) -> bool:
        while not self._stop.is_set():
            missing_s = (arrival - self._clock()) / 1_000
            if missing_s <= 0:
                return True
            progress(self.produced)
            self._producer.poll(min(missing_s, _PATIENCE_S))
            self._check()
        return False

    def _produce(self, record: Record) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    timestamp=record.timestamp,
                    on_delivery=self._delivered,
                )
                break
            except BufferError:
                self._producer.poll(_QUEUE_FULL_WAIT_S)
        self.produced.sent += 1
        self.produced.reached = record.arrival

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed = f"{message.topic()}: {error.str()}"
            return
        # The client types both as optional for messages that carry an error.
        where = cast(tuple[str, int], (message.topic(), message.partition()))
        self.produced.counts[where] += 1

    def _check(self) -> None:
        if self._failed is not None:
            raise DeliveryError(
                f"the broker did not take a record of {self._failed}; "
                "see `fleetpulse sandbox status`, then run the fleet again"
            )

    def _flush(self) -> None:
        # Every record is acknowledged or has failed within the delivery time-out.
        left = self._producer.flush(2 * _DELIVERY_MS / 1_000)
        self._check()
        if left:
            raise DeliveryError(
                f"the broker has not answered for {left} records; "
                "see `fleetpulse sandbox status`, then run the fleet again"
            )
