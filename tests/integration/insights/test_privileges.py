"""Who may read what, where dbt's own role has built the models as in production."""

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from tests.fixtures.insights.warehouse import Warehouse

Connection = psycopg.Connection[Any]
Relation = tuple[str, str]

SCHEMAS = {"landing", "control", "reference", "staging", "insights", "marts", "ticketing"}
MARTS = {("marts", "fct_incident"), ("marts", "fct_device_hour")}


@pytest.fixture(scope="module")
def relations(built: Warehouse) -> set[Relation]:
    """Every table and view that is not Postgres' own."""
    built.empty()
    built.on("prod").dbt("run")
    return set(
        built.query(
            "select nspname, relname from pg_class join pg_namespace n on n.oid = relnamespace"
            " where relkind in ('r', 'p', 'v', 'm')"
            " and nspname !~ '^pg_' and nspname <> 'information_schema'"
        )
    )


@pytest.fixture
def analyst(relations: set[Relation]) -> Iterator[Connection]:
    with connect(os.environ["FLEETPULSE_ODS__DATABASE"]) as connection:
        yield connection


def connect(database: str) -> Connection:
    return psycopg.connect(
        host=os.environ["FLEETPULSE_ODS__HOST"],
        port=os.environ["FLEETPULSE_ODS__PORT"],
        dbname=database,
        user="analyst",
        password=os.environ["FLEETPULSE_ODS__PASSWORDS__ANALYST"],
        autocommit=True,
    )


def test_an_analyst_reads_the_marts_and_nothing_else(
    relations: set[Relation], analyst: Connection
) -> None:
    assert {schema for schema, _ in relations} >= SCHEMAS
    read = {each for each in relations if allowed(analyst, "select from {}", *each)}
    assert read == MARTS


@pytest.mark.parametrize(
    "statement", ["insert into {} default values", "delete from {}", "truncate {}", "drop table {}"]
)
def test_an_analyst_changes_no_mart(analyst: Connection, statement: str) -> None:
    assert not [each for each in MARTS if allowed(analyst, statement, *each)]


def test_an_analyst_creates_nothing_in_any_schema(
    relations: set[Relation], analyst: Connection
) -> None:
    schemas = {schema for schema, _ in relations} | {"public"}
    made = {each for each in schemas if allowed(analyst, "create table {} ()", each, "hoard")}
    assert made == set()


def test_an_analyst_does_not_enter_dagsters_database(analyst: Connection) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect("dagster")


def allowed(connection: Connection, statement: str, *name: str) -> bool:
    """Whether a statement about a table is carried out, and not refused."""
    try:
        connection.execute(sql.SQL(statement).format(sql.Identifier(*name)))
    except errors.InsufficientPrivilege:
        return False
    return True
