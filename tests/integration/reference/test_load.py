"""Reference rows become versions: nothing is overwritten, nothing is said twice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from sandbox.fleet import FleetConfig, make_plan, write_files
from streaming.errors import ReferenceFileError
from streaming.reference import (
    Changes,
    DeviceRow,
    LimitRow,
    MaintenanceRow,
    ReferenceRow,
    SiteRow,
    load,
    read_files,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
EARLIER = NOON - timedelta(days=1)
VERSIONS = """
    select max_cabinet_c, valid_from::text, valid_to::text
    from reference.model_limits where model = %s order by valid_from
"""

pytestmark = pytest.mark.usefixtures("ods")


def device(**changes: object) -> DeviceRow:
    row: dict[str, object] = {
        "device_id": "VM-1",
        "site_id": "SITE-1",
        "model": "COLD-300",
        "commissioned_at": EARLIER,
        "decommissioned_at": None,
        "cmdb_ci": None,
        "assignment_group": "Field Service",
    }
    return DeviceRow(**(row | changes))  # type: ignore[arg-type]


def limit(celsius: float | None, model: str = "COLD-300") -> LimitRow:
    return LimitRow(model=model, max_cabinet_c=celsius)


def put(connection: psycopg.Connection, *rows: ReferenceRow, as_of: datetime = NOON) -> Changes:
    table: Sequence[ReferenceRow] = rows
    (changes,) = load(connection, {rows[0].table: table}, as_of).values()
    return changes


def versions(connection: psycopg.Connection, model: str = "COLD-300") -> list[tuple[object, ...]]:
    connection.execute("set time zone 'UTC'")
    return connection.execute(VERSIONS, (model,)).fetchall()


def test_a_first_version_is_valid_from_ever(connection: psycopg.Connection) -> None:
    assert put(connection, limit(8)) == Changes(added=1, changed=0, unchanged=0)
    assert versions(connection) == [(8.0, "-infinity", "infinity")]


def test_a_device_s_first_version_is_valid_from_its_commissioning(
    connection: psycopg.Connection,
) -> None:
    put(connection, device())
    (row,) = connection.execute("select valid_from, commissioned_at from reference.devices")
    assert row == (EARLIER, EARLIER)


def test_an_unchanged_row_is_not_touched(connection: psycopg.Connection) -> None:
    site = SiteRow(
        site_id="S", name="N", timezone="Europe/Berlin", business_hours=None, gateway=None
    )
    work = MaintenanceRow(
        scope="site",
        subject="S",
        mode="mute",
        starts_at=NOON,
        ends_at=LATER,
        recurrence=None,
    )
    for row in (device(), site, work, limit(None)):
        put(connection, row)
        before = connection.execute(f"select xmin, ctid from reference.{row.table}").fetchall()
        assert put(connection, row, as_of=LATER) == Changes(added=0, changed=0, unchanged=1)
        after = connection.execute(f"select xmin, ctid from reference.{row.table}").fetchall()
        assert after == before


def test_a_changed_row_closes_the_old_version_where_the_new_one_begins(
    connection: psycopg.Connection,
) -> None:
    put(connection, limit(8))
    assert put(connection, limit(7)) == Changes(added=0, changed=1, unchanged=0)
    put(connection, limit(None), as_of=LATER)
    assert versions(connection) == [
        (8.0, "-infinity", "2026-03-01 12:00:00+00"),
        (7.0, "2026-03-01 12:00:00+00", "2026-03-01 13:00:00+00"),
        (None, "2026-03-01 13:00:00+00", "infinity"),
    ]


def test_what_a_file_lacks_stays(connection: psycopg.Connection) -> None:
    put(connection, limit(8), limit(5, "FRESH-100"))
    put(connection, limit(9, "SNACK-200"), as_of=LATER)
    assert versions(connection, "FRESH-100") == [(5.0, "-infinity", "infinity")]


@pytest.mark.parametrize("as_of", [NOON, EARLIER], ids=["at the same instant", "before"])
def test_a_change_that_is_not_later_than_the_current_version_is_refused(
    connection: psycopg.Connection, as_of: datetime
) -> None:
    put(connection, limit(8))
    put(connection, limit(7))
    with pytest.raises(ReferenceFileError, match=r"model_limits: COLD-300: .* later --as-of"):
        put(connection, limit(6), as_of=as_of)
    assert len(versions(connection)) == 2


def test_all_tables_change_or_none(connection: psycopg.Connection) -> None:
    put(connection, device(commissioned_at=NOON))
    with pytest.raises(ReferenceFileError, match="devices: VM-1"):
        load(
            connection,
            {"model_limits": [limit(8)], "devices": [device(commissioned_at=LATER)]},
            EARLIER,
        )
    assert versions(connection) == []


def test_two_loads_at_once_make_one_version(
    connection: psycopg.Connection, ods: dict[str, str]
) -> None:
    connection.autocommit = True
    put(connection, limit(8))
    results: list[Changes] = []

    def change() -> None:
        with psycopg.connect(ods["REFERENCE"]) as other:
            results.append(put(other, limit(7)))

    threads = [Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(result.changed for result in results) == [0, 1]
    assert len(versions(connection)) == 2


def test_the_fleet_s_files_load_and_say_nothing_new_the_second_time(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    plan = make_plan(FleetConfig(60, 1, NOON))
    tables = read_files([path for path in write_files(plan, tmp_path) if path.suffix == ".csv"])
    first = load(connection, tables, NOON)
    assert {table: changes.added for table, changes in first.items()} == {
        table: len(rows) for table, rows in tables.items()
    }
    second = load(connection, tables, LATER)
    assert all(changes.added == changes.changed == 0 for changes in second.values())
