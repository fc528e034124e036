"""What every contender meets: one broker with the same topic, one Postgres, one object store."""

import json
import os
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka as ck
import psycopg
from psycopg import sql

from fleetpulse.sandbox import start
from sandbox.credentials import Credentials
from sandbox.kafka import PARTITIONS
from sandbox.ports import Ports
from sandbox.postgres import ODS_DATABASE, ODS_ROLES, Postgres
from sandbox.process import Daemon
from sandbox.sandbox import Sandbox
from streaming.settings import KafkaSettings, LakeSettings, OdsSettings

TOPIC = "heartbeat.raw"
TEMPLATE = "bench_template"


class World:
    """A sandbox with a topic that is full, and a new database and lake for each contender."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._sandbox = Sandbox(home)
        self._made = 0

    def __enter__(self) -> "World":
        self.environment = start(self.home)
        self._postgres = Postgres(
            self.home, Ports(self.home / "ports.json"), Credentials(self.home / "credentials.json")
        )
        self._postgres.copy_database(ODS_DATABASE, TEMPLATE)
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.reset()

    def fill(self, events: int, seed: int) -> int:
        """Produces events over the topic's partitions; returns the bytes of their payloads."""
        producer = ck.Producer(
            {**self.kafka("fill").client(), "linger.ms": 50, "compression.type": "none",
             "queue.buffering.max.messages": 200_000}
        )  # fmt: skip
        written = 0
        for number, (key, payload) in enumerate(events_of(events, seed)):
            written += len(payload)
            while True:
                try:
                    producer.produce(TOPIC, payload, key, partition=number % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 10_000 == 0:
                producer.poll(0)
        if producer.flush(120):
            raise RuntimeError("the broker has not taken all events within 120 s")
        return written

    def kafka(self, name: str) -> KafkaSettings:
        """Returns how to read the topic, as a group of this name."""
        servers = self.environment["FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"]
        return KafkaSettings(bootstrap_servers=servers, group_id=f"bench-{name}")

    @contextmanager
    def ods(self) -> Iterator[OdsSettings]:
        """Makes a new ODS, migrated and empty; drops it when the block is left."""
        self._made += 1
        name = f"bench_{self._made}"
        self._postgres.copy_database(TEMPLATE, name)
        with self.superuser(name) as connection:
            connection.execute("checkpoint")
        prefix = "FLEETPULSE_ODS__"
        passwords = {
            role.lower(): self.environment[f"{prefix}PASSWORDS__{role}"] for role in ODS_ROLES
        }
        try:
            yield OdsSettings.model_validate(
                {
                    "host": self.environment[f"{prefix}HOST"],
                    "port": self.environment[f"{prefix}PORT"],
                    "database": name,
                    "passwords": passwords,
                }
            )
        finally:
            with self._postgres.superuser() as connection:
                connection.execute(
                    sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
                )

    def lake(self, name: str) -> LakeSettings:
        """Returns a new lake in the object store."""
        prefix = "FLEETPULSE_LAKE__"
        values = {
            key.removeprefix(prefix).lower(): value
            for key, value in self.environment.items()
            if key.startswith(prefix)
        }
        return LakeSettings.model_validate({**values, "url": f"{values['url']}/bench-{name}"})

    def superuser(self, database: str) -> psycopg.Connection:
        """Connects as the one who may do everything."""
        return self._postgres.superuser(database)

    def postgres_pid(self) -> int:
        """Returns the process id of the database server."""
        identity = Daemon("postgres", self.home).identity()
        if identity is None:
            raise RuntimeError("Postgres is not running")
        return identity.pid

    @property
    def subprocess_environment(self) -> dict[str, str]:
        """What a contender's process may know."""
        return {"PATH": os.defpath, "HOME": str(self.home)}


def events_of(count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and payloads of heartbeats of about 300 bytes."""
    chance = random.Random(seed)  # noqa: S311 - data, not secrets
    boots = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(1000)]
    begin = int(time.time() * 1000) - count // 10
    for number in range(count):
        device = chance.randrange(1000)
        moment = begin + number // 10
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000))
        key = f"VM-{device:06}"
        event = {
            "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "schema_version": "1.0",
            "event_type": "heartbeat",
            "device_id": key,
            "site_id": f"SITE-{device // 10:04}",
            "seq": number,
            "boot_id": boots[device],
            "event_ts": f"{seconds}.{moment % 1000:03}Z",
            "fw": "1.4.2",
            "model": "COLD-300",
            "status": "ok",
            "interval_s": 60,
        }
        yield key.encode(), json.dumps(event, separators=(",", ":")).encode()


@contextmanager
def timed() -> Iterator[list[float]]:
    """Yields a list that holds the wall time once the block has ended."""
    result: list[float] = []
    begin = time.perf_counter()
    yield result
    result.append(time.perf_counter() - begin)
