"""Incidents in ServiceNow, and the ledger's record of them."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg

from assets.insights import TRANSITIONS
from assets.owners import OPERATIONS
from orchestration.resources import Ods, ServiceNow
from streaming import batches

INCIDENTS = dg.AssetKey(["servicenow", "incidents"])
LEDGER = dg.AssetKey(["ticketing", "incidents"])

PATIENCE_S = 120.0
OLD_WATERMARK = timedelta(minutes=5)


@dg.multi_asset(
    name="work_off_intents",
    specs=[
        dg.AssetSpec(
            INCIDENTS,
            deps=[TRANSITIONS],
            description="Incidents, opened and resolved from transitions: one an episode.",
            group_name="tickets",
            kinds={"servicenow"},
            owners=OPERATIONS,
        ),
        dg.AssetSpec(
            LEDGER,
            deps=[INCIDENTS],
            description="The incident of each ticketed episode, as ServiceNow last told.",
            group_name="tickets",
            kinds={"postgres"},
            owners=OPERATIONS,
        ),
    ],
)
def tickets(
    ods: dg.ResourceParam[Ods], servicenow: dg.ResourceParam[ServiceNow]
) -> Iterator[dg.MaterializeResult[None]]:
    """Does what is due in ServiceNow; what is not due yet, or fails, stays in the ledger."""
    with ods.connect("orchestrator") as connection:
        hold_opens = is_catching_up(connection, datetime.now(UTC))
    with ods.connect("ticketing") as connection, servicenow.worker(connection) as worker:
        summary = worker.run_due(time.monotonic() + PATIENCE_S, hold_opens=hold_opens)
    yield dg.MaterializeResult(
        asset_key=INCIDENTS,
        metadata={
            **asdict(summary),
            "opens_held": hold_opens,
            "instance": dg.MetadataValue.url(servicenow.url),
        },
    )
    yield dg.MaterializeResult(asset_key=LEDGER)


def is_catching_up(connection: psycopg.Connection, now: datetime) -> bool:
    """Returns whether a fault found now may be long over: nobody is sent for such a one."""
    last = batches.last_done(connection)
    if last is None or now - last.watermark <= OLD_WATERMARK:
        return False
    return batches.waiting(connection, last) > 0
