"""One sandbox for all tests that want a real broker, database or object store."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from fleetpulse import dbt
from fleetpulse.sandbox import start
from sandbox.credentials import Credentials
from sandbox.ports import Ports
from sandbox.postgres import ODS_DATABASE, Postgres
from sandbox.sandbox import Sandbox

pytest_plugins = ["tests.processes"]

TEMPLATE = "ods_template"

# The same examples each time, however slow the machine. To look for new ones:
# HYPOTHESIS_PROFILE=default.
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


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
    postgres = postgres_of(sandbox_home)
    postgres.copy_database(ODS_DATABASE, TEMPLATE)
    with postgres.superuser() as connection:
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
        postgres_of(sandbox_home).copy_database(TEMPLATE, name)
        return name

    return make


@pytest.fixture(scope="session")
def dbt_manifest() -> None:
    """A manifest that fits the models of this checkout, in the place where Dagster reads it."""
    dbt.prepare()


def postgres_of(home: Path) -> Postgres:
    """Returns the database server of a sandbox that is up."""
    return Postgres(home, Ports(home / "ports.json"), Credentials(home / "credentials.json"))
