"""Recurrence: the part of RFC 5545's RRULE that maintenance needs, on a site's wall clock.

FREQ (DAILY, WEEKLY, MONTHLY, YEARLY), INTERVAL, BYDAY (in MONTHLY also 2TU or -1SU), BYMONTHDAY,
BYMONTH, and UNTIL, which must be there: what repeats for ever cannot be written down. dateutil
knows what they mean together; here is what is refused, and what the wall clock makes of it.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from dateutil import rrule

FREQUENCIES = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
    "YEARLY": rrule.YEARLY,
}
DAYS = {
    "MO": rrule.MO,
    "TU": rrule.TU,
    "WE": rrule.WE,
    "TH": rrule.TH,
    "FR": rrule.FR,
    "SA": rrule.SA,
    "SU": rrule.SU,
}
KEYS = ("FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "UNTIL")
LONGEST = timedelta(days=3660)
MOST = 4000
MOST_INTERVAL = 1000

_DAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")


class RecurrenceError(ValueError):
    """A recurrence that means nothing, or cannot be."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule that has been read.

    `until` is the last local day, or the last instant.
    """

    frequency: int
    interval: int
    days: tuple[rrule.weekday, ...]
    month_days: tuple[int, ...]
    months: tuple[int, ...]
    until: date | datetime

    def starts(self, first: datetime, zone: ZoneInfo) -> list[datetime]:
        """Returns the local times, without a zone, at which it begins; `first` is the first.

        More than `MOST` are cut off, and so is what is later than `LONGEST` after the first.
        """
        if isinstance(self.until, datetime):
            until = self.until.astimezone(zone).replace(tzinfo=None)
        else:
            until = datetime.combine(self.until, time.max)
        rule = rrule.rrule(
            self.frequency,
            dtstart=first,
            interval=self.interval,
            byweekday=self.days or None,
            bymonthday=self.month_days or None,
            bymonth=self.months or None,
            until=min(until, first + LONGEST),
        )
        # dateutil drops what is below a second.
        below = timedelta(microseconds=first.microsecond)
        return [start + below for start in islice(rule, MOST)]

    def check(self, first: datetime, length: timedelta, zone: ZoneInfo) -> None:
        """Refuses what can be read, and cannot be.

        Args:
            first: The local time, without a zone, at which the first work begins.
            length: How long each lasts on the wall clock.
            zone: The wall clock's.

        Raises:
            RecurrenceError: It never occurs, not at `first`, too often, for too long, or before it
                is over.
        """
        starts = self.starts(first, zone)
        if length <= timedelta(0):
            raise RecurrenceError("until is not after from on the site's wall clock")
        if not starts:
            raise RecurrenceError(f"it never occurs between {first:%Y-%m-%d} and UNTIL")
        if starts[0] != first:
            raise RecurrenceError(
                f"from is {first:%A %Y-%m-%d %H:%M} in {zone}, which is none of its times; the "
                f"first is {starts[0]:%A %Y-%m-%d %H:%M}"
            )
        if self._until_day() > (first + LONGEST).date():
            raise RecurrenceError("UNTIL is more than ten years after from: give an earlier one")
        if len(starts) == MOST:
            raise RecurrenceError(f"it occurs {MOST:,} times and more: give an earlier UNTIL")
        for one, next_one in pairwise(starts):
            if next_one < one + length:
                raise RecurrenceError(
                    f"each lasts {length}, and the next begins before it is over, at "
                    f"{next_one:%Y-%m-%d %H:%M}"
                )

    def _until_day(self) -> date:
        return self.until.date() if isinstance(self.until, datetime) else self.until


def parse(text: str) -> Recurrence:
    """Reads a rule.

    Raises:
        RecurrenceError: It is none; the message says which part, and what is taken.
    """
    parts = _parts(text)
    frequency = parts.get("FREQ", "")
    if frequency not in FREQUENCIES:
        raise RecurrenceError(f"FREQ must be one of {', '.join(FREQUENCIES)}")
    if "UNTIL" not in parts:
        raise RecurrenceError("UNTIL is missing: say when it ends, as in UNTIL=20271231")
    if "BYDAY" in parts and frequency == "YEARLY":
        raise RecurrenceError("FREQ=YEARLY takes no BYDAY: write FREQ=MONTHLY with BYMONTH")
    if "BYMONTHDAY" in parts and frequency in ("DAILY", "WEEKLY"):
        raise RecurrenceError(f"FREQ={frequency} takes no BYMONTHDAY: write FREQ=MONTHLY")
    days = tuple(_day(word, frequency) for word in _words(parts, "BYDAY"))
    month_days = tuple(_number("BYMONTHDAY", word, -31, 31) for word in _words(parts, "BYMONTHDAY"))
    if 0 in month_days:
        raise RecurrenceError("BYMONTHDAY: 0 is no day; -1 is the last")
    months = tuple(_number("BYMONTH", word, 1, 12) for word in _words(parts, "BYMONTH"))
    # dateutil would look for it until the year 9999.
    if month_days and months and min(map(abs, month_days)) > max(map(_longest, months)):
        raise RecurrenceError("it never occurs: no such month has a day BYMONTHDAY")
    interval = _number("INTERVAL", parts.get("INTERVAL", "1"), 1, MOST_INTERVAL)
    until = _until(parts["UNTIL"])
    return Recurrence(FREQUENCIES[frequency], interval, days, month_days, months, until)


def _parts(text: str) -> Mapping[str, str]:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        key, equals, value = part.partition("=")
        if not equals or key not in KEYS:
            raise RecurrenceError(f"{part!r} is not known: write {'=…;'.join(KEYS)}=…")
        if key in parts:
            raise RecurrenceError(f"{key} is there twice")
        parts[key] = value
    return parts


def _words(parts: Mapping[str, str], key: str) -> list[str]:
    return parts[key].split(",") if key in parts else []


def _day(word: str, frequency: str) -> rrule.weekday:
    match = _DAY.fullmatch(word)
    if match is None:
        raise RecurrenceError(f"BYDAY: {word!r} is no day: write {', '.join(DAYS)}")
    if match[1] is None:
        return DAYS[match[2]]
    if frequency != "MONTHLY":
        raise RecurrenceError(f"BYDAY: {word!r} is a day of a month: write FREQ=MONTHLY")
    return DAYS[match[2]](int(match[1]))


def _number(key: str, word: str, least: int, most: int) -> int:
    if _NUMBER.fullmatch(word) is None or not least <= int(word) <= most:
        raise RecurrenceError(f"{key}: {word!r} is not from {least} to {most}")
    return int(word)


def _longest(month: int) -> int:
    """Returns how many days a month has at most."""
    return monthrange(2000, month)[1]


def _until(word: str) -> date | datetime:
    try:
        if len(word) == 8:
            return datetime.strptime(word, "%Y%m%d").replace(tzinfo=UTC).date()
        return datetime.strptime(word, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RecurrenceError(
            f"UNTIL: {word!r} is neither a local day (20271231) nor an instant (20271231T225959Z)"
        ) from None
