"""When the watermark moves, when it is held, and when it is not believed; see `decide`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from streaming.watermark import Fleet, Moves, Progress, State, decide

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATE = timedelta(seconds=5)
HEARTBEATS, TELEMETRY = "heartbeat.raw", "telemetry.raw"
ALL_HEARD = Fleet(devices=10, sites=3, heard=10)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def at(
    topic: str = TELEMETRY,
    *,
    seen: datetime | None = None,
    before: datetime | None = None,
    next_offset: int = 100,
    end: int | None = None,
    asked: datetime | None = None,
) -> Progress:
    return Progress(topic, 0, 0, next_offset, seen, before, end, asked)


BEFORE = State(watermark=ago(60), heard_once=True)
JUST_NOW = ago(1)


@dataclass
class Look:
    """One look at the watermark, with what is asked for on the way."""

    state: State = BEFORE
    moved_at: datetime | None = JUST_NOW
    resumed_at: datetime | None = None
    now: datetime = NOW
    fleet: Fleet = ALL_HEARD
    heard_again: tuple[int, int] = (10, 10)

    def decide(self, *partitions: Progress) -> tuple[State, Sequence[Progress]]:
        return decide(
            self.state,
            partitions,
            None if self.moved_at is None else Moves(self.moved_at, self.resumed_at),
            self.now,
            LATE,
            lambda _: self.fleet,
            lambda _before, _since: self.heard_again,
        )


def test_it_is_what_was_seen_less_the_late_tolerance() -> None:
    state, accepted = Look().decide(at(seen=ago(10)))
    assert state.watermark == ago(15)
    assert [each.watermark for each in accepted] == [ago(15)]
    assert (state.devices_expected, state.devices_heard) == (10, 10)


def test_a_partition_read_to_its_end_counts_by_the_time_of_the_question() -> None:
    state, _ = Look().decide(at(seen=ago(50), next_offset=7, end=7, asked=ago(2)))
    assert state.watermark == ago(7)


def test_an_end_that_is_not_reached_proves_nothing() -> None:
    state, _ = Look().decide(at(seen=ago(50), next_offset=6, end=7, asked=ago(2)))
    assert state.watermark == ago(55)


def test_the_whole_is_the_least_of_the_partitions() -> None:
    state, _ = Look().decide(at(seen=ago(10)), at(seen=ago(20)))
    assert state.watermark == ago(25)


def test_a_partition_of_which_nothing_is_known_holds_the_whole() -> None:
    state, accepted = Look().decide(at(seen=ago(10)), at(next_offset=0, end=7, asked=ago(2)))
    assert (state.watermark, state.held_since, accepted) == (ago(60), NOW, [])
    assert state.held_reason == "nothing is known of telemetry.raw[0]"


def test_before_the_first_watermark_it_only_keeps_it_back() -> None:
    look = Look(state=State())
    assert look.decide(at(seen=ago(10)), at()) == (look.state, [])


def test_a_partition_in_which_nothing_ever_was_keeps_nothing_back() -> None:
    state, _ = Look().decide(at(seen=ago(10)), at(next_offset=0, end=0, asked=ago(2)))
    assert (state.watermark, state.held_since) == (ago(15), None)


def test_it_never_falls() -> None:
    state, accepted = Look().decide(at(seen=ago(200), before=ago(70)))
    assert state.watermark == ago(60)
    assert [each.watermark for each in accepted] == [ago(70)]


@pytest.mark.parametrize("look", [Look(moved_at=None), Look(state=State(), moved_at=None)])
def test_where_nothing_has_ever_landed_nothing_is_decided(look: Look) -> None:
    assert look.decide(at(seen=ago(1))) == (look.state, [])
    assert look.decide() == (look.state, [])


class TestTheFleetsSilence:
    def test_four_in_ten_are_enough(self) -> None:
        state, _ = Look(fleet=Fleet(10, 3, 4)).decide(at(seen=ago(10)))
        assert (state.watermark, state.held_since) == (ago(15), None)

    def test_fewer_hold_it_and_say_so(self) -> None:
        state, accepted = Look(fleet=Fleet(10, 3, 3)).decide(at(seen=ago(10)))
        assert (state.watermark, state.held_since, accepted) == (ago(60), NOW, [])
        assert "only 3 of 10 devices" in (state.held_reason or "")

    def test_a_hold_keeps_the_time_when_it_began(self) -> None:
        held = BEFORE.held("before", ago(30))
        state, _ = Look(state=held, fleet=Fleet(10, 3, 3)).decide(at(seen=ago(10)))
        assert state.held_since == ago(30)

    def test_a_hold_ends_when_enough_are_heard(self) -> None:
        held = BEFORE.held("before", ago(30))
        state, _ = Look(state=held).decide(at(seen=ago(10)))
        assert (state.watermark, state.held_since, state.held_reason) == (ago(15), None, None)

    def test_until_enough_were_heard_once_there_is_none_and_no_hold(self) -> None:
        state, accepted = Look(state=State(), fleet=Fleet(10, 3, 3)).decide(at(seen=ago(10)))
        assert (state.watermark, state.heard_once, state.held_since) == (None, False, None)
        assert accepted == []

    def test_fewer_than_three_sites_are_not_guarded(self) -> None:
        state, _ = Look(state=State(), fleet=Fleet(10, 2, 0)).decide(at(seen=ago(10)))
        assert (state.watermark, state.heard_once) == (ago(15), True)

    def test_where_the_heartbeats_have_an_empty_partition_it_is_the_fleet_that_is_missed(
        self,
    ) -> None:
        state, _ = Look(fleet=Fleet(10, 3, 3)).decide(
            at(HEARTBEATS, seen=ago(10)), at(HEARTBEATS, next_offset=0, end=0, asked=ago(2))
        )
        assert state.watermark == ago(60)
        assert "only 3 of 10 devices" in (state.held_reason or "")

    def test_without_a_registered_device_there_is_none(self) -> None:
        state, accepted = Look(state=State(), fleet=Fleet(0, 0, 0)).decide(at(seen=ago(10)))
        assert (state.watermark, state.heard_once, accepted) == (None, False, [])

    def test_heartbeats_then_count_by_what_was_seen_alone(self) -> None:
        # The candidate by the proven end is too new for anybody to have been heard before it.
        heard = {ago(6): Fleet(10, 3, 0), ago(45): ALL_HEARD}
        proven = {"next_offset": 7, "end": 7, "asked": ago(1)}
        state, accepted = decide(
            BEFORE,
            [
                at(HEARTBEATS, seen=ago(40), **proven),  # type: ignore[arg-type]
                at(TELEMETRY, seen=ago(50), **proven),  # type: ignore[arg-type]
            ],
            Moves(ago(1)),
            NOW,
            LATE,
            heard.__getitem__,
            lambda _before, _since: (10, 10),
        )
        assert state.watermark == ago(45)
        assert [each.watermark for each in accepted] == [ago(45), ago(6)]


class TestAStandstill:
    STOOD = replace(BEFORE, stood_still=True).held("nothing has landed", ago(100))

    def test_over_a_minute_it_is_held(self) -> None:
        state, accepted = Look(moved_at=ago(61)).decide(at(seen=ago(1)))
        assert (state.stood_still, state.held_since, state.watermark) == (True, NOW, ago(60))
        assert accepted == []

    def test_a_minute_is_not_yet_one(self) -> None:
        state, _ = Look(moved_at=ago(60)).decide(at(seen=ago(10)))
        assert (state.stood_still, state.watermark) == (False, ago(15))

    def test_before_the_first_watermark_there_is_nothing_to_hold(self) -> None:
        state, _ = Look(state=State(), moved_at=ago(3600)).decide(at(seen=ago(10)))
        assert (state.stood_still, state.watermark) == (False, ago(15))

    def test_of_a_fleet_of_two_sites_it_is_the_silence_of_the_devices(self) -> None:
        few = Fleet(devices=10, sites=2, heard=0)
        proven = at(seen=ago(300), next_offset=7, end=7, asked=ago(2))
        state, _ = Look(moved_at=ago(61), fleet=few).decide(proven)
        assert (state.stood_still, state.held_since, state.watermark) == (False, None, ago(7))

    def test_it_goes_on_until_eight_in_ten_are_heard_again(self) -> None:
        state, _ = Look(state=self.STOOD, heard_again=(10, 7)).decide(at(seen=ago(1)))
        assert (state.stood_still, state.resumed_at, state.returned_at) == (True, ago(1), None)
        assert "7 of 10" in (state.held_reason or "")
        assert state.held_since == ago(100)

    def test_then_a_minute_more(self) -> None:
        state, _ = Look(state=self.STOOD, heard_again=(10, 8)).decide(at(seen=ago(1)))
        assert (state.stood_still, state.returned_at, state.watermark) == (True, NOW, ago(60))
        just_before = Look(state=replace(state, returned_at=ago(59.9))).decide(at(seen=ago(1)))[0]
        assert just_before.stood_still
        after, _ = Look(state=replace(state, returned_at=ago(60))).decide(at(seen=ago(10)))
        assert (after.stood_still, after.held_since, after.watermark) == (False, None, ago(15))

    def test_one_that_nobody_watched_is_held_too(self) -> None:
        away = replace(BEFORE, looked_at=ago(600))
        look = Look(state=away, resumed_at=ago(30), heard_again=(10, 7))
        state, accepted = look.decide(at(seen=ago(10)))
        assert (state.stood_still, state.resumed_at, accepted) == (True, ago(30), [])
        assert "7 of 10" in (state.held_reason or "")

    @pytest.mark.parametrize(
        ("looked_at", "fleet"), [(ago(30), ALL_HEARD), (ago(600), Fleet(10, 2, 10))]
    )
    def test_but_not_twice_nor_in_a_fleet_of_two_sites(
        self, looked_at: datetime, fleet: Fleet
    ) -> None:
        state, _ = Look(
            state=replace(BEFORE, looked_at=looked_at), resumed_at=ago(30), fleet=fleet
        ).decide(at(seen=ago(10)))
        assert (state.stood_still, state.watermark) == (False, ago(15))

    def test_a_second_one_begins_the_return_anew(self) -> None:
        returning = replace(self.STOOD, resumed_at=ago(90), returned_at=ago(70))
        state, _ = Look(state=returning, moved_at=ago(61)).decide(at(seen=ago(1)))
        assert (state.stood_still, state.resumed_at, state.returned_at) == (True, None, None)


class TestARelease:
    RELEASED = replace(BEFORE, released_at=ago(30))
    NOBODY = Fleet(devices=10, sites=3, heard=0)
    PROVEN = at(HEARTBEATS, seen=ago(300), next_offset=7, end=7, asked=ago(2))

    def test_lets_the_watermark_move_although_nobody_is_heard_and_nothing_lands(self) -> None:
        look = Look(state=self.RELEASED, moved_at=ago(300), fleet=self.NOBODY)
        state, _ = look.decide(self.PROVEN)
        assert (state.watermark, state.held_since, state.released_at) == (ago(7), None, ago(30))

    def test_goes_on_through_a_standstill_and_while_the_fleet_is_away(self) -> None:
        for moved_at, fleet in ((ago(61), ALL_HEARD), (ago(1), self.NOBODY)):
            look = Look(state=self.RELEASED, moved_at=moved_at, fleet=fleet)
            assert look.decide(self.PROVEN)[0].released_at == ago(30)

    def test_is_over_when_the_fleet_is_heard_and_data_land(self) -> None:
        state, _ = Look(state=self.RELEASED).decide(self.PROVEN)
        assert (state.watermark, state.released_at) == (ago(7), None)
        held, _ = Look(state=state, fleet=self.NOBODY).decide(self.PROVEN)
        assert held.held_since == NOW

    def test_goes_on_without_a_partition_of_which_nothing_is_known(self) -> None:
        unknown = at(TELEMETRY, next_offset=0, end=7, asked=ago(2))
        state, _ = Look(state=self.RELEASED).decide(self.PROVEN, unknown)
        assert (state.watermark, state.held_since, state.released_at) == (ago(7), None, ago(30))


class TestTheBrokersEnd:
    def test_a_new_question_replaces_one_that_was_answered(self) -> None:
        before = at(next_offset=10, end=10, asked=ago(20))
        assert before.asked(12, NOW) == replace(before, end_offset=12, end_asked_at=NOW)

    def test_an_open_one_stays_so_that_it_can_be_answered_at_all(self) -> None:
        before = at(next_offset=9, end=10, asked=ago(20))
        assert before.asked(12, NOW) == before

    def test_an_end_that_is_reached_already_is_better_than_an_open_question(self) -> None:
        before = at(next_offset=9, end=10, asked=ago(20))
        assert before.asked(9, NOW) == replace(before, end_offset=9, end_asked_at=NOW)

    def test_without_an_answer_nothing_changes(self) -> None:
        before = at(next_offset=10, end=10, asked=ago(20))
        assert before.asked(None, NOW) == before
