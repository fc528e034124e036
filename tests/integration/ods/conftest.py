"""A migrated ODS with some events in it, and connections to it by role."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from fleetpulse import migrate
from streaming.settings import OdsSettings

NAMES = ("owner", "consumer", "orchestrator", "ods_reader")


@pytest.fixture
def ods(sandbox_env: dict[str, str], fresh_database: Callable[[], str]) -> OdsSettings:
    prefix = "FLEETPULSE_ODS__"
    passwords = {name: sandbox_env[f"{prefix}PASSWORDS__{name.upper()}"] for name in NAMES}
    return OdsSettings.model_validate(
        {
            "host": sandbox_env[f"{prefix}HOST"],
            "port": sandbox_env[f"{prefix}PORT"],
            "database": fresh_database(),
            "passwords": passwords,
        }
    )


@pytest.fixture
def owner(ods: OdsSettings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(ods.url("owner"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def remigrate(ods: OdsSettings) -> Callable[[], None]:
    return lambda: migrate.upgrade(migrate.owner_url(ods))
