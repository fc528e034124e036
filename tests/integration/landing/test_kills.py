"""Consumers that are killed, joined, frozen: each record is still there once, in both sinks."""

import random
import signal
from typing import Any

import psycopg
import pytest

from tests.integration.landing.process import Process
from tests.integration.landing.scene import Scene

SLOW = {
    "LANDING__FLUSH_INTERVAL_S": "3600",
    "LANDING__FILE_MAX_AGE_S": "3600",
    "LOG_LEVEL": "DEBUG",
}
"""Reads, and lands nothing before it has read 10,000 records or must leave."""


def test_kill_9_at_random_moments_loses_and_doubles_nothing(scene: Scene) -> None:
    chance = random.Random(7)
    for life in range(4):
        # A group of its own, for it would wait until the session of the dead one has run out;
        # what Kafka has committed for a group is only a hint.
        consumer = scene.consumer(
            KAFKA__GROUP_ID=f"{scene.lake_name}-{life}",
            LANDING__FLUSH_INTERVAL_S="0.02",
            LANDING__FILE_MAX_AGE_S="0.05",
        )
        scene.wait_for(lambda consumer=consumer: bool(consumer.events("assigned")))
        for part in range(chance.randrange(1, 12)):
            scene.produce_some(chance.randrange(20, 200), seed=life * 100 + part)
        consumer.kill()

    scene.land()

    scene.check()


def test_what_was_read_and_not_landed_by_kill_9_is_read_again(scene: Scene) -> None:
    consumer = scene.consumer(**SLOW)
    scene.produce_some(500)
    wait_until_read(scene, consumer, 500)
    consumer.kill()
    with scene.connect() as connection:
        assert connection.execute(
            "select sum(next_offset - start_offset) from landing.offsets"
        ).fetchone() == (0,)

    scene.kafka = scene.kafka.model_copy(update={"group_id": f"{scene.lake_name}-next"})
    scene.land()

    scene.check()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_consumers_that_come_and_go_share_the_partitions(scene: Scene, protocol: str) -> None:
    first = scene.consumer(KAFKA__GROUP_PROTOCOL=protocol)
    scene.wait_for(lambda: bool(first.events("assigned")))
    scene.produce_some(500, seed=1)
    second = scene.consumer(KAFKA__GROUP_PROTOCOL=protocol)
    scene.produce_some(500, seed=2)
    scene.wait_for(lambda: bool(second.events("assigned")))
    scene.produce_some(500, seed=3)
    scene.wait_until_landed()
    first.stop()
    scene.produce_some(500, seed=4)

    scene.wait_until_landed()

    second.stop()
    scene.check()
    assert 0 < len(second.events("assigned")[0]["offsets"]) < 12
    assert first.events("fenced") + second.events("fenced") == []


def test_partitions_that_leave_while_they_are_being_opened_are_landed_by_the_next(
    scene: Scene,
) -> None:
    scene.produce_some(100)
    with scene.connect() as busy, busy.transaction():
        busy.execute("lock table landing.offsets")  # nothing can be opened
        first = scene.consumer()
        scene.wait_for(lambda: bool(first.events("started")))
        scene.wait_for(lambda: waits_for_the_table(busy))
        second = scene.consumer()
        scene.wait_for(lambda: bool(second.events("started")))
        scene.wait_for(lambda: waits_for_the_table(busy, 2))

    scene.wait_until_landed()

    first.stop()
    second.stop()
    scene.check()


def waits_for_the_table(connection: psycopg.Connection[Any], sessions: int = 1) -> bool:
    row = connection.execute(
        "select count(*) from pg_locks l join pg_class c on c.oid = l.relation"
        " where c.relname = 'offsets' and not granted"
    ).fetchone()
    return row == (sessions,)


def test_a_zombie_whose_session_has_run_out_doubles_nothing(scene: Scene) -> None:
    zombie = scene.consumer(**SLOW)
    scene.produce_some(500, seed=1)
    wait_until_read(scene, zombie, 500)
    zombie.send(signal.SIGSTOP)
    heir = scene.consumer()
    scene.produce_some(500, seed=2)
    scene.wait_until_landed()

    zombie.send(signal.SIGCONT)
    scene.wait_for(lambda: bool(zombie.events("lost partitions")))
    scene.produce_some(500, seed=3)
    scene.wait_until_landed()

    zombie.stop()
    heir.stop()
    scene.check()


def test_a_zombie_that_nobody_has_told_is_fenced_by_the_ods(scene: Scene) -> None:
    zombie = scene.consumer(**{**SLOW, "LANDING__FLUSH_INTERVAL_S": "2"})
    scene.produce_some(500, seed=1)
    wait_until_read(scene, zombie, 500)
    zombie.send(signal.SIGSTOP)
    rival = scene.consumer(KAFKA__GROUP_ID=f"{scene.lake_name}-rival")
    scene.produce_some(500, seed=2)
    scene.wait_until_landed()
    rival.stop()

    zombie.send(signal.SIGCONT)
    scene.wait_for(lambda: bool(zombie.events("fenced")))
    scene.produce_some(500, seed=3)
    ends = scene.ends()
    scene.wait_for(lambda: scene.ods_has(ends))

    zombie.stop()
    scene.check()


def wait_until_read(scene: Scene, consumer: Process, records: int) -> None:
    """Waits until a consumer has polled so many records; it must be at debug level."""

    def read() -> bool:
        positions = [event["positions"] for event in consumer.events("polled")]
        if not positions:
            return False
        (assigned,) = consumer.events("assigned")
        return positions[-1] - sum(assigned["offsets"].values()) >= records

    scene.wait_for(read)
