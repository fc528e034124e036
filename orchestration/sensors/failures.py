"""A failed run leaves one structured record, which monitoring reads."""

import dagster as dg
import structlog

from orchestration.attempts import BATCH_TAG

_log = structlog.get_logger(__name__)


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Records each failed run: its job, its batch, and what went wrong.",
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    """Records one failed run."""
    run = context.dagster_run
    _log.error(
        "run failed",
        job=run.job_name,
        run_id=run.run_id,
        batch_id=run.tags.get(BATCH_TAG),
        problem=context.failure_event.message,
    )
