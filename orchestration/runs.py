"""Questions to Dagster about its runs."""

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import RUN_KEY_TAG


def is_active(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Returns whether a run of the job is waiting, starting or going on."""
    active = dg.RunsFilter(job_name=job_name, statuses=list(NOT_FINISHED_STATUSES))
    return bool(instance.get_run_ids(active, limit=1))


def status_of(instance: dg.DagsterInstance, run_key: str) -> dg.DagsterRunStatus | None:
    """Returns how the run of a key is, or None where there is no such run."""
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1)
    return runs[0].status if runs else None
