"""A migrated ODS with dbt's target ci on it, emptied for each test."""

import time
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy

from fleetpulse import migrate
from sandbox.credentials import Credentials
from sandbox.ports import HOST, Ports
from sandbox.postgres import ODS_DATABASE, ODS_ROLES, ROLES, Postgres
from sandbox.process import Daemon
from sandbox.server import NotReadyError
from tests.fixtures.insights.warehouse import Warehouse, dbt_environment

OWNER = ODS_ROLES["OWNER"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    home = tmp_path_factory.mktemp("ods")
    ports, credentials = Ports(home / "ports.json"), Credentials(home / "credentials.json")
    ports.settle(["postgres"], preferred={})
    credentials.settle(ROLES)
    server, daemon = Postgres(home, ports, credentials), Daemon("postgres", home)
    server.prepare(lambda step: None)
    daemon.start(server.command())
    try:
        wait_until_ready(server)
        server.provision()
        url = sqlalchemy.URL.create(
            "postgresql+psycopg",
            OWNER,
            credentials[OWNER],
            HOST,
            ports["postgres"],
            ODS_DATABASE,
        )
        migrate.upgrade(url)
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with (
            pytest.MonkeyPatch.context() as patch,
            psycopg.connect(dsn, autocommit=True) as owner,
        ):
            for name, value in dbt_environment(
                HOST, ports["postgres"], ODS_DATABASE, credentials[OWNER]
            ).items():
                patch.setenv(name, value)
            warehouse = Warehouse(owner, tmp_path_factory.mktemp("dbt"))
            warehouse.dbt("run")
            yield warehouse
    finally:
        daemon.stop(server.stop_signal, 20)


@pytest.fixture
def warehouse(built: Warehouse) -> Warehouse:
    built.empty()
    return built


def wait_until_ready(server: Postgres) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            server.probe()
        except NotReadyError:
            assert time.monotonic() < deadline, "postgres did not start"
        else:
            return
