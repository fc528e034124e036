"""Old runs, with their events, logs and folders; old events without a run; old check results."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

_PAGE = 100


class Retention:
    """How long Dagster's history is kept."""

    def __init__(self, keep_hours: float) -> None:
        self._keep = timedelta(hours=keep_hours)

    def begins(self, now: datetime) -> datetime:
        """Returns the time before which history is deleted."""
        return now - self._keep


@dg.op
def remove_what_is_old(
    context: dg.OpExecutionContext, retention: dg.ResourceParam[Retention]
) -> None:
    """Deletes what is older than the retention, and says how much it was."""
    before = retention.begins(datetime.now(UTC))
    context.log.info(
        f"deleted, from before {before:%Y-%m-%d %H:%M} UTC: "
        f"{remove_runs(context.instance, before)} runs, "
        f"{remove_folders(context.instance, before)} folders without a run, "
        f"{remove_runless_events(context.instance, before)} events without a run, "
        f"{remove_check_results(context.instance, before)} check results"
    )


def remove_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes finished runs with all that hangs on them; returns how many."""
    old = dg.RunsFilter(created_before=before, statuses=list(FINISHED_STATUSES))
    removed = 0
    while run_ids := instance.get_run_ids(old, limit=_PAGE):
        for run_id in run_ids:
            # Before the run itself: who is interrupted here finds the run again.
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            shutil.rmtree(_folder(instance) / run_id, ignore_errors=True)
            instance.delete_run(run_id)
        removed += len(run_ids)
    return removed


def remove_folders(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes old folders of runs that are gone; returns how many."""
    folder = _folder(instance)
    old = [
        each
        for each in (folder.iterdir() if folder.is_dir() else ())
        if each.is_dir()
        and each.stat().st_mtime < before.timestamp()
        and not instance.has_run(each.name)
    ]
    for each in old:
        shutil.rmtree(each)
    return len(old)


def remove_runless_events(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes old events that sensors reported, but each asset's last; returns how many."""
    events = SqlEventLogStorageTable.c
    runless = events.run_id == RUNLESS_RUN_ID
    last = sa.select(sa.func.max(events.id)).where(runless)
    return _delete(
        instance,
        sa.delete(SqlEventLogStorageTable).where(
            runless,
            events.timestamp < before.replace(tzinfo=None),
            events.id.not_in(last.group_by(events.asset_key, events.dagster_event_type)),
        ),
    )


def remove_check_results(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes old results of asset checks, but each check's last; returns how many."""
    results = AssetCheckExecutionsTable.c
    last = sa.select(sa.func.max(results.id)).group_by(results.asset_key, results.check_name)
    return _delete(
        instance,
        sa.delete(AssetCheckExecutionsTable).where(
            results.create_timestamp < before.replace(tzinfo=None), results.id.not_in(last)
        ),
    )


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.storage_directory())


def _delete(instance: dg.DagsterInstance, statement: sa.Delete) -> int:
    # Dagster has no call for these two; `delete_run` leaves them.
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"housekeeping knows SQL storages, not {type(storage).__name__}")
    with storage.index_connection() as connection:
        return int(connection.execute(statement).rowcount)
