"""Puts reference rows into their versioned tables, in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from psycopg import Connection, Cursor
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from streaming.reference.contracts import TABLES, ReferenceRow
from streaming.reference.occurrences import Subject, occurrences, touched
from streaming.reference.plan import Known, plan
from streaming.reference.timeline import EVER, FOREVER, Changes, Entry, Timelines, Version
from streaming.reference.zones import Zones


def load(
    connection: Connection,
    files: Mapping[str, Sequence[Entry]],
    as_of: datetime,
    *,
    full: bool = False,
    dry_run: bool = False,
) -> dict[str, Changes]:
    """Makes the rows versions; see `timeline` for what holds when.

    Args:
        connection: As the role that may write the reference tables.
        files: Rows by table, as `read_files` returns them.
        as_of: From when new versions of known things are valid that do not say it themselves.
        full: The files are complete: what they lack ends at `as_of`. Else it stays.
        dry_run: Find out what would change, and change nothing.

    Returns:
        What changed, by table.

    Raises:
        WrongFilesError: The rows contradict each other, or what is known.
        psycopg.Error: The database refused; nothing has changed.
    """
    with connection.transaction() as transaction, connection.cursor() as cursor:
        # Two loads at once would both find the same version current.
        tables = SQL(", ").join(map(_table, TABLES.values()))
        cursor.execute(SQL("lock table {} in share row exclusive mode").format(tables))
        known = {table: _known(cursor, contract) for table, contract in TABLES.items()}
        after, changes = plan(known, files, as_of, full=full)
        if dry_run:
            raise psycopg.Rollback(transaction)
        for table, contract in TABLES.items():
            _write(cursor, contract, known[table], after[table])
        _write_occurrences(cursor, known, after)
    return changes


def _known(cursor: Cursor[Any], contract: type[ReferenceRow]) -> Timelines:
    names = contract.__struct_fields__
    cursor.execute(
        SQL(
            "select nullif(valid_from, '-infinity'), nullif(valid_to, 'infinity'), {} from {}"
            " order by valid_from"
        ).format(_columns(names), _table(contract))
    )
    timelines: Timelines = {}
    for since, until, *values in cursor:
        row = contract(**dict(zip(names, map(_in_utc, values), strict=True)))
        version = Version(row, _in_utc(since) or EVER, _in_utc(until) or FOREVER)
        key = row.identity()
        timelines[key] = (*timelines.get(key, ()), version)
    return timelines


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _write(
    cursor: Cursor[Any], contract: type[ReferenceRow], known: Timelines, after: Timelines
) -> None:
    """Writes the versions that are new or differ, each thing's in order: only one may be open."""
    rows = [
        {
            **msgspec.structs.asdict(version.row),
            "valid_from": _bound(version.since),
            "valid_to": _bound(version.until),
        }
        for key, timeline in after.items()
        for version in timeline
        if version not in known.get(key, ())
    ]
    names = (*contract.__struct_fields__, "valid_from", "valid_to")
    key = (*contract.key, "valid_from")
    cursor.executemany(
        SQL("insert into {} ({}) values ({}) on conflict ({}) do update set {}").format(
            _table(contract),
            _columns(names),
            SQL(", ").join(map(Placeholder, names)),
            _columns(key),
            SQL(", ").join(
                SQL("{0} = excluded.{0}").format(Identifier(name))
                for name in names
                if name not in key
            ),
        ),
        rows,
    )


def _write_occurrences(cursor: Cursor[Any], known: Known, after: Known) -> None:
    changed = {
        table: {key for key, timeline in after[table].items() if known[table].get(key) != timeline}
        for table in TABLES
    }
    subjects = touched(changed, after["devices"])
    planned: dict[Subject, list[Version]] = {}
    for (scope, subject, *_), timeline in after["maintenance"].items():
        if (str(scope), str(subject)) in subjects:
            planned.setdefault((str(scope), str(subject)), []).extend(timeline)
    cursor.executemany(
        "delete from reference.maintenance_occurrences where scope = %s and subject = %s",
        list(planned),
    )
    zones = Zones(after["sites"], after["devices"])
    with cursor.copy(
        "copy reference.maintenance_occurrences (scope, subject, mode, planned_from, starts_at,"
        " ends_at, valid_from, valid_to) from stdin"
    ) as copy:
        for versions in planned.values():
            for version in versions:
                for each in occurrences(version, zones):
                    copy.write_row(
                        (
                            *(each.work.scope, each.work.subject, each.work.mode),
                            *(each.work.starts_at, each.starts_at, each.ends_at),
                            *(_bound(each.valid_from), _bound(each.valid_to)),
                        )
                    )


def _bound(instant: datetime) -> datetime | str:
    """Returns an instant as Postgres takes it: Python has no infinity."""
    return {EVER: "-infinity", FOREVER: "infinity"}.get(instant, instant)


def _columns(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _table(contract: type[ReferenceRow]) -> Composed:
    return SQL("{}").format(Identifier("reference", contract.table))
