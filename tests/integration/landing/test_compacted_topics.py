"""A compacted topic: what Kafka takes after it has landed stays; what it took before is no gap."""

from collections.abc import Iterator
from itertools import count

import pytest

from streaming import kafka
from streaming.log_reader import LogReader
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

WHERE = (TOPIC, 0)
COMPACTED: dict[str, str | None] = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.001",
    "segment.ms": "1",
    "delete.retention.ms": "0",
}
DEVICES = [b"VM-000001", b"VM-000002"]


@pytest.fixture
def compacted(scene: Scene) -> Iterator[Scene]:
    """A scene whose topic `compact` compacts, as fast as the broker can."""
    scene.configure_broker({"log.cleaner.backoff.ms": "100"})
    yield scene
    scene.configure(TOPIC, dict.fromkeys(COMPACTED))
    scene.configure_broker({"log.cleaner.backoff.ms": None})


def test_the_two_sinks_keep_what_kafka_takes_and_agree(compacted: Scene) -> None:
    produce(compacted, 40)
    compacted.land()
    backup = compacted.back_up()
    produce(compacted, 40)
    compacted.land()

    assert len(compact(compacted)) < 10
    compacted.land()
    compacted.check()

    # What the log lacks by now, an ODS from a backup can only have from the lake.
    compacted.restore(backup)
    produce(compacted, 1)
    compacted.land()
    compacted.check()

    gone = max(offset for _, _, offset in compacted.produced) - 3
    with compacted.connect() as connection:
        connection.execute('delete from landing.alerts_raw where "offset" = %s', [gone])
    code, words = compacted.call("verify")
    assert code == 1
    assert f"ODS: missing {gone}" in words


def test_what_kafka_took_before_it_landed_is_no_gap(compacted: Scene) -> None:
    produce(compacted, 40)
    left = compact(compacted)
    assert len(left) < 40

    compacted.land()

    compacted.produced = {(*WHERE, offset): compacted.produced[*WHERE, offset] for offset in left}
    compacted.check()


def produce(scene: Scene, number_of: int) -> None:
    """Produces alerts of two devices, and tombstones."""
    for number in range(number_of):
        key = DEVICES[number % 2]
        scene.produce(None if number % 10 == 9 else alert(key.decode()), key)
        scene.flush()


def compact(scene: Scene) -> list[int]:
    """Waits until the log holds nothing that could go; returns the offsets that it still has."""
    scene.configure(TOPIC, COMPACTED)
    looks = count()
    seen: list[int] = []

    def is_done() -> bool:
        # The last segment is never compacted, and ends when a record comes after it: again and
        # again, for the broker may not have known of the settings when the first one came.
        if next(looks) % 20 == 0:
            scene.produce(alert(), b"VM-000001")
            scene.flush()
        before = list(seen)
        seen[:] = in_kafka(scene)
        return len(seen) <= 4 and seen == before

    scene.wait_for(is_done, 60)
    return seen


def in_kafka(scene: Scene) -> list[int]:
    end = scene.ends()[WHERE]
    with LogReader(
        scene.kafka, kafka.admin_client(scene.kafka), WHERE, end, lambda each: each.offset() or 0
    ) as log:
        return log.read(log.start, end)
