"""A migrated ODS, and a connection as the only role that may write reference data."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from sandbox.postgres import ODS_ROLES


@pytest.fixture(scope="module")
def ods(sandbox_env: dict[str, str], fresh_database: Callable[[], str]) -> dict[str, str]:
    """Connection strings by role."""
    prefix = "FLEETPULSE_ODS__"
    host, port = sandbox_env[f"{prefix}HOST"], sandbox_env[f"{prefix}PORT"]
    database = fresh_database()
    return {
        name: f"postgresql://{role}:{sandbox_env[f'{prefix}PASSWORDS__{name}']}"
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
