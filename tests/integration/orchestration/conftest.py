import os
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest
from pydantic import SecretStr

from orchestration.resources.ods import Ods
from streaming.settings import OdsPasswords, OdsSettings
from tests.integration.orchestration.landing import Landing

FLEETPULSE = [sys.executable, "-c", "from fleetpulse.cli import main; main()"]


@pytest.fixture(scope="module")
def environment(
    sandbox_env: dict[str, str], fresh_database: Callable[[], str], dbt_manifest: None
) -> dict[str, str]:
    """What processes of ours are given here: an ODS, a lake and a consumer group of their own."""
    database = fresh_database()
    return {
        **os.environ,
        **sandbox_env,
        "FLEETPULSE_ODS__DATABASE": database,
        "FLEETPULSE_LAKE__URL": f"{sandbox_env['FLEETPULSE_LAKE__URL']}/{database}",
        "FLEETPULSE_KAFKA__GROUP_ID": f"landing-{database}",
    }


@pytest.fixture(scope="module")
def ods_settings(environment: dict[str, str]) -> OdsSettings:
    prefix = "FLEETPULSE_ODS__"
    passwords = f"{prefix}PASSWORDS__"
    return OdsSettings(
        host=environment[f"{prefix}HOST"],
        port=int(environment[f"{prefix}PORT"]),
        database=environment[f"{prefix}DATABASE"],
        passwords=OdsPasswords(
            **{
                name.removeprefix(passwords).lower(): SecretStr(value)
                for name, value in environment.items()
                if name.startswith(passwords)
            }
        ),
    )


@pytest.fixture
def ods(ods_settings: OdsSettings) -> Ods:
    return Ods(ods_settings)


@pytest.fixture
def landing(ods_settings: OdsSettings) -> Iterator[Landing]:
    with psycopg.connect(ods_settings.url("owner"), autocommit=True) as connection:
        yield Landing(connection)
