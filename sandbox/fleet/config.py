"""What a run of the fleet is made from. Equal configurations make equal bytes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sandbox.fleet.errors import FleetConfigError
from sandbox.fleet.instants import FOREVER, to_ms

MAX_HISTORY = timedelta(hours=23)
"""Below the 24 h after which an event that is not spooled counts as a clock fault."""


class Faults(StrEnum):
    """Which schedule of faults and look-alikes is played."""

    FEW = "few"
    """Those of rules 1 to 3, which are found within a minute or two."""
    ALL = "all"
    """Those of every rule; some look at an hour, so history is longer, and the fleet larger."""


MIN_DEVICES = {Faults.FEW: 60, Faults.ALL: 400}
MIN_HISTORY = {Faults.FEW: timedelta(minutes=90), Faults.ALL: timedelta(hours=4)}
_CATCHING_UP = {Faults.FEW: timedelta(0), Faults.ALL: timedelta(seconds=90)}
"""So that the platform has caught up with a long history when live time begins."""


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """A run.

    Attributes:
        devices: How many machines the registry holds.
        seed: Everything that is random follows from it.
        start: When history ends and live time begins; aware.
        history: How much time before `start` is simulated.
        live: How much time after `start` is simulated; None means until told to stop.
        faults: Which schedule of faults and look-alikes is played; None: no such thing happens.

    Raises:
        FleetConfigError: A value makes no sense, or is too small for the schedule.
    """

    devices: int
    seed: int
    start: datetime
    history: timedelta = timedelta(hours=2)
    live: timedelta | None = None
    faults: Faults | None = Faults.FEW

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise FleetConfigError(f"--start {self.start.isoformat()} has no time zone: add Z")
        if self.devices < 1:
            raise FleetConfigError(f"--devices {self.devices}: a fleet has at least one machine")
        if not timedelta(0) <= self.history <= MAX_HISTORY:
            raise FleetConfigError(
                f"--history {self.history}: must lie between 0 and {MAX_HISTORY}"
            )
        if self.live is not None and self.live < timedelta(0):
            raise FleetConfigError(f"--for {self.live}: must not be negative")
        if self.faults and self.devices < (devices := MIN_DEVICES[self.faults]):
            raise FleetConfigError(
                f"--devices {self.devices}: the schedule of faults needs {devices} machines; "
                "ask for more, or for --no-faults"
            )
        if self.faults and self.history < (history := MIN_HISTORY[self.faults]):
            raise FleetConfigError(
                f"--history {self.history}: the schedule of faults needs {history}; "
                "ask for more, or for --no-faults"
            )

    @property
    def start_ms(self) -> int:
        """When live time begins."""
        return to_ms(self.start)

    @property
    def begin_ms(self) -> int:
        """When history begins."""
        return self.start_ms - self.history // timedelta(milliseconds=1)

    @property
    def end_ms(self) -> int:
        """When the run ends; `FOREVER` if it is to be stopped from outside."""
        if self.live is None:
            return FOREVER
        return self.start_ms + self.live // timedelta(milliseconds=1)


def lead_time(devices: int, history: timedelta, faults: Faults | None) -> timedelta:
    """Returns how long before live time a run should begin, to have written its history by then.

    With the whole schedule also to have it judged: nothing is ticketed while that is caught up
    with, and some of what is open when live time begins does not wait.

    About three times what was measured on a 2-core machine (15 µs a record), and 3 s for the start.
    """
    records = devices * (history // timedelta(minutes=1)) * 2
    writing = timedelta(seconds=3, microseconds=50 * records)
    return writing if faults is None else writing + _CATCHING_UP[faults]
