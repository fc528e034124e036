"""Do Kafka, the ODS and the lake answer, who reads, and how far has each copy come?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import confluent_kafka as ck
import psycopg

from streaming import kafka, lake_files
from streaming.errors import OutageError, StreamingError
from streaming.object_store import ObjectStore
from streaming.records import PartitionId
from streaming.settings import KafkaSettings, OdsSettings
from streaming.sinks.lake import read_tail


@dataclass(frozen=True, slots=True)
class System:
    """Whether a part that landing needs is well, and why not."""

    name: str
    well: bool
    words: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition has come; None where the one that knows did not answer."""

    partition: PartitionId
    log_end: int | None
    ods_next: int
    lake_next: int | None
    moved_at: datetime

    @property
    def behind_ods(self) -> int | None:
        """Offsets that the ODS has not landed."""
        return None if self.log_end is None else max(0, self.log_end - self.ods_next)

    @property
    def behind_lake(self) -> int | None:
        """Offsets that the ODS has landed and the lake has not."""
        return None if self.lake_next is None else max(0, self.ods_next - self.lake_next)


@dataclass(frozen=True, slots=True)
class Status:
    """All of it. Being behind is no fault by itself."""

    systems: Sequence[System]
    partitions: Sequence[Progress]

    @property
    def well(self) -> bool:
        """Whether every system is well."""
        return all(each.well for each in self.systems)


def look(
    kafka_settings: KafkaSettings, topics: Sequence[str], ods: OdsSettings, store: ObjectStore
) -> Status:
    """Asks every system, whatever the others say.

    Args:
        kafka_settings: The broker and the consumer group.
        topics: Topic names.
        ods: The ODS; it is asked as the role of the orchestrator.
        store: The lake.
    """
    ends: dict[kafka.Where, int] = {}
    rows: list[tuple[str, int, int, int, int, int | None, datetime]] = []

    def ask_kafka() -> str:
        ends.update(kafka.log_ends(kafka_settings, topics))
        return f"{len(ends)} partitions at {kafka_settings.bootstrap_servers}"

    def ask_ods() -> str:
        with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
            rows.extend(
                connection.execute(
                    'select topic, epoch, "partition", start_offset, next_offset, lake_claim,'
                    " moved_at from landing.offsets as at where epoch = (select max(epoch) from"
                    " landing.offsets where topic = at.topic) and topic = any(%s) order by 1, 3",
                    [list(topics)],
                ).fetchall()
            )
            (read_only,) = connection.execute("show transaction_read_only").fetchone() or ("off",)
        if read_only == "on":
            raise OutageError("it is read-only: nothing can be landed")
        return f"{ods.host}:{ods.port}/{ods.database}"

    def ask_lake() -> str:
        store.exists(lake_files.SCHEMA_KEY)
        return "the store answers"

    systems = [
        _ask("Kafka", ask_kafka),
        _ask("consumers", lambda: _members(kafka_settings)),
        _ask("ODS", ask_ods),
        _ask("lake", ask_lake),
    ]
    lake_answers = systems[-1].well
    progress = [
        Progress(
            PartitionId(topic, epoch, number),
            ends.get((topic, number)),
            next_offset,
            read_tail(store, PartitionId(topic, epoch, number), start, claim).next_offset
            if lake_answers
            else None,
            moved_at,
        )
        for topic, epoch, number, start, next_offset, claim, moved_at in rows
    ]
    return Status(systems, progress)


def _ask(name: str, question: Callable[[], str]) -> System:
    try:
        return System(name, True, question())
    except StreamingError as error:
        return System(name, False, str(error))
    except psycopg.Error as error:
        return System(name, False, str(error).strip())


def _members(settings: KafkaSettings) -> str:
    """Returns how many consumers there are, in words.

    Raises:
        OutageError: None, or Kafka does not answer.
    """
    admin = kafka.admin_client(settings)
    futures = admin.describe_consumer_groups(
        [settings.group_id], request_timeout=kafka.ANSWER_WITHIN_S
    )
    members = 0
    try:
        group = futures[settings.group_id].result(timeout=kafka.ANSWER_WITHIN_S + 5)
    except ck.KafkaException as failure:
        error = failure.args[0]
        if error.code() != ck.KafkaError.GROUP_ID_NOT_FOUND:
            kafka.raise_typed(error, "asking for the consumer group")
    else:
        members = len(group.members)
    if not members:
        raise OutageError(
            f"none in the group {settings.group_id}: nobody lands; start `fleetpulse consume`"
        )
    return f"{members} in the group {settings.group_id}"
