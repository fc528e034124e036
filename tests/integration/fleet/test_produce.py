"""The fleet on a real broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from sandbox.fleet import DeliveryError, FleetConfig, FleetProducer, Record, make_plan, records
from streaming.contracts import CONTRACTS

PROGRAM = "from fleetpulse.cli import main; main()"
RUN = ("fleet", "run", "--devices", "60", "--seed", "5", "--history", "90m", "--json")
CONFIG = FleetConfig(
    devices=60, seed=3, start=datetime(2026, 3, 1, 12, 3, tzinfo=UTC), live=timedelta(minutes=1)
)


@pytest.fixture(scope="module")
def servers(sandbox_env: dict[str, str]) -> str:
    servers = sandbox_env["FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"]
    wait_until_led(servers)
    return servers


def client(servers: str) -> dict[str, str]:
    return {"bootstrap.servers": servers}


def ends(servers: str) -> dict[tuple[str, int], int]:
    """End offsets by topic and partition."""
    consumer = Consumer(client(servers) | {"group.id": "ends"})
    try:
        return {
            (topic, partition): consumer.get_watermark_offsets(TopicPartition(topic, partition))[1]
            for topic in CONTRACTS
            for partition in range(4)
        }
    finally:
        consumer.close()


def wait_until_led(servers: str) -> None:
    """Waits until each partition has a leader: new ones get theirs a moment after creation."""
    deadline = time.monotonic() + 10
    while True:
        try:
            ends(servers)
        except KafkaException:
            assert time.monotonic() < deadline, "a partition has no leader"
            Event().wait(0.05)
        else:
            return


def read(servers: str, begin: dict[tuple[str, int], int]) -> list[Message]:
    """All records from the offsets on."""
    missing = sum(ends(servers).values()) - sum(begin.values())
    consumer = Consumer(client(servers) | {"group.id": "read", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, at) for (topic, number), at in begin.items()])
    found: list[Message] = []
    deadline = time.monotonic() + 30
    while len(found) < missing:
        assert time.monotonic() < deadline, f"{len(found)} of {missing} records"
        found += consumer.consume(1_000, timeout=1)
    consumer.close()
    return found


def test_every_record_is_in_kafka_once_as_it_was_made(servers: str) -> None:
    begin = ends(servers)
    made = list(records(make_plan(CONFIG)))
    produced = FleetProducer(client(servers), Event()).run(made, lambda _: None)
    found = read(servers, begin)
    assert produced.total == produced.sent == len(made)
    assert produced.counts == Counter((str(m.topic()), m.partition()) for m in found)
    assert Counter(
        (m.topic(), m.key(), m.value() or b"", m.timestamp()[1]) for m in found
    ) == Counter((r.topic, r.key, r.value or b"", r.timestamp) for r in made)


def test_a_device_keeps_its_partition_and_its_order(servers: str) -> None:
    begin = ends(servers)
    made = list(records(make_plan(replace(CONFIG, seed=4))))
    FleetProducer(client(servers), Event()).run(made, lambda _: None)
    partitions = defaultdict(set)
    order = defaultdict(list)
    for message in read(servers, begin):
        partitions[message.key()].add(message.partition())
        order[message.topic(), message.key()].append(message.timestamp()[1])
    partitions.pop(None)
    order = {where: times for where, times in order.items() if where[1] is not None}
    assert all(len(numbers) == 1 for numbers in partitions.values())
    assert set.union(*partitions.values()) == {0, 1, 2, 3}
    # Only the key of the records that name another device is shared by several machines.
    assert sum(times != sorted(times) for times in order.values()) <= len(CONTRACTS)


def test_no_record_is_sent_before_it_arrives(servers: str) -> None:
    begin = sum(ends(servers).values())
    stop = Event()
    future = [Record(at, "alerts.raw", b"k", b"v", at) for at in (1_000, 2_000, 3_000)]
    clock = iter([1_500, 1_500])

    def now() -> int:
        at = next(clock, None)
        if at is None:
            stop.set()
            return 1_999
        return at

    produced = FleetProducer(client(servers), stop, clock=now).run(future, lambda _: None)
    assert produced.reached == 1_000
    assert sum(ends(servers).values()) - begin == produced.total == 1


def test_a_missing_topic_is_named_before_anything_is_sent(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS, "telemetry.rwa", CONTRACTS["telemetry.raw"])
    with pytest.raises(DeliveryError, match=r"has no topic telemetry\.rwa"):
        FleetProducer(client(servers), Event()).run([], lambda _: None)


def test_a_broker_that_is_not_there_is_named() -> None:
    with pytest.raises(DeliveryError, match=r"no broker answers at 127\.0\.0\.1:9") as caught:
        FleetProducer(client("127.0.0.1:9"), Event()).run([], lambda _: None)
    assert isinstance(caught.value.__cause__, KafkaException)


def test_sigterm_ends_a_run_with_its_counts_and_exit_0(
    sandbox_env: dict[str, str], servers: str, tmp_path: Path
) -> None:
    begin = ends(servers)
    fleet = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *RUN, "--out", str(tmp_path)],
        env={"PATH": os.environ["PATH"], **sandbox_env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_live(servers, begin)
    fleet.send_signal(signal.SIGTERM)
    out, err = fleet.communicate(timeout=20)
    assert fleet.returncode == 0, err
    now = ends(servers)
    assert json.loads(out)["topics"] == {
        topic: {
            str(number): now[topic, number] - begin[topic, number]
            for number in range(4)
            if now[topic, number] > begin[topic, number]
        }
        for topic in sorted(CONTRACTS)
    }
    assert {path.name for path in tmp_path.iterdir()} == {
        "devices.csv",
        "sites.csv",
        "model_limits.csv",
        "maintenance.csv",
        "truth.jsonl",
    }


def wait_until_live(servers: str, begin: dict[tuple[str, int], int]) -> None:
    """Waits until the newest record is a few seconds old."""
    deadline = time.monotonic() + 60
    while not any(
        (m.timestamp()[1] or 0) > (time.time() - 5) * 1_000 for m in read(servers, begin)
    ):
        assert time.monotonic() < deadline, "the fleet has not come to live time"
