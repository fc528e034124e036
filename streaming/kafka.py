"""The Kafka side of landing: a consumer that cannot skip, and what a broker can be asked."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import NoReturn

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.admin._topic import TopicDescription

from streaming.errors import FatalError, OutageError
from streaming.settings import KafkaSettings

ANSWER_WITHIN_S = 10.0
Where = tuple[str, int]
"""A partition as Kafka names it: topic and number."""
CUT = (
    "A broker that lay behind was elected, or has an older copy of its disk. Have the broker that "
    "has the whole log lead again if there is one; to go on with the log as it is now"
)
"""Why a log is not what it was, and what can be done."""
LOGGER = logging.getLogger("librdkafka")
"""Where the Kafka library's own words go; without one it writes to stderr as it likes."""

_PASSING = frozenset(
    {
        ck.KafkaError._TRANSPORT,
        ck.KafkaError._DESTROY_BROKER,  # it restarts while a question is on its way
        ck.KafkaError._ALL_BROKERS_DOWN,
        ck.KafkaError._TIMED_OUT,
        ck.KafkaError._TIMED_OUT_QUEUE,
        ck.KafkaError._MSG_TIMED_OUT,
        ck.KafkaError._RESOLVE,
        ck.KafkaError._WAIT_COORD,
        ck.KafkaError.REQUEST_TIMED_OUT,
        ck.KafkaError.COORDINATOR_NOT_AVAILABLE,
        ck.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        ck.KafkaError.LEADER_NOT_AVAILABLE,
        ck.KafkaError.NOT_LEADER_FOR_PARTITION,
        ck.KafkaError.NETWORK_EXCEPTION,
        ck.KafkaError.BROKER_NOT_AVAILABLE,
    }
)


