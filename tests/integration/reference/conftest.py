"""A migrated ODS, and a connection as the only role that may write reference data."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from sandbox.postgres import ODS_ROLES


@pytest.fixture(scope="module")
def environment(sandbox_env: dict[str, str], fresh_database: Callable[[], str]) -> dict[str, str]:
    """What commands are given here: an ODS of their own."""
    return {**sandbox_env, "FLEETPULSE_ODS__DATABASE": fresh_database()}


@pytest.fixture(scope="module")
def ods(environment: dict[str, str]) -> dict[str, str]:
    """Connection strings by role."""
    prefix = "FLEETPULSE_ODS__"
    host, port = environment[f"{prefix}HOST"], environment[f"{prefix}PORT"]
    database = environment[f"{prefix}DATABASE"]
    return {
        name: f"postgresql://{role}:{environment[f'{prefix}PASSWORDS__{name}']}"
        f"@{host}:{port}/{database}"
        for name, role in ODS_ROLES.items()
    }


@pytest.fixture
def connection(ods: dict[str, str]) -> Iterator[psycopg.Connection]:
    """As the role that loads reference data; the tables are empty."""
    with psycopg.connect(ods["OWNER"]) as owner:
        owner.execute(
            "truncate reference.devices, reference.sites, reference.model_limits,"
            " reference.maintenance, reference.maintenance_occurrences"
        )
    with psycopg.connect(ods["REFERENCE"]) as connection:
        yield connection
