"""Dead letters: quarantined records, published to `<topic>.dlq` with the reason in headers.

Quarantine is the outbox: what has no `dead_letter_at` was not published yet. Rows are locked,
produced, acknowledged by the broker, then marked: at least once, and each by one process.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import confluent_kafka as ck
import psycopg
import structlog

from streaming import kafka
from streaming.contracts import CONTRACTS
from streaming.database import Database
from streaming.errors import FatalError, OutageError, StreamingError
from streaming.records import Headers, RecordId
from streaming.settings import KafkaSettings
from streaming.sinks.ods_rows import read_headers

SUFFIX = ".dlq"
AT_ONCE = 200
"""Records published in one transaction."""
FETCHED = 10
"""Records read at a time: they may be of a megabyte each."""
QUEUE_KB = 65_536

log = structlog.get_logger()


class _Letter(NamedTuple):
    record: RecordId
    key: bytes | None
    headers: Headers | None
    payload: bytes | None
    reason: str
    detail: str

    def reasons(self) -> Headers:
        """Returns the headers that say what it is and why it is here."""
        told = {
            "reason": self.reason,
            "detail": self.detail,
            "topic": self.record.topic,
            "epoch": self.record.epoch,
            "partition": self.record.partition,
            "offset": self.record.offset,
        }
        return [(f"fleetpulse-{name}", str(value).encode()) for name, value in told.items()]


class DeadLetters:
    """Publishes what is in quarantine and was not published yet. For one thread at a time.

    Args:
        settings: The broker.
        database: The ODS, in the consumer's role.
    """

    def __init__(self, settings: KafkaSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._admin = kafka.admin_client(settings)
        self._producer: ck.Producer | None = None

    def publish(self) -> int:
        """Publishes all that waits; returns how many records that were.

        Raises:
            OutageError: The ODS or Kafka does not answer; call again.
            FatalError: Kafka refuses, or a topic is missing; the others are published.
        """
        waiting = self._waiting()
        there = self._existing() if waiting else set()
        published = 0
        topics = [topic for topic in waiting if topic + SUFFIX in there]
        while topics and (count := self._publish_some(topics)):
            published += count
        if missing := [topic + SUFFIX for topic in waiting if topic not in topics]:
            raise FatalError(
                f"dead letters wait, for there is no topic {', '.join(missing)}: create it, "
                "or set FLEETPULSE_LANDING__DEAD_LETTERS=false"
            )
        return published

    def _waiting(self) -> list[str]:
        with self._database.transaction() as connection:
            rows = connection.execute(
                "select topic from unnest(%s::text[]) as contract (topic) where exists ("
                " select from landing.quarantine as q"
                " where q.topic = contract.topic and q.dead_letter_at is null)",
                [list(CONTRACTS)],
            ).fetchall()
        return [topic for (topic,) in rows]

    def _existing(self) -> set[str]:
        try:
            return set(self._admin.list_topics(timeout=kafka.ANSWER_WITHIN_S).topics)
        except ck.KafkaException as failure:
            kafka.raise_typed(failure.args[0], "asking for the topics of dead letters")
            raise

    def _publish_some(self, topics: Sequence[str]) -> int:
        with self._database.transaction() as connection:
            with closing(_lock(connection, topics)) as letters:
                acknowledged, problem = self._send(letters)
            _mark(connection, acknowledged)
        if problem is not None:
            raise problem
        return len(acknowledged)

    def _send(self, letters: Iterator[_Letter]) -> tuple[list[RecordId], StreamingError | None]:
        """Returns what the broker has acknowledged, and what hindered the others."""
        post = _Post(self._open())
        try:
            for letter in letters:
                post.send(letter)
            post.flush()
            for letter in post.take_too_large():  # perhaps only together with others
                post.send(letter)
                post.flush()
                for alone in post.take_too_large():
                    name = str(alone.record)
                    log.warning("dead letter without its payload", record=name, why="too large")
                    post.send(alone, bare=True)
            post.flush()
        except StreamingError as error:
            # An idempotent producer can be broken for good: the next lot has another.
            self._producer = None
            post.abandon()
            return post.acknowledged, error
        return post.acknowledged, None

    def _open(self) -> ck.Producer:
        if self._producer is None:
            self._producer = ck.Producer(
                {
                    **self._settings.client(),
                    "enable.idempotence": True,
                    "acks": "all",
                    "linger.ms": 5,
                    "delivery.timeout.ms": int(kafka.ANSWER_WITHIN_S * 1000),
                    "message.max.bytes": QUEUE_KB * 1000,  # the broker knows its topics' limits
                    "queue.buffering.max.kbytes": QUEUE_KB,
                },
                logger=kafka.LOGGER,
            )
        return self._producer


class _Post:
    """One lot of letters on their way."""

    def __init__(self, producer: ck.Producer) -> None:
        self.acknowledged: list[RecordId] = []
        self._failures: list[ck.KafkaError] = []
        self._too_large: list[_Letter] = []
        self._producer = producer
        self._deadline = time.monotonic() + 2 * kafka.ANSWER_WITHIN_S

    def send(self, letter: _Letter, *, bare: bool = False) -> None:
        """Hands a letter to the producer; a bare one has our headers alone, so it is small."""

        def delivered(error: ck.KafkaError | None, _: ck.Message | None = None) -> None:
            if error is None:
                self.acknowledged.append(letter.record)
            elif error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE and not bare:
                self._too_large.append(letter)
            else:
                self._failures.append(error)

        # The client's types want text or bytes of a value, in a list.
        headers: list[Any] = [*(() if bare else letter.headers or ()), *letter.reasons()]
        while True:
            try:
                self._producer.produce(
                    letter.record.topic + SUFFIX,
                    None if bare else letter.payload,
                    None if bare else letter.key,
                    headers=headers,
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
                self._check_deadline()
            except ck.KafkaException as failure:
                delivered(failure.args[0])
                return
            else:
                return

    def flush(self) -> None:
        """Waits until the broker has answered for each letter.

        Raises:
            OutageError: It has not in time, or cannot take one now.
            FatalError: It refuses one.
        """
        while self._producer.flush(0.1):
            self._check_deadline()
        if self._failures:
            kafka.raise_typed(self._failures[0], "publishing dead letters")

    def abandon(self) -> None:
        """Forgets what is still on its way."""
        self._producer.purge()

    def take_too_large(self) -> list[_Letter]:
        """Returns the letters that their topic does not take, once."""
        letters, self._too_large = self._too_large, []
        return letters

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            raise OutageError("Kafka does not take our dead letters in time")


def _lock(connection: psycopg.Connection, topics: Sequence[str]) -> Generator[_Letter, None, None]:
    with connection.cursor(name="dead_letters") as cursor:
        cursor.itersize = FETCHED
        cursor.execute(
            'select topic, epoch, "partition", "offset", key, headers::text, payload, reason,'
            " detail from landing.quarantine where dead_letter_at is null and topic = any(%s)"
            ' order by topic, epoch, "partition", "offset" limit %s'
            " for no key update skip locked",
            [list(topics), AT_ONCE],
        )
        for topic, epoch, partition, offset, key, headers, payload, reason, detail in cursor:
            record = RecordId(topic, epoch, partition, offset)
            yield _Letter(record, key, read_headers(headers), payload, reason, detail)


def _mark(connection: psycopg.Connection, records: Sequence[RecordId]) -> None:
    columns = [list(column) for column in zip(*records, strict=True)] or [[], [], [], []]
    connection.execute(
        "update landing.quarantine set dead_letter_at = now()"
        ' where (topic, epoch, "partition", "offset")'
        "  in (select * from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[]))",
        columns,
    )
