"""What a landing test needs: a producer that remembers, consumers to torment, a plain count.

The count is independent of the code under test: SQL over the tables, DuckDB over the files.
"""

import base64
import io
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import confluent_kafka as ck
import duckdb
import psycopg
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from fleetpulse.cli import main
from sandbox.credentials import Credentials
from sandbox.kafka import PARTITIONS
from sandbox.object_store import BUCKET
from sandbox.ports import Ports
from sandbox.postgres import Postgres
from sandbox.process import Daemon
from sandbox.sandbox import Sandbox
from streaming import kafka
from streaming.consumer import Consumer
from streaming.contracts import CONTRACTS
from streaming.errors import FatalError, OutageError
from streaming.object_store import ObjectStore, open_store
from streaming.records import PartitionId
from streaming.settings import KafkaSettings, LakeSettings, LandingSettings, OdsSettings
from streaming.sinks.lake import LakeSink, read_tail
from streaming.sinks.ods import OdsSink, table_of
from streaming.verify import Comparison, verify
from tests.integration.landing.process import Process
from tests.integration.landing.records import TOPIC, Fingerprint, Identity, alert, fingerprint

LOOK_EVERY_S = 0.05
QUIET = logging.Logger("a client whose broker may be killed", logging.CRITICAL)


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
        self.renew_producer()

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

    def renew_producer(self) -> None:
        """Makes the producer anew: an idempotent one cannot go on with a log that was cut."""
        self._producer = ck.Producer(
            {
                **self.kafka.client(),
                "linger.ms": 2,
                "message.max.bytes": 1_048_000,
                # Else a broker that dies could keep a record whose second try is acknowledged.
                "enable.idempotence": True,
            },
            logger=QUIET,
        )

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

    def accept_any_timestamp(self, topic: str) -> None:
        """Has the broker take records from the far future, as it did before Kafka 4."""
        self.configure(topic, {"message.timestamp.after.max.ms": str(2**63 - 1)})

    def configure(self, topic: str, changes: dict[str, str | None]) -> None:
        """Changes settings of a topic; None: back to the default."""
        self._configure(ResourceType.TOPIC, topic, changes)

    def configure_broker(self, changes: dict[str, str | None]) -> None:
        self._configure(ResourceType.BROKER, "1", changes)

    def _configure(self, kind: ResourceType, name: str, changes: dict[str, str | None]) -> None:
        entries = [
            ConfigEntry(
                setting,
                value,
                incremental_operation=AlterConfigOpType.DELETE
                if value is None
                else AlterConfigOpType.SET,
            )
            for setting, value in changes.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        for future in self.admin.incremental_alter_configs([resource]).values():
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
        return self.begin(arguments[0], partial(Process.command, arguments), **changes)

    def begin(
        self, name: str, start: Callable[[dict[str, str], Path], Process], **changes: str
    ) -> Process:
        """Starts a process, given its settings and the place of its log."""
        changed = {f"FLEETPULSE_{name}": value for name, value in changes.items()}
        log = self._folder / f"{len(self._processes)}-{name}.log"
        process = start(self.environment | changed, log)
        self._processes.append(process)
        return process

    def consumer(self, **changes: str) -> Process:
        return self.run("consume", **changes)

    def call(self, *arguments: str, **changes: str) -> tuple[int, str]:
        """Runs a command in this process, which is faster; returns its exit code and its words."""
        words = io.StringIO()
        changed = {f"FLEETPULSE_{name}": value for name, value in changes.items()}
        environment = self.environment | {"COLUMNS": "1000"} | changed
        with (
            patch.dict(os.environ, environment, clear=True),
            patch.object(sys, "argv", ["fleetpulse", *arguments]),
            patch.object(sys, "stdin", io.StringIO()),
            redirect_stdout(words),
            redirect_stderr(words),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        return int(ended.value.code or 0), words.getvalue()

    def land(self, until: Callable[[], bool] | None = None, **changes: object) -> None:
        """Lands all there is with a consumer in this process, and stops it.

        On leaving, it puts in the lake what is not there yet.

        Args:
            until: When to stop instead, where offsets do not tell: those of an older log are ahead.
            changes: Settings.
        """
        section = {"flush_interval_s": 0.05, "file_max_age_s": 3600, **changes}
        landing = LandingSettings.model_validate(section)
        consumer = Consumer(
            self.kafka,
            landing,
            partial(OdsSink, self.ods.url("consumer")),
            partial(LakeSink, self.store, landing),
        )
        ends = self.ends()
        landed = until or (lambda: self.ods_has(ends))
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(consumer.run)
            try:
                self.wait_for(lambda: running.done() or landed())
            finally:
                consumer.stop()
            running.result(20)

    def back_up(self) -> str:
        """Copies the ODS as it is; returns the copy's name, for `restore`."""
        name = f"backup_{uuid4().hex[:8]}"
        postgres = Postgres(
            self._home,
            Ports(self._home / "ports.json"),
            Credentials(self._home / "credentials.json"),
        )
        postgres.copy_database(self.ods.database, name)
        return name

    def restore(self, name: str) -> None:
        """Goes on with a copy of the ODS."""
        self.environment["FLEETPULSE_ODS__DATABASE"] = name

    def stop_server(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        Daemon(name, self._home).stop(how, 20)

    def start_servers(self) -> None:
        Sandbox(self._home).up()

    def wait_for(self, condition: Callable[[], bool], within_s: float = 30) -> None:
        """Waits for a condition; in vain too if one of our processes ends with an error."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert not any(each.failed for each in self._processes), self._outputs()
            assert time.monotonic() < deadline, self._outputs()
            Event().wait(LOOK_EVERY_S)

    def _outputs(self) -> str:
        return "waited in vain\n" + "\n".join(each.output[-3000:] for each in self._processes)

    # What has landed ------------------------------------------------------------------------------

    @property
    def ods(self) -> OdsSettings:
        prefix = "FLEETPULSE_ODS__"
        return OdsSettings.model_validate(
            {
                "host": self.environment[f"{prefix}HOST"],
                "port": self.environment[f"{prefix}PORT"],
                "database": self.environment[f"{prefix}DATABASE"],
                "passwords": {
                    name: self.environment[f"{prefix}PASSWORDS__{name.upper()}"]
                    for name in ("owner", "consumer", "orchestrator")
                },
            }
        )

    def connect(self, role: str = "owner") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.ods.url(role), autocommit=True)

    @cached_property
    def store(self) -> ObjectStore:
        names = ("url", "endpoint_url", "region", "access_key_id", "secret_access_key")
        values = {name: self.environment[f"FLEETPULSE_LAKE__{name.upper()}"] for name in names}
        return open_store(LakeSettings.model_validate(values))

    def ods_has(self, below: dict[tuple[str, int], int]) -> bool:
        """Returns whether the ODS has landed all that is below these offsets."""
        with self.connect() as connection:
            rows = connection.execute(
                'select topic, "partition", next_offset from landing.offsets order by epoch'
            ).fetchall()
        reached = {(topic, partition): offset for topic, partition, offset in rows}
        return all(reached.get(where, -1) >= offset for where, offset in below.items())

    def lake_has_all(self) -> bool:
        """Returns whether the lake has all that was produced."""
        last: dict[tuple[str, int], int] = {}
        for topic, partition, offset in self.produced:
            last[topic, partition] = max(offset + 1, last.get((topic, partition), 0))
        with self.connect() as connection:
            rows = connection.execute(
                'select topic, epoch, "partition", start_offset, lake_claim from landing.offsets'
                " order by epoch"
            ).fetchall()
        tails = {
            (topic, partition): read_tail(
                self.store, PartitionId(topic, epoch, partition), start, hint
            )
            for topic, epoch, partition, start, hint in rows
            if (topic, partition) in last
        }
        return all(
            where in tails and tails[where].next_offset >= offset for where, offset in last.items()
        )

    def wait_until_landed(self, within_s: float = 30) -> None:
        """Waits until the ODS is at the end of every log, and the lake has all records."""
        self.flush()
        ends = self.ends()
        self.wait_for(lambda: self.ods_has(ends), within_s)
        self.wait_for(self.lake_has_all, within_s)

    def compare(self) -> list[Comparison]:
        with self.connect("orchestrator") as connection:
            return list(verify(self.kafka, tuple(CONTRACTS), connection, self.store))

    def check(self) -> None:
        """Asserts that every record is once in the ODS and once in the lake, to the byte."""
        assert all(each.sound for each in self.compare())
        assert self.in_ods() == sorted(self.produced.items())
        assert self.in_lake() == sorted(self.produced.items())

    def in_ods(self) -> list[tuple[Identity, Fingerprint]]:
        """Returns all rows of landing and quarantine: a double would be there twice.

        A redriven record once, as it came: quarantine has its original bytes.
        """
        columns = '"partition", "offset", {} as kafka_ms, key'
        exact = "(extract(epoch from kafka_ts) * 1000)::bigint"
        rows: list[tuple[Any, ...]] = []
        with self.connect() as connection:
            for topic in CONTRACTS:
                rows += connection.execute(
                    f"select {topic!r}, {columns.format(exact)}, headers,"
                    f" convert_to(payload::text, 'UTF8') from landing.{table_of(topic)}"
                    " where redrive is null"
                )
            rows += connection.execute(
                f"select topic, {columns.format('kafka_ms')}, headers, payload"
                " from landing.quarantine"
            )
        return sorted(
            ((topic, partition, offset), fingerprint(timestamp, key, _pairs(headers), payload))
            for topic, partition, offset, timestamp, key, headers, payload in rows
        )

    def outcomes(self) -> dict[Identity, str]:
        """Returns each record's reason for being in quarantine, or `landed`."""
        query = 'select topic, "partition", "offset", reason from landing.quarantine'
        with self.connect() as connection:
            reasons = {
                (topic, partition, offset): reason
                for topic, partition, offset, reason in connection.execute(query)
            }
        return {identity: reasons.get(identity, "landed") for identity in self.produced}

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
    def kafka_folder(self) -> Path:
        """Where the broker keeps its logs: each partition is a folder."""
        return self._home / "kafka" / "data"

    @property
    def lake_folder(self) -> Path:
        """Where the object store keeps this lake's objects: each is a file."""
        return self._home / "s3" / "data" / BUCKET / self.lake_name


def _pairs(headers: list[tuple[str, str | None]] | None) -> list[tuple[str, bytes | None]]:
    return [
        (name, None if value is None else base64.b64decode(value)) for name, value in headers or ()
    ]
