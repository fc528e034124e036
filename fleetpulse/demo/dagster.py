"""Dagster, asked as people ask it: by its webserver's GraphQL."""

from collections.abc import Mapping
from typing import Any

import requests

from fleetpulse.demo.errors import DemoError

ANSWER_WITHIN_S = 120.0
"""A launch waits for the code server, which a busy machine lets wait."""
_READY = """{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"""
_RUNS = """query($job: String) { runsOrError(filter: { pipelineName: $job }) {
  ... on Runs { results { runId jobName status } } } }"""
_LAUNCH = """mutation($job: String!) { launchRun(executionParams: { selector: {
  repositoryLocationName: "orchestration.definitions", repositoryName: "__repository__",
  jobName: $job } }) { __typename ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message } } }"""
_STATUS = """query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"""

FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


class NoAnswerError(DemoError):
    """The webserver does not answer, or not yet."""


class Dagster:
    """One instance behind its webserver."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ready(self) -> bool:
        """Returns whether the definitions are loaded and the sensors' daemon is at work."""
        try:
            found = self._ask(_READY)
        except NoAnswerError:
            return False
        healthy = {
            each["daemonType"]
            for each in found["instance"]["daemonHealth"]["allDaemonStatuses"]
            if each["healthy"]
        }
        return bool(found["repositoriesOrError"].get("nodes")) and "SENSOR" in healthy

    def launch(self, job: str) -> str:
        """Launches a job and returns its run's id.

        Raises:
            DemoError: Dagster refused.
        """
        answer = self._ask(_LAUNCH, job=job)["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise DemoError(f"Dagster did not launch {job}: {answer}")
        run_id: str = answer["run"]["runId"]
        return run_id

    def status(self, run_id: str) -> str:
        """Returns a run's status."""
        status: str = self._ask(_STATUS, run=run_id)["runOrError"]["status"]
        return status

    def is_active(self, job: str) -> bool:
        """Returns whether a run of a job goes on."""
        return any(status not in FINISHED for status in self._statuses(job))

    def statuses(self) -> list[str]:
        """Returns the status of every run."""
        return self._statuses(None)

    def _statuses(self, job: str | None) -> list[str]:
        return [run["status"] for run in self._ask(_RUNS, job=job)["runsOrError"]["results"]]

    def _ask(self, query: str, **variables: str | None) -> Mapping[str, Any]:
        try:
            response = requests.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                timeout=ANSWER_WITHIN_S,
            )
            response.raise_for_status()
        except requests.RequestException as error:
            raise NoAnswerError(f"Dagster's webserver does not answer: {error}") from error
        answer = response.json()
        if "errors" in answer:
            raise DemoError(f"Dagster refused a question: {answer['errors']}")
        found: Mapping[str, Any] = answer["data"]
        return found
