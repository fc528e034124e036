"""What a landing test needs: a producer that remembers, consumers to torment, a plain count.

The count is independent of the code under test: SQL over the tables, DuckDB over the files.
"""

import base64
import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple
from uuid import uuid4

import confluent_kafka as ck
import duckdb
import psycopg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fleetpulse import settings
from sandbox.kafka import PARTITIONS
from sandbox.object_store import BUCKET
from sandbox.process import Daemon
from sandbox.sandbox import Sandbox
from streaming import kafka
from streaming.contracts import CONTRACTS
from streaming.errors import FatalError, OutageError
from streaming.object_store import ObjectStore, open_store
from streaming.records import PartitionId
from streaming.settings import KafkaSettings, LakeSettings
from streaming.sinks.lake import read_tail
from streaming.sinks.ods import table_of
from streaming.verify import Comparison, verify

PROGRAM = "from fleetpulse.cli import main; main()"
LOOK_EVERY_S = 0.05
TOPIC = "alerts.raw"
QUIET = logging.getLogger("librdkafka")

Identity = tuple[str, int, int]
"""Topic, partition, offset."""


class Fingerprint(NamedTuple):
    """What must come back of a record, byte for byte."""

    timestamp: int
    key: str | None
    headers: str
    payload: str | None


def digest(value: bytes | None) -> str | None:
    return None if value is None else hashlib.md5(value, usedforsecurity=False).hexdigest()


def fingerprint(
    timestamp: int,
    key: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] | None,
    payload: bytes | None,
) -> Fingerprint:
    pairs = [[name, digest(value)] for name, value in headers or ()]
    return Fingerprint(timestamp, digest(key), json.dumps(pairs), digest(payload))


def alert(device: str = "VM-000001", **changes: object) -> bytes:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
    event: dict[str, object] = {
        "event_id": str(uuid4()),
        "schema_version": "1.0",
        "event_type": "alert",
        "device_id": device,
        "site_id": "SITE-0001",
        "seq": 1,
        "boot_id": "0190d5a8-0000-7000-8000-000000000001",
        "event_ts": stamp,
        "gateway_ts": stamp,
        "spooled": False,
        "fw": "1.2.3",
        "model": "COLD-300",
        "alert_id": str(uuid4()),
        "code": "COIN_JAM",
        "component": "coin",
        "state": "raised",
        "severity": 3,
    }
    return json.dumps(event | changes).encode()


