"""Rule 11: what is usual for a device at an instant, by its own samples, and what is beyond."""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.oracle.log import DAY, MINUTE, SECOND

QUARTER = 15 * MINUTE
HOUR = 60 * MINUTE
WEEK = 7 * DAY


class Sample(NamedTuple):
    """What the sensor showed."""

    us: int
    volts: float
    boot_id: str


@dataclass(frozen=True)
class Limits:
    """Beyond low and high a sample is anomalous; at still, too: there the value does not move."""

    low: float
    high: float
    still: float | None

    def passed_by(self, volts: float) -> float | None:
        """Returns the limit that a sample is beyond."""
        if volts < self.low:
            return self.low
        if volts > self.high:
            return self.high
        return self.still if volts == self.still else None


def phase_us(device_id: str, period_us: int) -> int:
    """Where in each period a device's snapshots are taken."""
    spread = int(hashlib.md5(device_id.encode(), usedforsecurity=False).hexdigest()[:8], 16)
    return spread % (period_us // (10 * SECOND)) * 10 * SECOND


def valid_from_us(device_id: str, us: int, period_us: int) -> int:
    """The newest of a device's snapshots before an instant."""
    phase = phase_us(device_id, period_us)
    return -(-(us - phase) // period_us) * period_us - period_us + phase


def median(values: Sequence[float]) -> float:
    """The middle; of an even number half way between both."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low + 0.5 * (high - low)


def middle_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The median, and the median distance from it."""
    middle = median(values)
    return middle, median([abs(value - middle) for value in values])


def scale(middle: float, spread: float) -> float:
    """A standard deviation, were the values normal; never nothing."""
    return max(1.4826 * spread, 0.005 * middle)


@dataclass
class History:
    """A device's samples in the order of their times."""

    device_id: str
    samples: Sequence[Sample]
    _times: list[int] = field(init=False)
    _hours: dict[int, tuple[float, float] | None] = field(default_factory=dict)
    _limits: dict[tuple[int, str], Limits | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._times = [sample.us for sample in self.samples]

    def until(self, us: int, count: int, within_us: int = 12 * HOUR) -> Sequence[Sample]:
        """The last so many samples up to an instant, none older than so long."""
        end = bisect_right(self._times, us)
        start = bisect_right(self._times, us - within_us)
        return self.samples[max(start, end - count) : end]

    def limits(self, sample: Sample) -> Limits | None:
        """What a sample is compared with; None where nothing is known."""
        begin = valid_from_us(self.device_id, sample.us, QUARTER)
        if (begin, sample.boot_id) not in self._limits:
            self._limits[begin, sample.boot_id] = self._limits_from(begin, sample.boot_id)
        return self._limits[begin, sample.boot_id]

    def _limits_from(self, begin: int, boot_id: str) -> Limits | None:
        before = self.until(begin, 120)
        if not before or before[-1].us <= begin - HOUR:
            return None
        of_boot = [each.volts for each in before if each.boot_id == boot_id == before[-1].boot_id]
        trailing = middle_and_spread(of_boot) if len(of_boot) >= 30 else None
        weekly = self._hour_of_week(begin)
        if weekly is None and trailing is None:
            return None
        if weekly is None or trailing is None:
            middle, spread = weekly or trailing or (0.0, 0.0)
            far = 10 * scale(middle, spread)
            return Limits(middle - far, middle + far, None)
        (t, t_spread), (w, w_spread) = trailing, weekly
        t_scale, w_scale = scale(t, t_spread), scale(w, w_spread)
        return Limits(
            max(min(t - 5 * t_scale, w - 5 * w_scale), w - 10 * w_scale),
            min(max(t + 5 * t_scale, w + 5 * w_scale), w + 10 * w_scale),
            t if t_spread == 0 and w_spread >= 0.2 else None,
        )

    def _hour_of_week(self, begin: int) -> tuple[float, float] | None:
        """The medians, over four weeks, of the hour around and of its spread; three at least."""
        ends = [begin + 3 * QUARTER - week * WEEK for week in range(1, 5)]
        known = [hour for end in ends if (hour := self._hour(end)) is not None]
        if len(known) < 3:
            return None
        return median([middle for middle, _ in known]), median([spread for _, spread in known])

    def _hour(self, end: int) -> tuple[float, float] | None:
        if end not in self._hours:
            volts = [each.volts for each in self.until(end, 120, HOUR)]
            self._hours[end] = middle_and_spread(volts) if len(volts) >= 3 else None
        return self._hours[end]


def is_anomalous(history: History, sample: Sample) -> bool | None:
    """Whether a sample is beyond its limits; None where there are none."""
    limits = history.limits(sample)
    return None if limits is None else limits.passed_by(sample.volts) is not None
