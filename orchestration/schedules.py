"""The schedules. All are on by default."""

from collections.abc import Callable

import dagster as dg

from orchestration import jobs
from orchestration.resources import Ods
from orchestration.runs import is_active
from streaming import batches

_RUNNING = dg.DefaultScheduleStatus.RUNNING

Evaluate = Callable[..., dg.RunRequest | dg.SkipReason]


def _once_a_batch_is_done(job_name: str) -> Evaluate:
    """Returns when a job on insights may run: its tables exist, and it does not run already."""

    def evaluate(
        context: dg.ScheduleEvaluationContext, ods: dg.ResourceParam[Ods]
    ) -> dg.RunRequest | dg.SkipReason:
        with ods.connect("orchestrator") as connection:
            last = batches.newest(connection)
        if last is None or (last.batch_id == 1 and last.state != "done"):
            return dg.SkipReason("no batch is done yet")
        if is_active(context.instance, job_name):
            return dg.SkipReason(f"the last run of {job_name} goes on")
        return dg.RunRequest()

    return evaluate


marts = dg.ScheduleDefinition(
    name="marts_every_5_minutes",
    job=jobs.marts_job,
    cron_schedule="*/5 * * * *",
    execution_fn=_once_a_batch_is_done("marts"),
    default_status=_RUNNING,
)
dbt_checks = dg.ScheduleDefinition(
    name="dbt_checks_every_5_minutes",
    job=jobs.dbt_checks,
    cron_schedule="2-59/5 * * * *",  # not together with the marts
    execution_fn=_once_a_batch_is_done("dbt_checks"),
    default_status=_RUNNING,
)
housekeeping = dg.ScheduleDefinition(
    name="housekeeping_every_hour",
    job=jobs.housekeeping,
    cron_schedule="17 * * * *",
    default_status=_RUNNING,
)

SCHEDULES = [marts, dbt_checks, housekeeping]
