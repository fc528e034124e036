"""Kills the consumer at moments at which records were polled and not yet acknowledged."""

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from fleetpulse.demo.errors import DemoError
from fleetpulse.demo.programs import Program

KILLS = 3
PATIENCE_S = 60.0
"""After a kill the next consumer waits until the broker has given up the dead one: 10 s."""
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill.

    Attributes:
        at_s: Seconds since live time began; negative while history was landing.
        unacknowledged: Records that were polled and not acknowledged.
    """

    at_s: float
    unacknowledged: int


class Chaos:
    """Three kills, each at a random moment of a third of the time.

    Args:
        consumer: Whom to kill; it logs what it has polled at level DEBUG.
        start: Starts it again.
        acknowledged: Asks for the sum of the next offsets.
        connected: Asks whether the database still works for the consumer.
        begin: The first moment, in seconds since live time began.
        end: The last.
        seed: Decides the moments.
    """

    def __init__(
        self,
        consumer: Program,
        start: Callable[[], None],
        acknowledged: Callable[[], int],
        connected: Callable[[], bool],
        begin: float,
        end: float,
        seed: int,
    ) -> None:
        self._consumer = consumer
        self._start = start
        self._acknowledged = acknowledged
        self._connected = connected
        chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        third = (end - begin) / KILLS
        # In the first half of its third: between two kills there is time to come back.
        self._moments = [begin + third * (each + chance.random() / 2) for each in range(KILLS)]
        self.kills: list[Kill] = []

    def strike_if_due(self, at_s: float) -> Kill | None:
        """Kills the consumer and starts it again, if the next moment has come.

        Stopped first, so that what it has polled can be compared with what has been acknowledged
        before it is decided that this is a moment worth a kill.

        Raises:
            DemoError: It never has anything unacknowledged.
        """
        if len(self.kills) == len(self._moments) or at_s < self._moments[len(self.kills)]:
            return None
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._consumer.check()
            if self._stop_with_something():
                self._consumer.signal(signal.SIGKILL)
                unacknowledged = self._final()
                self._start()
                if unacknowledged > 0:
                    self.kills.append(Kill(round(at_s, 1), unacknowledged))
                    return self.kills[-1]
                return None  # its last transaction came through after all: once more, later
            time.sleep(LOOK_EVERY_S)
        raise DemoError(f"the consumer had nothing unacknowledged within {PATIENCE_S:.0f} s")

    def _stop_with_something(self) -> bool:
        """Stops it; lets it go on again if it had nothing unacknowledged."""
        self._consumer.signal(signal.SIGSTOP)
        worth_it = False
        try:
            worth_it = self._unacknowledged() > 0
        finally:
            if not worth_it:
                self._consumer.signal(signal.SIGCONT)
        return worth_it

    def _unacknowledged(self) -> int:
        return self._polled() - self._acknowledged()

    def _final(self) -> int:
        """Returns what is unacknowledged once the database has ended what the dead one began."""
        deadline = time.monotonic() + PATIENCE_S
        while self._connected():
            if time.monotonic() > deadline:
                raise DemoError("the database does not notice that the consumer is gone")
            time.sleep(LOOK_EVERY_S)
        return self._unacknowledged()

    def _polled(self) -> int:
        """Returns the sum of the positions that it logged last; 0 before the first."""
        for line in reversed(self._consumer.output().splitlines()):
            if '"polled"' in line and line.endswith("}"):
                positions: int = json.loads(line)["positions"]
                return positions
        return 0