class Process:
    """A `fleetpulse` command in a process of its own."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def output_bytes(self) -> bytes:
        return self._log.read_bytes()

    def events(self, name: str) -> list[dict[str, object]]:
        """Returns the log's entries of that name."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, within_s: float = 20) -> int:
        return self._process.wait(within_s)

    def stop(self, within_s: float = 10) -> None:
        """SIGTERM, and no other end than a good one, in time."""
        self.send(signal.SIGTERM)
        assert self.wait(within_s) == 0, self.output

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Scene:
    """One test's world, from empty logs, an empty ODS and an empty lake."""

    def __init__(
        self, home: Path, sandbox_env: dict[str, str], database: str, folder: Path
    ) -> None:
        self.lake_name = f"lake-{uuid4().hex[:8]}"
        self.environment = {
            "PATH": os.defpath,
            **sandbox_env,
            "FLEETPULSE_ODS__DATABASE": database,
            "FLEETPULSE_KAFKA__GROUP_ID": f"landing-{self.lake_name}",
            "FLEETPULSE_LAKE__URL": f"{sandbox_env['FLEETPULSE_LAKE__URL']}/{self.lake_name}",
            "FLEETPULSE_LANDING__FLUSH_INTERVAL_S": "0.1",
            "FLEETPULSE_LANDING__FILE_MAX_AGE_S": "0.5",
        }
        self.produced: dict[Identity, Fingerprint] = {}
        self.kafka = KafkaSettings(
            bootstrap_servers=sandbox_env["FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"],
            group_id=self.environment["FLEETPULSE_KAFKA__GROUP_ID"],
        )
        self._home = home
        self._folder = folder
        self._processes: list[Process] = []
        self.admin = AdminClient(self.kafka.client(), logger=QUIET)
        self._producer = ck.Producer(
            {**self.kafka.client(), "linger.ms": 2, "message.max.bytes": 1_048_000}, logger=QUIET
        )

    def __enter__(self) -> "Scene":
        self.wait_for(lambda: len(self._ends_or_none() or ()) == PARTITIONS * len(CONTRACTS))
        self.delete_records(self.ends())
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.running:
                process.kill()

    # Kafka --------------------------------------------------------------------------------------

    def produce(
        self,
        payload: bytes | None,
        key: bytes | None = b"VM-000001",
        *,
        topic: str = TOPIC,
        partition: int = 0,
        headers: list[tuple[str, bytes | None]] | None = None,
        timestamp: int = 0,
    ) -> None:
        """Produces a record, and remembers it as soon as the broker has acknowledged it."""

        def delivered(error: ck.KafkaError | None, message: ck.Message) -> None:
            assert error is None, error
            offset = message.offset()
            assert offset is not None
            self.produced[topic, partition, offset] = fingerprint(
                message.timestamp()[1], key, headers, payload
            )

        self._producer.produce(
            topic,
            payload,
            key,
            partition,
            on_delivery=delivered,
            timestamp=timestamp,
            headers=headers or [],
        )
        self._producer.poll(0)

    def produce_some(self, count: int, seed: int = 0) -> None:
        """Produces alerts over all partitions, one in twenty of them broken."""
        chance = random.Random(seed)
        for _ in range(count):
            device = f"VM-{chance.randrange(100):06}"
            body = alert(device)
            if chance.random() < 0.05:
                body = body[: chance.randrange(1, len(body))]
            self.produce(body, device.encode(), partition=chance.randrange(PARTITIONS))
        self.flush()

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def ends(self) -> dict[tuple[str, int], int]:
        return kafka.log_ends(self.kafka, tuple(CONTRACTS))

    def delete_records(self, below: dict[tuple[str, int], int]) -> None:
        """Does what retention does: the log begins at these offsets."""
        wanted = [ck.TopicPartition(*where, offset) for where, offset in below.items()]
        for future in self.admin.delete_records(wanted).values():
            future.result(timeout=20)

    def recreate(self, topic: str) -> None:
        """Deletes a topic and makes another one with its name."""
        self.delete(topic)
        self.create(topic)

    def delete(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result(timeout=20)

    def create(self, topic: str) -> None:
        def made() -> bool:
            try:
                self.admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(timeout=20)
            except ck.KafkaException as error:
                if error.args[0].code() != ck.KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
                return False  # still being deleted
            return True

        self.wait_for(made)
        self.wait_for(lambda: len(self._ends_or_none() or ()) == PARTITIONS * len(CONTRACTS))

    def _ends_or_none(self) -> dict[tuple[str, int], int] | None:
        """Returns None while a new partition has no leader yet."""
        with suppress(OutageError, FatalError):
            return self.ends()
        return None

    # Processes ----------------------------------------------------------------------------------

    def run(self, *arguments: str, **changes: str) -> Process:
        """Starts a command; `changes` are settings, without their common prefix."""
        changed = {f"FLEETPULSE_{name}": value for name, value in changes.items()}
        process = Process(
            arguments,
            self.environment | changed,
            self._folder / f"{len(self._processes)}-{arguments[0]}.log",
        )
        self._processes.append(process)
        return process

    def consumer(self, **changes: str) -> Process:
        return self.run("consume", **changes)

    def stop_server(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        Daemon(name, self._home).stop(how, 20)

    def start_servers(self) -> None:
        Sandbox(self._home).up()

    def wait_for(self, condition: Callable[[], bool], within_s: float = 30) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self._outputs()
            Event().wait(LOOK_EVERY_S)

    def _outputs(self) -> str:
        return "waited in vain\n" + "\n".join(each.output[-3000:] for each in self._processes)

    # What has landed ------------------------------------------------------------------------------

    def connect(self, role: str = "owner") -> psycopg.Connection[tuple[object, ...]]:
        section = settings.OdsSettings.model_validate(
            {
                "host": self.environment["FLEETPULSE_ODS__HOST"],
                "port": self.environment["FLEETPULSE_ODS__PORT"],
                "database": self.environment["FLEETPULSE_ODS__DATABASE"],
                "passwords": {
                    name: self.environment[f"FLEETPULSE_ODS__PASSWORDS__{name.upper()}"]
                    for name in ("owner", "consumer", "orchestrator")
                },
            }
        )
        return psycopg.connect(section.url(role), autocommit=True)

    def store(self) -> ObjectStore:
        names = ("url", "endpoint_url", "region", "access_key_id", "secret_access_key")
        values = {name: self.environment[f"FLEETPULSE_LAKE__{name.upper()}"] for name in names}
        return open_store(LakeSettings.model_validate(values))

    def offsets(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Returns how far the ODS and the lake have each partition."""
        store = self.store()
        with self.connect() as connection:
            rows = connection.execute(
                'select topic, epoch, "partition", start_offset, next_offset, lake_claim'
                " from landing.offsets"
            ).fetchall()
        found = {}
        for topic, epoch, partition, start, ods_next, hint in rows:
            where = PartitionId(topic, epoch, partition)  # type: ignore[arg-type]
            tail = read_tail(store, where, start, hint)  # type: ignore[arg-type]
            found[where.topic, where.partition] = (ods_next, tail.next_offset)
        return found  # type: ignore[return-value]

    def wait_until_landed(self, within_s: float = 30) -> None:
        """Waits until the ODS is at the end of every log, and the lake has all records."""
        ends = self.ends()
        last: dict[tuple[str, int], int] = {}
        for topic, partition, offset in self.produced:
            last[topic, partition] = max(offset + 1, last.get((topic, partition), 0))

        def landed() -> bool:
            offsets = self.offsets()
            return offsets.keys() >= ends.keys() and all(
                ods >= ends[where] and lake >= last.get(where, 0)
                for where, (ods, lake) in offsets.items()
            )

        self.wait_for(landed, within_s)

    def compare(self) -> list[Comparison]:
        with self.connect("orchestrator") as connection:
            return list(verify(self.kafka, tuple(CONTRACTS), connection, self.store()))

    def check(self) -> None:
        """Asserts that every record is once in the ODS and once in the lake, to the byte."""
        assert all(each.sound for each in self.compare())
        assert self.in_ods() == sorted(self.produced.items())
        assert self.in_lake() == sorted(self.produced.items())

    def in_ods(self) -> list[tuple[Identity, Fingerprint]]:
        """Returns all rows of landing and quarantine: a double would be there twice."""
        columns = '"partition", "offset", (extract(epoch from kafka_ts) * 1000)::bigint, key'
        rows: list[tuple[Any, ...]] = []
        with self.connect() as connection:
            for topic in CONTRACTS:
                rows += connection.execute(
                    f"select {topic!r}, {columns}, headers, convert_to(payload::text, 'UTF8')"
                    f" from landing.{table_of(topic)}"
                )
            rows += connection.execute(
                f"select topic, {columns}, headers, payload from landing.quarantine"
            )
        return sorted(
            ((topic, partition, offset), fingerprint(timestamp, key, _pairs(headers), payload))
            for topic, partition, offset, timestamp, key, headers, payload in rows
        )

    def in_lake(self) -> list[tuple[Identity, Fingerprint]]:
        """Returns all rows of all Parquet files, whether a claim names them or not."""
        files = sorted((self.lake_folder / "raw").rglob("*.parquet"))
        if not files:
            return []
        with duckdb.connect() as connection:
            rows = connection.execute(
                'select topic, "partition", "offset", epoch_ms(kafka_ts), key, headers, payload'
                " from read_parquet(?, hive_partitioning = false)",
                [[str(file) for file in files]],
            ).fetchall()
        return sorted(
            (
                (topic, partition, offset),
                fingerprint(
                    timestamp,
                    key,
                    [(header["name"], header["value"]) for header in headers or ()],
                    payload,
                ),
            )
            for topic, partition, offset, timestamp, key, headers, payload in rows
        )

    @property
    def lake_folder(self) -> Path:
        """Where the object store keeps this lake's objects: each is a file."""
        return self._home / "s3" / "data" / BUCKET / self.lake_name


def _pairs(headers: list[tuple[str, str | None]] | None) -> list[tuple[str, bytes | None]]:
    return [
        (name, None if value is None else base64.b64decode(value)) for name, value in headers or ()
    ]
