"""README's first command: look at it in Dagster, wait for an incident, press Ctrl-C."""

import re
from collections.abc import Iterator

import pytest

from fleetpulse.demo.stage import DEMO_HOME
from tests.integration.demo.dagster import Dagster
from tests.integration.demo.demo import Demo, belonging_to

pytestmark = pytest.mark.timeout(420)

STARTS_WITHIN_S = 200
FIRST_INCIDENT_WITHIN_S = 240
JOBS_WITHIN_S = 240
ENDS_WITHIN_S = 150
COUNTS = re.compile(
    r"(\S+) records produced = (\S+) landed \+ (\S+) quarantined = (\S+) in the lake"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, which has told where Dagster is."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    try:
        demo.wait_for(lambda: demo.dagster is not None, STARTS_WITHIN_S)
        yield demo
    finally:
        demo.clean_up()


@pytest.fixture
def dagster(demo: Demo) -> Dagster:
    assert demo.dagster is not None
    return Dagster(demo.dagster)


def test_lineage_runs_from_the_topic_to_the_incidents_and_to_the_mart(dagster: Dagster) -> None:
    behind = dagster.dependencies()

    def ancestors(key: str) -> set[str]:
        return behind[key].union(*(ancestors(each) for each in behind[key]))

    assert "kafka/telemetry.raw" in ancestors("servicenow/incidents")
    assert {"kafka/telemetry.raw", "servicenow/incidents"} <= ancestors("marts/fct_incident")


def test_landed_data_becomes_batches_that_reach_the_tickets(demo: Demo, dagster: Dagster) -> None:
    demo.wait_for(lambda: demo.incidents > 0, FIRST_INCIDENT_WITHIN_S)
    demo.wait_for(lambda: dagster.has_succeeded("insights_batch"), JOBS_WITHIN_S)

    run = dagster.runs("insights_batch")[-1]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/run_key"].startswith(f"{tags['fleetpulse/batch_id']}:")
    assert tags["dagster/sensor_name"] == "landed_data"
    assert {
        *("landing/telemetry_raw", "landing/heartbeat_raw", "landing/quarantine", "lake/raw"),
        *("staging/stg_kafka__telemetry", "insights/transitions"),
        *("servicenow/incidents", "ticketing/incidents"),
    } <= dagster.materialized()


def test_marts_and_checks_run_and_every_check_succeeds(demo: Demo, dagster: Dagster) -> None:
    demo.wait_for(lambda: dagster.has_succeeded("insights_batch"), JOBS_WITHIN_S)
    for job in ("marts", "dbt_checks"):
        dagster.launch(job)
    demo.wait_for(
        lambda: dagster.has_succeeded("marts") and dagster.has_succeeded("dbt_checks"),
        JOBS_WITHIN_S,
    )

    # A check of the platform may have been asked before the first batch: it is asked again.
    demo.wait_for(lambda: set(dagster.checks().values()) == {"SUCCEEDED"}, JOBS_WITHIN_S)

    assert {"watermark_is_recent", "unique_key_transitions_episode_id__transition_no"} <= {
        *dagster.checks()
    }


def test_ctrl_c_after_the_first_incident_sums_up_and_leaves_nothing_running(demo: Demo) -> None:
    demo.wait_for(lambda: demo.incidents > 0, FIRST_INCIDENT_WITHIN_S)
    assert belonging_to(DEMO_HOME) != []

    demo.press_ctrl_c()

    assert demo.wait(ENDS_WITHIN_S) == 0, demo.output
    assert belonging_to(DEMO_HOME) == []
    counts = COUNTS.search(demo.output)
    assert counts is not None, demo.output
    produced, landed, quarantined, lake = (int(each.replace(",", "")) for each in counts.groups())
    assert produced == landed + quarantined == lake > 10_000
    assert quarantined > 0
    assert "precision 1.000" in demo.output
    assert re.search(r"[1-9]\d* Dagster runs, 0 failed", demo.output), demo.output
