"""One sandbox for all tests that want a real broker, database or object store."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings
from psycopg import sql

from fleetpulse import dbt
from fleetpulse.sandbox import start
from sandbox.credentials import Credentials
from sandbox.postgres import MAINTENANCE_DATABASE, ODS_DATABASE, ODS_ROLES, SUPERUSER
from sandbox.sandbox import Sandbox

TEMPLATE = "ods_template"

# The same examples each time. To look for new ones: HYPOTHESIS_PROFILE=default.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(autouse=True)
def unconfigured_logs() -> Iterator[None]:
    """A command that a test ran in this process has sent the logs to that test's stderr."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("shared-sandbox")
    yield home
    Sandbox(home).reset()


@pytest.fixture(scope="session")
def sandbox_env(sandbox_home: Path) -> dict[str, str]:
    """The settings of a sandbox that is up and migrated.

    Its database is for the one test that runs dbt from Dagster's manifest, which names it; others
    take a fresh one.
    """
    environment = start(sandbox_home)
    with superuser(sandbox_home, environment) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(TEMPLATE), sql.Identifier(ODS_DATABASE)
            )
        )
        # Tests kill Postgres, but never the machine: what it has written to files is safe.
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    return environment


@pytest.fixture(scope="session")
def fresh_database(sandbox_home: Path, sandbox_env: dict[str, str]) -> Callable[[], str]:
    """Makes a new migrated database; returns its name, for FLEETPULSE_ODS__DATABASE."""
    numbers = count(1)

    def make() -> str:
        name = f"ods_{next(numbers)}"
        statement = sql.SQL("create database {} template {} owner {}").format(
            sql.Identifier(name),
            sql.Identifier(TEMPLATE),
            sql.Identifier(ODS_ROLES["OWNER"]),
        )
        with superuser(sandbox_home, sandbox_env) as connection:
            connection.execute(statement)
        return name

    return make


@pytest.fixture(scope="session")
def dbt_manifest() -> None:
    """A manifest that fits the models of this checkout, in the place where Dagster reads it."""
    dbt.prepare()


def superuser(home: Path, environment: dict[str, str]) -> psycopg.Connection:
    return psycopg.connect(
        host=environment["FLEETPULSE_ODS__HOST"],
        port=environment["FLEETPULSE_ODS__PORT"],
        dbname=MAINTENANCE_DATABASE,
        user=SUPERUSER,
        password=Credentials(home / "credentials.json")[SUPERUSER],
        autocommit=True,
    )
