"""Reference files are judged line by line, and the message says where and what."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.fleet import FleetConfig, make_plan, write_files
from streaming.errors import ReferenceFileError
from streaming.reference import (
    DeviceRow,
    LimitRow,
    MaintenanceRow,
    ReferenceRow,
    SiteRow,
    WrongFilesError,
    read_files,
)
from streaming.reference.timeline import EVER

DEVICES = "device_id,site_id,model,commissioned_at,decommissioned_at,cmdb_ci,assignment_group"
SITES = "site_id,name,timezone,business_hours,gateway"
LIMITS = "model,max_cabinet_c"
MAINTENANCE = "scope,subject,mode,from,until,recurrence"


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(files: list[Path]) -> dict[str, list[ReferenceRow]]:
    return {table: [entry.row for entry in found] for table, found in read_files(files).items()}


def test_a_file_becomes_typed_rows_of_the_table_it_is_named_after(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "devices.csv", DEVICES, "VM-1,SITE-1,COLD-300,2026-03-01T12:00:00Z,,,"),
        write(tmp_path, "sites.csv", SITES, 'SITE-1,"Berlin, Airport",Europe/Berlin,,GW-1'),
        write(tmp_path, "model_limits.csv", LIMITS, "COLD-300,8", "COFFEE-50,"),
        write(
            tmp_path,
            "maintenance.csv",
            MAINTENANCE,
            "device,VM-1,mute,2026-03-01T12:00:00Z,2026-03-01T15:00:00+02:00,",
        ),
    ]
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert rows_of(files) == {
        "devices": [
            DeviceRow(
                device_id="VM-1",
                site_id="SITE-1",
                model="COLD-300",
                commissioned_at=noon,
                decommissioned_at=None,
                cmdb_ci=None,
                assignment_group=None,
            )
        ],
        "sites": [
            SiteRow(
                site_id="SITE-1",
                name="Berlin, Airport",
                timezone="Europe/Berlin",
                business_hours=None,
                gateway="GW-1",
            )
        ],
        "model_limits": [
            LimitRow(model="COLD-300", max_cabinet_c=8.0),
            LimitRow(model="COFFEE-50", max_cabinet_c=None),
        ],
        "maintenance": [
            MaintenanceRow(
                scope="device",
                subject="VM-1",
                mode="mute",
                starts_at=noon,
                ends_at=noon.replace(hour=13),
                recurrence=None,
            )
        ],
    }


def test_the_order_of_columns_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "model_limits.csv"
    path.write_text("max_cabinet_c,model\r\n8,COLD-300\r\n", encoding="utf-8-sig")
    assert rows_of([path]) == {"model_limits": [LimitRow(model="COLD-300", max_cabinet_c=8.0)]}


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    assert read_files([write(tmp_path, "maintenance.csv", MAINTENANCE)]) == {"maintenance": []}


def test_the_fleet_s_files_keep_the_contract(tmp_path: Path) -> None:
    plan = make_plan(FleetConfig(60, 1, datetime(2026, 3, 1, tzinfo=UTC)))
    tables = read_files([path for path in write_files(plan, tmp_path) if path.suffix == ".csv"])
    assert {table: len(rows) for table, rows in tables.items()} == {
        "devices": 60,
        "sites": 6,
        "model_limits": 4,
        "maintenance": 3,
    }


WRONG = {
    "a number": (
        "model_limits.csv",
        LIMITS,
        "COLD-300,warm",
        "line 2: column max_cabinet_c: 'w",
    ),
    "not a number": (
        "model_limits.csv",
        LIMITS,
        "COLD-300,NaN",
        "column max_cabinet_c: 'NaN'",
    ),
    "infinite": ("model_limits.csv", LIMITS, "COLD-300,inf", "line 2: column max_cabinet_c: 'inf'"),
    "out of range": ("model_limits.csv", LIMITS, "COLD-300,86", "column max_cabinet_c: '86': exp"),
    "a missing value": ("model_limits.csv", LIMITS, ",8", "line 2: column model: ''"),
    "a control character": ("model_limits.csv", LIMITS, "A\x00B,8", "line 2: column model"),
    "an instant": (
        "devices.csv",
        DEVICES,
        "VM-1,SITE-1,COLD-300,yesterday,,,",
        "line 2: column commissioned_at: 'yesterday'",
    ),
    "an instant without an offset": (
        "devices.csv",
        DEVICES,
        "VM-1,SITE-1,COLD-300,2026-03-01T12:00:00,,,",
        "line 2: column commissioned_at: '2026-03-01T12:00:00': expected `datetime` with a time",
    ),
    "a life that ends before it begins": (
        "devices.csv",
        DEVICES,
        "VM-1,SITE-1,COLD-300,2026-03-01T12:00:00Z,2026-03-01T11:00:00Z,,",
        "line 2: column decommissioned_at: is before commissioned_at",
    ),
    "a time zone": ("sites.csv", SITES, "S,N,Mars/Base,,", "line 2: column timezone: 'Mars"),
    "a time zone that is a path": (
        "sites.csv",
        SITES,
        "S,N,../etc,,",
        "line 2: column timezone: '../",
    ),
    "a mode": (
        "maintenance.csv",
        MAINTENANCE,
        "device,VM-1,ignore,2026-03-01T12:00:00Z,2026-03-01T13:00:00Z,",
        "line 2: column mode: 'ignore': invalid enum value 'ignore'",
    ),
    "work without a length": (
        "maintenance.csv",
        MAINTENANCE,
        "device,VM-1,mute,2026-03-01T12:00:00Z,2026-03-01T12:00:00Z,",
        "line 2: column until: is not after from",
    ),
    "a year that cannot be meant": (
        "devices.csv",
        DEVICES,
        "VM-1,SITE-1,COLD-300,0026-03-01T12:00:00Z,,,",
        "line 2: column commissioned_at: '0026-03-01T12:00:00Z': the year is not from 1970",
    ),
    "an instant that no clock of ours can hold": (
        "devices.csv",
        DEVICES,
        "VM-1,SITE-1,COLD-300,9999-12-31T23:59:59-12:00,,,",
        "line 2: column commissioned_at: '9999-12-31T23:59:59-12:00': the year is not",
    ),
    "a recurrence": (
        "maintenance.csv",
        MAINTENANCE,
        "device,VM-1,mute,2026-03-01T12:00:00Z,2026-03-01T13:00:00Z,every Tuesday",
        "line 2: column recurrence: 'every Tuesday': 'every Tuesday' is not known: write FREQ=",
    ),
    "an end that is no instant": (
        "model_limits.csv",
        LIMITS + ",valid_to",
        "COLD-300,8,soon",
        "line 2: column valid_to: 'soon'",
    ),
    "too few cells": ("sites.csv", SITES, "SITE-1,Berlin", "line 2: has 2 cells, the header 5"),
    "a quote that never ends": ("sites.csv", SITES, 'SITE-1,"Berlin', "is no CSV"),
    "a column that is missing": ("model_limits.csv", "model", "A", "header lacks 'max_cabinet_c'"),
    "a column too many": ("model_limits.csv", LIMITS + ",x", "A,8,1", "header does not know 'x'"),
    "a column twice": ("model_limits.csv", LIMITS + ",model", "A,8,A", "header repeats 'model'"),
    "a name": ("machines.csv", LIMITS, "A,8", "what is it? Name it devices.csv, sites.csv"),
}


@pytest.mark.parametrize(("name", "header", "line", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_file_line_column_and_value(
    tmp_path: Path, name: str, header: str, line: str, message: str
) -> None:
    with pytest.raises(ReferenceFileError) as caught:
        read_files([write(tmp_path, name, header, line)])
    assert str(caught.value).startswith(str(tmp_path / name))
    assert message in str(caught.value)


def test_all_that_is_wrong_with_all_files_is_told_at_once(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "model_limits.csv", LIMITS, "COLD-300,warm", "FRESH-100,5", ",99"),
        write(tmp_path, "sites.csv", SITES + ",mood", "S,N,Europe/Berlin,,,"),
    ]
    with pytest.raises(WrongFilesError) as caught:
        read_files([*files, tmp_path / "machines.csv"])
    told = [(Path(each.file).name, each.line, each.column) for each in caught.value.problems]
    assert told == [
        ("model_limits.csv", 2, "max_cabinet_c"),
        ("model_limits.csv", 4, "model"),
        ("model_limits.csv", 4, "max_cabinet_c"),
        ("sites.csv", 1, None),
        ("machines.csv", None, None),
    ]


def test_of_very_much_rubbish_the_first_part_is_told_and_the_rest_counted(tmp_path: Path) -> None:
    rubbish = [f"MODEL-{number},hot" for number in range(10_000)]
    with pytest.raises(WrongFilesError) as caught:
        read_files([write(tmp_path, "model_limits.csv", LIMITS, *rubbish)])
    assert len(caught.value.problems) + caught.value.left_out == 10_000
    assert len(str(caught.value).splitlines()) == len(caught.value.problems) + 1 < 100


def test_a_row_may_say_from_when_until_when_it_holds(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "model_limits.csv",
        LIMITS + ",valid_from,valid_to",
        "COLD-300,8,-infinity,2026-03-01T12:00:00+02:00",
        "FRESH-100,5,2026-03-01T12:00:00Z,",
        "SNACK-200,,,",
    )
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert [
        (entry.line, entry.valid_from, entry.valid_to)
        for entry in read_files([path])["model_limits"]
    ] == [(2, EVER, noon.replace(hour=10)), (3, noon, None), (4, None, None)]


def test_two_files_of_one_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [
        write(tmp_path, "model_limits.csv", LIMITS),
        write(tmp_path / "other", "model_limits.csv", LIMITS),
    ]
    with pytest.raises(ReferenceFileError, match="two files of model_limits"):
        read_files(files)


def test_a_file_that_is_missing_or_not_utf8_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReferenceFileError, match=r"sites\.csv: cannot be read: No such file"):
        read_files([tmp_path / "sites.csv"])
    (tmp_path / "sites.csv").write_bytes(SITES.encode() + b"\nS,M\xfcnchen,Europe/Berlin,,\n")
    with pytest.raises(ReferenceFileError, match=r"sites\.csv: is not UTF-8"):
        read_files([tmp_path / "sites.csv"])
    (tmp_path / "sites.csv").write_bytes(b"")
    with pytest.raises(ReferenceFileError, match=r"sites\.csv: line 1: the header lacks 'site_id'"):
        read_files([tmp_path / "sites.csv"])
