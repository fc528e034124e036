"""The demo's programs and servers, all in one folder: from an empty state up, and down again."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from fleetpulse import dbt
from fleetpulse.demo.errors import DemoError
from fleetpulse.demo.programs import FLEETPULSE, Program
from fleetpulse.paths import PROJECT_ROOT, SANDBOX_HOME
from fleetpulse.sandbox import start
from sandbox.environment import write_env_file
from sandbox.ports import HOST, Ports
from sandbox.sandbox import Report, Sandbox

DEMO_HOME = SANDBOX_HOME / "demo"
IDLE_INTERVAL_S = 10
"""A person who looks does not wait a minute for a silence to be noticed."""
WEBSERVER_PORT = "FLEETPULSE_DAGSTER__WEBSERVER_PORT"


class Stage:
    """One demo's folder, servers and programs."""

    def __init__(self, home: Path = DEMO_HOME) -> None:
        self.home = home
        self.environment: dict[str, str] = {}
        self.fleet = Program("fleet", home)
        self.consumer = Program("consumer", home)
        # `dagster dev` takes SIGINT as "end in order", and ends its three processes.
        self.dagster = Program("dagster", home, signal.SIGINT)
        self._consumer_level = "INFO"

    @property
    def dagster_url(self) -> str:
        """Where Dagster's pages are."""
        return f"http://{HOST}:{self.environment[WEBSERVER_PORT]}"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the folder: two demos at once would end each other's servers.

        Raises:
            DemoError: Another demo holds it.
        """
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home / "demo.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError(f"another demo is running in {self.home}: end it first") from None
            yield

    def set_up(self, report: Report) -> None:
        """Empties the folder and brings the servers up; dbt's project is parsed meanwhile.

        Raises:
            SandboxError: A server did not come up.
            ParseError: dbt could not parse its project.
        """
        report("state", "emptying")
        self.take_down(report)
        Sandbox(self.home).reset()
        with ThreadPoolExecutor(1) as pool:
            parsed = pool.submit(dbt.prepare)
            # Before the sandbox wishes for 3000: another demo, which starts now, would do likewise.
            Ports(self.home / "ports.json").settle(["dagster"], preferred={})
            environment = start(self.home, report)
            parsed.result()
        ours = {
            **environment,
            "FLEETPULSE_INSIGHTS__IDLE_INTERVAL_S": str(IDLE_INTERVAL_S),
        }
        write_env_file(self.home / ".env", ours)
        for name in [each for each in os.environ if each.startswith(("FLEETPULSE_", "DAGSTER_"))]:
            del os.environ[name]  # another sandbox's
        os.environ.update(ours)
        self.environment = dict(os.environ)

    def start_platform(self, consumer_level: str) -> None:
        """Starts Dagster and the consumer."""
        workspace = str(PROJECT_ROOT / "workspace.yaml")
        where = ["-h", HOST, "-p", self.environment[WEBSERVER_PORT]]
        self.dagster.start(
            [sys.executable, "-m", "dagster", "dev", "-w", workspace, *where], self.environment
        )
        self._consumer_level = consumer_level
        self.start_consumer()

    def start_consumer(self) -> None:
        """Starts the consumer, the first time or again."""
        level = {"FLEETPULSE_LOG_LEVEL": self._consumer_level}
        self.consumer.start([*FLEETPULSE, "consume"], self.environment | level)

    def start_fleet(self, options: list[str]) -> None:
        """Starts the simulated machines."""
        command = [*FLEETPULSE, "fleet", "run", "--json", "--out", str(self.home / "fleet")]
        self.fleet.start([*command, *options], self.environment)

    def check(self) -> None:
        """Looks whether the platform's programs live.

        Raises:
            DemoError: One has died; the message has its log's end.
        """
        self.dagster.check()
        self.consumer.check()

    def take_down(self, report: Report) -> None:
        """Ends all that runs; the data stay, and `fleetpulse sandbox up` finds them.

        Raises:
            SandboxError: A process would not end.
        """
        for program in (self.fleet, self.dagster, self.consumer):
            report(program.name, "stopping")
            program.stop()
            report(program.name, "stopped")
        Sandbox(self.home).down(report)