def consumer_config(
    settings: KafkaSettings, queue_bytes: int = 16_000_000
) -> dict[str, str | int | float | bool]:
    """Returns the properties of the landing consumer.

    The offsets to begin at come from the sinks, so librdkafka may neither commit nor reset them:
    `auto.offset.reset` is `error`, and only what is committed in a transaction is read.

    Args:
        settings: The broker and the group.
        queue_bytes: What may wait in the client's own queue.
    """
    # A consumer that died gives its partitions to the next within 10 s, not 45: librdkafka's own
    # thread beats, so no work of ours can be too slow for it. The new protocol's broker decides.
    classic: dict[str, str | int] = {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
    }
    return {
        **settings.client(),
        **(classic if settings.group_protocol == "classic" else {}),
        "group.protocol": settings.group_protocol,
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "check.crcs": True,
        "fetch.queue.backoff.ms": 50,  # 1000, the default, halves the rate; 5 costs CPU
        "queued.max.messages.kbytes": max(queue_bytes // 1024, 1),
    }


def reader_config(
    settings: KafkaSettings, queue_bytes: int = 16_000_000
) -> dict[str, str | int | float | bool]:
    """Returns the properties of a consumer that only looks, and is in no group."""
    group = {"group.id": f"{settings.group_id}-reader"}
    return {**consumer_config(settings, queue_bytes), **group}


def is_passing(error: ck.KafkaError) -> bool:
    """Returns whether the broker may be well again by itself."""
    return error.retriable() or error.code() in _PASSING


def raise_typed(error: ck.KafkaError, doing: str) -> NoReturn:
    """Raises a Kafka error as one of ours.

    Raises:
        OutageError: Waiting can help.
        FatalError: It cannot.
    """
    if is_passing(error):
        raise OutageError(f"Kafka does not answer while {doing}: {error.str()}")
    raise FatalError(f"Kafka refused {doing}: {error.str()} ({error.name()})")


def admin_client(settings: KafkaSettings) -> AdminClient:
    """Returns a client for questions about the cluster. It costs threads: keep it."""
    return AdminClient(settings.client(), logger=LOGGER)


def ask_topic_ids(
    settings: KafkaSettings, topics: Sequence[str], admin: AdminClient
) -> Callable[[], dict[str, str]]:
    """Asks for Kafka's id of each topic: another id under the same name is another topic.

    Returns:
        Waits for the answer and returns it. Raises FatalError where a topic does not exist, and
        OutageError where the broker does not answer; then calling it again asks again.
    """
    wanted = ck.TopicCollection(list(topics))

    def ask() -> dict[str, "Future[TopicDescription]"]:
        return admin.describe_topics(wanted, request_timeout=ANSWER_WITHIN_S)

    futures = ask()

    def answer() -> dict[str, str]:
        nonlocal futures
        try:
            return {topic: _topic_id(settings, topic, each) for topic, each in futures.items()}
        except OutageError:
            futures = ask()
            raise

    return answer


def topic_ids(
    settings: KafkaSettings, topics: Sequence[str], admin: AdminClient | None = None
) -> dict[str, str]:
    """Returns Kafka's id of each topic; see `ask_topic_ids`.

    Args:
        settings: The broker.
        topics: Topic names.
        admin: A client to ask with, by whoever asks often.
    """
    if admin is None:
        admin = admin_client(settings)
    return ask_topic_ids(settings, topics, admin)()


def _topic_id(settings: KafkaSettings, topic: str, future: Future[TopicDescription]) -> str:
    try:
        return str(future.result(timeout=ANSWER_WITHIN_S + 5).topic_id)
    except ck.KafkaException as failure:
        error = failure.args[0]
        if error.code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise FatalError(
                f"the topic {topic} does not exist at {settings.bootstrap_servers}: create "
                "it, or leave it out of FLEETPULSE_LANDING__TOPICS"
            ) from failure
        raise_typed(error, f"describing the topic {topic}")


def log_starts(admin: AdminClient, wanted: Iterable[Where]) -> dict[Where, int]:
    """Returns the first offset that the broker still has of each partition.

    Raises:
        OutageError: The broker does not answer.
    """
    earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    return _offsets(admin, wanted, earliest)


def high_watermarks(admin: AdminClient, wanted: Iterable[Where]) -> dict[Where, int]:
    """Returns the end of each partition, open transactions included.

    Raises:
        OutageError: The broker does not answer.
    """
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    return _offsets(admin, wanted, latest, ck.IsolationLevel.READ_UNCOMMITTED)


def log_ends(settings: KafkaSettings, topics: Sequence[str]) -> dict[Where, int]:
    """Returns the last stable offset of every partition of the topics.

    Raises:
        FatalError: A topic does not exist.
        OutageError: The broker does not answer.
    """
    admin = admin_client(settings)
    wanted = [
        (topic, partition)
        for topic, partitions in partitions_of(admin, settings, topics).items()
        for partition in partitions
    ]
    return _offsets(admin, wanted, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def _offsets(
    admin: AdminClient,
    wanted: Iterable[Where],
    which: OffsetSpec,
    isolation: ck.IsolationLevel = ck.IsolationLevel.READ_COMMITTED,
) -> dict[Where, int]:
    futures = admin.list_offsets(
        {ck.TopicPartition(*where): which for where in wanted},
        isolation_level=isolation,
        request_timeout=ANSWER_WITHIN_S,
    )
    found: dict[Where, int] = {}
    for where, future in futures.items():
        try:
            offset = future.result(timeout=ANSWER_WITHIN_S + 5).offset
        except ck.KafkaException as failure:
            raise_typed(failure.args[0], f"asking for an end of {where.topic}[{where.partition}]")
        if offset < 0:  # seen of a broker that had just restarted: an answer without a value
            raise OutageError(f"Kafka does not know an end of {where.topic}[{where.partition}] yet")
        found[where.topic, where.partition] = offset
    return found


def compacted(admin: AdminClient, topics: Iterable[str]) -> set[str]:
    """Returns those of the topics whose logs are compacted: records may go that newer ones replace.

    Raises:
        FatalError: We may not see a topic's configuration.
        OutageError: The broker does not answer.
    """
    asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    found: set[str] = set()
    for resource, future in admin.describe_configs(asked, request_timeout=ANSWER_WITHIN_S).items():
        try:
            policy = future.result(timeout=ANSWER_WITHIN_S + 5)["cleanup.policy"].value
        except ck.KafkaException as failure:
            raise_typed(failure.args[0], f"asking for the configuration of {resource.name}")
        else:
            if "compact" in policy:
                found.add(resource.name)
    return found


def partitions_of(
    admin: AdminClient, settings: KafkaSettings, topics: Sequence[str]
) -> dict[str, list[int]]:
    """Returns the partitions of each topic.

    Raises:
        FatalError: A topic does not exist.
        OutageError: The broker does not answer.
    """
    try:
        known = admin.list_topics(timeout=ANSWER_WITHIN_S).topics
    except ck.KafkaException as failure:
        raise_typed(failure.args[0], "asking for the topics")
    if missing := [topic for topic in topics if topic not in known]:
        raise FatalError(
            f"the topic {', '.join(missing)} does not exist at {settings.bootstrap_servers}"
        )
    return {topic: sorted(known[topic].partitions) for topic in topics}
