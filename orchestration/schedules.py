"""The schedules. All are on by default."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration import jobs
from orchestration.resources import Ods
from orchestration.runs import is_active
from streaming import batches
from streaming.settings import LandingSettings

_RUNNING = dg.DefaultScheduleStatus.RUNNING


def _once_a_batch_is_done(job: UnresolvedAssetJobDefinition, cron: str) -> dg.ScheduleDefinition:
    """Returns the schedule of a job that reads what batches have made, one run at a time."""

    @dg.schedule(name=f"{job.name}_schedule", job=job, cron_schedule=cron, default_status=_RUNNING)
    def evaluate(
        context: dg.ScheduleEvaluationContext, ods: dg.ResourceParam[Ods]
    ) -> dg.RunRequest | dg.SkipReason:
        with ods.connect("orchestrator") as connection:
            nothing_yet = batches.last_done(connection) is None
        if nothing_yet:
            return dg.SkipReason("no batch is done yet")
        if is_active(context.instance, job.name):
            return dg.SkipReason(f"the last run of {job.name} goes on")
        return dg.RunRequest()

    return evaluate


@dg.schedule(
    name="retention_schedule",
    job=jobs.retention,
    cron_schedule="40 3 * * *",
    default_status=_RUNNING,
)
def _retention(
    landing_settings: dg.ResourceParam[LandingSettings],
) -> dg.RunRequest | dg.SkipReason:
    if landing_settings.keep_days is None:
        return dg.SkipReason("FLEETPULSE_LANDING__KEEP_DAYS is not set: landing keeps all")
    return dg.RunRequest()


SCHEDULES = [
    dg.build_schedule_from_partitioned_job(
        jobs.compaction,
        name="compaction_schedule",
        minute_of_hour=20,  # by then the hour's last files are there
        default_status=_RUNNING,
    ),
    _once_a_batch_is_done(jobs.marts_job, "*/5 * * * *"),
    _once_a_batch_is_done(jobs.dbt_checks, "2-59/5 * * * *"),  # not together with the marts
    dg.ScheduleDefinition(
        name="housekeeping_schedule",
        job=jobs.housekeeping,
        cron_schedule="17 * * * *",
        default_status=_RUNNING,
    ),
    _retention,
]
