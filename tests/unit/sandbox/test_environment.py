from pathlib import Path

import pytest
from dotenv import dotenv_values

from sandbox.credentials import Credentials
from sandbox.environment import check_env_file, clear_env_file, environment, write_env_file
from sandbox.errors import StateError
from sandbox.object_store import ACCESS_KEY, SECRET_KEY
from sandbox.ports import Ports
from sandbox.postgres import ROLES
from sandbox.servicenow_server import PASSWORD

NAMES = """\
DAGSTER_HOME
FLEETPULSE_DAGSTER__STORAGE_URL
FLEETPULSE_DAGSTER__WEBSERVER_PORT
FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS
FLEETPULSE_LAKE__ACCESS_KEY_ID
FLEETPULSE_LAKE__ENDPOINT_URL
FLEETPULSE_LAKE__REGION
FLEETPULSE_LAKE__SECRET_ACCESS_KEY
FLEETPULSE_LAKE__URL
FLEETPULSE_LANDING__FILE_MAX_AGE_S
FLEETPULSE_ODS__DATABASE
FLEETPULSE_ODS__HOST
FLEETPULSE_ODS__PASSWORDS__ANALYST
FLEETPULSE_ODS__PASSWORDS__CONSUMER
FLEETPULSE_ODS__PASSWORDS__DBT
FLEETPULSE_ODS__PASSWORDS__ODS_READER
FLEETPULSE_ODS__PASSWORDS__ORCHESTRATOR
FLEETPULSE_ODS__PASSWORDS__OWNER
FLEETPULSE_ODS__PASSWORDS__REFERENCE
FLEETPULSE_ODS__PASSWORDS__TICKETING
FLEETPULSE_ODS__PORT
FLEETPULSE_SANDBOX__HOME
FLEETPULSE_SERVICENOW__PASSWORD
FLEETPULSE_SERVICENOW__URL
FLEETPULSE_SERVICENOW__USERNAME
"""


@pytest.fixture
def settled(tmp_path: Path) -> tuple[Ports, Credentials]:
    ports, credentials = Ports(tmp_path / "ports.json"), Credentials(tmp_path / "credentials.json")
    ports.settle(["kafka", "postgres", "s3", "servicenow", "dagster"], preferred={})
    credentials.settle([*ROLES, ACCESS_KEY, SECRET_KEY, PASSWORD])
    return ports, credentials


def test_the_environment_names_every_server(
    tmp_path: Path, settled: tuple[Ports, Credentials]
) -> None:
    ports, credentials = settled
    values = environment(tmp_path, ports, credentials)
    assert sorted(values) == NAMES.split()
    assert values["FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"] == f"127.0.0.1:{ports['kafka']}"
    assert values["FLEETPULSE_ODS__PORT"] == str(ports["postgres"])
    assert values["FLEETPULSE_ODS__PASSWORDS__DBT"] == credentials["fleetpulse_dbt"]
    assert values["FLEETPULSE_DAGSTER__STORAGE_URL"] == (
        f"postgresql://fleetpulse_dagster:{credentials['fleetpulse_dagster']}"
        f"@127.0.0.1:{ports['postgres']}/dagster"
    )


def test_every_role_has_a_password_of_its_own_that_persists(
    tmp_path: Path, settled: tuple[Ports, Credentials]
) -> None:
    _, credentials = settled
    assert len({credentials[role] for role in ROLES}) == len(ROLES)
    path = tmp_path / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    again = Credentials(path)
    again.settle(ROLES)
    assert [again[role] for role in ROLES] == [credentials[role] for role in ROLES]


def test_the_superusers_password_is_not_handed_out(
    tmp_path: Path, settled: tuple[Ports, Credentials]
) -> None:
    ports, credentials = settled
    assert credentials["postgres"] not in "".join(
        environment(tmp_path, ports, credentials).values()
    )


@pytest.mark.parametrize(
    "value", ["plain", "", "/a folder/with#hash", "it's", "back\\slash", "$HOME", 'a "quote"']
)
def test_dotenv_reads_back_what_was_written(tmp_path: Path, value: str) -> None:
    write_env_file(tmp_path / ".env", {"NAME": value, "OTHER": "x"})
    assert dotenv_values(tmp_path / ".env", interpolate=False) == {"NAME": value, "OTHER": "x"}


def test_the_file_is_for_the_owner_only(tmp_path: Path) -> None:
    write_env_file(tmp_path / ".env", {"NAME": "value"})
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_settings_added_by_a_person_stay_and_prevail(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_env_file(path, {"PORT": "1", "GONE": "x"})
    path.write_text(path.read_text() + "MINE=kept\nPORT=9\n")
    write_env_file(path, {"PORT": "2"})
    assert dotenv_values(path) == {"PORT": "9", "MINE": "kept"}
    clear_env_file(path)
    assert dotenv_values(path) == {"PORT": "9", "MINE": "kept"}


def test_clearing_takes_away_a_file_that_holds_nothing_else(tmp_path: Path) -> None:
    write_env_file(tmp_path / ".env", {"PORT": "1"})
    clear_env_file(tmp_path / ".env")
    clear_env_file(tmp_path / ".env")
    assert not (tmp_path / ".env").exists()


def test_a_file_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("FLEETPULSE_ODS__HOST=production\n")
    for act in (check_env_file, clear_env_file, lambda path: write_env_file(path, {"NAME": "x"})):
        with pytest.raises(StateError, match="not written by the sandbox: move it away"):
            act(path)
    assert path.read_text() == "FLEETPULSE_ODS__HOST=production\n"
