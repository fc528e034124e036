"""Landed data → micro-batch: moves the watermark, cuts the next batch, retries a failed one.

`control.batches` is the truth; what Dagster knows is asked each time, so there is no cursor.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg

from orchestration.attempts import Step, next_step, request
from orchestration.jobs import insights_batch
from orchestration.landing_events import events_of
from orchestration.resources import Kafka, Ods
from orchestration.runs import status_of
from streaming import batches, watermark
from streaming.errors import OutageError
from streaming.settings import InsightsSettings
from streaming.watermark import Ends, State
from ticketing import alarms
from ticketing.alarms import WATERMARK_HELD

SHORT_HOLD = timedelta(seconds=60)


@dg.sensor(
    job=insights_batch,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Cuts the next micro-batch when data has landed or time has passed.",
)
def landed_data(
    context: dg.SensorEvaluationContext,
    ods: dg.ResourceParam[Ods],
    kafka: dg.ResourceParam[Kafka],
    insights_settings: dg.ResourceParam[InsightsSettings],
) -> dg.SensorResult | dg.SkipReason:
    """Launches the run of an unfinished batch, or cuts the next one."""
    now = datetime.now(UTC)
    ends = _ends(context, kafka)
    with ods.connect("orchestrator") as connection:
        state = watermark.advance(
            connection, ends, now, timedelta(seconds=insights_settings.late_tolerance_s)
        )
        _tell(connection, state, now)
        unfinished = batches.unfinished(connection)
        if unfinished is not None:
            step = next_step(unfinished, status_of(context.instance, unfinished.run_key), now)
            if step is Step.RETRY:
                unfinished = batches.retry(connection, unfinished)
            if step is Step.WAIT or unfinished is None:
                return dg.SkipReason("a batch is unfinished: its run goes on, or its retry waits")
            return dg.SensorResult(run_requests=[request(unfinished)])
        batch = batches.cut(connection, insights_settings, state.watermark, now)
        if batch is None:
            return dg.SkipReason(state.held_reason or "no batch is due")
        return dg.SensorResult(
            run_requests=[request(batch)], asset_events=events_of(connection, batch, ends)
        )


def _tell(connection: psycopg.Connection, state: State, now: datetime) -> None:
    """Opens and resolves the incident of a held watermark; a short hold is not worth one."""
    since = state.held_since or now
    lasts = state.held_since is not None and now - state.held_since >= SHORT_HOLD
    alarms.tell(connection, WATERMARK_HELD, state.held_reason if lasts else None, since, now)


def _ends(context: dg.SensorEvaluationContext, kafka: Kafka) -> Ends:
    """Asks the broker; without an answer, what has landed still goes on."""
    try:
        return kafka.ends()
    except OutageError as error:
        context.log.warning("the watermark moves by what has landed alone: %s", error)
        return {}
