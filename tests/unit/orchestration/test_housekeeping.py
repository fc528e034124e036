"""Old history goes, with all that hangs on it; what still matters stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration import housekeeping

TOMORROW = datetime.now(UTC) + timedelta(days=1)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def log_folder(instance: dg.DagsterInstance, run_id: str) -> Path:
    manager = instance.compute_log_manager
    path = manager.get_captured_local_path([run_id, "compute_logs", "x"], "out")  # type: ignore[attr-defined]
    return Path(path).parents[1]


def test_an_old_run_goes_with_its_events_logs_and_folder(instance: dg.DagsterInstance) -> None:
    run_id = idle.execute_in_process(instance=instance).run_id
    folder = Path(instance.storage_directory()) / run_id / "dbt"
    folder.mkdir(parents=True)
    logs = log_folder(instance, run_id)
    logs.mkdir(parents=True, exist_ok=True)

    assert housekeeping.remove_runs(instance, TOMORROW) == 1

    assert not instance.has_run(run_id)
    assert not instance.all_logs(run_id)
    assert not folder.parent.exists()
    assert not logs.exists()


def test_a_young_run_stays(instance: dg.DagsterInstance) -> None:
    run_id = idle.execute_in_process(instance=instance).run_id

    assert housekeeping.remove_runs(instance, YESTERDAY) == 0
    assert instance.has_run(run_id)


def test_a_run_that_goes_on_stays_however_old(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED)

    assert housekeeping.remove_runs(instance, TOMORROW) == 0
    assert instance.has_run(run.run_id)


def test_more_runs_than_a_page_go_at_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_PAGE", 2)
    for _ in range(5):
        instance.create_run_for_job(idle, status=dg.DagsterRunStatus.SUCCESS)

    assert housekeeping.remove_runs(instance, TOMORROW) == 5


def test_a_folder_goes_only_if_its_run_is_gone(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED)
    storage = Path(instance.storage_directory())
    for name in (run.run_id, "of-a-run-that-is-gone"):
        (storage / name).mkdir(parents=True)

    assert housekeeping.remove_folders(instance, TOMORROW) == 1
    assert (storage / run.run_id).is_dir()


def test_of_events_without_a_run_each_assets_last_stays(instance: dg.DagsterInstance) -> None:
    for version in range(3):
        for asset in ("lake", "landing"):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(asset, metadata={"version": version})
            )

    assert housekeeping.remove_runless_events(instance, YESTERDAY) == 0
    assert housekeeping.remove_runless_events(instance, TOMORROW) == 4

    last = instance.get_latest_materialization_event(dg.AssetKey("lake"))
    assert last is not None
    assert last.asset_materialization is not None
    assert last.asset_materialization.metadata["version"].value == 2


def test_of_check_results_each_checks_last_stays(instance: dg.DagsterInstance) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("landing"), "is_recent")
    for passed in (True, True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(key.asset_key, key.name, passed=passed, metadata={})
        )

    assert housekeeping.remove_check_results(instance, YESTERDAY) == 0
    assert housekeeping.remove_check_results(instance, TOMORROW) == 2

    [last] = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert last.status.value == "FAILED"
