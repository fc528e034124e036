"""Reference rows become versions: nothing is overwritten, said twice, or half loaded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from sandbox.fleet import FleetConfig, make_plan, write_files
from streaming.reference import (
    Change,
    Changes,
    DeviceRow,
    End,
    Entry,
    LimitRow,
    MaintenanceRow,
    ReferenceRow,
    SiteRow,
    WrongFilesError,
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


def site(**changes: object) -> SiteRow:
    row: dict[str, object] = {
        "site_id": "SITE-1",
        "name": "Berlin, Airport",
        "timezone": "Europe/Berlin",
        "business_hours": None,
        "gateway": None,
    }
    return SiteRow(**(row | changes))  # type: ignore[arg-type]


def work(**changes: object) -> MaintenanceRow:
    row: dict[str, object] = {
        "scope": "site",
        "subject": "SITE-1",
        "mode": "mute",
        "starts_at": NOON,
        "ends_at": LATER,
        "recurrence": None,
    }
    return MaintenanceRow(**(row | changes))  # type: ignore[arg-type]


def files(*rows: ReferenceRow) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for row in rows:
        entries = found.setdefault(row.table, [])
        entries.append(Entry(row, f"{row.table}.csv", len(entries) + 2))
    return found


def put(
    connection: psycopg.Connection,
    *rows: ReferenceRow,
    as_of: datetime = NOON,
    full: bool = False,
    dry_run: bool = False,
) -> dict[str, Changes]:
    return load(connection, files(*rows), as_of, full=full, dry_run=dry_run)


def occurrences(connection: psycopg.Connection) -> list[str]:
    """Returns when planned work starts and ends, in UTC."""
    return [
        f"{starts.astimezone(UTC):%m-%d %H:%M} {ends.astimezone(UTC):%m-%d %H:%M}"
        for starts, ends in connection.execute(
            "select starts_at, ends_at from reference.maintenance_occurrences order by starts_at"
        )
    ]


def versions(connection: psycopg.Connection, model: str = "COLD-300") -> list[tuple[object, ...]]:
    connection.execute("set time zone 'UTC'")
    return connection.execute(VERSIONS, (model,)).fetchall()


def test_a_first_version_is_valid_from_ever(connection: psycopg.Connection) -> None:
    assert put(connection, limit(8)) == {"model_limits": Changes(added=["COLD-300"])}
    assert versions(connection) == [(8.0, "-infinity", "infinity")]


def test_a_device_s_first_version_is_valid_from_its_commissioning(
    connection: psycopg.Connection,
) -> None:
    put(connection, site(), device())
    (row,) = connection.execute("select valid_from, commissioned_at from reference.devices")
    assert row == (EARLIER, EARLIER)


def test_an_unchanged_row_is_not_touched(connection: psycopg.Connection) -> None:
    rows = (site(), device(), work(), limit(None))
    put(connection, *rows)
    tables = [f"reference.{row.table}" for row in rows]
    before = [connection.execute(f"select xmin, ctid from {table}").fetchall() for table in tables]
    changes = put(connection, *rows, as_of=LATER)
    assert list(changes.values()) == [Changes(unchanged=1)] * 4
    after = [connection.execute(f"select xmin, ctid from {table}").fetchall() for table in tables]
    assert after == before


def test_a_changed_row_closes_the_old_version_where_the_new_one_begins(
    connection: psycopg.Connection,
) -> None:
    put(connection, limit(8))
    change = Change("COLD-300", NOON, {"max_cabinet_c": (8.0, 7.0)})
    assert put(connection, limit(7)) == {"model_limits": Changes(changed=[change])}
    put(connection, limit(None), as_of=LATER)
    assert versions(connection) == [
        (8.0, "-infinity", "2026-03-01 12:00:00+00"),
        (7.0, "2026-03-01 12:00:00+00", "2026-03-01 13:00:00+00"),
        (None, "2026-03-01 13:00:00+00", "infinity"),
    ]


def test_a_version_in_the_past_corrects_history_up_to_the_next(
    connection: psycopg.Connection,
) -> None:
    put(connection, limit(8))
    put(connection, limit(7), as_of=LATER)
    past = {"model_limits": [Entry(limit(5), "model_limits.csv", 2, valid_from=EARLIER)]}
    change = Change("COLD-300", EARLIER, {"max_cabinet_c": (8.0, 5.0)})
    assert load(connection, past, LATER) == {"model_limits": Changes(changed=[change])}
    assert versions(connection) == [
        (8.0, "-infinity", "2026-02-28 12:00:00+00"),
        (5.0, "2026-02-28 12:00:00+00", "2026-03-01 13:00:00+00"),
        (7.0, "2026-03-01 13:00:00+00", "infinity"),
    ]
    assert load(connection, past, LATER) == {"model_limits": Changes(unchanged=1)}


def test_what_a_file_lacks_stays_unless_the_file_is_full(connection: psycopg.Connection) -> None:
    put(connection, limit(8), limit(5, "FRESH-100"))
    told = put(connection, limit(9, "SNACK-200"), as_of=LATER)
    assert told == {"model_limits": Changes(added=["SNACK-200"])}
    assert versions(connection, "FRESH-100") == [(5.0, "-infinity", "infinity")]
    changes = put(connection, limit(8), limit(9, "SNACK-200"), as_of=LATER, full=True)
    assert changes == {"model_limits": Changes(ended=[End("FRESH-100", LATER)], unchanged=2)}
    assert versions(connection, "FRESH-100") == [(5.0, "-infinity", "2026-03-01 13:00:00+00")]


def test_a_site_where_a_device_still_is_does_not_end(connection: psycopg.Connection) -> None:
    put(connection, site(), device(), site(site_id="SITE-2"))
    with pytest.raises(WrongFilesError, match="SITE-1 would end, and VM-1 is still there"):
        put(connection, site(site_id="SITE-2"), as_of=LATER, full=True)
    moved = put(
        connection, site(site_id="SITE-2"), device(site_id="SITE-2"), as_of=LATER, full=True
    )
    assert moved["sites"] == Changes(ended=[End("SITE-1", LATER)], unchanged=1)


def test_a_full_file_without_rows_ends_nothing(connection: psycopg.Connection) -> None:
    put(connection, limit(8))
    with pytest.raises(WrongFilesError, match="it would end all that there is"):
        load(connection, {"model_limits": []}, LATER, full=True)


def test_a_dry_run_tells_all_and_writes_nothing(connection: psycopg.Connection) -> None:
    told = put(connection, site(), device(), dry_run=True)
    assert told == {"devices": Changes(added=["VM-1"]), "sites": Changes(added=["SITE-1"])}
    assert connection.execute("select count(*) from reference.sites").fetchone() == (0,)


@pytest.mark.parametrize("as_of", [NOON, EARLIER], ids=["at the same instant", "before"])
def test_a_change_that_is_not_later_than_the_current_version_is_refused(
    connection: psycopg.Connection, as_of: datetime
) -> None:
    put(connection, limit(8))
    put(connection, limit(7))
    with pytest.raises(WrongFilesError, match=r"line 2: COLD-300: .* later --as-of"):
        put(connection, limit(6), as_of=as_of)
    assert len(versions(connection)) == 2


def test_all_that_contradicts_is_told_at_once_and_nothing_is_loaded(
    connection: psycopg.Connection,
) -> None:
    weekly = "FREQ=WEEKLY;BYDAY=TU;UNTIL=20261231"
    wrong = files(
        limit(8),
        site(),
        device(site_id="SITE-9"),
        device(device_id="VM-2"),
        work(scope="device", subject="VM-9"),
        work(subject="SITE-8"),
        work(starts_at=EARLIER),
    )
    with pytest.raises(WrongFilesError) as caught:
        load(connection, wrong, NOON)
    unknown = "is neither in the table of {} nor in a file"
    assert [str(each) for each in caught.value.problems] == [
        f"devices.csv: line 2: column site_id: 'SITE-9' {unknown.format('sites')}",
        f"maintenance.csv: line 2: column subject: 'VM-9' {unknown.format('devices')}",
        f"maintenance.csv: line 3: column subject: 'SITE-8' {unknown.format('sites')}",
    ]
    with pytest.raises(WrongFilesError, match=r"line 2: column recurrence: .* from is Sunday"):
        put(connection, limit(8), site(), work(recurrence=weekly))
    assert versions(connection) == []
    assert occurrences(connection) == []


def test_versions_that_overlap_in_a_file_or_with_the_table_are_refused(
    connection: psycopg.Connection,
) -> None:
    put(connection, limit(8))
    put(connection, limit(7), as_of=LATER)
    of_a_file = [
        Entry(limit(5), "model_limits.csv", 2, EARLIER, LATER),
        Entry(limit(6), "model_limits.csv", 3, NOON),
    ]
    with pytest.raises(WrongFilesError, match="line 2: column valid_to: COLD-300: overlaps line 3"):
        load(connection, {"model_limits": of_a_file}, LATER)
    of_the_table = [Entry(limit(5), "model_limits.csv", 2, NOON, LATER + timedelta(hours=1))]
    with pytest.raises(WrongFilesError, match="column valid_to: COLD-300: overlaps the version"):
        load(connection, {"model_limits": of_the_table}, LATER)


class TestRecurringWork:
    TUESDAYS = work(
        starts_at=datetime(2026, 3, 17, 1, tzinfo=UTC),
        ends_at=datetime(2026, 3, 17, 3, tzinfo=UTC),
        recurrence="FREQ=WEEKLY;BYDAY=TU;UNTIL=20260331",
    )

    def test_takes_place_by_the_wall_clock_of_its_site(
        self, connection: psycopg.Connection
    ) -> None:
        put(connection, site(), self.TUESDAYS)
        assert occurrences(connection) == [
            "03-17 01:00 03-17 03:00",
            "03-24 01:00 03-24 03:00",
            "03-31 00:00 03-31 02:00",  # clocks were put forward on the 29th
        ]

    def test_follows_a_new_zone_of_its_site_from_then_on(
        self, connection: psycopg.Connection
    ) -> None:
        put(connection, site(), self.TUESDAYS)
        put(connection, site(timezone="Europe/London"), as_of=datetime(2026, 3, 20, tzinfo=UTC))
        assert occurrences(connection) == [
            "03-17 01:00 03-17 03:00",
            "03-24 02:00 03-24 04:00",
            "03-31 01:00 03-31 03:00",
        ]

    def test_that_ends_takes_place_no_more(self, connection: psycopg.Connection) -> None:
        put(connection, site(), self.TUESDAYS)
        ending = Entry(
            self.TUESDAYS, "maintenance.csv", 2, valid_to=datetime(2026, 3, 20, tzinfo=UTC)
        )
        load(connection, {"maintenance": [ending]}, NOON)
        assert occurrences(connection) == ["03-17 01:00 03-17 03:00"]


def test_two_loads_at_once_make_one_version(
    connection: psycopg.Connection, ods: dict[str, str]
) -> None:
    connection.autocommit = True
    put(connection, limit(8))
    results: list[Changes] = []

    def change() -> None:
        with psycopg.connect(ods["REFERENCE"]) as other:
            results.extend(put(other, limit(7)).values())

    threads = [Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(len(result.changed) for result in results) == [0, 1]
    assert len(versions(connection)) == 2


def test_the_fleet_s_files_load_and_say_nothing_new_the_second_time(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    plan = make_plan(FleetConfig(60, 1, NOON))
    tables = read_files([path for path in write_files(plan, tmp_path) if path.suffix == ".csv"])
    first = load(connection, tables, NOON)
    assert {table: len(changes.added) for table, changes in first.items()} == {
        table: len(rows) for table, rows in tables.items()
    }
    second = load(connection, tables, LATER)
    assert all(
        changes == Changes(unchanged=len(tables[table])) for table, changes in second.items()
    )
