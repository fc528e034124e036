"""Partitions that move between consumers. Those that are killed are in `tests/chaos`."""

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
