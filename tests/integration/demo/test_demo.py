"""README's first command, as a person uses it: look, wait for an incident, press Ctrl-C."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from fleetpulse.demo.stage import DEMO_HOME
from fleetpulse.paths import PROJECT_ROOT

pytestmark = pytest.mark.timeout(420)

FIRST_INCIDENT_WITHIN_S = 240
ENDS_WITHIN_S = 150
NOT_OURS = ("FLEETPULSE_", "DAGSTER_")
README = PROJECT_ROOT / "README.md"
COUNTS = re.compile(
    r"(\S+) records produced = (\S+) landed \+ (\S+) quarantined = (\S+) in the lake"
)


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

    def wait_for(self, what: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not what():
            assert self._make.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            with suppress(subprocess.TimeoutExpired):
                self._make.wait(0.5)

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
        with suppress(ProcessLookupError):
            os.killpg(self._make.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._make.wait(60)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    demo.clean_up()


def belonging_to(home: Path) -> list[str]:
    """Returns the processes that work in a folder, or for it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words = [process.cwd(), *process.cmdline(), *process.environ().values()]
            if any(str(home) in word for word in words):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
    return found


def test_ctrl_c_after_the_first_incident_sums_up_and_leaves_nothing_running(demo: Demo) -> None:
    demo.wait_for(
        lambda: re.search(r"[1-9]\d* incidents", demo.output) is not None, FIRST_INCIDENT_WITHIN_S
    )
    assert belonging_to(DEMO_HOME) != []

    demo.press_ctrl_c()

    assert demo.wait(ENDS_WITHIN_S) == 0, demo.output
    assert belonging_to(DEMO_HOME) == []
    counts = COUNTS.search(demo.output)
    assert counts is not None, demo.output
    produced, landed, quarantined, lake = (int(each.replace(",", "")) for each in counts.groups())
    assert produced == landed + quarantined == lake > 10_000
    assert quarantined > 0
    assert "precision 1.000" in demo.output
    assert re.search(r"[1-9]\d* Dagster runs, 0 failed", demo.output), demo.output
