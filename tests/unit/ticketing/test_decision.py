"""What an intent asks for, in every situation."""

import itertools

import pytest

from ticketing.decision import Action, Decision, Outcome, Situation, decide
from ticketing.transition import WITHHELD, Kind

TOLD = [kind for kind in Kind if kind not in WITHHELD]


def situation(kind: Kind, **changes: bool) -> Situation:
    facts = {"muted": False, "over": False, "ticketed": False, "maybe_created": False}
    return Situation(kind=kind, **(facts | changes))


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.UPDATE, Kind.REOPEN])
def test_a_fault_without_an_incident_opens_one(kind: Kind) -> None:
    assert decide(situation(kind)) == Decision(Action.OPEN)


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (Kind.UPDATE, Action.NOTE),
        (Kind.REOPEN, Action.REOPEN),
        (Kind.RESOLVE, Action.RESOLVE),
    ],
)
def test_an_incident_follows_its_episode(kind: Kind, action: Action) -> None:
    assert decide(situation(kind, ticketed=True)).action is action


def test_an_opening_that_has_its_incident_already_is_adopted() -> None:
    decision = decide(situation(Kind.OPEN, ticketed=True))
    assert decision == Decision(Action.RECORD, Outcome.ADOPTED)


@pytest.mark.parametrize("kind", TOLD)
def test_what_is_over_before_it_was_sent_is_only_recorded(kind: Kind) -> None:
    assert decide(situation(kind, over=True)) == Decision(Action.RECORD, Outcome.OVER)


@pytest.mark.parametrize("kind", TOLD)
def test_what_is_muted_and_has_no_incident_is_only_recorded(kind: Kind) -> None:
    assert decide(situation(kind, muted=True)) == Decision(Action.RECORD, Outcome.MUTED)


@pytest.mark.parametrize(
    ("kind", "outcome"), [(Kind.HOLD, Outcome.HELD), (Kind.SUPPRESS, Outcome.SUPPRESSED)]
)
@pytest.mark.parametrize("ticketed", [False, True])
def test_what_is_withheld_is_only_recorded(kind: Kind, outcome: Outcome, ticketed: bool) -> None:
    known = situation(kind, over=True, ticketed=ticketed)
    assert decide(known) == Decision(Action.RECORD, outcome)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("why", ["over", "muted"])
def test_what_may_exist_unseen_is_looked_for_before_it_is_let_go(kind: Kind, why: str) -> None:
    assert decide(situation(kind, maybe_created=True, **{why: True})).action is Action.FIND


def test_an_incident_is_resolved_whatever_else_holds() -> None:
    for muted, over, maybe in itertools.product([False, True], repeat=3):
        known = situation(Kind.RESOLVE, ticketed=True, muted=muted, over=over, maybe_created=maybe)
        assert decide(known).action is Action.RESOLVE


def test_nothing_is_recorded_without_a_reason() -> None:
    for kind in Kind:
        for flags in itertools.product([False, True], repeat=4):
            decision = decide(Situation(kind, *flags))
            assert (decision.action is Action.RECORD) == (decision.outcome is not None)
