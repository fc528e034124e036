"""For people: what the watermark is made of, what holds it, and ending a hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from streaming.errors import WatermarkError
from streaming.watermark import Progress, State, count_returned, read_progress, read_state


@dataclass(frozen=True, slots=True)
class Part:
    """One partition: its own watermark, and by which terms it would move."""

    progress: Progress
    first_term: datetime | None
    second_term: datetime | None


@dataclass(frozen=True, slots=True)
class Holds:
    """The watermark, as the orchestrator last left it, and what it was made of.

    Attributes:
        state: The whole.
        parts: All partitions; the whole waits for the one that is least far.
        moved_at: When an offset last moved.
        returned: After a standstill: how many were heard before it, and how many of them again.
    """

    state: State
    parts: Sequence[Part]
    moved_at: datetime | None
    returned: tuple[int, int] | None


def look(connection: psycopg.Connection, tolerance: timedelta) -> Holds:
    """Returns what holds the watermark, and changes nothing.

    Args:
        connection: The ODS, as the role of the orchestrator.
        tolerance: The late tolerance.
    """
    with connection.transaction():
        state = read_state(connection)
        partitions, moves = read_progress(connection)
        returned = None
        if state.watermark is not None and state.resumed_at is not None:
            topics = sorted({each.topic for each in partitions})
            returned = count_returned(connection, topics, state.watermark, state.resumed_at)
    parts = [
        Part(each, each.first_term(tolerance), each.second_term(tolerance)) for each in partitions
    ]
    return Holds(state, parts, None if moves is None else moves.moved_at, returned)


def release(connection: psycopg.Connection, by: str, why: str) -> State:
    """Ends a hold, until all is well again, and writes down who did it and why.

    Args:
        connection: The ODS, as the role of the orchestrator.
        by: Who does.
        why: The reason that they give.

    Returns:
        The state that was held.

    Raises:
        WatermarkError: Nothing is held.
    """
    with connection.transaction():
        state = read_state(connection)
        if state.held_since is None:
            raise WatermarkError("the watermark is not held: there is nothing to release")
        connection.execute(
            "insert into control.watermark_releases (released_by, why, watermark, held_since,"
            " held_reason) values (%s, %s, %s, %s, %s)",
            [by, why, state.watermark, state.held_since, state.held_reason],
        )
        connection.execute(
            "update control.watermark set released_at = now(), held_since = null,"
            " held_reason = null, stood_still = false, resumed_at = null, returned_at = null"
        )
    return state
