"""How many bytes may wait in memory: whoever polls takes, whoever lands gives back."""

import threading


class Budget:
    """A bounded number of bytes, for any number of threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._freed = threading.Condition()

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be taken."""
        return self._held >= self._limit

    @property
    def is_low(self) -> bool:
        """Whether at most half is taken: time to take again, after a pause."""
        return self._held <= self._limit // 2

    @property
    def held(self) -> int:
        """How many bytes are taken."""
        return self._held

    def take(self, count: int) -> None:
        """Takes bytes, also beyond the limit: what has been polled is there."""
        with self._freed:
            self._held += count

    def give(self, count: int) -> None:
        """Gives bytes back."""
        with self._freed:
            self._held -= count
            self._freed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Waits until it is no longer full; returns whether it is so in time."""
        with self._freed:
            return self._freed.wait_for(lambda: not self.is_full, timeout_s)
