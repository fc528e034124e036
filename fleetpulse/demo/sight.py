"""What can be seen of the platform from outside: the broker, the ODS, the lake, ServiceNow."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow.parquet as pq
import requests
from psycopg import sql

from fleetpulse.demo.errors import DemoError
from fleetpulse.score import found
from fleetpulse.score.found import Episode, Incident
from fleetpulse.settings import Settings, require
from streaming import kafka
from streaming.object_store import open_store
from streaming.sinks.ods import table_of
from streaming.verify import verify

_INCIDENT_FIELDS = "number,correlation_id,sys_created_on,resolved_at"
_MOST_INCIDENTS = 10_000
_RESOLVED = ("6", "7")


_QUARANTINED = "select count(*) from landing.quarantine where state <> 'redriven'"
"""What has been redriven is in landing, and counted there."""


@dataclass(frozen=True, slots=True)
class Now:
    """How far everything is at a moment.

    Attributes:
        produced: Offsets in the broker's logs.
        landed: Offsets that the ODS has taken, quarantine included.
        quarantined: Records in quarantine.
        batches: Micro-batches that are done.
        findings: Breaches that hold by now.
        opened: Incidents that were opened.
        resolved: Those of them that are resolved.
    """

    produced: int = 0
    landed: int = 0
    quarantined: int = 0
    batches: int = 0
    findings: int = 0
    opened: int = 0
    resolved: int = 0

    @property
    def lag(self) -> int:
        """Offsets that the ODS has not taken yet."""
        # The broker was asked first: what came in between has landed already.
        return max(self.produced - self.landed, 0)


@dataclass(frozen=True, slots=True)
class Counts:
    """The records, counted one by one where they are."""

    produced: int
    landed: int
    quarantined: int
    lake: int

    @property
    def equal(self) -> bool:
        """Whether each record is once in the ODS and once in the lake."""
        return self.produced == self.landed + self.quarantined == self.lake


class Sight:
    """Looks at the platform; changes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = require(settings.kafka, "kafka")
        self._topics = settings.landing.topics
        self._ods = require(settings.ods, "ods")
        self._lake = require(settings.lake, "lake")
        self._servicenow = require(settings.servicenow, "servicenow")

    def partitions_assigned(self) -> bool:
        """Returns whether the consumer has opened every partition."""
        ends = kafka.log_ends(self._kafka, self._topics)
        with self._connect() as connection:
            return _number(connection, "select count(*) from landing.offsets") == len(ends)

    def now(self) -> Now:
        """Returns how far everything is."""
        produced = sum(kafka.log_ends(self._kafka, self._topics).values())
        with self._connect() as connection:
            return Now(
                produced=produced,
                landed=_acknowledged(connection),
                quarantined=_number(connection, _QUARANTINED),
                batches=_number(
                    connection, "select count(*) from control.batches where state = 'done'"
                ),
                findings=_findings(connection),
                opened=_number(connection, "select count(*) from ticketing.incidents"),
                resolved=_number(
                    connection,
                    "select count(*) from ticketing.incidents where resolved_at is not null",
                ),
            )

    def acknowledged(self) -> int:
        """Returns the sum of the next offsets: what has landed and needs not be read again."""
        with self._connect() as connection:
            return _acknowledged(connection)

    def consumer_connected(self) -> bool:
        """Returns whether the database still works for a consumer."""
        with self._connect() as connection:
            return bool(
                _number(
                    connection,
                    "select count(*) from pg_stat_activity where usename = 'fleetpulse_consumer'",
                )
            )

    def counts(self) -> Counts:
        """Counts the records where they are: broker, tables, quarantine, Parquet files."""
        store = open_store(self._lake)
        lake = 0
        for key in store.keys("raw/"):
            body = store.get(key) if key.endswith(".parquet") else None
            if body is not None:
                lake += pq.ParquetFile(io.BytesIO(body)).metadata.num_rows
        with self._connect() as connection:
            tables = [
                sql.SQL("select count(*) from landing.{}").format(sql.Identifier(table_of(topic)))
                for topic in self._topics
            ]
            return Counts(
                produced=sum(kafka.log_ends(self._kafka, self._topics).values()),
                landed=sum(_number(connection, each) for each in tables),
                quarantined=_number(connection, _QUARANTINED),
                lake=lake,
            )

    def unsound(self) -> list[str]:
        """Compares Kafka, ODS and lake offset by offset; returns the partitions that differ."""
        with self._connect() as connection:
            states = verify(self._kafka, self._topics, connection, open_store(self._lake))
            return [str(each.partition) for each in states if not each.sound or each.behind]

    def episodes(self) -> list[Episode]:
        """Returns every episode that a batch has told of."""
        with self._connect() as connection:
            return found.episodes(connection)

    def incidents(self) -> list[Incident]:
        """Asks ServiceNow itself for every incident.

        Raises:
            DemoError: It does not answer.
        """
        try:
            response = requests.get(
                f"{self._servicenow.url}/api/now/table/incident",
                params={
                    "sysparm_fields": f"{_INCIDENT_FIELDS},state",
                    "sysparm_limit": str(_MOST_INCIDENTS),
                },
                auth=(
                    self._servicenow.username,
                    self._servicenow.password.get_secret_value(),
                ),
                timeout=30,
            )
            response.raise_for_status()
        except requests.RequestException as error:
            raise DemoError(f"ServiceNow's sandbox does not answer: {error}") from error
        return [_incident(row) for row in response.json()["result"]]

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection[Any]]:
        url = self._ods.url("orchestrator")
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def _number(connection: psycopg.Connection[Any], query: Any) -> int:
    row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def _acknowledged(connection: psycopg.Connection[Any]) -> int:
    return _number(connection, "select coalesce(sum(next_offset), 0)::bigint from landing.offsets")


def _findings(connection: psycopg.Connection[Any]) -> int:
    # Not the view of that name: the first run of the marts makes it.
    table = "select from pg_tables where schemaname = 'insights' and tablename = 'verdicts'"
    if connection.execute(table).fetchone() is None:
        return 0
    return _number(connection, "select count(*) from insights.verdicts where verdict = 'breach'")


def _incident(row: dict[str, str]) -> Incident:
    resolved = row["resolved_at"] if row["state"] in _RESOLVED else ""
    return Incident(
        number=row["number"],
        episode_id=row["correlation_id"],
        created_at=_moment(row["sys_created_on"]),
        resolved_at=_moment(resolved) if resolved else None,
    )


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
