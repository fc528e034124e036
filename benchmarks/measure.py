"""CPU-seconds and memory of whole process trees, so that nobody hides work in a child."""

import threading
from contextlib import suppress
from dataclasses import dataclass

import psutil

SAMPLE_S = 0.2


@dataclass(frozen=True)
class Usage:
    """What a contender has cost.

    Attributes:
        seconds: Wall time from the start of landing to its end.
        client_cpu_s: CPU-seconds of its own processes.
        server_cpu_s: CPU-seconds of Postgres, with all its backends.
        client_memory_mb: Largest sum of its processes' memory, shared pages counted once.
    """

    seconds: float
    client_cpu_s: float
    server_cpu_s: float
    client_memory_mb: float

    @property
    def cpu_s(self) -> float:
        """CPU-seconds of both ends."""
        return self.client_cpu_s + self.server_cpu_s


def cpu_s(pid: int) -> float:
    """Returns the CPU-seconds of a process, of its descendants, and of those that have ended."""
    total = 0.0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


class Memory:
    """Samples the memory of a process tree until it is left; `peak_mb` is the largest sum."""

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_S):
            held = 0
            for process in _tree(self._pid):
                with suppress(psutil.NoSuchProcess):
                    held += process.memory_full_info().pss
            self.peak_mb = max(self.peak_mb, held / 1e6)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
