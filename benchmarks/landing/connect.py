"""Debezium's JDBC sink in a real Kafka Connect worker: what a user would otherwise run.

With its best settings, as measured: strings in, upserts by Kafka's identity, batches of 10,000.
"""

import hashlib
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.maven import MavenContext

from benchmarks.landing.peer import TABLE, Peer
from benchmarks.landing.world import TOPIC, World
from benchmarks.measure import Usage
from sandbox.jars import fetch, read_lock
from sandbox.java import java
from sandbox.ports import HOST, Ports
from streaming.settings import OdsSettings

JARS = Path(__file__).parent / "connect" / "jgo.lock.toml"
PLUGIN = ("io.debezium", "debezium-connector-jdbc", "3.6.0.Final")
PLUGIN_SHA256 = "c23af8d416f0f801ffb0271b1a8fd9b5360ff8d66b0dd650e066bb56ecfddc05"
READY_WITHIN_S = 90

WORKER = """\
bootstrap.servers={servers}
listeners=http://{host}:{port}
plugin.path={plugins}
plugin.discovery=service_load
connector.client.config.override.policy=All
offset.storage.file.filename={folder}/offsets
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
"""


def debezium(world: World, events: int) -> Usage:
    """Lands the topic with Debezium's sink; its worker's start is not counted."""
    folder = world.home / "connect"
    folder.mkdir()
    with world.ods() as ods, _worker(world, folder) as (url, pid):

        def check() -> None:
            status = requests.get(f"{url}/connectors/{ods.database}/status", timeout=5).json()
            if failed := [task for task in status["tasks"] if task["state"] == "FAILED"]:
                raise RuntimeError(f"Debezium's sink has failed: {json.dumps(failed)}")

        with Peer(world, ods, pid) as peer:
            requests.post(
                f"{url}/connectors",
                json={"name": ods.database, "config": _sink(ods)},
                timeout=60,
            ).raise_for_status()
            return peer.land(events, check)


@contextmanager
def _worker(world: World, folder: Path) -> Iterator[tuple[str, int]]:
    jars = fetch(read_lock(JARS), lambda done, total: None)
    plugins = _unpack(folder)
    ports = Ports(folder / "ports.json")
    ports.settle(["connect"], preferred={})
    port = ports["connect"]
    settings = folder / "worker.properties"
    servers = world.kafka("debezium").bootstrap_servers
    settings.write_text(
        WORKER.format(servers=servers, host=HOST, port=port, plugins=plugins, folder=folder)
    )
    command = java(
        folder,
        "-Xmx1g",
        "-cp",
        ":".join(map(str, jars)),
        "org.apache.kafka.connect.cli.ConnectStandalone",
        str(settings),
    )
    with (folder / "worker.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=world.subprocess_environment, stdout=log, stderr=log
        )
        try:
            _wait_until_ready(f"http://{HOST}:{port}", process, folder / "worker.log")
            yield f"http://{HOST}:{port}", process.pid
        finally:
            process.kill()
            process.wait()


def _unpack(folder: Path) -> Path:
    component = MavenContext().project(*PLUGIN[:2]).at_version(PLUGIN[2])
    archive = component.artifact(classifier="plugin", packaging="tar.gz").resolve()
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != PLUGIN_SHA256:
        raise RuntimeError(f"{archive} has SHA-256 {found}, not {PLUGIN_SHA256}")
    plugins = folder / "plugins"
    with tarfile.open(archive) as tar:
        tar.extractall(plugins, filter="data")
    return plugins


def _sink(ods: OdsSettings) -> dict[str, str]:
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": TOPIC,
        "connection.url": (
            f"jdbc:postgresql://{ods.host}:{ods.port}/{ods.database}?reWriteBatchedInserts=true"
        ),
        "connection.username": "fleetpulse_owner",
        "connection.password": ods.password("owner"),
        "collection.name.format": TABLE,
        "insert.mode": "upsert",
        "primary.key.mode": "kafka",
        "schema.evolution": "basic",
        "batch.size": "10000",
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.max.poll.records": "10000",
        "consumer.override.max.partition.fetch.bytes": "8388608",
        "transforms": "hoist,time",
        "transforms.hoist.type": "org.apache.kafka.connect.transforms.HoistField$Value",
        "transforms.hoist.field": "payload",
        "transforms.time.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        "transforms.time.timestamp.field": "ts",
    }


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if requests.get(f"{url}/connectors", timeout=5).ok:
                return
        except requests.ConnectionError:
            if process.poll() is not None or time.monotonic() > deadline:
                words = "\n".join(log.read_text().splitlines()[-20:])
                raise RuntimeError(f"the Connect worker did not start:\n{words}") from None
        time.sleep(0.2)
