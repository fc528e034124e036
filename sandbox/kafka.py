"""Apache Kafka itself: one KRaft node, broker and controller in one."""

import base64
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from sandbox.errors import StartError
from sandbox.files import write_private
from sandbox.jars import Jar, fetch
from sandbox.java import java
from sandbox.ports import HOST, Ports, answers
from sandbox.process import Command, plain_environment
from sandbox.server import NotReadyError, Report

PARTITIONS = 4
ASK_TIMEOUT_S = 2.0
CREATE_TIMEOUT_S = 10.0
ASK_EVERY_S = 0.05
LOGGING = Path(__file__).with_name("log4j2.properties")

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}

auto.create.topics.enable=false
num.partitions=1
log.retention.ms=-1
log.retention.bytes=-1

# One node: nothing can be replicated, and no consumer group has to be waited for.
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0

# Who tries out what happens when a consumer dies need not wait 6 s (classic protocol: its client
# decides) or 45 s (the new one: the broker does) until its partitions go to another.
group.min.session.timeout.ms=2000
group.consumer.min.session.timeout.ms=2000
group.consumer.session.timeout.ms=3000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500

# A broker that was killed is let in again only when its last session has run out (9 s by default).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class Kafka:
    """The broker, with its data in `<home>/kafka`."""

    name = "kafka"
    ports = ("kafka", "kafka_controller")
    stop_signal = signal.SIGTERM
    abandon_signal = signal.SIGKILL

    def __init__(
        self, home: Path, ports: Ports, jars: Sequence[Jar], topics: Iterable[str]
    ) -> None:
        self._folder = home / "kafka"
        self._data = self._folder / "data"
        self._settings = self._folder / "server.properties"
        self._ports = ports
        self._jars = jars
        self._class_path: tuple[Path, ...] = ()
        self._topics = tuple(topics)

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self._ports['kafka']}"

    def prepare(self, report: Report) -> None:
        """Fetches the jars, writes the settings; formats the data folder the first time.

        Raises:
            JarError: A jar cannot be had, or is not the locked one.
            StartError: The folder could not be formatted.
        """
        self._class_path = tuple(
            fetch(self._jars, lambda done, total: report(f"fetching jars {done}/{total}"))
        )
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        write_private(
            self._settings,
            SETTINGS.format(
                host=HOST,
                port=self._ports["kafka"],
                controller_port=self._ports["kafka_controller"],
                data=self._data,
            ),
        )
        if (self._data / "meta.properties").exists():
            return
        report("formatting")
        done = subprocess.run(
            self._java(
                "-XX:TieredStopAtLevel=1",
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                _cluster_id(),
                "--config",
                str(self._settings),
            ),
            env=plain_environment(self._folder),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartError(f"kafka: cannot format {self._data}\n{done.stdout}")

    def command(self) -> Command:
        """Returns what to run."""
        return Command(
            self._java(
                "-Xmx384m",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
                "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
                "kafka.Kafka",
                str(self._settings),
            ),
            plain_environment(self._folder),
            self._folder,
        )

    def probe(self) -> None:
        """Asks for the cluster's description.

        Raises:
            NotReadyError: No answer.
        """
        # A client of librdkafka waits long between attempts; a bare connection does not.
        if not answers(self._ports["kafka"]):
            raise NotReadyError(f"nobody listens on {self.address}")
        try:
            # Held by name until the answer is there: a client that is collected never answers.
            admin = self._admin()
            cluster = admin.describe_cluster(request_timeout=ASK_TIMEOUT_S).result(
                timeout=2 * ASK_TIMEOUT_S
            )
        except (KafkaException, TimeoutError) as error:
            raise NotReadyError(str(error)) from error
        if not cluster.nodes:
            raise NotReadyError("the cluster has no broker yet")

    def provision(self) -> None:
        """Creates the topics that are missing, and waits until each partition has its leader.

        Raises:
            StartError: A partition does not answer.
        """
        wanted = [
            NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)
            for topic in self._topics
        ]
        admin = self._admin()
        for created in admin.create_topics(wanted, request_timeout=CREATE_TIMEOUT_S).values():
            try:
                created.result(timeout=2 * CREATE_TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        deadline = time.monotonic() + CREATE_TIMEOUT_S
        while (problem := self._without_leader(admin)) is not None:
            if time.monotonic() > deadline:
                raise StartError(f"kafka: {problem}")
            time.sleep(ASK_EVERY_S)

    def _without_leader(self, admin: AdminClient) -> str | None:
        """Asks each partition for its end; returns in words which one does not know it."""
        partitions = [
            TopicPartition(topic, number) for topic in self._topics for number in range(PARTITIONS)
        ]
        asked = {each: OffsetSpec.latest() for each in partitions}  # type: ignore[no-untyped-call]
        ends = admin.list_offsets(asked, request_timeout=ASK_TIMEOUT_S)
        for partition, end in ends.items():
            try:
                end.result(timeout=2 * ASK_TIMEOUT_S)
            except KafkaException as error:
                return f"{partition.topic}[{partition.partition}]: {error.args[0].str()}"
        return None

    def _admin(self) -> AdminClient:
        silent = logging.getLogger(__name__)
        return AdminClient({"bootstrap.servers": self.address, "log_level": 2}, logger=silent)

    def _java(self, *arguments: str) -> tuple[str, ...]:
        class_path = os.pathsep.join(str(jar) for jar in self._class_path)
        return java(self._folder / "tmp", "-cp", class_path, *arguments)


def _cluster_id() -> str:
    # 22 characters of base64; a leading "-" would look like an option to the tool.
    return "F" + base64.urlsafe_b64encode(os.urandom(16)).decode()[1:22]
