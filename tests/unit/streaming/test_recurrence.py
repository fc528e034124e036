"""Recurring work follows the site's wall clock, through every change of it."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streaming.reference import DeviceRow, MaintenanceRow, SiteRow
from streaming.reference.occurrences import occurrences
from streaming.reference.recurrence import RecurrenceError, parse
from streaming.reference.timeline import EVER, FOREVER, Timelines, Version
from streaming.reference.wall_clock import span
from streaming.reference.zones import Zones
from tests.fixtures.insights.random_work import first_of, random_recurrence

BERLIN = ZoneInfo("Europe/Berlin")
TUESDAY = datetime.fromisoformat("2026-03-03T02:00")


def shown(text: str) -> datetime:
    return datetime.fromisoformat(text)


def instants(start: str, end: str, zone: str) -> tuple[str, str] | None:
    found = span(shown(start), shown(end), ZoneInfo(zone))
    return found and (f"{found[0]:%H:%M}", f"{found[1]:%H:%M}")


def site(zone: str) -> SiteRow:
    return SiteRow(site_id="S", name="S", timezone=zone, business_hours=None, gateway=None)


def always(zone: str) -> Timelines:
    return {("S",): (Version(site(zone), EVER, FOREVER),)}


def work(start: datetime, end: datetime, recurrence: str | None, scope: str = "site") -> Version:
    row = MaintenanceRow(
        scope=scope,  # type: ignore[arg-type]
        subject="S" if scope == "site" else "VM-1",
        mode="mute",
        starts_at=start,
        ends_at=end,
        recurrence=recurrence,
    )
    return Version(row, EVER, FOREVER)


class TestTheWallClock:
    def test_on_other_days_it_is_plain(self) -> None:
        berlin = "2026-03-03T02:00", "2026-03-03T04:00", "Europe/Berlin"
        assert instants(*berlin) == ("01:00", "03:00")

    @pytest.mark.parametrize(
        ("start", "end", "zone", "expected"),
        [
            # 02:00 to 03:00 is skipped at 01:00 UTC.
            ("2026-03-29T02:30", "2026-03-29T04:00", "Europe/Berlin", ("01:00", "02:00")),
            ("2026-03-29T01:00", "2026-03-29T02:30", "Europe/Berlin", ("00:00", "01:00")),
            ("2026-03-29T02:10", "2026-03-29T02:50", "Europe/Berlin", None),
            # 01:00 to 02:00 comes twice: from 05:00 UTC, and again from 06:00.
            ("2026-11-01T01:30", "2026-11-01T03:00", "America/New_York", ("05:30", "08:00")),
            ("2026-11-01T00:30", "2026-11-01T01:30", "America/New_York", ("04:30", "06:30")),
            ("2026-11-01T01:15", "2026-11-01T01:45", "America/New_York", ("05:15", "06:45")),
            # Half an hour: 02:00 to 02:30 is skipped at 15:30 UTC, 01:30 to 02:00 comes twice.
            ("2026-10-04T02:10", "2026-10-04T05:00", "Australia/Lord_Howe", ("15:30", "18:00")),
            ("2026-04-05T01:45", "2026-04-05T01:50", "Australia/Lord_Howe", ("14:45", "15:20")),
        ],
    )
    def test_a_skipped_time_is_the_skip_and_of_two_the_first_begins_and_the_last_ends(
        self, start: str, end: str, zone: str, expected: tuple[str, str] | None
    ) -> None:
        assert instants(start, end, zone) == expected

    def test_work_goes_on_over_new_year(self) -> None:
        (only,) = occurrences(
            work(
                datetime(2026, 12, 31, 21, tzinfo=UTC),
                datetime(2027, 1, 1, 1, tzinfo=UTC),
                "FREQ=DAILY;UNTIL=20261231",
            ),
            Zones(always("Europe/Berlin"), {}),
        )
        assert (only.starts_at, only.ends_at) == (only.work.starts_at, only.work.ends_at)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_it_takes_place_when_a_person_with_a_calendar_and_that_clock_would_say(seed: int) -> None:
    recurrence = random_recurrence(random.Random(seed))
    first = first_of(recurrence)
    assume(first is not None)
    planned = work(*first, recurrence.text())  # type: ignore[misc]
    found = occurrences(planned, Zones(always(recurrence.zone), {}))
    assert [(each.starts_at, each.ends_at) for each in found] == recurrence.spans()


class TestWhoseClock:
    NIGHTLY = work(
        datetime(2026, 6, 1, 0, tzinfo=UTC),
        datetime(2026, 6, 1, 2, tzinfo=UTC),
        "FREQ=DAILY;UNTIL=20260603",
        scope="device",
    )

    def test_a_device_that_moves_follows_the_clock_of_its_new_site(self) -> None:
        moved = datetime(2026, 6, 2, 12, tzinfo=UTC)
        sites = always("Europe/Berlin") | {
            ("T",): (Version(site("America/New_York"), EVER, FOREVER),)
        }
        devices = {("VM-1",): (at("S", EVER, moved), at("T", moved, FOREVER))}
        found = sorted(each.starts_at for each in occurrences(self.NIGHTLY, Zones(sites, devices)))
        assert [f"{each:%d %H:%M}" for each in found] == ["01 00:00", "02 00:00", "03 06:00"]

    def test_work_takes_place_only_while_its_plan_is_valid(self) -> None:
        zones = Zones(always("Europe/Berlin"), {("VM-1",): (at("S", EVER, FOREVER),)})
        until = datetime(2026, 6, 2, 1, tzinfo=UTC)
        version = Version(self.NIGHTLY.row, EVER, until)
        assert [f"{each.starts_at:%d}" for each in occurrences(version, zones)] == ["01", "02"]
        assert {each.valid_to for each in occurrences(version, zones)} == {until}


def at(site_id: str, since: datetime, until: datetime) -> Version:
    row = DeviceRow(
        device_id="VM-1",
        site_id=site_id,
        model="COLD-300",
        commissioned_at=datetime(2026, 1, 1, tzinfo=UTC),
        decommissioned_at=None,
        cmdb_ci=None,
        assignment_group=None,
    )
    return Version(row, since, until)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not known"),
        ("FREQ=DAILY;UNTIL=20261231;", "'' is not known"),
        ("FREQ=HOURLY;UNTIL=20261231", "FREQ must be one of DAILY"),
        ("INTERVAL=2;UNTIL=20261231", "FREQ must be one of DAILY"),
        ("FREQ=DAILY", "UNTIL is missing"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "'COUNT=3' is not known"),
        ("FREQ=DAILY;FREQ=DAILY;UNTIL=20261231", "FREQ is there twice"),
        ("FREQ=DAILY;INTERVAL=0;UNTIL=20261231", "INTERVAL: '0' is not from 1"),
        ("FREQ=DAILY;INTERVAL=٣;UNTIL=20261231", "INTERVAL: '٣' is not from 1"),
        ("FREQ=WEEKLY;BYDAY=DI;UNTIL=20261231", "BYDAY: 'DI' is no day"),
        ("FREQ=WEEKLY;BYDAY=2TU;UNTIL=20261231", "'2TU' is a day of a month"),
        ("FREQ=WEEKLY;BYMONTHDAY=2;UNTIL=20261231", "takes no BYMONTHDAY"),
        ("FREQ=YEARLY;BYDAY=TU;UNTIL=20261231", "takes no BYDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32;UNTIL=20261231", "BYMONTHDAY: '32' is not from -31"),
        ("FREQ=MONTHLY;BYMONTHDAY=0;UNTIL=20261231", "0 is no day"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;UNTIL=20301231", "it never occurs"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL: '20260230' is neither"),
        ("FREQ=DAILY;UNTIL=2026-12-31", "UNTIL: '2026-12-31' is neither"),
    ],
)
def test_a_recurrence_that_means_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(RecurrenceError) as caught:
        parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hours", "words"),
    [
        ("FREQ=DAILY;UNTIL=20260302", 2, "it never occurs between 2026-03-03 and UNTIL"),
        ("FREQ=WEEKLY;BYDAY=WE;UNTIL=20261231", 2, "the first is Wednesday 2026-03-04 02:00"),
        ("FREQ=DAILY;UNTIL=20260310", 25, "the next begins before it is over"),
        ("FREQ=WEEKLY;BYDAY=TU,WE;UNTIL=20260331", 25, "at 2026-03-04 02:00"),
        ("FREQ=DAILY;UNTIL=20371231", 2, "more than ten years after from"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;UNTIL=20360301", 2, None),
        ("FREQ=DAILY;UNTIL=20260310", 24, None),
        ("FREQ=DAILY;UNTIL=20260310", 0, "on the site's wall clock"),
        ("FREQ=DAILY;UNTIL=20260303T010000Z", 2, None),
        ("FREQ=DAILY;UNTIL=20260303T005959Z", 2, "it never occurs"),
    ],
)
def test_a_recurrence_that_cannot_be_is_refused(text: str, hours: int, words: str | None) -> None:
    recurrence = parse(text)
    if words is None:
        recurrence.check(TUESDAY, timedelta(hours=hours), BERLIN)
        return
    with pytest.raises(RecurrenceError) as caught:
        recurrence.check(TUESDAY, timedelta(hours=hours), BERLIN)
    assert words in str(caught.value)
