"""Instants and spans of time as whole milliseconds, the resolution of the events.

Integers make the generator exact: no rounding decides whether a sample lies in a window.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
WINDOW = 5 * MINUTE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

FOREVER = 900 * 365 * 24 * HOUR
"""An instant that no run reaches, in the year 2869."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time from `start` up to, not including, `end`."""

    start: int
    end: int = FOREVER

    def __contains__(self, instant: int) -> bool:
        return self.start <= instant < self.end


def to_ms(instant: datetime) -> int:
    """Returns milliseconds since 1970, rounded down."""
    return (instant - _EPOCH) // _MILLISECOND


def to_datetime(ms: int) -> datetime:
    """Returns the instant in UTC."""
    return _EPOCH + timedelta(milliseconds=ms)


def rfc3339(ms: int) -> str:
    """Returns the instant as RFC 3339 in UTC with milliseconds."""
    return to_datetime(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
