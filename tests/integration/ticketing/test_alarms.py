"""What is wrong with the platform becomes one incident, and is resolved by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ticketing import alarms, register
from ticketing.alarms import WATERMARK_HELD
from ticketing.worker import Summary

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def watcher(ods) -> Iterator[psycopg.Connection[Any]]:
    with ods.connect("ORCHESTRATOR") as connection:
        yield connection


def tell(watcher, minute: int, because: str | None) -> None:
    now = NOON + timedelta(minutes=minute)
    alarms.tell(watcher, WATERMARK_HELD, because, now - timedelta(minutes=2), now)


def test_an_alarm_is_one_incident_of_operations_however_often_it_is_told(scene, watcher) -> None:
    for minute in range(30):
        tell(watcher, minute, f"nothing has landed for {minute} minutes")
        scene.run()
    incident = scene.incident()
    assert incident["correlation_display"] == "operations|watermark_held|"
    assert scene.servicenow.store.name_of(incident["assignment_group"]) == "Platform Operations"
    assert "Because: nothing has landed for 0 minutes" in incident["description"]

    tell(watcher, 30, None)
    assert scene.run() == Summary(resolved=1)
    assert scene.incident()["state"] == "6"
    assert "the platform is well again" in scene.incident()["close_notes"]


def test_what_comes_back_within_the_quiet_interval_is_the_same_incident(scene, watcher) -> None:
    for minute, because in ((0, "away"), (1, None), (16, "away"), (17, None), (33, "away")):
        tell(watcher, minute, because)
        scene.run()
    assert [each["state"] for each in scene.incidents()] == ["6", "1"]
    assert scene.outcomes() == ["opened", "resolved", "reopened", "resolved", "opened"]


def test_an_alarm_waits_for_nothing_to_catch_up(scene, watcher) -> None:
    tell(watcher, 0, "nothing lands")
    scene.opening()
    assert scene.run(hold_opens=True) == Summary(opened=1, deferred=1)
    assert scene.incident()["correlation_display"] == "operations|watermark_held|"


def test_an_alarm_is_told_before_the_first_batch(scene, ods, watcher) -> None:
    tell(watcher, 0, "nothing lands")
    with ods.connect("DBT") as dbt:
        dbt.execute("alter table insights.transitions rename to hidden")
        try:
            assert scene.run() == Summary(opened=1)
        finally:
            dbt.execute("alter table insights.hidden rename to transitions")


def test_an_alarm_has_a_history(scene, watcher, ods) -> None:
    tell(watcher, 0, "nothing lands")
    scene.run()
    with ods.connect("TICKETING") as reader:
        history = register.history(reader, "INC0010001")
    assert history.opening.because == "nothing lands"
