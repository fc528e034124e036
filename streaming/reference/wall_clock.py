"""A wall clock's times as instants, also where the clock is put forward or back.

A span of wall-clock time is the widest that anybody may read out of it: from the first instant at
which the clock has come to its start, to the last at which it is not past its end. So a time that
is skipped stands for the moment of skipping; of a time that comes twice the first starts a span,
and the second ends one.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    """Returns what the clock shows, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def span(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """Returns the instants of a span of local time; None where the clock skips all of it."""
    first, last = _instants(start, zone)[0], _instants(end, zone)[-1]
    return (first, last) if first < last else None


def _instants(shown: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Returns when the clock shows a time: once or twice, or the moment at which it skips it."""
    by_old, by_new = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if by_old <= by_new:
        return (by_old, by_new)
    # By the offset from before the change it lies after it, and the other way round.
    since = by_new.replace(microsecond=0)
    seconds = range(int((by_old - since) / _SECOND) + 2)
    skip = bisect_left(seconds, True, key=lambda n: local(since + n * _SECOND, zone) > shown)
    return (since + skip * _SECOND,)
