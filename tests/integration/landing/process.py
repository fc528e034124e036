"""A program of ours in a process of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

PROGRAM = "from fleetpulse.cli import main; main()"


class Running(Protocol):
    """What of `subprocess.Popen` is needed here."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


class Process:
    """A program of ours in a process of its own, with its output in a file."""

    def __init__(self, process: Running, log: Path) -> None:
        self._process = process
        self._log = log
        self._awaited = False

    @classmethod
    def command(cls, arguments: Sequence[str], environment: dict[str, str], log: Path) -> "Process":
        """Starts a `fleetpulse` command."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return cls(process, log)

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def output_bytes(self) -> bytes:
        return self._log.read_bytes()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Returns the log's entries of that name."""
        # The last line may be half written.
        whole, _, _ = self.output.rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """How it has ended; None while it runs."""
        return self._process.poll()

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error that nobody has waited for."""
        return not self._awaited and (self._process.poll() or 0) > 0

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, within_s: float = 30) -> int:
        self._awaited = True
        return self._process.wait(within_s)

    def stop(self, within_s: float = 30) -> None:
        """SIGTERM, and no other end than a good one, in time."""
        self.send(signal.SIGTERM)
        assert self.wait(within_s) == 0, self.output

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
