import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from fleetpulse import dbt
from orchestration.resources.ods import Ods
from sandbox.sandbox import Sandbox
from streaming.settings import OdsPasswords, OdsSettings
from tests.integration.orchestration.landing import Landing

FLEETPULSE = [sys.executable, "-c", "from fleetpulse.cli import main; main()"]


@pytest.fixture(scope="session")
def sandbox_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A sandbox with a migrated ODS; the environment of those who use it."""
    sandbox = Sandbox(tmp_path_factory.mktemp("orchestration"))
    try:
        env = {**os.environ, **sandbox.up()}
        subprocess.run([*FLEETPULSE, "migrate"], env=env, check=True, timeout=60)
        dbt.prepare()
        yield env
    finally:
        sandbox.reset()


@pytest.fixture(scope="session")
def ods_settings(sandbox_env: dict[str, str]) -> OdsSettings:
    prefix = "FLEETPULSE_ODS__PASSWORDS__"
    return OdsSettings(
        host=sandbox_env["FLEETPULSE_ODS__HOST"],
        port=int(sandbox_env["FLEETPULSE_ODS__PORT"]),
        passwords=OdsPasswords(
            **{
                name.removeprefix(prefix).lower(): SecretStr(value)
                for name, value in sandbox_env.items()
                if name.startswith(prefix)
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
