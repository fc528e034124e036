"""The real webserver, daemon and code server on a real sandbox, asked as people ask it: GraphQL."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from fleetpulse.paths import PROJECT_ROOT
from sandbox.environment import write_env_file
from sandbox.postgres import ODS_DATABASE
from streaming.contracts import CONTRACTS
from tests.integration.orchestration.conftest import FLEETPULSE

pytestmark = pytest.mark.timeout(240)

PATIENCE_S = 120
ASSETS = """{ assetNodes { assetKey { path } dependencyKeys { path }
    assetMaterializations(limit: 1) { timestamp } } }"""
CHECKS = """{ assetNodes { assetChecksOrError { ... on AssetChecks { checks { name
    executionForLatestMaterialization { status evaluation { description } } } } } } }"""
RUNS = "{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"
LAUNCH = """mutation($job: String!) { launchRun(executionParams: { selector: {
    repositoryLocationName: "orchestration.definitions", repositoryName: "__repository__",
    jobName: $job } }) { __typename } }"""

Found = TypeVar("Found")


class Dagster:
    """Dagster's GraphQL."""

    def __init__(self, url: str, logs: Path) -> None:
        self.logs = logs
        self._url = f"{url}/graphql"

    def ask(self, query: str, **variables: str) -> Any:
        answer = requests.post(
            self._url, json={"query": query, "variables": variables}, timeout=30
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str) -> None:
        assert self.ask(LAUNCH, job=job)["launchRun"]["__typename"] == "LaunchRunSuccess"

    def runs(self, job: str) -> list[dict[str, Any]]:
        return [run for run in self.ask(RUNS)["runsOrError"]["results"] if run["jobName"] == job]

    def checks(self) -> dict[str, Any]:
        """Returns the last evaluation of each check that has been evaluated."""
        return {
            check["name"]: check["executionForLatestMaterialization"]
            for node in self.ask(CHECKS)["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", [])
            if check["executionForLatestMaterialization"]
        }

    def wait_for_success(self, job: str) -> dict[str, Any]:
        """Waits until a run of a job has succeeded; one that fails ends the wait."""

        def succeeded() -> dict[str, Any] | None:
            runs = self.runs(job)
            assert all(run["status"] != "FAILURE" for run in runs), (
                f"{job} failed{ends_of(self.logs)}"
            )
            return next((run for run in runs if run["status"] == "SUCCESS"), None)

        return wait_for(succeeded, f"a run of {job} succeeds", self.logs)


def wait_for(question: Callable[[], Found | None], what: str, logs: Path) -> Found:
    deadline = time.monotonic() + PATIENCE_S
    while (found := question()) is None:
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}{ends_of(logs)}"
        time.sleep(0.5)
    return found


def ends_of(logs: Path) -> str:
    return "".join(
        f"\n--- {log.name}\n{log.read_text(errors='replace')[-4000:]}"
        for log in sorted(logs.iterdir())
    )


@contextmanager
def running(command: list[str], env: dict[str, str], cwd: Path, log: Path) -> Iterator[None]:
    """Runs a command in a process group of its own, of which nothing is left afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def dagster(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dagster]:
    """A fleet, the consumer and Dagster at work; each log is shown where the wait fails."""
    environment = {**environment, "FLEETPULSE_ODS__DATABASE": ODS_DATABASE}
    home = tmp_path_factory.mktemp("platform")
    logs = tmp_path_factory.mktemp("logs")
    ours = {
        name: value
        for name, value in environment.items()
        if name == "DAGSTER_HOME" or name.startswith("FLEETPULSE_")
    }
    write_env_file(home / ".env", ours)
    empty_topics(environment["FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"])
    port = environment["FLEETPULSE_DAGSTER__WEBSERVER_PORT"]
    with ExitStack() as stack:

        def start(name: str, *command: str) -> None:
            stack.enter_context(
                running([*command], environment, cwd=home, log=logs / f"{name}.log")
            )

        fleet = [*FLEETPULSE, "fleet", "run", "--devices", "60", "--history", "10m", "--no-faults"]
        start("fleet", *fleet, "--out", str(home / "fleet"))
        start("consumer", *FLEETPULSE, "consume")
        # The truth is the last file that a fleet writes.
        wait_for(
            lambda: (home / "fleet" / "truth.jsonl").exists() or None, "the fleet's files", logs
        )
        files = [str(path) for path in sorted((home / "fleet").glob("*.csv"))]
        subprocess.run(
            [*FLEETPULSE, "reference", "load", *files], env=environment, check=True, timeout=60
        )
        where = ["-w", str(PROJECT_ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", port]
        start("dagster", sys.executable, "-m", "dagster", "dev", *where)
        asked = Dagster(f"http://127.0.0.1:{port}", logs)
        wait_for(lambda: answers(asked), "the webserver answers", logs)
        yield asked


def empty_topics(servers: str) -> None:
    """Takes away what other tests have left in Kafka."""
    admin = AdminClient({"bootstrap.servers": servers})
    everything = [
        TopicPartition(topic, number, OFFSET_END) for topic in CONTRACTS for number in range(4)
    ]
    for done in admin.delete_records(everything).values():
        done.result(timeout=20)


def answers(dagster: Dagster) -> bool | None:
    try:
        return bool(dagster.ask(ASSETS)["assetNodes"]) or None
    except requests.ConnectionError:
        return None


def test_lineage_runs_from_the_topic_to_the_incidents_and_to_the_mart(dagster: Dagster) -> None:
    behind = {
        "/".join(node["assetKey"]["path"]): {
            "/".join(key["path"]) for key in node["dependencyKeys"]
        }
        for node in dagster.ask(ASSETS)["assetNodes"]
    }

    def ancestors(key: str) -> set[str]:
        return behind[key].union(*(ancestors(each) for each in behind[key]))

    assert "kafka/telemetry.raw" in ancestors("servicenow/incidents")
    assert {"kafka/telemetry.raw", "servicenow/incidents"} <= ancestors("marts/fct_incident")


def test_landed_data_becomes_a_batch_that_reaches_the_tickets(dagster: Dagster) -> None:
    run = dagster.wait_for_success("insights_batch")

    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/run_key"].startswith(f"{tags['fleetpulse/batch_id']}:")
    assert tags["dagster/sensor_name"] == "landed_data"
    materialized = {
        "/".join(node["assetKey"]["path"])
        for node in dagster.ask(ASSETS)["assetNodes"]
        if node["assetMaterializations"]
    }
    assert {
        *("landing/telemetry_raw", "landing/heartbeat_raw", "landing/quarantine", "lake/raw"),
        *("staging/stg_kafka__telemetry", "insights/transitions"),
        *("servicenow/incidents", "ticketing/incidents"),
    } <= materialized


def test_marts_and_checks_run_and_more_than_no_check_was_evaluated(dagster: Dagster) -> None:
    dagster.wait_for_success("insights_batch")
    for job in ("marts", "dbt_checks"):
        dagster.launch(job)
    for job in ("marts", "dbt_checks"):
        dagster.wait_for_success(job)

    # A check of the platform may have been asked before the first batch: it is asked again.
    evaluated = wait_for(
        lambda: checks if not failed(checks := dagster.checks()) else None,
        "every check succeeds",
        dagster.logs,
    )

    assert {"watermark_is_recent", "unique_key_transitions_episode_id__transition_no"} <= {
        *evaluated
    }


def failed(checks: dict[str, Any]) -> list[str]:
    return [name for name, found in checks.items() if found["status"] != "SUCCEEDED"]
