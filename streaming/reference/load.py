"""Puts reference rows into their versioned tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection, Cursor
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from streaming.errors import ReferenceFileError
from streaming.reference.contracts import TABLES, ReferenceRow

_FROM_EVER = "-infinity"


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows of a table were new, had another version before, or were known so already."""

    added: int
    changed: int
    unchanged: int


def load(
    connection: Connection, tables: Mapping[str, Sequence[ReferenceRow]], as_of: datetime
) -> dict[str, Changes]:
    """Makes the rows the current versions, in one transaction.

    What is not in the rows stays as it is. A changed row's old version ends at `as_of` and its new
    one begins there. A first version is valid from ever (a device's: from its commissioning), so
    that what happened before the load is judged by it too.

    Args:
        connection: As the role that may write the reference tables.
        tables: Rows by table, as `read_files` returns them.
        as_of: From when new versions of known things are valid.

    Returns:
        What changed, by table.

    Raises:
        ReferenceFileError: The current version of a changed row is not older than `as_of`.
        psycopg.Error: The database refused; nothing has changed.
    """
    with connection.transaction(), connection.cursor() as cursor:
        return {
            table: _load_table(cursor, TABLES[table], rows, as_of)
            for table, rows in sorted(tables.items())
        }


def _load_table(
    cursor: Cursor[Any], contract: type[ReferenceRow], rows: Sequence[ReferenceRow], as_of: datetime
) -> Changes:
    # Two loads at once would both find the same version current.
    cursor.execute(SQL("lock table {} in share row exclusive mode").format(_table(contract)))
    current = _current(cursor, contract, as_of)
    added, changed = [], []
    for row in rows:
        if (known := current.get(row.identity())) is None:
            added.append(row)
        elif known.row != row:
            if not known.older:
                raise ReferenceFileError(
                    f"{contract.table}: {' '.join(map(str, row.identity()))}: its current version "
                    f"is not valid before {as_of.isoformat()}: give a later --as-of"
                )
            changed.append(row)
    cursor.executemany(
        _close(contract), [{**msgspec.structs.asdict(row), "as_of": as_of} for row in changed]
    )
    versions = [(row, _first_valid(row)) for row in added] + [(row, as_of) for row in changed]
    cursor.executemany(
        _insert(contract),
        [{**msgspec.structs.asdict(row), "valid_from": since} for row, since in versions],
    )
    return Changes(len(added), len(changed), len(rows) - len(added) - len(changed))


@dataclass(frozen=True, slots=True)
class _Version:
    row: ReferenceRow
    older: bool


def _current(
    cursor: Cursor[Any], contract: type[ReferenceRow], as_of: datetime
) -> dict[tuple[object, ...], _Version]:
    query = SQL("select {}, valid_from < %s from {} where valid_to = 'infinity'")
    names = contract.__struct_fields__
    cursor.execute(query.format(_columns(names), _table(contract)), (as_of,))
    versions = [
        _Version(contract(**dict(zip(names, values, strict=True))), older)
        for *values, older in cursor
    ]
    return {version.row.identity(): version for version in versions}


def _first_valid(row: ReferenceRow) -> object:
    return _FROM_EVER if row.since is None else getattr(row, row.since)


def _close(contract: type[ReferenceRow]) -> Composed:
    same = SQL(" and ").join(
        SQL("{} = {}").format(Identifier(name), Placeholder(name)) for name in contract.key
    )
    query = SQL("update {} set valid_to = %(as_of)s where {} and valid_to = 'infinity'")
    return query.format(_table(contract), same)


def _insert(contract: type[ReferenceRow]) -> Composed:
    names = (*contract.__struct_fields__, "valid_from")
    values = SQL(", ").join(map(Placeholder, names))
    return SQL("insert into {} ({}) values ({})").format(_table(contract), _columns(names), values)


def _columns(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _table(contract: type[ReferenceRow]) -> Composed:
    return SQL("{}").format(Identifier("reference", contract.table))
