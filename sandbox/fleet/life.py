"""When a machine has power, an uplink, and something to complain of.

A script says it all; without one it follows from chance, within bounds that no rule minds: gaps
between beats stay below rule 2's 180 s also when a restart meets a loss of the uplink (60 + 30 +
60 s), and an alert is cleared before the next is raised.
"""

import random
from collections.abc import Iterator

from sandbox.fleet.instants import FOREVER, HOUR, MINUTE, SECOND, Span
from sandbox.fleet.registry import Device
from sandbox.fleet.script import PlannedAlert

_RESTART_EVERY = (3 * HOUR, 30 * HOUR)
_RESTART_TAKES = (15 * SECOND, 30 * SECOND)
_UPLINK_LOST_EVERY = (30 * MINUTE, 8 * HOUR)
_UPLINK_LOST_FOR = (20 * SECOND, 60 * SECOND)
_ALERT_EVERY = (10 * MINUTE, 4 * HOUR)
_ALERT_LASTS = (40 * SECOND, 5 * MINUTE)
_ALERTS = (
    ("COIN_JAM", "coin_mech"),
    ("BILL_JAM", "bill_validator"),
    ("MOTOR_FAULT", "motor_a1"),
    ("MDB_TIMEOUT", "mdb_bus"),
)


class Life:
    """One machine's life, asked for in the order of time."""

    def __init__(self, rng: random.Random, device: Device) -> None:
        self._rng = rng
        self._device = device
        self._losses = self._uplink_losses()
        self._loss = next(self._losses, Span(FOREVER))

    def power(self) -> Iterator[Span]:
        """Yields the times with power; a boot begins each."""
        end = self._device.decommissioned or FOREVER
        on = self._device.commissioned
        for off in self._power_cuts(on):
            if off.start > on:
                yield Span(on, min(off.start, end))
            on = max(on, off.end)
            if on >= end:
                return
        yield Span(on, end)

    def uplink_loss(self, at: int) -> Span | None:
        """Returns the loss of the uplink that `at` lies in."""
        while self._loss.end <= at:
            self._loss = next(self._losses, Span(FOREVER))
        return self._loss if at in self._loss else None

    def alerts(self, up: Span) -> Iterator[PlannedAlert]:
        """Yields the alerts of a time with power."""
        if (script := self._device.script) is not None:
            yield from (alert for alert in script.alerts if alert.at in up)
            return
        at = up.start
        while True:
            at += self._rng.randint(*_ALERT_EVERY)
            code, component = self._rng.choice(_ALERTS)
            yield PlannedAlert(at, code, component)
            at += self._rng.randint(*_ALERT_LASTS)
            yield PlannedAlert(at, code, component, raised=False)

    def _power_cuts(self, on: int) -> Iterator[Span]:
        if (script := self._device.script) is not None:
            yield from script.off
            return
        while True:
            start = on + self._rng.randint(*_RESTART_EVERY)
            on = start + self._rng.randint(*_RESTART_TAKES)
            yield Span(start, on)

    def _uplink_losses(self) -> Iterator[Span]:
        if (script := self._device.script) is not None:
            yield from script.offline
            return
        end = self._device.commissioned
        while True:
            start = end + self._rng.randint(*_UPLINK_LOST_EVERY)
            end = start + self._rng.randint(*_UPLINK_LOST_FOR)
            yield Span(start, end)
