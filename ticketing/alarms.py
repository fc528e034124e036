"""Alarms: what is wrong with the platform itself, told of by an incident like any fault.

Whoever watches something tells it, again and again, whether it is well. What changed is appended to
`control.alarms`, from which ticketing derives intents as from the transitions of episodes: one
incident as long as it lasts, resolved by itself, reopened where it comes back soon.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row

from ticketing.transition import Kind

OPERATIONS: Final = "operations"
"""What dedupe keys of alarms begin with, where those of findings have their rule."""
QUIET: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that may be wrong with the platform.

    Attributes:
        name: Its dedupe key's second part.
        severity: 1 (critical) to 5.
        assignment_group: Who gets the incident.
        runbook: The page for whoever gets it.
    """

    name: str
    severity: int
    assignment_group: str
    runbook: str


WATERMARK_HELD: Final = Alarm(
    "watermark_held", 1, "Platform Operations", "docs/runbooks/platform/watermark.md"
)


@dataclass(frozen=True, slots=True)
class Told:
    """The newest transition of an alarm."""

    episode_id: UUID
    transition_no: int
    kind: str
    at: datetime


def next_kind(last: Told | None, *, well: bool, now: datetime) -> Kind | None:
    """Returns what is to be told now; None if nothing has changed."""
    wrong_before = last is not None and last.kind != Kind.RESOLVE
    if well:
        return Kind.RESOLVE if wrong_before else None
    if wrong_before:
        return None
    return Kind.REOPEN if last is not None and now - last.at <= QUIET else Kind.OPEN


def tell(
    connection: psycopg.Connection[Any],
    alarm: Alarm,
    because: str | None,
    since: datetime,
    now: datetime,
) -> Kind | None:
    """Says how something is, in one transaction; safe to repeat, and at once from several places.

    Args:
        connection: The ODS, as the role of the orchestrator.
        alarm: What may be wrong.
        because: What is; None while it is well.
        since: When that began.
        now: The time.

    Returns:
        What changed by it, if anything.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('control.alarms'))")
        with connection.cursor(row_factory=class_row(Told)) as cursor:
            last = cursor.execute(
                "select episode_id, transition_no, kind, at from control.alarms"
                " where alarm = %s order by alarm_id desc limit 1",
                [alarm.name],
            ).fetchone()
        kind = next_kind(last, well=because is None, now=now)
        if kind is None:
            return None
        goes_on = last is not None and kind is not Kind.OPEN
        connection.execute(
            "insert into control.alarms (episode_id, transition_no, alarm, kind, because, since,"
            " at, severity, assignment_group, runbook)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                last.episode_id if last is not None and goes_on else uuid4(),
                last.transition_no + 1 if last is not None and goes_on else 1,
                *(alarm.name, kind, because or "it is well again", since, now),
                *(alarm.severity, alarm.assignment_group, alarm.runbook),
            ],
        )
    return kind
