"""Intents that are due although no batch brings them: retries, and what was put off."""

from datetime import UTC, datetime

import dagster as dg
import psycopg

from assets.tickets import is_catching_up
from orchestration.jobs import insights_batch, tickets_only
from orchestration.resources import Ods
from orchestration.runs import is_active
from ticketing.alarms import OPERATIONS


@dg.sensor(
    job=tickets_only,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Works off intents that are due while no batch does so.",
)
def due_intents(
    context: dg.SensorEvaluationContext, ods: dg.ResourceParam[Ods]
) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run where one would have something to do."""
    for job in (insights_batch, tickets_only):
        if is_active(context.instance, job.name):
            return dg.SkipReason(f"a run of {job.name} goes on")
    with ods.connect("orchestrator") as connection:
        due = count_due(connection, opens=not is_catching_up(connection, datetime.now(UTC)))
    return dg.RunRequest() if due else dg.SkipReason("no intent is due")


def count_due(connection: psycopg.Connection, *, opens: bool) -> int:
    """Returns how many keys have something due that may be done now, and how many alarms are new.

    Args:
        connection: The ODS as the orchestrator.
        opens: Whether opening is not held.
    """
    row = connection.execute(
        "select (select count(*) from (select distinct on (dedupe_key) dedupe_key, kind, due_at"
        "  from ticketing.intents where done_at is null order by dedupe_key, intent_id) as head"
        " where due_at <= now()"
        " and (%(opens)s or kind not in ('open', 'reopen') or starts_with(dedupe_key, %(alarms)s))"
        " and not exists (select from ticketing.pause where until > now()))"
        # No batch claims an alarm: while the watermark is held, there is none.
        " + (select count(*) from control.alarms as a where not exists ("
        "  select from ticketing.intents as i"
        "  where i.episode_id = a.episode_id and i.transition_no = a.transition_no))",
        {"opens": opens, "alarms": f"{OPERATIONS}|"},
    ).fetchone()
    return int(row[0]) if row else 0
