"""One sandbox for all tests of this folder, and clients that know its settings."""

from collections.abc import Iterator

import boto3
import psycopg
import pytest
from botocore.client import BaseClient
from botocore.config import Config

from sandbox.sandbox import Sandbox


class Clients:
    """What users of a sandbox would do with its environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def setting(self, name: str) -> str:
        return self.environment[f"FLEETPULSE_{name}"]

    def postgres(
        self, role: str, password: str, database: str = "fleetpulse"
    ) -> psycopg.Connection:
        return psycopg.connect(
            host=self.setting("ODS__HOST"),
            port=self.setting("ODS__PORT"),
            dbname=database,
            user=role,
            password=password,
            autocommit=True,
        )

    def owner(self) -> psycopg.Connection:
        return self.postgres("fleetpulse_owner", self.setting("ODS__PASSWORDS__OWNER"))

    def s3(self, secret: str | None = None) -> BaseClient:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.setting("LAKE__ENDPOINT_URL"),
            region_name=self.setting("LAKE__REGION"),
            aws_access_key_id=self.setting("LAKE__ACCESS_KEY_ID"),
            aws_secret_access_key=secret or self.setting("LAKE__SECRET_ACCESS_KEY"),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield sandbox
    sandbox.reset()


@pytest.fixture
def environment(shared: Sandbox) -> dict[str, str]:
    """The settings of a sandbox that is up, whatever the test before has done to it."""
    return shared.up()


@pytest.fixture
def sandbox(shared: Sandbox, environment: dict[str, str]) -> Sandbox:
    return shared


@pytest.fixture
def clients(environment: dict[str, str]) -> Clients:
    return Clients(environment)
