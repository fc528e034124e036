"""What users of the ODS read: one typed view a topic, as its contract says."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg.rows import dict_row

from streaming import ods_views
from streaming.contracts import CONTRACTS, Alert, Column
from streaming.errors import FatalError
from streaming.settings import OdsSettings
from tests.integration.ods.events import event, land

IDENTITY = ["epoch", "partition", "offset", "kafka_ts"]


class AsNifiHadIt(Alert, kw_only=True, frozen=True, gc=False):
    """Alerts under the names of the table that NiFi filled."""

    ods_columns: ClassVar[tuple[Column, ...]] = (
        Column("event_ts", "ALERT_TIME", "timestamp(0)"),
        Column("device_id", "MACHINE", "varchar(32)"),
        Column("severity", "PRIO", "numeric(2)"),
        Column("offset"),
    )


@pytest.mark.parametrize("topic", CONTRACTS)
def test_a_view_has_a_column_for_each_field_with_its_value(ods: OdsSettings, topic: str) -> None:
    sent = event(topic)
    land(ods, topic, sent, None, sent)

    rows = read(ods, f'select * from ods.{topic.replace(".", "_")} order by "offset"')

    assert [row["offset"] for row in rows] == [0, 2]  # a tombstone is no event
    fields = CONTRACTS[topic].__struct_fields__
    assert list(rows[0]) == [*fields, *IDENTITY]
    for name in fields:
        told = rows[0][name]
        if isinstance(told, datetime):
            assert told == datetime.fromisoformat(sent[name]), name
        elif name in sent:
            assert told == sent[name], name
            assert type(told) is type(sent[name]), name
        else:
            assert told == {"spooled": False, "interval_s": 60}.get(name), name


def test_who_may_read_the_views_may_not_read_landing(ods: OdsSettings) -> None:
    with psycopg.connect(ods.url("ods_reader"), autocommit=True) as connection:
        connection.execute("select * from ods.alerts_raw")
        for statement in (
            "select * from landing.alerts_raw",
            "create table ods.mine ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_contract_gives_columns_other_names_types_and_order(
    ods: OdsSettings, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = event("alerts.raw", event_ts="2026-03-29T03:30:15+02:00", spooled=True)
    land(ods, "alerts.raw", sent)
    monkeypatch.setitem(CONTRACTS, "alerts.raw", AsNifiHadIt)
    owner.execute("set time zone 'Europe/Berlin'")

    ods_views.create(owner)

    row = owner.execute("select * from ods.alerts_raw").fetchone()
    assert row == (datetime(2026, 3, 29, 1, 30, 15), "VM-000001", 3, 0)  # noqa: DTZ001 - as asked
    columns = owner.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'ods.alerts_raw'::regclass and attnum > 0 order by attnum"
    ).fetchall()
    assert columns == [
        ("ALERT_TIME", "timestamp(0) without time zone"),
        ("MACHINE", "character varying(32)"),
        ("PRIO", "numeric(2,0)"),
        ("offset", "bigint"),
    ]


def test_a_column_that_is_nowhere_is_named() -> None:
    class Wrong(Alert, kw_only=True, frozen=True, gc=False):
        ods_columns: ClassVar[tuple[Column, ...]] = (Column("colour"),)

    with pytest.raises(KeyError, match="Wrong has no field colour"):
        ods_views.select(Wrong)


def test_migrating_again_keeps_what_is_built_upon_the_views(
    owner: psycopg.Connection,
    remigrate: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("create view public.mine as select device_id from ods.alerts_raw")
    remigrate()
    monkeypatch.setitem(CONTRACTS, "alerts.raw", AsNifiHadIt)

    with pytest.raises(FatalError, match=r"view mine depends on view ods\.alerts_raw"):
        remigrate()

    owner.execute("select device_id from public.mine")


def read(ods: OdsSettings, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(ods.url("ods_reader"), row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()
