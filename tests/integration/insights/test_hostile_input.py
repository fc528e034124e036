"""What breaks parsers breaks neither landing nor the insights that read what has landed."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.insights.warehouse import Warehouse
from tests.integration.landing.hostile import documents, strings
from tests.integration.landing.records import alert
from tests.integration.landing.scene import Scene
from tests.oracle.log import Device

KINDS = {"alerts.raw": "alert", "telemetry.raw": "telemetry", "heartbeat.raw": "heartbeat"}


@pytest.fixture
def scene(
    warehouse: Warehouse, sandbox_home: Path, sandbox_env: dict[str, str], tmp_path: Path
) -> Iterator[Scene]:
    """A consumer's world whose ODS is the one of which dbt has built the models."""
    ods = {name: value for name, value in os.environ.items() if name.startswith("FLEETPULSE_ODS__")}
    database = ods["FLEETPULSE_ODS__DATABASE"]
    with Scene(sandbox_home, {**sandbox_env, **ods}, database, tmp_path) as scene:
        yield scene


def test_documents_and_strings_land_or_are_quarantined_to_the_byte_and_a_batch_succeeds(
    scene: Scene, warehouse: Warehouse
) -> None:
    for document in documents():
        scene.produce(document)
        scene.produce(alert(notes="?").replace(b'"?"', document))
    for string in strings():
        produce_everywhere(scene, string)
    scene.flush()

    scene.land()

    scene.check()
    outcomes = Counter(scene.outcomes().values())
    assert outcomes.keys() == {"landed", "MALFORMED", "CONTRACT", "KEY_MISMATCH"}
    run_a_batch(scene, warehouse)
    assert staged(warehouse) == outcomes["landed"]


def produce_everywhere(scene: Scene, string: str) -> None:
    """Produces a string as a key, device, site, text, payload, and as a header's name and value."""
    for topic, kind in KINDS.items():
        event = alert(string, event_type=kind, status="ok", message=string, site_id=string)
        scene.produce(event, string.encode(), topic=topic)
    scene.produce(alert(), string.encode())
    scene.produce(alert(), headers=[(string, string.encode())])
    scene.produce(string.encode(), headers=[(string, None)])


def run_a_batch(scene: Scene, warehouse: Warehouse) -> None:
    names = warehouse.query("select distinct device_id from landing.heartbeat_raw")
    devices = [
        Device(device_id=name, site_id="S", model="COLD-300", commissioned_us=0)
        for (name,) in names
    ]
    warehouse.register(devices, {"COLD-300": 8.0})
    ((now_us,),) = warehouse.query("select (extract(epoch from now()) * 1000000)::bigint")
    warehouse.cut(scene.ends(), now_us)
    warehouse.dbt("run")
    assert warehouse.query("select state from control.batches") == [("done",)]


def staged(warehouse: Warehouse) -> int:
    """Returns how many events dbt has taken up."""
    ((count,),) = warehouse.query(
        "select (select count(*) from ci_staging.stg_kafka__alerts)"
        " + (select count(*) from ci_staging.stg_kafka__telemetry)"
        " + (select count(*) from ci_staging.stg_kafka__heartbeats)"
    )
    return int(count)
