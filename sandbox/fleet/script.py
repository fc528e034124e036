"""What a machine is made to do: the vocabulary in which faults and look-alikes are written.

A script is data. The machine plays it with its own physics, so what the events show is caused,
not painted on.
"""

from dataclasses import dataclass

from sandbox.fleet.instants import Span
from sandbox.fleet.voltage import Disturbance


@dataclass(frozen=True, slots=True)
class Drift:
    """The cabinet's temperature heads for `toward` and passes `value` at the instant `at`.

    From whatever it was before: the time constant follows. So a crossing of a limit can be put
    into the middle of a window, and which windows are warm throughout is known beforehand.
    """

    span: Span
    toward: float
    value: float
    at: int


@dataclass(frozen=True, slots=True)
class Ramp:
    """The cabinet's temperature goes straight from whatever it is to `to_c` at the span's end."""

    span: Span
    to_c: float


@dataclass(frozen=True, slots=True)
class Cycling:
    """Within the span the compressor runs for `run` ms after each start, and at no other time.

    So short that the cabinet keeps the temperature it had.
    """

    span: Span
    starts: tuple[int, ...]
    run: int


@dataclass(frozen=True, slots=True)
class Sale:
    """One vend, or one that failed; the next sample counts it."""

    at: int
    failed: bool


@dataclass(frozen=True, slots=True)
class PlannedAlert:
    """One alert, and how often the same event is sent."""

    at: int
    code: str
    component: str
    raised: bool = True
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Script:
    """A machine's part in the play.

    Attributes:
        off: No power: nothing is sent. A boot follows when power is back.
        beatless: The heartbeat's process hangs; everything else goes on.
        offline: No uplink: events are spooled, and all sent when it is back.
        sparse: Only the samples of each window's first two minutes are sent: two of them.
        dips: In the middle 90 s of each window the sensor reads no more than just below the limit.
        doors: The door stands open three minutes of four.
        open_doors: The door stands open.
        drifts: What the cabinet's temperature does instead of following the thermostat.
        ramps: Likewise, where it is to be known at each instant.
        cyclings: What the compressor does instead of following the thermostat.
        sales: All vends, if there are any here; else chance has its way.
        cashless_down: The cashless reader is offline. Where there is such a time, it is online
            at all others.
        disturbances: What happens to its supply voltage.
        alerts: All alerts that the machine sends.
        sensorless: The cabinet has no temperature sensor.
        exact: The cabinet's sensor has no noise.
    """

    off: tuple[Span, ...] = ()
    beatless: tuple[Span, ...] = ()
    offline: tuple[Span, ...] = ()
    sparse: tuple[Span, ...] = ()
    dips: tuple[Span, ...] = ()
    doors: tuple[Span, ...] = ()
    open_doors: tuple[Span, ...] = ()
    drifts: tuple[Drift, ...] = ()
    ramps: tuple[Ramp, ...] = ()
    cyclings: tuple[Cycling, ...] = ()
    sales: tuple[Sale, ...] = ()
    cashless_down: tuple[Span, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    alerts: tuple[PlannedAlert, ...] = ()
    sensorless: bool = False
    exact: bool = False
