"""What an alarm tells of when."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ticketing.alarms import QUIET, Told, next_kind
from ticketing.transition import Kind

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(kind: Kind, ago: timedelta = timedelta(minutes=1)) -> Told:
    return Told(UUID(int=1), 1, kind, NOW - ago)


def test_what_was_always_well_is_not_told() -> None:
    assert next_kind(None, well=True, now=NOW) is None


def test_it_opens_once() -> None:
    assert next_kind(None, well=False, now=NOW) is Kind.OPEN
    for kind in (Kind.OPEN, Kind.REOPEN):
        assert next_kind(told(kind), well=False, now=NOW) is None


def test_it_resolves_once() -> None:
    for kind in (Kind.OPEN, Kind.REOPEN):
        assert next_kind(told(kind), well=True, now=NOW) is Kind.RESOLVE
    assert next_kind(told(Kind.RESOLVE), well=True, now=NOW) is None


@pytest.mark.parametrize(
    ("ago", "kind"), [(QUIET, Kind.REOPEN), (QUIET + timedelta(microseconds=1), Kind.OPEN)]
)
def test_within_the_quiet_interval_it_goes_on(ago: timedelta, kind: Kind) -> None:
    assert next_kind(told(Kind.RESOLVE, ago), well=False, now=NOW) is kind
