"""Daemons: started in a session of their own, known by pid and start, never signalled on doubt."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from sandbox.errors import StartError, StopError
from sandbox.files import read_json, write_json

LAUNCH = Path(__file__).with_name("launch.py")
LOG_LIMIT_BYTES = 8 * 1024 * 1024

# psutil derives the start from the boot time, which moves by a second when the clock is adjusted.
START_TOLERANCE_S = 2.0
KILL_PATIENCE_S = 10.0
LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Command:
    """What to run: the program by its full path, its whole environment, its working folder."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class Identity:
    """A process, told from a later one that was given the same pid.

    Attributes:
        pid: The process id.
        started_at: When the process began, in Unix seconds.
    """

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Reads a living process's identity."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Returns the process if it is alive and is the one that we mean."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) <= START_TOLERANCE_S
            # While other threads of a zombie still end, its ports and files are taken.
            alive = process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
        except psutil.NoSuchProcess:
            return None
        return process if same and alive else None


class State(StrEnum):
    """What is known of a daemon without asking it."""

    DOWN = "down"
    RUNNING = "running"
    DIED = "died"


class Daemon:
    """One background process: its record, its log, its start and stop."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.record = home / "run" / f"{name}.json"
        self.log = home / "logs" / f"{name}.log"

    def identity(self) -> Identity | None:
        """Returns the identity that was recorded at the last start, None after a stop."""
        record = read_json(self.record)
        return None if record is None else Identity(record["pid"], record["started_at"])

    def process(self) -> psutil.Process | None:
        """Returns the running process, None if it has been stopped or has died."""
        identity = self.identity()
        return None if identity is None else identity.process()

    def state(self) -> State:
        """Returns whether it runs, was stopped, or died (was started and is no more)."""
        identity = self.identity()
        if identity is None:
            return State.DOWN
        return State.DIED if identity.process() is None else State.RUNNING

    def start(self, command: Command) -> None:
        """Starts the process; its output goes to the log's end.

        Raises:
            StartError: It could not even be launched.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        read_end, write_end = os.pipe()
        try:
            launched = subprocess.run(
                [sys.executable, "-I", "-S", str(LAUNCH), str(self.log), *command.argv],
                stdin=read_end,
                stdout=subprocess.PIPE,
                env=dict(command.environment),
                cwd=command.folder,
                check=True,
            )
            identity = Identity.of(int(launched.stdout))
            write_json(self.record, {"pid": identity.pid, "started_at": identity.started_at})
            os.write(write_end, b"g")
        except (subprocess.CalledProcessError, psutil.NoSuchProcess) as error:
            raise StartError(f"{self.name}: cannot launch {command.argv[0]} ({error})") from error
        finally:
            os.close(read_end)
            os.close(write_end)

    def stop(self, stop_signal: signal.Signals, patience_s: float) -> bool:
        """Asks the process to end, then makes it; forgets it.

        Args:
            stop_signal: What the process takes as "end in order".
            patience_s: How long it may take for that, before it is killed.

        Returns:
            Whether there was a process to stop.

        Raises:
            StopError: It survived SIGKILL.
        """
        identity = self.identity()
        running = identity is not None and identity.process() is not None
        if identity is not None and running:
            self._end(identity, stop_signal, patience_s)
        self.record.unlink(missing_ok=True)
        return running

    def _end(self, identity: Identity, stop_signal: signal.Signals, patience_s: float) -> None:
        for number, patience in ((stop_signal, patience_s), (signal.SIGKILL, KILL_PATIENCE_S)):
            process = identity.process()
            if process is not None:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            if not still_there([identity], patience):
                return
        raise StopError(
            f"{self.name}: process {identity.pid} survives SIGKILL: look at it, end it by hand"
        )


def still_there(identities: Iterable[Identity], patience_s: float) -> list[Identity]:
    """Waits until processes have ended, and returns those that have not.

    Unlike psutil's wait it takes a zombie as ended: init may be slow to collect it.
    """
    deadline = time.monotonic() + patience_s
    left = [identity for identity in identities if identity.process() is not None]
    while left and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        left = [identity for identity in left if identity.process() is not None]
    return left


def plain_environment(home: Path) -> dict[str, str]:
    """Returns the whole environment of a server: nothing of the caller's."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "TZ": "UTC",
    }
