"""What the sandbox puts into the environment of those who use it, and the file `.env`."""

import re
from collections.abc import Mapping
from pathlib import Path

from sandbox.credentials import Credentials
from sandbox.errors import StateError
from sandbox.files import write_private
from sandbox.object_store import ACCESS_KEY, BUCKET, REGION, SECRET_KEY
from sandbox.ports import HOST, Ports
from sandbox.postgres import DAGSTER_DATABASE, DAGSTER_ROLE, ODS_DATABASE, ODS_ROLES
from sandbox.servicenow_server import PASSWORD, USERNAME

HEADER = "# Written by `fleetpulse sandbox up`."
FOOTER = "# Settings below this line are yours: they stay, and prevail."
PLAIN = re.compile(r"[\w./:@%+,=-]*", re.ASCII)


def environment(home: Path, ports: Ports, credentials: Credentials) -> dict[str, str]:
    """Returns the settings by which the project finds this sandbox."""
    postgres = ports["postgres"]
    return {
        "DAGSTER_HOME": str(home / "dagster"),
        "FLEETPULSE_SANDBOX__HOME": str(home),
        "FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS": f"{HOST}:{ports['kafka']}",
        "FLEETPULSE_ODS__HOST": HOST,
        "FLEETPULSE_ODS__PORT": str(postgres),
        "FLEETPULSE_ODS__DATABASE": ODS_DATABASE,
        **{
            f"FLEETPULSE_ODS__PASSWORDS__{name}": credentials[role]
            for name, role in ODS_ROLES.items()
        },
        "FLEETPULSE_LAKE__URL": f"s3://{BUCKET}",
        "FLEETPULSE_LAKE__ENDPOINT_URL": f"http://{HOST}:{ports['s3']}",
        "FLEETPULSE_LAKE__REGION": REGION,
        "FLEETPULSE_LAKE__ACCESS_KEY_ID": credentials[ACCESS_KEY],
        "FLEETPULSE_LAKE__SECRET_ACCESS_KEY": credentials[SECRET_KEY],
        "FLEETPULSE_SERVICENOW__URL": f"http://{HOST}:{ports['servicenow']}",
        "FLEETPULSE_SERVICENOW__USERNAME": USERNAME,
        "FLEETPULSE_SERVICENOW__PASSWORD": credentials[PASSWORD],
        "FLEETPULSE_DAGSTER__STORAGE_URL": (
            f"postgresql://{DAGSTER_ROLE}:{credentials[DAGSTER_ROLE]}"
            f"@{HOST}:{postgres}/{DAGSTER_DATABASE}"
        ),
        "FLEETPULSE_DAGSTER__WEBSERVER_PORT": str(ports["dagster"]),
        # A person who looks wants files within seconds, not the few large ones of production.
        "FLEETPULSE_LANDING__FILE_MAX_AGE_S": "10",
    }


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Writes `.env`, mode 0600, at once; what a person has added at its end stays.

    Raises:
        StateError: There is a file that the sandbox has not written.
    """
    ours = "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())
    write_private(path, f"{HEADER}\n{ours}{FOOTER}\n{_added(path)}")


def check_env_file(path: Path) -> None:
    """Looks whether `.env` may be written, before anything is started.

    Raises:
        StateError: There is a file that the sandbox has not written.
    """
    _added(path)


def clear_env_file(path: Path) -> None:
    """Takes the sandbox's settings out of `.env`, and the file away if nothing else is in it.

    Raises:
        StateError: There is a file that the sandbox has not written.
    """
    if added := _added(path):
        write_private(path, f"{HEADER}\n{FOOTER}\n{added}")
    else:
        path.unlink(missing_ok=True)


def _added(path: Path) -> str:
    if not path.exists():
        return ""
    ours, footer, added = path.read_text(encoding="utf-8").partition(f"{FOOTER}\n")
    if not ours.startswith(f"{HEADER}\n") or not footer:
        raise StateError(f"{path} was not written by the sandbox: move it away and try again")
    return added


def _quoted(value: str) -> str:
    if PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
