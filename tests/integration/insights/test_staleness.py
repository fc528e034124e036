"""Whether most of the fleet is seen is asked of the data's own watermark, topic by topic."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from orchestration import health
from orchestration.health import Platform
from streaming.settings import LandingSettings
from tests.fixtures.insights.warehouse import Warehouse
from tests.oracle.log import HEARTBEAT, MINUTE, SECOND, TELEMETRY, Device

NOON = 1_772_366_400 * SECOND
FLEET = 5


@pytest.fixture
def platform(warehouse: Warehouse) -> Iterator[Platform]:
    """Five devices, and two batches that are done: last_seen is as of the first one's end."""
    devices = [
        Device(device_id=f"VM-{number}", site_id="SITE-1", model="COLD", commissioned_us=0)
        for number in range(FLEET)
    ]
    warehouse.register(devices, {"COLD": 8.0})
    for watermark_us in (NOON, NOON + 30 * MINUTE):
        warehouse.cut({(HEARTBEAT, 0): 1}, watermark_us)
        warehouse.execute("update control.batches set state = 'done', done_at = now()")
    with psycopg.connect(
        host=os.environ["FLEETPULSE_ODS__HOST"],
        port=os.environ["FLEETPULSE_ODS__PORT"],
        dbname=os.environ["FLEETPULSE_ODS__DATABASE"],
        user="fleetpulse_owner",
        password=os.environ["FLEETPULSE_ODS__PASSWORDS__OWNER"],
    ) as connection:
        # The table as the tests' target has built it, where production has it; and gone again.
        connection.execute("create schema if not exists insights")
        connection.execute("drop table if exists insights.last_seen cascade")
        connection.execute("create table insights.last_seen as table ci_insights.last_seen")
        yield Platform(connection, datetime.now(UTC), LandingSettings())
        connection.rollback()


def see(connection: psycopg.Connection[Any], topic: str, device: int, us: int) -> None:
    connection.execute(
        "insert into insights.last_seen (device_id, topic, us) values (%s, %s, %s)",
        [f"VM-{device}", topic, us],
    )


def test_a_device_is_stale_ten_minutes_after_its_last_sign_on_the_topic(platform: Platform) -> None:
    for device in range(FLEET):
        see(platform.ods, HEARTBEAT, device, NOON - 10 * MINUTE + (device > 0))
        see(platform.ods, TELEMETRY, device, NOON - 10 * MINUTE + (device > 1))

    beats, samples = health.devices_are_heard(platform), health.devices_report(platform)

    assert beats.healthy
    assert beats.because == "1 of 5 devices silent for 10 min"
    assert not samples.healthy
    assert samples.facts == {"expected": 5, "silent": 2, "some_of_them": "VM-0, VM-1"}


def test_a_device_that_was_never_seen_is_stale(platform: Platform) -> None:
    assert health.devices_are_heard(platform).facts["silent"] == FLEET


def test_before_there_is_a_table_nothing_is_well(platform: Platform) -> None:
    platform.ods.execute("drop table insights.last_seen cascade")
    assert not health.devices_are_heard(platform).healthy
    assert not health.devices_report(platform).healthy
