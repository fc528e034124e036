"""The schema `ods`: one view a topic, one typed column a field, made from the contracts.

Who read the tables that NiFi filled reads these instead: a contract can give the columns other
names, types and another order (`Envelope.ods_columns`).
"""

from collections.abc import Mapping

import msgspec
import psycopg
from msgspec import inspect
from psycopg import sql

from streaming.contracts import CONTRACTS, Column, Envelope
from streaming.errors import FatalError
from streaming.sinks.ods import table_of

IDENTITY = ("epoch", "partition", "offset", "kafka_ts")
"""Columns of the landing table that a view ends with, unless its contract says otherwise."""
READERS = ("ods_reader", "fleetpulse_orchestrator")


def create(connection: psycopg.Connection) -> None:
    """Brings the views to what the contracts say; what need not change stays as it is.

    Args:
        connection: The ODS, as the role that owns it.

    Raises:
        FatalError: A view has to change, and something else is built upon it.
    """
    for contract in CONTRACTS.values():
        with connection.transaction():
            _create(connection, contract)


def _create(connection: psycopg.Connection, contract: type[Envelope]) -> None:
    name = sql.Identifier("ods", table_of(contract.topic))
    view = sql.SQL("view {} as {}").format(name, select(contract))
    try:
        with connection.transaction():
            connection.execute(sql.SQL("create or replace {}").format(view))
    except psycopg.errors.InvalidTableDefinition:  # other columns than before
        try:
            connection.execute(sql.SQL("drop view {}").format(name))
        except psycopg.errors.DependentObjectsStillExist as error:
            raise FatalError(
                f"the view ods.{table_of(contract.topic)} has to change with its contract, and "
                f"others depend on it: {error.diag.message_detail}. Drop them, then migrate again"
            ) from error
        connection.execute(sql.SQL("create {}").format(view))
    told = f"Events of {contract.topic}, one typed column a field."
    connection.execute(sql.SQL("comment on view {} is {}").format(name, told))
    for column in columns(contract):
        where = sql.SQL("{}.{}").format(name, sql.Identifier(_name(column)))
        description = _description(contract, column.source)
        connection.execute(sql.SQL("comment on column {} is {}").format(where, description))
    readers = sql.SQL(", ").join(map(sql.Identifier, READERS))
    connection.execute(sql.SQL("grant select on {} to {}").format(name, readers))


def columns(contract: type[Envelope]) -> tuple[Column, ...]:
    """Returns the columns of a contract's view."""
    return contract.ods_columns or tuple(map(Column, [*_types(contract), *IDENTITY]))


def select(contract: type[Envelope]) -> sql.Composed:
    """Returns the query of a contract's view.

    Raises:
        KeyError: A column's source is neither a field nor a column of the landing table.
    """
    fields = _types(contract)
    return sql.SQL(
        "select {} from landing.{} as record cross join lateral"
        " json_to_record(record.payload) as field({}) where record.payload is not null"
    ).format(
        sql.SQL(", ").join(_expression(contract, fields, each) for each in columns(contract)),
        sql.Identifier(table_of(contract.topic)),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
            for name, kind in fields.items()
        ),
    )


def _expression(
    contract: type[Envelope], fields: Mapping[str, str], column: Column
) -> sql.Composable:
    source, kind = column.source, column.type
    if source in fields:
        value: sql.Composable = sql.Identifier("field", source)
        default = _default(contract, source)
        if default is not None:
            value = sql.SQL("coalesce({}, {})").format(value, default)
    elif source in IDENTITY:
        value = sql.Identifier("record", source)
    else:
        raise KeyError(f"{contract.__name__} has no field {source}, nor has its landing table")
    if kind is not None:
        if kind.lower().startswith("timestamp") and "with time zone" not in kind.lower():
            # The session's time zone must not matter.
            value = sql.SQL("({} at time zone 'UTC')").format(value)
        value = sql.SQL("cast({} as {})").format(value, sql.SQL(kind))
    return sql.SQL("{} as {}").format(value, sql.Identifier(_name(column)))


def _name(column: Column) -> str:
    return column.name or column.source


def _types(contract: type[Envelope]) -> dict[str, str]:
    """Returns the SQL type of each field, in the contract's order."""
    told = inspect.type_info(contract)
    assert isinstance(told, inspect.StructType)  # noqa: S101 - of a Struct it is
    return {field.encode_name: _sql_type(field.type) for field in told.fields}


def _sql_type(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        return _sql_type(kind.type)
    if isinstance(kind, inspect.UnionType):
        kinds = {_sql_type(each) for each in kind.types if not isinstance(each, inspect.NoneType)}
        return kinds.pop() if len(kinds) == 1 else "jsonb"
    if isinstance(kind, inspect.LiteralType):
        return "text" if all(isinstance(value, str) for value in kind.values) else "bigint"
    if isinstance(kind, inspect.IntType):
        least, most = kind.ge, kind.le
        small = least is not None and most is not None and least >= -(2**31) and most < 2**31
        return "integer" if small else "bigint"
    if isinstance(kind, inspect.StrType):
        return "text"
    if isinstance(kind, inspect.BoolType):
        return "boolean"
    if isinstance(kind, inspect.FloatType):
        return "double precision"
    if isinstance(kind, inspect.DateTimeType):
        return "timestamptz"
    return "jsonb"


def _default(contract: type[Envelope], name: str) -> bool | int | float | str | None:
    """Returns what a field is where the event leaves it out."""
    field = next(each for each in msgspec.structs.fields(contract) if each.encode_name == name)
    default = field.default
    return None if default is msgspec.NODEFAULT else default


def _description(contract: type[Envelope], source: str) -> str | None:
    properties = msgspec.json.schema(contract)["$defs"][contract.__name__]["properties"]
    told = properties.get(source, {})
    parts = [told, *told.get("anyOf", ())]
    return next((part["description"] for part in parts if "description" in part), None)
