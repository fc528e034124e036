"""The launcher of the ServiceNow stand-in, `python -m sandbox.servicenow`."""

import signal
import sys
from http import HTTPStatus
from pathlib import Path

import requests

from sandbox.credentials import Credentials
from sandbox.ports import HOST, Ports
from sandbox.process import Command, plain_environment
from sandbox.server import NotReadyError, Report

USERNAME = "fleetpulse"
PASSWORD = "servicenow"  # noqa: S105 (the name of a credential, not one)


class ServiceNow:
    """The stand-in for ServiceNow's Table API, with its database in `<home>/servicenow`."""

    name = "servicenow"
    ports = ("servicenow",)
    stop_signal = signal.SIGTERM
    abandon_signal = signal.SIGKILL

    def __init__(self, home: Path, ports: Ports, credentials: Credentials) -> None:
        self._folder = home / "servicenow"
        self._ports = ports
        self._credentials = credentials

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self._ports['servicenow']}"

    def prepare(self, report: Report) -> None:
        """Makes the folder of its database."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """Returns what to run; the credentials go by environment, where no other user sees them."""
        return Command(
            (
                sys.executable,
                "-m",
                "sandbox.servicenow",
                "--host",
                HOST,
                "--port",
                str(self._ports["servicenow"]),
                "--database",
                str(self._folder / "servicenow.db"),
            ),
            {
                **plain_environment(self._folder),
                "SERVICENOW_USERNAME": USERNAME,
                "SERVICENOW_PASSWORD": self._credentials[PASSWORD],
            },
            self._folder,
        )

    def probe(self) -> None:
        """Asks for its health.

        Raises:
            NotReadyError: No answer, or not 200.
        """
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment is not for loopback
            try:
                answer = session.get(f"{self.address}/health", timeout=2)
            except requests.RequestException as error:
                raise NotReadyError(str(error)) from error
        if answer.status_code != HTTPStatus.OK:
            raise NotReadyError(f"{self.address}/health answers {answer.status_code}")

    def provision(self) -> None:
        """Nothing: it creates its own tables."""
