"""Reads the ledger for people: which incidents there are, and how each came about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from ticketing.errors import NotFoundError
from ticketing.ledger import Pause, source_of, transition_of
from ticketing.target import FINISHED
from ticketing.transition import Transition

_ENTRIES: Final = """
select
    episode_id, dedupe_key, number, sys_id, state, opened_at, resolved_at, close_code, adopted,
    last_synced_at
from ticketing.incidents
"""
_STEPS: Final = """
select
    dedupe_key, transition_no, kind, at,
    outcome, problem, attempts, created_at, first_attempt_at, done_at,
    case when done_at is null then due_at end as due_at
from ticketing.intents
where episode_id = %s
order by transition_no
"""
_OPENING: Final = sql.SQL(
    "select * from {} where episode_id = %s"
    " order by kind in ('hold', 'suppress'), transition_no limit 1"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An episode's incident, as ServiceNow last told."""

    episode_id: UUID
    dedupe_key: str
    number: str
    sys_id: str
    state: int
    opened_at: datetime
    resolved_at: datetime | None
    close_code: str | None
    adopted: bool
    last_synced_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One intent of an episode: what its ticket had to become, and what came of that.

    Attributes:
        at: Event time of the transition.
        outcome: None while it is still to be done; `due_at` says from when on.
        problem: Why the last try did not succeed.
    """

    dedupe_key: str
    transition_no: int
    kind: str
    at: datetime
    outcome: str | None
    problem: str | None
    attempts: int
    created_at: datetime
    first_attempt_at: datetime | None
    done_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """All that the ledger knows of one episode.

    Attributes:
        entry: Its incident; None if it has none.
        opening: The transition that opened it, or withheld it so far: rule, window, evidence.
        steps: Its intents, in order.
    """

    episode_id: UUID
    entry: Entry | None
    opening: Transition
    steps: Sequence[Step]


def entries(connection: psycopg.Connection[Any], *, finished: bool | None = None) -> list[Entry]:
    """The incidents, newest first.

    Args:
        connection: The ODS, as a role that reads `ticketing`.
        finished: Only finished ones, only unfinished ones, or all.
    """
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            f"{_ENTRIES}"
            " where %(finished)s::boolean is null or (state = any(%(states)s)) = %(finished)s"
            " order by opened_at desc, number desc",
            {"finished": finished, "states": [int(state) for state in FINISHED]},
        ).fetchall()


def history(connection: psycopg.Connection[Any], name: str) -> History:
    """One episode, by its id or by its incident's number.

    Args:
        connection: The ODS, as a role that reads `ticketing` and `insights.transitions`.
        name: `INC0010001`, or an episode's uuid.

    Raises:
        NotFoundError: The ledger knows nothing of that name.
    """
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        entry = cursor.execute(
            f"{_ENTRIES} where number = upper(%(name)s) or episode_id::text = lower(%(name)s)"
            " order by opened_at desc limit 1",
            {"name": name},
        ).fetchone()
    episode_id = _uuid(name) if entry is None else entry.episode_id
    with connection.cursor(row_factory=class_row(Step)) as cursor:
        steps = cursor.execute(_STEPS, (episode_id,)).fetchall()
    if episode_id is None or not steps:
        raise NotFoundError(
            f"no incident and no episode {name!r} in the ledger: see `fleetpulse tickets list`"
        )
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            _OPENING.format(source_of(steps[0].dedupe_key)), (episode_id,)
        ).fetchone()
    if row is None:
        raise NotFoundError(f"the transitions of episode {episode_id} are gone")
    return History(episode_id, entry, transition_of(row), steps)


def pause(connection: psycopg.Connection[Any]) -> Pause | None:
    """The pause that is in force, if ServiceNow is left alone now."""
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(
            "select until, reason from ticketing.pause where until > now()"
        ).fetchone()


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
