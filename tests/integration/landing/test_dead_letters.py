"""Quarantined records, published to `<topic>.dlq`: each at least once, never in landing's way."""

import time
from collections.abc import Iterator

import confluent_kafka as ck
import pytest
from confluent_kafka.cimpl import NewTopic

from streaming import kafka
from streaming.database import Database
from streaming.dead_letters import DeadLetters
from streaming.errors import OutageError
from streaming.redrive import read_redriven
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import QUIET, Scene

DLQ = f"{TOPIC}.dlq"
HEADERS: list[tuple[str, bytes | None]] = [("schema_id", b"\x00\xff"), ("n", None)]


@pytest.fixture
def dlq(scene: Scene) -> Iterator[None]:
    """The topic of dead letters, empty; it takes less than the others."""
    small = NewTopic(DLQ, 1, 1, config={"max.message.bytes": "10000"})
    scene.admin.create_topics([small])[DLQ].result(timeout=20)
    yield
    scene.delete(DLQ)


@pytest.fixture
def outbox(scene: Scene) -> Iterator[DeadLetters]:
    database = Database(scene.ods.url("consumer"))
    yield DeadLetters(scene.kafka, database)
    database.close()


def produce_broken(scene: Scene, *payloads: bytes) -> None:
    for payload in payloads:
        scene.produce(payload, b"\x00key", headers=HEADERS)
        scene.produce(alert())
    scene.flush()


def letters(scene: Scene, count: int) -> list[ck.Message]:
    """Reads so many dead letters from the topic's beginning."""
    consumer = ck.Consumer({**scene.kafka.client(), "group.id": "dlq"}, logger=QUIET)
    consumer.assign([ck.TopicPartition(DLQ, 0, 0)])
    found: list[ck.Message] = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += [each for each in consumer.consume(100, 0.1) if each.error() is None]
    consumer.close()
    return found


def published(scene: Scene) -> int:
    with scene.connect() as connection:
        [(count,)] = connection.execute("select count(dead_letter_at) from landing.quarantine")
    return int(count)


@pytest.mark.usefixtures("dlq")
def test_a_dead_letter_is_the_record_as_it_came_with_the_reason_in_its_headers(
    scene: Scene, outbox: DeadLetters
) -> None:
    produce_broken(scene, b"\xff nonsense", alert())
    scene.land()

    assert outbox.publish() == 2
    assert outbox.publish() == 0

    first = min(offset for _, _, offset in scene.produced)
    malformed, mismatch = letters(scene, 2)
    assert (malformed.key(), malformed.value()) == (b"\x00key", b"\xff nonsense")
    assert malformed.headers() == [
        *HEADERS,
        ("fleetpulse-reason", b"MALFORMED"),
        ("fleetpulse-detail", b"not UTF-8: byte 0: invalid start byte"),
        ("fleetpulse-topic", TOPIC.encode()),
        ("fleetpulse-epoch", b"0"),
        ("fleetpulse-partition", b"0"),
        ("fleetpulse-offset", str(first).encode()),
    ]
    assert dict(mismatch.headers() or [])["fleetpulse-reason"] == b"KEY_MISMATCH"


@pytest.mark.usefixtures("dlq")
def test_what_its_topic_does_not_take_is_published_without_its_payload(
    scene: Scene, outbox: DeadLetters
) -> None:
    produce_broken(scene, b"{", b"\xff" * 20_000, b"[")
    scene.land()

    assert outbox.publish() == 3

    found = {each.value(): dict(each.headers() or []) for each in letters(scene, 3)}
    assert found.keys() == {b"{", b"[", None}
    assert found[None]["fleetpulse-reason"] == b"MALFORMED"


def test_the_consumer_publishes_once_the_topic_is_there_and_tells_the_lake_of_redrives(
    scene: Scene,
) -> None:
    produce_broken(scene, b"{", b"[")
    scene.land()
    with scene.connect() as connection:
        connection.execute(
            "update landing.quarantine set payload = %s, key = 'VM-000001' where payload = '{'",
            [alert()],
        )
    [(_, _, first), *_] = sorted(scene.produced)
    nowhere = "file:///proc/no-such-lake"
    code, output = scene.call("quarantine", "redrive", f"{TOPIC}/0/0/{first}", LAKE__URL=nowhere)
    assert (code, "the lake is told later" in output) == (0, True), output

    consumer = scene.consumer(LANDING__DEAD_LETTERS="true")
    scene.wait_for(lambda: bool(consumer.events("chore hindered")))
    scene.wait_for(lambda: len(list(read_redriven(scene.store, TOPIC))) == 1)
    scene.produce(b"")
    scene.wait_until_landed()
    assert published(scene) == 0
    scene.admin.create_topics([NewTopic(DLQ, 1, 1)])[DLQ].result(timeout=20)
    scene.wait_for(lambda: published(scene) == 3)

    consumer.stop()
    scene.delete(DLQ)
    [told] = consumer.events("chore hindered")
    assert f"no topic {DLQ}: create it" in told["error"]


def test_an_outage_of_kafka_marks_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    produce_broken(scene, b"{")
    scene.land()
    monkeypatch.setattr(kafka, "ANSWER_WITHIN_S", 0.5)
    nowhere = scene.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    database = Database(scene.ods.url("consumer"))

    with pytest.raises(OutageError):
        DeadLetters(nowhere, database).publish()

    assert published(scene) == 0
    database.close()
