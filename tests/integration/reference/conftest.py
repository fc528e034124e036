"""A migrated ODS, and a connection as the only role that may write reference data."""

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


@pytest.fixture(scope="session")
def ods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Connection strings by role."""
    home = tmp_path_factory.mktemp("ods")
    ports, credentials = Ports(home / "ports.json"), Credentials(home / "credentials.json")
    ports.settle(["postgres"], preferred={})
    credentials.settle(ROLES)
    server, daemon = Postgres(home, ports, credentials), Daemon("postgres", home)
    server.prepare(lambda step: None)
    daemon.start(server.command())
    try:
        _wait_until_ready(server)
        server.provision()
        urls = {
            name: f"postgresql://{role}:{credentials[role]}@{HOST}:{ports['postgres']}/{ODS_DATABASE}"
            for name, role in ODS_ROLES.items()
        }
        migrate.upgrade(sqlalchemy.make_url(urls["OWNER"]).set(drivername="postgresql+psycopg"))
        yield urls
    finally:
        daemon.stop(server.stop_signal, 20)


def _wait_until_ready(server: Postgres) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            server.probe()
        except NotReadyError:
            assert time.monotonic() < deadline, "postgres did not start"
        else:
            return


@pytest.fixture
def connection(ods: dict[str, str]) -> Iterator[psycopg.Connection]:
    """As the role that loads reference data; the tables are empty."""
    with psycopg.connect(ods["OWNER"]) as owner:
        owner.execute(
            "truncate reference.devices, reference.sites, reference.model_limits,"
            " reference.maintenance"
        )
    with psycopg.connect(ods["REFERENCE"]) as connection:
        yield connection
