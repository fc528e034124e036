"""What the platform has found: episodes, incidents, and how far its insights have come."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode, as the insights tell it.

    Attributes:
        episode_id: Its identity.
        rule_id: Of which rule.
        subject: On which machine or site.
        opened_at: Event time of its opening.
        evidence: The last records behind it, {topic, epoch, partition, offset}.
    """

    episode_id: str
    rule_id: str
    subject: str
    opened_at: datetime
    evidence: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident, as ServiceNow tells it."""

    number: str
    episode_id: str
    created_at: datetime
    resolved_at: datetime | None


def episodes(connection: psycopg.Connection[Any]) -> list[Episode]:
    """Returns every episode that a batch has told of; none before dbt's first batch."""
    table = connection.execute(
        "select from pg_tables where schemaname = 'insights' and tablename = 'transitions'"
    )
    if table.fetchone() is None:
        return []
    rows = connection.execute(
        "select episode_id, rule_id, subject, at, evidence from insights.transitions"
        " where transition_no = 1"
    )
    return [
        Episode(str(episode_id), rule_id, subject, at, tuple(evidence))
        for episode_id, rule_id, subject, at, evidence in rows
    ]


def incidents(connection: psycopg.Connection[Any]) -> list[Incident]:
    """Returns every incident of an episode, as ServiceNow last told."""
    rows = connection.execute(
        "select number, episode_id, opened_at, case when state in (6, 7) then resolved_at end"
        " from ticketing.incidents"
    )
    return [
        Incident(number, str(episode_id), opened_at, resolved_at)
        for number, episode_id, opened_at, resolved_at in rows
    ]


def watermark(connection: psycopg.Connection[Any]) -> datetime | None:
    """Returns the event time up to which all is judged; None before the first batch is done."""
    row = connection.execute(
        "select max(watermark) from control.batches where state = 'done'"
    ).fetchone()
    return None if row is None else row[0]
