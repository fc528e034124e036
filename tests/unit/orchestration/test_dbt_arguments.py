"""What dbt is asked to do, to the letter."""

from pathlib import Path

from orchestration.resources.dbt import PROJECT, run_arguments, where_arguments
from orchestration.resources.dbt import test_arguments as arguments_for_tests


def test_all_models_are_run_by_their_selector() -> None:
    assert run_arguments("insights_batch", None) == ["run", "--selector", "insights_batch"]


def test_some_models_are_run_by_name() -> None:
    assert run_arguments("marts", ["fct_incident", "episodes"]) == [
        "run",
        "--select",
        "episodes",
        "fct_incident",
    ]


def test_tests_bring_no_others_with_them() -> None:
    assert arguments_for_tests(["unique_b", "not_null_a"]) == [
        "test",
        "--indirect-selection",
        "empty",
        "--select",
        "not_null_a",
        "unique_b",
    ]


def test_files_go_to_the_runs_own_folder_and_no_variable_changes() -> None:
    assert where_arguments("prod", Path("run/dbt")) == [
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", "prod"),
        *("--target-path", "run/dbt", "--log-path", "run/dbt", "--no-write-json"),
        *("--log-level-file", "none", "--no-use-colors"),
    ]
