"""The mains at a machine: its own level, the site's day and week, noise, and what can go wrong.

Pure: the same machine, instant and disturbances give the same volts, in any order of asking, so a
machine's history need not be played to know what it shows at some instant.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, exp, pi
from statistics import NormalDist
from typing import Literal

from sandbox.fleet.instants import HOUR, MINUTE, Span

NOMINAL_V = 230.0
DAY = 24 * HOUR
WEEK = 7 * DAY
_MONDAY = 4 * DAY
"""1970-01-01 was a Thursday: this is the first Monday."""

Kind = Literal["sag", "surge", "drift", "flicker", "stuck", "load", "replaced"]
FAULTS: tuple[Kind, ...] = ("sag", "surge", "drift", "flicker", "stuck")
"""What needs a technician. The other kinds look like it and do not: a load nearby that is switched
on and off, and a supply that was replaced. The neighbourhood's evening is everybody's."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Supply:
    """Where a machine is plugged in.

    Attributes:
        name: Seeds its noise.
        utc_offset: Of the site, ms: people cook in the evening of their own clock.
        level_v: What it shows on average without load nearby.
        evening_v: By how much the neighbourhood's evening lowers it; less at weekends.
        working_v: By how much the working hours lower it, Mondays to Fridays.
        noise_v: Standard deviation from sample to sample.
    """

    name: str
    utc_offset: int
    level_v: float
    evening_v: float
    working_v: float
    noise_v: float


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to a supply within a span.

    Attributes:
        volts: How far it goes: a sag, surge or load at once, a drift at its span's end, flicker to
            either side; a replaced supply differs by it from then on. A stuck value needs none.
    """

    kind: Kind
    span: Span
    volts: float = 0.0


def supply(seed: int, device_id: str, site_id: str, utc_offset: int) -> Supply:
    """Returns a machine's supply: its site's habits, its own level and noise."""
    site = _Chance(f"{seed}/{site_id}")
    own = _Chance(f"{seed}/{device_id}")
    return Supply(
        name=f"{seed}/{device_id}",
        utc_offset=utc_offset,
        level_v=NOMINAL_V + site.between(1, -5, 5) + own.between(1, -3, 3),
        evening_v=site.between(2, 2, 7),
        working_v=site.between(3, 0.5, 3),
        noise_v=own.between(2, 0.4, 1.1),
    )


def voltage(machine: Supply, instant: int, faults: Iterable[Disturbance] = ()) -> float:
    """Returns the volts that a machine's sensor shows at an instant, ms since 1970."""
    chance = _chance(machine.name)
    volts = _undisturbed(machine, chance, instant)
    for each in faults:
        if each.kind == "replaced":
            volts += each.volts if instant >= each.span.start else 0.0
        elif instant not in each.span:
            continue
        elif each.kind == "stuck":
            return voltage(machine, each.span.start - 1)
        elif each.kind == "drift":
            volts += each.volts * (instant - each.span.start) / (each.span.end - each.span.start)
        elif each.kind == "flicker":
            volts += each.volts * (1 if chance.at(instant + 1) < 0.5 else -1)
        else:
            volts += each.volts
    return round(volts, 1)


def _undisturbed(machine: Supply, chance: "_Chance", instant: int) -> float:
    local = instant + machine.utc_offset
    hour = local % DAY / HOUR
    weekend = (local - _MONDAY) % WEEK >= 5 * DAY
    # No two evenings are alike.
    evening = machine.evening_v * (0.6 if weekend else 1.0) * chance.between(local // DAY, 0.8, 1.2)
    volts = machine.level_v + 0.8 * cos(2 * pi * (hour - 3) / 24)
    volts -= evening * exp(-(((hour - 19.5) / 1.8) ** 2))
    volts -= 0.0 if weekend else machine.working_v * _within(hour, 8, 17)
    # What wanders from one quarter of an hour to the next, and what flutters.
    quarter, part = divmod(instant, 15 * MINUTE)
    share = part / (15 * MINUTE)
    wander = (1 - share) * chance.between(-quarter, -1, 1) + share * chance.between(
        -quarter - 1, -1, 1
    )
    volts += 0.8 * wander + machine.noise_v * _NORMAL.inv_cdf(chance.at(instant))
    # A motor nearby that starts: one sample, now and then.
    return volts - (6.0 if chance.at(instant + 2) < 0.002 else 0.0)


def _within(hour: float, start: float, end: float) -> float:
    """Returns 1 well within the hours, 0 well outside, and half an hour's ramp between."""
    return max(0.0, min(1.0, 2 * min(hour - start, end - hour) + 0.5))


class _Chance:
    """Numbers in (0, 1) that a name and a whole number determine: no state, no order."""

    def __init__(self, name: str) -> None:
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")

    def at(self, number: int) -> float:
        """Returns the number's share of (0, 1): the finalizer of splitmix64."""
        mask = 0xFFFF_FFFF_FFFF_FFFF
        z = (self._key + number * 0x9E37_79B9_7F4A_7C15) & mask
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB & mask
        return ((z ^ (z >> 31)) + 0.5) / 2**64

    def between(self, number: int, low: float, high: float) -> float:
        """Returns the number's share of (low, high)."""
        return low + (high - low) * self.at(number)


_chance = lru_cache(maxsize=100_000)(_Chance)
