"""README's first command as it stands there, run as a person runs it."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import psutil

from fleetpulse.paths import PROJECT_ROOT

README = PROJECT_ROOT / "README.md"
NOT_OURS = ("FLEETPULSE_", "DAGSTER_", "MAKE", "MFLAGS", "ARGS")
"""Settings, and what a `make test` above us would hand on to this `make`."""
LOOK_EVERY_S = 0.5
CLEAN_WITHIN_S = 60


def readme_command() -> list[str]:
    """Returns the first of README's two commands, as it stands there."""
    lines = README.read_text(encoding="utf-8").splitlines()
    return shlex.split(next(line for line in lines if line.startswith("make ")), comments=True)


class Demo:
    """The command in a process group of its own, writing to a file."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "demo.log"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)
        }
        with self._log.open("wb") as log:
            self._make = subprocess.Popen(
                readme_command(),
                cwd=PROJECT_ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def dagster(self) -> str | None:
        """Returns the address of Dagster's pages that it has printed."""
        found = re.search(r"Dagster .*: (http://[^/\s]+)/", self.output)
        return None if found is None else found[1]

    @property
    def incidents(self) -> int:
        """Returns how many incidents it last told of."""
        told = re.findall(r"(\d+) incidents, \d+ resolved", self.output)
        return int(told[-1]) if told else 0

    def wait_for(self, what: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not what():
            assert self._make.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            with suppress(subprocess.TimeoutExpired):
                self._make.wait(LOOK_EVERY_S)

    def press_ctrl_c(self) -> None:
        """Interrupts the command alone: make itself dies of a SIGINT, whatever it ran did."""
        [command] = [
            child
            for child in psutil.Process(self._make.pid).children(recursive=True)
            if "demo" in child.cmdline()
        ]
        command.send_signal(signal.SIGINT)

    def wait(self, within_s: float) -> int:
        return self._make.wait(within_s)

    def clean_up(self) -> None:
        """Ends it at once: its first signal asks it to sum up, the second insists."""
        deadline = time.monotonic() + CLEAN_WITHIN_S
        with suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(self._make.pid, signal.SIGTERM)
                self._make.poll()
                Event().wait(LOOK_EVERY_S)


def belonging_to(home: Path) -> list[str]:
    """Returns the processes that work in a folder, or for it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words = [process.cwd(), *process.cmdline(), *process.environ().values()]
            if any(str(home) in word for word in words):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
    return found
