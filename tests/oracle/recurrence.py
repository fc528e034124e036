"""Recurring work, day by day and clock reading by clock reading."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

GRID = timedelta(minutes=10)
"""Clocks are read so often: all times, and all changes of clocks, are on it."""
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """Work that is done again, from `start` to `end` on a wall clock, until a day."""

    zone: str
    start: datetime
    end: datetime
    frequency: str
    interval: int
    weekdays: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    until: date

    def text(self) -> str:
        """Returns it as a file has it."""
        parts = [f"FREQ={self.frequency}", f"INTERVAL={self.interval}"]
        if self.weekdays:
            parts.append(f"BYDAY={','.join(_DAYS[day] for day in self.weekdays)}")
        if self.month_days:
            parts.append(f"BYMONTHDAY={','.join(map(str, self.month_days))}")
        return ";".join([*parts, f"UNTIL={self.until:%Y%m%d}"])

    def days(self) -> list[date]:
        """Returns the days on which it begins."""
        first = self.start.date()
        days = (first + timedelta(days=n) for n in range((self.until - first).days + 1))
        return [day for day in days if self._begins_on(day)]

    def _begins_on(self, day: date) -> bool:
        first = self.start.date()
        if self.frequency == "DAILY":
            return (day - first).days % self.interval == 0
        if self.frequency == "WEEKLY":
            weeks = (_monday(day) - _monday(first)).days // 7
            return weeks % self.interval == 0 and day.weekday() in self.weekdays
        months = (day.year - first.year) * 12 + day.month - first.month
        from_end = day.day - monthrange(day.year, day.month)[1] - 1
        return months % self.interval == 0 and bool({day.day, from_end} & set(self.month_days))

    def spans(self) -> list[tuple[datetime, datetime]]:
        """Returns the instants from which and to which it is done."""
        length = self.end - self.start
        found = []
        for day in self.days():
            readings = clock(self.zone, day)
            start = datetime.combine(day, self.start.time())
            end = start + length
            began = next(instant for instant, shown in readings if shown >= start)
            last, shown_last = [each for each in readings if each[1] <= end][-1]
            ended = last if shown_last == end else last + GRID  # the clock skips the end
            if began < ended:
                found.append((began, ended))
        return found


@cache
def clock(zone: str, day: date) -> list[tuple[datetime, datetime]]:
    """Reads a wall clock around a day: instants, and what it shows then."""
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    instants = [midnight + n * GRID for n in range(-150, 450)]
    return [(each, each.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for each in instants]


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
