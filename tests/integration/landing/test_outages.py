"""A server that is killed under the consumer is an outage: it waits, and goes on where it was."""

import json
import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.landing.scene import Scene


@pytest.mark.parametrize("server", ["postgres", "s3", "kafka"])
def test_an_outage_is_waited_out_and_nothing_goes_to_quarantine_for_it(
    scene: Scene, server: str
) -> None:
    consumer = scene.consumer()
    scene.wait_for(lambda: bool(consumer.events("assigned")))
    scene.produce_some(500, seed=1)
    try:
        scene.stop_server(server)
        if server != "kafka":
            scene.produce_some(500, seed=2)
            scene.wait_for(lambda: bool(consumer.events("outage")))
    finally:
        scene.start_servers()
    scene.produce_some(500, seed=3)

    scene.wait_until_landed(60)

    consumer.stop()
    scene.check()
    assert "REFUSED" not in scene.outcomes().values()
    if server != "kafka":
        assert len(consumer.events("outage over")) == len(consumer.events("outage")) > 0
        assert len(consumer.events("assigned")) == 1  # it has kept its place in the group


def test_what_waits_in_an_outage_is_bounded_and_partitions_pause(scene: Scene) -> None:
    port = free_port()
    consumer = scene.consumer(LANDING__MAX_BUFFER_MB="0.5", LANDING__METRICS_PORT=str(port))
    scene.wait_for(lambda: bool(consumer.events("assigned")))
    try:
        scene.stop_server("s3")
        scene.produce_some(5_000)
        scene.wait_for(lambda: bool(consumer.events("paused")))
        with scene.connect() as connection:
            landed = connection.execute(
                "select sum(next_offset - start_offset) from landing.offsets"
            ).fetchone()
        assert landed is not None
        assert landed[0] < 5_000  # the ODS waits too: the lake never falls further behind it
        told = metrics(port)
        assert told["fleetpulse_landing_outage", "lake"] == 1
        assert told["fleetpulse_landing_outage", "ods"] == 0
        assert told["fleetpulse_landing_paused",] == 1
        code, output = scene.call("status", "--json")
        assert code == 1
        assert {each["name"] for each in json.loads(output)["systems"] if not each["well"]} == {
            "lake"
        }
    finally:
        scene.start_servers()

    scene.wait_until_landed(60)

    told = metrics(port)
    assert told["fleetpulse_landing_outage", "lake"] == 0
    assert sum(count for name, count in told.items() if name[0].endswith("_records_total")) == 5_000
    code, output = scene.call("status")
    assert code == 0, output
    assert "1 in the group" in output
    consumer.stop()
    scene.check()
    assert consumer.events("resumed")
    assert len(consumer.events("assigned")) == 1
    code, output = scene.call("status")
    assert code == 1
    assert "nobody lands; start `fleetpulse consume`" in output


def test_an_outage_does_not_keep_it_from_leaving(scene: Scene) -> None:
    consumer = scene.consumer()
    scene.wait_for(lambda: bool(consumer.events("assigned")))
    try:
        scene.stop_server("postgres")
        scene.produce_some(500)
        scene.wait_for(lambda: bool(consumer.events("outage")))
        consumer.stop(within_s=10)
    finally:
        scene.start_servers()
    assert consumer.events("not landed on leaving")

    scene.land()

    scene.check()


def test_partitions_that_left_in_an_outage_and_come_back_are_read_on(scene: Scene) -> None:
    first = scene.consumer()
    scene.wait_for(lambda: bool(first.events("assigned")))
    try:
        scene.stop_server("postgres")
        scene.produce_some(500, seed=1)
        scene.wait_for(lambda: bool(first.events("outage")))
        second = scene.consumer()
        scene.wait_for(lambda: bool(first.events("not landed on leaving")))
    finally:
        scene.start_servers()
    scene.wait_until_landed()

    second.stop()
    scene.produce_some(500, seed=2)
    scene.wait_until_landed()

    first.stop()
    scene.check()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def metrics(port: int) -> dict[tuple[str, ...], float]:
    """Returns what a consumer tells Prometheus, by name and label values."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        words = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(words)
        for sample in family.samples
    }
