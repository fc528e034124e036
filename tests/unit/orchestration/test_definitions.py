"""Definitions load without a server or a setting, and say whose they are and where data go."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from fleetpulse.paths import PROJECT_ROOT
from orchestration.errors import ManifestMissingError
from orchestration.resources import read_manifest


def ancestors(definitions: dg.Definitions, *path: str) -> set[str]:
    graph = definitions.resolve_asset_graph()
    return {key.to_user_string() for key in graph.get_ancestor_asset_keys(dg.AssetKey(list(path)))}


def test_they_load_offline_from_another_folder(definitions: dg.Definitions, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w"]
    done = subprocess.run(
        [*command, str(PROJECT_ROOT / "workspace.yaml")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_without_a_manifest_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissingError, match="fleetpulse dbt parse"):
        read_manifest(tmp_path / "manifest.json")


def test_lineage_runs_from_each_topic_to_the_incidents(definitions: dg.Definitions) -> None:
    behind = ancestors(definitions, "servicenow", "incidents")

    assert {
        "kafka/telemetry.raw",
        "kafka/heartbeat.raw",
        "kafka/alerts.raw",
        "landing/telemetry_raw",
        "staging/stg_kafka__telemetry",
        "insights/rule_cabinet_over_temperature",
        "insights/transitions",
        "reference/devices",
    } <= behind


def test_lineage_runs_from_a_topic_through_the_incidents_to_the_mart(
    definitions: dg.Definitions,
) -> None:
    assert {
        "kafka/telemetry.raw",
        "servicenow/incidents",
        "ticketing/incidents",
    } <= ancestors(definitions, "marts", "fct_incident")


def test_the_lake_comes_from_the_topics_alone(definitions: dg.Definitions) -> None:
    assert ancestors(definitions, "lake", "raw") == {
        "kafka/telemetry.raw",
        "kafka/heartbeat.raw",
        "kafka/alerts.raw",
    }


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    incomplete = [
        spec.key.to_user_string()
        for spec in definitions.resolve_all_asset_specs()
        if not (spec.description and spec.owners and spec.kinds)
        or spec.group_name in (None, "default")
    ]
    assert incomplete == []


def test_no_source_of_dbt_is_unknown_to_the_other_assets(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    described = {spec.key for spec in definitions.resolve_all_asset_specs()}
    assert set(graph.get_all_asset_keys()) == described


def test_every_schedule_and_sensor_is_on(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    on = {
        each.name
        for each in (*repository.sensor_defs, *repository.schedule_defs)
        if each.default_status.value == "RUNNING"
    }
    assert on == {
        *("landed_data", "due_intents", "stale_data", "stale_devices", "run_failures"),
        *("marts_schedule", "dbt_checks_schedule", "housekeeping_schedule"),
        *("compaction_schedule", "retention_schedule"),
    }
    assert len(on) == len([*repository.sensor_defs, *repository.schedule_defs])


def test_every_check_is_asked_by_a_scheduled_job_or_by_a_sensor(
    definitions: dg.Definitions,
) -> None:
    from orchestration.checks import DATA, DEVICES

    by_sensors = {dg.AssetCheckKey(each.asset, each.name) for each in (*DATA, *DEVICES)}
    by_jobs = {
        key
        for name in ("marts", "dbt_checks")
        for key in definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
    }
    assert by_sensors.isdisjoint(by_jobs)
    assert by_sensors | by_jobs == set(definitions.resolve_asset_graph().asset_check_keys)
    assert by_jobs


def test_a_batch_is_run_in_one_process_and_without_tests(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("insights_batch")

    assert job.executor_def.name == "in_process"
    assert not job.asset_layer.asset_graph.asset_check_keys
    assert [node.name for node in job.nodes_in_topological_order] == [
        "batch_models",
        "work_off_intents",
    ]
