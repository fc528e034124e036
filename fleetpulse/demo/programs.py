"""A program of the demo: in a session of its own, with all that it starts in turn."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from fleetpulse.demo.errors import DemoError
from sandbox.files import tail
from sandbox.process import Command, Daemon, Identity, State, still_there

STOP_PATIENCE_S = 30.0
CHILDREN_PATIENCE_S = 5.0
FLEETPULSE = (sys.executable, "-c", "from fleetpulse.cli import main; main()")


class Program:
    """One background program, its children included."""

    def __init__(self, name: str, home: Path, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self.name = name
        self._home = home
        self._daemon = Daemon(name, home)
        self._stop_signal = stop_signal
        self._log_start = 0

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._daemon.log

    @property
    def running(self) -> bool:
        """Whether it was started and lives."""
        return self._daemon.state() is State.RUNNING

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts it in the demo's folder.

        Raises:
            StartError: It could not be launched.
        """
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._daemon.start(Command(tuple(argv), environment, self._home))

    def output(self) -> str:
        """Returns what it has written since it was last started."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to it alone, if it lives."""
        if (process := self._daemon.process()) is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def check(self) -> None:
        """Looks whether it lives.

        Raises:
            DemoError: It has died; the message has its log's end.
        """
        if self._daemon.state() is State.DIED:
            raise DemoError(f"{self.name} died; the end of {self.log}:\n{tail(self.log, 30)}")

    def stop(self) -> None:
        """Stops it in order, then whatever of its session is left.

        Raises:
            StopError: It survived SIGKILL.
        """
        members = self._session()
        self._daemon.stop(self._stop_signal, STOP_PATIENCE_S)
        for left in still_there(members, CHILDREN_PATIENCE_S):
            if (process := left.process()) is not None:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _session(self) -> list[Identity]:
        """Returns the processes of its session."""
        leader = self._daemon.identity()
        if leader is None or (psutil.pid_exists(leader.pid) and leader.process() is None):
            return []  # never started, or its number is another's by now
        members = []
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                if os.getsid(pid) == leader.pid:
                    members.append(Identity.of(pid))
        return members
