"""What is produced during a round: all that Kafka takes, over all partitions, from a seed."""

import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import cast
from uuid import UUID

import confluent_kafka as ck

from sandbox.kafka import PARTITIONS
from streaming.contracts import CONTRACTS
from tests.integration.landing.records import Fingerprint, Identity, alert, fingerprint
from tests.integration.landing.scene import QUIET, Scene

EVERY_S = 0.05
MOST_AT_ONCE = 12
PATIENCE_S = 60
LARGE = (100_000, 1_000_000)
FUTURE_MS = 50 * 60_000
"""Kafka 4 takes a timestamp up to an hour ahead."""
HEADERS: list[list[tuple[str, bytes | None]]] = [
    [],
    [("schema_id", b"\x00\xff"), ("n", None), ("n", b"")],
    [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
]


class Workload:
    """Produces until it is stopped, in a thread of its own; some of it in transactions."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene = scene
        self._chance = random.Random(seed)
        self._stop = Event()
        self._transactions = Transactions(scene, self._chance)
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] = self._pool.submit(self._run)

    def stop(self) -> None:
        """Ends, when all that was produced is acknowledged."""
        self._stop.set()
        self._running.result(120)
        self._pool.shutdown()

    def once_everywhere(self) -> None:
        """Produces one record into each partition: do the consumers still work?"""
        for topic in CONTRACTS:
            for partition in range(PARTITIONS):
                self._scene.produce(
                    self._event(topic, "VM-000001"), topic=topic, partition=partition
                )
        self._scene.flush()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for _ in range(self._chance.randrange(MOST_AT_ONCE)):
                self._one()
            if self._chance.random() < 0.1:
                self._transactions.one([self._event("alerts.raw", "VM-000001")] * 5)
        self._scene.flush()

    def _one(self) -> None:
        chance = self._chance
        topic, device = chance.choice([*CONTRACTS]), f"VM-{chance.randrange(100):06}"
        self._scene.produce(
            self._payload(topic, device),
            chance.choice([device.encode()] * 9 + [None, b"", b"\x00\xff"]),
            topic=topic,
            partition=chance.randrange(PARTITIONS),
            headers=chance.choice([[], [], *HEADERS]),
            timestamp=self._timestamp(),
        )

    def _payload(self, topic: str, device: str) -> bytes | None:
        chance = self._chance
        event = self._event(topic, device)
        kind = chance.random()
        if kind < 0.05:
            return event[: chance.randrange(len(event))]
        if kind < 0.08:
            return chance.choice([None, b"", b"\xff\xfe\x00", b"[]", b"\x00"])
        if kind < 0.09:
            padding = "x" * (chance.randrange(*LARGE) - len(event) - 20)
            return self._event(topic, device, notes=padding)
        if kind < 0.1:
            return chance.randbytes(chance.randrange(100, 100_000))
        return event

    def _event(self, topic: str, device: str, **more: object) -> bytes:
        # Drawn, not made anew: the same seed produces the same.
        identity = str(UUID(int=self._chance.getrandbits(128)))
        kinds = {"alerts.raw": "alert", "telemetry.raw": "telemetry", "heartbeat.raw": "heartbeat"}
        more |= {"status": "ok"} if topic == "heartbeat.raw" else {}
        return alert(device, event_id=identity, event_type=kinds[topic], **more)

    def _timestamp(self) -> int:
        """Returns a Kafka timestamp; 0 stands for now."""
        chance, now = self._chance, int(time.time() * 1000)
        kind = chance.random()
        if kind < 0.9:
            return 0
        if kind < 0.93:
            return chance.randrange(1, now)
        if kind < 0.96:
            return now - chance.randrange(3 * 86_400_000)
        return now + chance.randrange(FUTURE_MS)


class Transactions:
    """Transactions, committed or aborted; what is aborted was never produced."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self._producer = ck.Producer(
            {**scene.kafka.client(), "transactional.id": scene.lake_name}, logger=QUIET
        )
        self._begun = False

    def one(self, payloads: list[bytes]) -> None:
        pending: dict[Identity, Fingerprint] = {}

        def delivered(error: ck.KafkaError | None, message: ck.Message) -> None:
            if error is None:
                where = message.topic(), message.partition(), message.offset()
                pending[cast(Identity, where)] = fingerprint(
                    message.timestamp()[1], message.key(), None, message.value()
                )

        if not self._begun:
            self._patiently(self._producer.init_transactions)
            self._begun = True
        self._producer.begin_transaction()
        for payload in payloads:
            self._producer.produce(
                "alerts.raw",
                payload,
                b"VM-000001",
                partition=self._chance.randrange(PARTITIONS),
                on_delivery=delivered,
            )
        if self._chance.random() < 0.5:
            self._producer.flush(30)  # it is in the log, and never was
            self._patiently(self._producer.abort_transaction)
            return
        try:
            self._patiently(self._producer.commit_transaction)
        except ck.KafkaException as failure:
            if not failure.args[0].txn_requires_abort():
                raise
            self._patiently(self._producer.abort_transaction)
        else:
            assert len(pending) == len(payloads)
            self._scene.produced |= pending

    def _patiently(self, step: Callable[[float], None]) -> None:
        """Repeats a step while the broker is away."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                step(5)
            except ck.KafkaException as failure:
                if not failure.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return
