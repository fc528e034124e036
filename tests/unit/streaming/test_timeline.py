"""What a row of a file makes of the versions of a thing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.reference import Changes, Entry, LimitRow
from streaming.reference.timeline import (
    EVER,
    FOREVER,
    Change,
    End,
    PlacementError,
    Timeline,
    Version,
    end,
    place,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=10)


def hour(n: int) -> datetime:
    return NOON + timedelta(hours=n)


def limit(celsius: float) -> LimitRow:
    return LimitRow(model="COLD-300", max_cabinet_c=celsius)


def row(celsius: float, since: datetime | None = None, until: datetime | None = None) -> Entry:
    return Entry(limit(celsius), "model_limits.csv", 2, since, until)


def versions(*parts: tuple[float, datetime, datetime]) -> Timeline:
    return tuple(Version(limit(celsius), since, until) for celsius, since, until in parts)


EIGHT = versions((8, EVER, FOREVER))
TWO = versions((8, EVER, hour(2)), (7, hour(2), FOREVER))


class TestARowWithoutAnInstant:
    def test_is_valid_from_ever_where_the_thing_is_new(self) -> None:
        assert place((), row(8), NOW) == EIGHT

    def test_changes_nothing_where_it_says_what_holds(self) -> None:
        assert place(TWO, row(7), NOW) == TWO

    def test_is_valid_from_the_load_on_where_it_differs(self) -> None:
        assert place(EIGHT, row(7), NOW) == versions((8, EVER, NOW), (7, NOW, FOREVER))

    def test_is_refused_where_the_version_is_not_older_than_the_load(self) -> None:
        with pytest.raises(PlacementError, match="give a later --as-of, or correct that version"):
            place(TWO, row(6), hour(2))

    def test_may_say_when_the_thing_ends(self) -> None:
        assert place(EIGHT, row(8, until=NOW), NOW) == versions((8, EVER, NOW))
        ended = versions((8, EVER, hour(1)))
        assert place(ended, row(8, until=hour(1)), NOW) == ended
        assert place(ended, row(8, until=hour(3)), NOW) == versions((8, EVER, hour(3)))

    def test_brings_back_a_thing_that_had_ended(self) -> None:
        ended = versions((8, EVER, hour(1)))
        assert place(ended, row(8), NOW) == (*ended, *versions((8, NOW, FOREVER)))

    def test_leaves_an_end_that_is_still_to_come(self) -> None:
        ending = versions((8, EVER, hour(20)))
        assert place(ending, row(8), NOW) == ending
        assert place(ending, row(7), NOW) == versions((8, EVER, NOW), (7, NOW, hour(20)))


class TestARowWithItsInstant:
    def test_corrects_history_up_to_the_next_version_which_stays(self) -> None:
        assert place(TWO, row(5, since=hour(1)), NOW) == versions(
            (8, EVER, hour(1)), (5, hour(1), hour(2)), (7, hour(2), FOREVER)
        )

    def test_takes_the_place_of_the_version_of_that_instant(self) -> None:
        corrected = versions((8, EVER, hour(2)), (6, hour(2), FOREVER))
        assert place(TWO, row(6, since=hour(2)), NOW) == corrected

    def test_changes_nothing_where_that_holds_already(self) -> None:
        assert place(TWO, row(7, since=hour(5)), NOW) == TWO

    def test_may_begin_before_all_others(self) -> None:
        known = versions((8, hour(3), FOREVER))
        assert place(known, row(7, since=EVER), NOW) == versions(
            (7, EVER, hour(3)), (8, hour(3), FOREVER)
        )

    def test_is_refused_where_it_overlaps_a_later_version(self) -> None:
        with pytest.raises(PlacementError, match="overlaps the version that begins at") as caught:
            place(TWO, row(5, since=hour(1), until=hour(3)), NOW)
        assert caught.value.column == "valid_to"

    def test_is_refused_where_it_ends_before_it_begins(self) -> None:
        with pytest.raises(PlacementError, match="is not after valid_from, 2026-03-01T13:00:00Z"):
            place(EIGHT, row(5, since=hour(1), until=hour(1)), NOW)


def test_what_a_full_file_lacks_ends_unless_it_has() -> None:
    assert end(EIGHT, NOW) == versions((8, EVER, NOW))
    ended = versions((8, EVER, hour(1)))
    assert end(ended, NOW) == ended


@given(
    st.lists(
        st.tuples(
            st.sampled_from([5.0, 6.0, 7.0]),
            st.none() | st.integers(0, 8),
            st.none() | st.integers(0, 8),
        ),
        max_size=8,
    )
)
def test_versions_never_overlap_and_a_load_repeated_changes_nothing(
    rows: list[tuple[float, int | None, int | None]],
) -> None:
    timeline: Timeline = ()
    for load, (celsius, since, until) in enumerate(rows):
        entry = row(
            celsius,
            None if since is None else hour(since),
            None if until is None else hour(until),
        )
        try:
            after = place(timeline, entry, hour(10 + load))
        except PlacementError:
            continue
        assert place(after, entry, hour(10 + load)) == after
        for one, following in pairwise(after):
            assert one.since < one.until <= following.since
        assert after[-1].since < after[-1].until
        timeline = after


class TestTheReport:
    def note(self, before: Timeline, after: Timeline) -> Changes:
        changes = Changes()
        changes.note("COLD-300", before, after)
        return changes

    def test_tells_what_is_new_and_what_stayed(self) -> None:
        assert self.note((), EIGHT) == Changes(added=["COLD-300"])
        assert self.note(EIGHT, EIGHT) == Changes(unchanged=1)

    def test_tells_each_column_before_and_after(self) -> None:
        expected = Change("COLD-300", hour(2), {"max_cabinet_c": (8.0, 7.0)})
        assert self.note(EIGHT, TWO) == Changes(changed=[expected])

    def test_tells_what_a_corrected_version_was(self) -> None:
        corrected = (TWO[0], replace(TWO[1], row=limit(6)))
        expected = Change("COLD-300", hour(2), {"max_cabinet_c": (7.0, 6.0)})
        assert self.note(TWO, corrected) == Changes(changed=[expected])

    def test_tells_what_ends_and_another_end(self) -> None:
        ended = versions((8, EVER, NOW))
        assert self.note(EIGHT, ended) == Changes(ended=[End("COLD-300", NOW)])
        later = Change("COLD-300", EVER, {"valid_to": (NOW, hour(20))})
        assert self.note(ended, versions((8, EVER, hour(20)))) == Changes(changed=[later])

    def test_tells_what_comes_back_as_a_whole(self) -> None:
        ended = versions((8, EVER, hour(1)))
        expected = Change(
            "COLD-300", NOW, {"model": (None, "COLD-300"), "max_cabinet_c": (None, 8.0)}
        )
        back = self.note(ended, (*ended, *versions((8, NOW, FOREVER))))
        assert back == Changes(changed=[expected])
