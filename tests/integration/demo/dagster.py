"""Dagster's webserver, asked in GraphQL: an outsider's questions."""

from typing import Any

import requests

ASSETS = """{ assetNodes { assetKey { path } dependencyKeys { path }
    assetMaterializations(limit: 1) { timestamp } } }"""
CHECKS = """{ assetNodes { assetKey { path }
    assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""
# Not the page's "for the latest materialization": a batch makes a new one all the time.
LAST_CHECK = """query($path: [String!]!, $check: String!) { assetCheckExecutions(
    assetKey: { path: $path }, checkName: $check, limit: 1)
    { status evaluation { description } } }"""
RUNS = "{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"
LAUNCH = """mutation($job: String!) { launchRun(executionParams: { selector: {
    repositoryLocationName: "orchestration.definitions", repositoryName: "__repository__",
    jobName: $job } }) { __typename } }"""


class Dagster:
    """Dagster's GraphQL."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        answer = requests.post(
            self._url, json={"query": query, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str) -> None:
        assert self.ask(LAUNCH, job=job)["launchRun"]["__typename"] == "LaunchRunSuccess"

    def runs(self, job: str) -> list[dict[str, Any]]:
        return [run for run in self.ask(RUNS)["runsOrError"]["results"] if run["jobName"] == job]

    def has_succeeded(self, job: str) -> bool:
        """Returns whether a run of a job has succeeded, and none has failed."""
        statuses = [run["status"] for run in self.runs(job)]
        assert "FAILURE" not in statuses, job
        return "SUCCESS" in statuses

    def dependencies(self) -> dict[str, set[str]]:
        """Returns the keys behind each asset's key."""
        return {
            "/".join(node["assetKey"]["path"]): {
                "/".join(key["path"]) for key in node["dependencyKeys"]
            }
            for node in self.ask(ASSETS)["assetNodes"]
        }

    def materialized(self) -> set[str]:
        """Returns the keys of the assets that have been materialized."""
        return {
            "/".join(node["assetKey"]["path"])
            for node in self.ask(ASSETS)["assetNodes"]
            if node["assetMaterializations"]
        }

    def checks(self) -> dict[str, str]:
        """Returns the last result of each check that has been evaluated."""
        return {
            check["name"]: executions[0]["status"]
            for node in self.ask(CHECKS)["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", [])
            if (
                executions := self.ask(
                    LAST_CHECK, path=node["assetKey"]["path"], check=check["name"]
                )["assetCheckExecutions"]
            )
        }
