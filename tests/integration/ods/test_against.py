"""A parallel run: what landing has, beside the table that the old flow fills, field by field."""

import json
from datetime import datetime
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from fleetpulse.cli import app
from streaming.against import Difference, Findings, compare
from streaming.errors import SettingError
from streaming.settings import OdsSettings
from tests.integration.ods.events import event, land

SENT = [
    event("heartbeat.raw", event_id=f"{number:036}", event_ts=f"2026-11-23T10:{number:02}:00.000Z")
    | {"gateway_ts": f"2026-11-23T10:{number:02}:01.000Z", "spooled": True}
    for number in range(10)
]
TABLE = "nifi.heartbeats"


@pytest.fixture
def nifi(ods: OdsSettings, owner: psycopg.Connection) -> psycopg.Connection:
    """The old flow's table: fewer columns, other types, its own extra column; the same events."""
    land(ods, "heartbeat.raw", *SENT, SENT[9])  # the last was sent twice
    owner.execute("create schema nifi")
    owner.execute(
        "create table nifi.heartbeats (event_id varchar(36), device_id text, seq numeric,"
        " event_ts timestamp, interval_s smallint, status text, flowfile_id text)"
    )
    owner.execute("set time zone 'America/New_York'")
    for each in [*SENT, SENT[9]]:
        insert(owner, each)
    owner.execute("grant usage on schema nifi to fleetpulse_orchestrator")
    owner.execute("grant select on nifi.heartbeats to fleetpulse_orchestrator")
    return owner


def insert(connection: psycopg.Connection, each: dict[str, Any]) -> None:
    moment = datetime.fromisoformat(each["event_ts"]).replace(tzinfo=None)
    connection.execute(
        "insert into nifi.heartbeats values (%s, %s, %s, %s, 60, %s, 'ff')",
        [each["event_id"], each["device_id"], each["seq"], moment, each["status"]],
    )


def against(ods: OdsSettings, table: str = TABLE, **options: Any) -> Findings:
    with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
        return compare(connection, "heartbeat.raw", table, **options)


def test_equal_rows_are_equal_whatever_the_types(
    ods: OdsSettings, nifi: psycopg.Connection
) -> None:
    found = against(ods)

    assert found.equal
    assert (found.compared, found.only_ours, found.only_theirs) == (11, 0, 0)
    assert found.examples == []
    assert found.columns_only_theirs == ["flowfile_id"]
    assert "uptime_s" in found.columns_only_ours
    assert found.other_types == {
        "event_id": "character varying(36)",
        "seq": "numeric",
        "event_ts": "timestamp without time zone",
        "interval_s": "smallint",
    }


def test_each_difference_is_counted_and_shown(ods: OdsSettings, nifi: psycopg.Connection) -> None:
    change = "update nifi.heartbeats set {} where event_id = %s"
    nifi.execute(change.format("status = 'degraded'"), [SENT[1]["event_id"]])
    nifi.execute(change.format("status = null, seq = 7"), [SENT[2]["event_id"]])
    nifi.execute("delete from nifi.heartbeats where event_id = %s", [SENT[3]["event_id"]])
    insert(nifi, SENT[9])  # a third time

    found = against(ods)

    assert not found.equal
    assert (found.compared, found.only_ours, found.only_theirs) == (10, 1, 1)
    differing = {name: count for name, count in found.differing.items() if count}
    assert differing == {"status": 2, "seq": 1}
    assert found.examples == [
        Difference(SENT[1]["event_id"], "status", "ok", "degraded"),
        Difference(SENT[2]["event_id"], "seq", "1", "7"),
        Difference(SENT[2]["event_id"], "status", "ok", None),
        Difference(SENT[3]["event_id"], None, "a row", None),
        Difference(SENT[9]["event_id"], None, None, "a row"),
    ]
    assert len(against(ods, limit=2).examples) == 2


def test_only_a_span_of_time_is_compared(ods: OdsSettings, nifi: psycopg.Connection) -> None:
    nifi.execute("delete from nifi.heartbeats where event_ts < '2026-11-23 10:05'")

    found = against(ods, since=datetime.fromisoformat("2026-11-23T10:05:00Z"))

    assert found.equal
    assert found.compared == 6


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ("nifi.nowhere", {}, "there is no table nifi.nowhere"),
        (TABLE, {"key": "flowfile_id"}, "do not share a column flowfile_id"),
        ("nifi.secret", {}, "permission denied for table secret: grant select on nifi.secret"),
        ("nifi.wrong", {}, "does not fit the type that its column has in ods.heartbeat_raw: "),
    ],
)
def test_what_cannot_be_compared_is_said(
    ods: OdsSettings, nifi: psycopg.Connection, table: str, options: dict[str, Any], words: str
) -> None:
    nifi.execute("create table nifi.secret (event_id text, event_ts timestamptz)")
    nifi.execute("create table nifi.wrong (event_id text, event_ts timestamptz, seq text)")
    nifi.execute("insert into nifi.wrong values ('1', now(), 'one')")
    nifi.execute("grant select on nifi.wrong to fleetpulse_orchestrator")

    with pytest.raises(SettingError, match=words):
        against(ods, table, **options)


def test_what_retention_has_dropped_is_not_compared(
    ods: OdsSettings, nifi: psycopg.Connection
) -> None:
    nifi.execute(
        'insert into landing.dropped (topic, day, epoch, "partition", records, offsets, dropped_by)'
        " values ('heartbeat.raw', '2026-11-22', 0, 0, 1, '{[0,1)}', 'Ada')"
    )

    for since in (None, datetime.fromisoformat("2026-11-22T23:59:00Z")):
        with pytest.raises(SettingError, match="compare what came later, with --from 2026-11-23"):
            against(ods, since=since)

    assert against(ods, since=datetime.fromisoformat("2026-11-23T00:00:00Z")).equal


def test_the_command_shows_the_differences_and_fails(
    ods: OdsSettings, nifi: psycopg.Connection, sandbox_env: dict[str, str]
) -> None:
    environment = {**sandbox_env, "FLEETPULSE_ODS__DATABASE": ods.database, "COLUMNS": "120"}
    command = ["verify", "--against", TABLE, "--topic", "heartbeat.raw"]

    equal = CliRunner().invoke(app, [*command, "--json"], env=environment)
    nifi.execute("update nifi.heartbeats set seq = 7 where status = 'ok' and interval_s = 60")
    unequal = CliRunner().invoke(app, command, env=environment)
    unsaid = CliRunner().invoke(app, command[:3], env=environment)

    assert equal.exit_code == 0
    assert json.loads(equal.stdout)["compared"] == 11
    assert unequal.exit_code == 1
    assert "not equal: 11 rows in both; 0 only in landing" in unequal.stdout
    assert "differing: seq in 11" in unequal.stdout
    assert unsaid.exit_code == 2
    assert "--topic telemetry.raw | heartbeat.raw | alerts.raw" in unsaid.stderr
