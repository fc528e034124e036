"""The words in which scenarios are written."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from sandbox.fleet.config import FleetConfig
from sandbox.fleet.instants import MINUTE, SECOND, WINDOW
from sandbox.fleet.registry import BEAT_INTERVAL, SECOND_BEAT, Device
from sandbox.fleet.script import Script

_SETTLED = 26 * MINUTE
"""How long after history's beginning a machine has come to rest."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Planned work; a row of maintenance.csv."""

    scope: Literal["device", "site"]
    subject: str
    mode: Literal["unmanage", "mute"]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Also:
    """Another rule that may rightly see the same fault.

    Attributes:
        rule_id: The rule.
        subject: The machine or site that it sees it on.
        ticketed: Whether an incident of its own may be opened; not where it is suppressed.
    """

    rule_id: str
    subject: str
    ticketed: bool = True


@dataclass(frozen=True, slots=True)
class Act:
    """A machine with its script, and what is true of it.

    Attributes:
        device: The machine as it will be played.
        start: When what is wrong begins.
        deciding: The event, time-out or window end by which the rule knows; for a look-alike, by
            which it would know if it were deceived.
        end: When what was wrong is over; None if never.
        maintenance: Planned work that goes with it.
        others: The other machines of its site, where they play along.
        also: Which other rules may rightly see it.
        harm: When damage is done if nobody comes; None where it does not grow worse.
        muted: Whether planned work keeps it from being ticketed.
    """

    device: Device
    start: int
    deciding: int
    end: int | None
    maintenance: tuple[Maintenance, ...] = ()
    others: tuple[Device, ...] = ()
    also: tuple[Also, ...] = ()
    harm: int | None = None
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario has to write its script from. A site's has all of its machines."""

    config: FleetConfig
    device: Device
    rng: random.Random
    others: tuple[Device, ...] = ()

    def live(self, seconds: float) -> int:
        """Returns the instant so many seconds after live time begins."""
        return self.config.start_ms + round(seconds * SECOND)

    def past(self, minutes_before_live: float) -> int:
        """Returns an instant of history, at least so many minutes before live time begins."""
        latest = self.config.start_ms - round(minutes_before_live * MINUTE)
        return self.rng.randint(self.config.begin_ms + _SETTLED, latest)

    def window(self, windows_after_live: int) -> int:
        """Returns the end of a 5-min window; 1 is the first that ends in live time."""
        return (self.config.start_ms // WINDOW + windows_after_live) * WINDOW

    def past_window(self, minutes_before_live: float) -> int:
        """Returns the end of a window of history, as `past`."""
        end = self.past(minutes_before_live) // WINDOW * WINDOW
        # Rounded down, it may be too near history's beginning.
        return end if end >= self.config.begin_ms + _SETTLED else end + WINDOW

    def window_of(self, instant: int, size: int = WINDOW) -> int:
        """Returns the end of the window that ends at or after an instant of true time.

        By the machine's clock, whose events the rules see.
        """
        return -(-(instant + self.device.skew) // size) * size

    def sample(self, instant: int) -> int:
        """Returns when the machine takes its first sample at or after the instant.

        As long as it has not booted again: then its samples fall on other seconds.
        """
        first = self.device.commissioned + self.device.sample_offset
        return first + -(-(instant - first) // MINUTE) * MINUTE

    def at_work(
        self, mode: Literal["unmanage", "mute"], start: int, end: int
    ) -> tuple[Maintenance, ...]:
        """Returns planned work on the machine, from ten minutes before to ten after."""
        spare = 10 * MINUTE
        return (Maintenance("device", self.device.device_id, mode, start - spare, end + spare),)

    def also(self, *rule_ids: str) -> tuple[Also, ...]:
        """Returns other rules that may see the fault on this machine."""
        return tuple(Also(rule_id, self.device.device_id) for rule_id in rule_ids)

    def scripted(self, script: Script) -> Device:
        """Returns the machine with a script."""
        return replace(self.device, script=script)

    def beating_at(self, instant: int) -> Device:
        """Returns the machine, commissioned such that one of its beats falls on the instant."""
        since_begin = instant - SECOND_BEAT - self.config.begin_ms
        commissioned = self.config.begin_ms + since_begin % BEAT_INTERVAL
        return replace(self.device, commissioned=commissioned)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault or look-alike.

    Attributes:
        kind: What happens, in a word.
        rule_id: The rule that ought to see it or, for a look-alike, to stay silent.
        write: Writes the script.
        lookalike: Whether the rule must stay silent.
        models: The models that can play it; empty means any.
        of_site: Whether a whole site plays it.
        dark: Whether nothing is heard from the machine around the beginning of live time. At most
            one such plays at a site: tickets of a site are held while under 80 % of it is heard.
    """

    kind: str
    rule_id: str
    write: Callable[[Stage], Act]
    lookalike: bool = False
    models: frozenset[str] = frozenset()
    of_site: bool = False
    dark: bool = False
