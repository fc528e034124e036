"""What the log itself may do: transactions, retention, topics that go and come back."""

import confluent_kafka as ck

from tests.integration.landing.process import Process
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import QUIET, Scene


def test_aborted_records_never_land_and_open_ones_only_when_committed(scene: Scene) -> None:
    transactions = ck.Producer(
        {**scene.kafka.client(), "transactional.id": scene.lake_name}, logger=QUIET
    )
    transactions.init_transactions(20)
    aborted = []
    consumer = scene.consumer()
    for seed in range(3):
        transactions.begin_transaction()
        for _ in range(20):
            transactions.produce(TOPIC, alert(), b"VM-000001", partition=0)
        transactions.flush(20)
        aborted.append(scene.ends()[TOPIC, 0])
        scene.produce_some(50, seed)
        transactions.abort_transaction(20)
    assert len(set(aborted)) == 3

    scene.wait_until_landed()

    consumer.stop()
    scene.check()
    produced = {offset for topic, partition, offset in scene.produced if partition == 0}
    assert max(produced) - min(produced) + 1 > len(produced)  # there are gaps


def test_what_kafka_dropped_when_only_the_ods_had_it_comes_to_the_lake_from_there(
    scene: Scene,
) -> None:
    consumer = scene.consumer(LANDING__FILE_MAX_AGE_S="3600")
    scene.accept_any_timestamp(TOPIC)
    # The years 10000, 2262, 1970; the latest first: a later hour would close the lake's file.
    for timestamp in (253_402_300_800_000, 9_223_372_036_855, 1):
        scene.produce(alert(), timestamp=timestamp, headers=[("n", b"\x00"), ("n", None)])
    scene.produce(None)
    scene.produce_some(300, seed=1)
    ends = scene.ends()
    scene.wait_for(lambda: scene.ods_has(ends))
    consumer.kill()
    assert scene.in_lake() == []
    scene.delete_records(ends)
    scene.produce_some(100, seed=2)

    scene.kafka = scene.kafka.model_copy(update={"group_id": f"{scene.lake_name}-next"})
    scene.land()

    scene.check()


def test_a_time_that_postgres_cannot_hold_is_kept_in_quarantine_exactly(scene: Scene) -> None:
    scene.accept_any_timestamp(TOPIC)
    scene.produce(alert(), timestamp=2**62)
    scene.flush()

    scene.land()

    assert list(scene.outcomes().values()) == ["UNSTORABLE"]
    assert scene.in_ods() == sorted(scene.produced.items())


def test_a_topic_that_is_missing_is_named(scene: Scene) -> None:
    scene.delete("telemetry.raw")
    try:
        words = refused(scene.consumer())
    finally:
        scene.create("telemetry.raw")
    assert "error: the topic telemetry.raw does not exist at 127.0.0.1:" in words


def test_a_topic_that_goes_under_an_idle_consumer_stops_it(scene: Scene) -> None:
    consumer = scene.consumer()
    scene.wait_until_landed()
    scene.delete(TOPIC)
    try:
        words = refused(consumer)
    finally:
        scene.create(TOPIC)
    assert "error: the topic alerts.raw does not exist at 127.0.0.1:" in words


def test_a_topic_that_is_made_again_under_the_consumer_stops_it(scene: Scene) -> None:
    scene.produce_some(100, seed=1)
    consumer = scene.consumer()
    scene.wait_until_landed()
    before = scene.in_ods()
    scene.recreate(TOPIC)
    scene.produced.clear()
    scene.produce_some(2_000, seed=2)  # past where the consumer is: its offset looks healthy

    words = refused(consumer)

    assert "error: the topic alerts.raw was deleted and created again" in words
    assert scene.in_ods() == before


def refused(consumer: Process) -> str:
    """Waits until a consumer has ended with an error; returns its words."""
    assert consumer.wait(30) == 1
    assert "Traceback" not in consumer.output
    return consumer.output
