"""Compares the typed view of a topic with a table that somebody else fills, field by field.

For a parallel run: the flow that is to be replaced fills its table, landing fills the view. Rows
are matched by a key; of rows with the same key the first of one side is matched with the first of
the other, in the order of their values. The database does the work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from streaming.errors import SettingError
from streaming.sinks.ods import table_of


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one row: a column, or all of it where one side has not got the row."""

    key: str
    column: str | None
    ours: str | None
    theirs: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison has found.

    Attributes:
        compared: How many rows both sides have.
        only_ours: How many rows the table has not got.
        only_theirs: How many rows landing has not got.
        differing: How many rows that both have differ in a column, by column.
        columns_only_ours: Columns of the view that the table has not got: not compared.
        columns_only_theirs: Columns of the table that the view has not got: not compared.
        other_types: The table's type of each column whose type is not the view's.
        examples: The first differences, by key.
    """

    compared: int
    only_ours: int
    only_theirs: int
    differing: Mapping[str, int]
    columns_only_ours: Sequence[str]
    columns_only_theirs: Sequence[str]
    other_types: Mapping[str, str]
    examples: Sequence[Difference]

    @property
    def equal(self) -> bool:
        """Whether all rows are on both sides, with the same values in the columns of both."""
        return not (self.only_ours or self.only_theirs or any(self.differing.values()))


def compare(
    connection: psycopg.Connection,
    topic: str,
    table: str,
    *,
    key: str = "event_id",
    moment: str = "event_ts",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 20,
) -> Findings:
    """Compares the rows of a table with those of a topic's view.

    Values are compared as what they are in the view; a timestamp without a time zone is UTC's.

    Args:
        connection: The ODS, as a role that may read both.
        topic: The topic.
        table: The table's name as in SQL, such as `nifi.heartbeats`.
        key: The column that says which rows belong together.
        moment: The column that `since` and `until` look at.
        since: Only rows from this moment on.
        until: Only rows before this moment.
        limit: At most so many examples.

    Raises:
        SettingError: There is no such table or column, it cannot be read as the view is, or
            retention has dropped rows that would be compared.
    """
    _refuse_dropped(connection, topic, since)
    view = f"ods.{table_of(topic)}"
    ours, theirs = _columns(connection, view), _columns(connection, table)
    shared = {name: kind for name, kind in ours.items() if name in theirs}
    for needed in (key, moment):
        if needed not in shared:
            raise SettingError(f"{table} and {view} do not share a column {needed}")
    values = [name for name in shared if name != key]
    sides = _sides(connection, (view, table), shared, key, moment)
    bounds = {"since": since, "until": until, "limit": limit}
    try:
        connection.execute("set time zone 'UTC'")
        (compared, only_ours, only_theirs, *differing), *_ = connection.execute(
            sides.counts(values), bounds
        ).fetchall()
        examples = connection.execute(sides.examples(values), bounds).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingError(
            f"{error.diag.message_primary}: grant select on {table}, and usage on its schema, to "
            f"{connection.info.user}"
        ) from error
    except psycopg.DataError as error:
        raise SettingError(
            f"a value of {table} does not fit the type that its column has in {view}: "
            f"{error.diag.message_primary}"
        ) from error
    return Findings(
        compared,
        only_ours,
        only_theirs,
        dict(zip(values, differing, strict=True)),
        [name for name in ours if name not in theirs],
        [name for name in theirs if name not in ours],
        {name: theirs[name] for name in shared if theirs[name] != ours[name]},
        [Difference(*row) for row in examples],
    )


_BOTH = sql.SQL("ours.copy is not null and theirs.copy is not null")
_ONLY_OURS = sql.SQL("theirs.copy is null")
_ONLY_THEIRS = sql.SQL("ours.copy is null")


@dataclass(frozen=True, slots=True)
class _Sides:
    """The rows of both sides, as common tables `ours` and `theirs`, and how they are joined."""

    tables: sql.Composed
    joined: sql.Composed
    key: sql.Composed

    def counts(self, values: Sequence[str]) -> sql.Composed:
        """Returns the query of how many rows are matched, on one side only, and differing."""
        conditions = (_BOTH, _ONLY_OURS, _ONLY_THEIRS, *map(_differs, values))
        counts = (sql.SQL("count(*) filter (where {})").format(each) for each in conditions)
        return sql.SQL("{} select {} {}").format(
            self.tables, sql.SQL(", ").join(counts), self.joined
        )

    def examples(self, values: Sequence[str]) -> sql.Composed:
        """Returns the query of the first differences."""
        whole = (
            sql.SQL("(null, 'a row', null, {})").format(_ONLY_OURS),
            sql.SQL("(null, null, 'a row', {})").format(_ONLY_THEIRS),
        )
        by_column = (
            sql.SQL("({}, ours.{}::text, theirs.{}::text, {})").format(
                name, sql.Identifier(name), sql.Identifier(name), _differs(name)
            )
            for name in values
        )
        return sql.SQL(
            "{} select {}, told.name, told.ours, told.theirs {} cross join lateral"
            " (values {}) as told (name, ours, theirs, differs)"
            " where told.differs order by 1, 2 limit %(limit)s"
        ).format(self.tables, self.key, self.joined, sql.SQL(", ").join([*whole, *by_column]))


def _sides(
    connection: psycopg.Connection,
    names: tuple[str, str],
    types: Mapping[str, str],
    key: str,
    moment: str,
) -> _Sides:
    columns = sql.SQL(", ").join(
        sql.SQL("cast({0} as {1}) as {0}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in types.items()
    )
    order = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in types)
    ours, theirs = (
        sql.SQL(
            "select *, row_number() over (partition by {key} order by {order}) as copy"
            " from (select {columns} from {relation}) as typed"
            " where (%(since)s::timestamptz is null or {moment} >= %(since)s)"
            " and (%(until)s::timestamptz is null or {moment} < %(until)s)"
        ).format(
            key=sql.Identifier(key),
            order=order,
            columns=columns,
            relation=_identifier(connection, name),
            moment=sql.Identifier(moment),
        )
        for name in names
    )
    column = sql.Identifier(key)
    return _Sides(
        sql.SQL("with ours as materialized ({}), theirs as materialized ({})").format(ours, theirs),
        sql.SQL(
            "from ours full join theirs on ours.{} = theirs.{} and ours.copy = theirs.copy"
        ).format(column, column),
        sql.SQL("coalesce(ours.{}, theirs.{})::text").format(column, column),
    )


def _refuse_dropped(connection: psycopg.Connection, topic: str, since: datetime | None) -> None:
    rows = connection.execute(
        "select to_char(max(day) + 1, 'YYYY-MM-DD') from landing.dropped where topic = %(topic)s"
        " having %(since)s::timestamptz is null"
        " or %(since)s < (max(day) + 1)::timestamp at time zone 'UTC'",
        {"topic": topic, "since": since},
    ).fetchall()
    for (kept_from,) in rows:
        if kept_from is not None:
            raise SettingError(
                f"retention has dropped {topic} before {kept_from} from landing: compare what came "
                f"later, with --from {kept_from}"
            )


def _differs(name: str) -> sql.Composed:
    column = sql.Identifier(name)
    return sql.SQL("({} and ours.{} is distinct from theirs.{})").format(_BOTH, column, column)


def _columns(connection: psycopg.Connection, table: str) -> dict[str, str]:
    """Returns the types of a table's columns by name."""
    rows = connection.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [table],
    ).fetchall()
    if not rows:
        raise SettingError(f"there is no table {table} in this database")
    return dict(rows)


def _identifier(connection: psycopg.Connection, table: str) -> sql.Identifier:
    rows = connection.execute(
        "select nspname, relname from pg_class join pg_namespace as space"
        " on space.oid = relnamespace where pg_class.oid = to_regclass(%s)",
        [table],
    ).fetchall()
    return sql.Identifier(*rows[0])
