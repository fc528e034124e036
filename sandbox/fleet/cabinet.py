"""The temperature in a cabinet: walls that leak, a thermostat, a door."""

import random
from dataclasses import dataclass
from math import exp, log

from sandbox.fleet.instants import MINUTE
from sandbox.fleet.registry import Model
from sandbox.fleet.script import Cycling, Drift, Ramp

_LEAK = 180 * MINUTE
_COOLING = 32 * MINUTE
_UNCOOLED = 60 * MINUTE
_DOOR = 45 * MINUTE
_COLD_PLATE_C = 8.0
"""How far below its set point the evaporator would bring the cabinet, if it ran on and on."""


@dataclass(slots=True)
class Cabinet:
    """One cabinet. Each step is the exact solution of Newton's law of cooling over its time."""

    model: Model
    temp_c: float
    at: int
    compressor_on: bool = False
    _drift: Drift | None = None
    _time_constant: float = 0.0

    @classmethod
    def settled(cls, model: Model, ambient_c: float, at: int, rng: random.Random) -> "Cabinet":
        """Returns a cabinet as it is hours after the last disturbance."""
        if model.set_point_c is None:
            return cls(model, ambient_c + model.above_ambient_c, at)
        within = rng.uniform(-model.band_c, model.band_c)
        return cls(model, model.set_point_c + within, at, compressor_on=rng.random() < 0.3)

    def advance(
        self, to: int, ambient_c: float, door_open: bool, forced: Drift | Ramp | Cycling | None
    ) -> None:
        """Brings the cabinet to the instant `to`, of its own accord or as it is forced."""
        elapsed = to - self.at
        if isinstance(forced, Ramp):
            left = forced.span.end - self.at
            self.temp_c += (forced.to_c - self.temp_c) * elapsed / left
            self.compressor_on = False
        elif isinstance(forced, Cycling):
            self.compressor_on = any(at <= to < at + forced.run for at in forced.starts)
        elif (drift := forced) is not None:
            if drift is not self._drift:
                self._drift = drift
                self._time_constant = time_constant(drift, self.at, self.temp_c)
            self._relax(drift.toward, self._time_constant, elapsed)
            self.compressor_on = drift.toward < drift.value
        elif (set_point := self.model.set_point_c) is None:
            self._relax(ambient_c + self.model.above_ambient_c, _UNCOOLED, elapsed)
        else:
            if self.compressor_on:
                self._relax(set_point - _COLD_PLATE_C, _COOLING, elapsed)
            else:
                self._relax(ambient_c, _LEAK, elapsed)
            if door_open:
                self._relax(ambient_c, _DOOR, elapsed)
            if self.temp_c >= set_point + self.model.band_c:
                self.compressor_on = True
            elif self.temp_c <= set_point - self.model.band_c:
                self.compressor_on = False
        self.at = to

    def _relax(self, toward: float, time_constant: float, elapsed: int) -> None:
        self.temp_c = toward + (self.temp_c - toward) * exp(-elapsed / time_constant)


def time_constant(drift: Drift, now: int, temp_c: float) -> float:
    """Returns the time constant in ms with which the drift passes its value at its instant.

    From T(t) = A + (T0 - A) exp(-(t - t0) / tau), solved for tau.
    """
    return (drift.at - now) / log((temp_c - drift.toward) / (drift.value - drift.toward))
