"""What a schedule plays is seen by the rules that it names, when it says, and by no other."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.fleet import Faults, FleetConfig, Plan, Truth, make_plan
from sandbox.fleet.instants import MINUTE, SECOND
from tests.oracle.episodes import Episode
from tests.oracle.rules import RULES
from tests.unit.sandbox.fleet.worlds import episodes_of

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIVE = timedelta(minutes=16)
CLOCK_SKEW = 2 * SECOND


def test_only_the_rules_of_the_few_find_anything() -> None:
    plan = make_plan(FleetConfig(60, 0, START, timedelta(minutes=90), LIVE))
    found = {rule_id for rule_id, _ in episodes_of(plan)}
    assert found == {truth.rule_id for truth in plan.truth}


class Played:
    """A run with the faults of all rules, and what the oracle finds in it."""

    def __init__(self, seed: int, start: datetime) -> None:
        self.plan: Plan = make_plan(
            FleetConfig(400, seed, start, timedelta(hours=4), LIVE, Faults.ALL)
        )
        self.episodes: dict[tuple[str, str], list[Episode]] = episodes_of(self.plan)

    @property
    def faults(self) -> list[Truth]:
        return [truth for truth in self.plan.truth if not truth.lookalike]

    def episode_of(self, truth: Truth) -> Episode:
        (episode,) = self.episodes[truth.rule_id, truth.subject]
        return episode


@pytest.fixture(
    scope="module",
    params=[(1, datetime(2027, 12, 31, 23, 59, 59, 1_000, tzinfo=UTC))],
    ids=["over midnight"],
)
def played(request: pytest.FixtureRequest) -> Played:
    return Played(*request.param)


def test_every_fault_is_found_once_by_its_rule_and_no_lookalike_is(played: Played) -> None:
    own = {(truth.rule_id, truth.subject) for truth in played.faults}
    also = {(also.rule_id, also.subject) for truth in played.plan.truth for also in truth.also}
    assert {key: len(played.episodes.get(key, [])) for key in own} == dict.fromkeys(own, 1)
    assert played.episodes.keys() - own - also == set()


def test_every_rule_is_played(played: Played) -> None:
    counts = Counter((truth.rule_id, truth.lookalike) for truth in played.plan.truth)
    for rule_id in RULES:
        assert counts[rule_id, False] >= 5, rule_id
        assert counts[rule_id, True] >= 10, rule_id


def test_every_rule_has_five_faults_that_are_decided_when_live_time_begins(played: Played) -> None:
    decided = Counter(truth.rule_id for truth in played.faults if truth.phase != "live")
    assert all(decided[rule_id] >= 5 for rule_id in RULES), decided


def test_an_episode_opens_when_the_truth_says_so(played: Played) -> None:
    off = {
        (truth.rule_id, truth.kind, truth.subject): opened - truth.decided
        for truth in played.faults
        if (opened := played.episode_of(truth).opened_us // 1_000) != truth.decided
    }
    assert off == {}


def test_what_is_not_to_be_ticketed_is_over_before_live_time(played: Played) -> None:
    live = played.plan.config.start_ms
    for truth in played.faults:
        if truth.phase == "history":
            resolved = played.episode_of(truth).resolved_us
            assert resolved is not None, truth
            assert resolved // 1_000 < live - 5 * MINUTE, truth


def test_what_is_to_be_ticketed_is_still_open_when_it_is_due(played: Played) -> None:
    for truth in played.faults:
        if truth.expected == "incident":
            resolved = played.episode_of(truth).resolved_us
            assert truth.due_by is not None
            assert resolved is None or resolved // 1_000 > truth.due_by + 5 * SECOND, truth


def test_an_episode_clears_only_after_its_fault_has_ended(played: Played) -> None:
    for truth in played.faults:
        resolved = played.episode_of(truth).resolved_us
        if resolved is not None and truth.end is not None:
            assert resolved // 1_000 >= truth.end - CLOCK_SKEW, truth
