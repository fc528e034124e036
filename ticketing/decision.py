"""What an intent asks for now: a pure function of what the ledger knows of its episode."""

from dataclasses import dataclass
from enum import StrEnum

from ticketing.transition import WITHHELD, Kind


class Action(StrEnum):
    """The next step of an intent."""

    OPEN = "open"
    """Adopt the episode's incident, or create it."""
    FIND = "find"
    """Only look whether an earlier create took effect; there is nothing to create any more."""
    NOTE = "note"
    REOPEN = "reopen"
    RESOLVE = "resolve"
    RECORD = "record"
    """Nothing is sent; `Decision.outcome` says why."""


class Outcome(StrEnum):
    """How an intent ended."""

    OPENED = "opened"
    ADOPTED = "adopted"
    NOTED = "noted"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    MUTED = "muted"
    OVER = "over"
    HELD = "held"
    SUPPRESSED = "suppressed"
    ALREADY_RESOLVED = "already_resolved"
    CLOSED_BY_HAND = "closed_by_hand"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Situation:
    """What the ledger knows when an intent's turn comes.

    Attributes:
        kind: What the transition was.
        muted: Whether the transition is to be recorded and not ticketed.
        over: Whether the episode's newest known transition resolves or withholds it.
        ticketed: Whether the episode has an incident.
        maybe_created: Whether an earlier create may have taken effect unseen.
    """

    kind: Kind
    muted: bool
    over: bool
    ticketed: bool
    maybe_created: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, and the outcome where nothing is sent."""

    action: Action
    outcome: Outcome | None = None


def decide(situation: Situation) -> Decision:
    """Chooses the next step.

    An update or a reopening of an episode without an incident opens one: its opening was muted, or
    was over before its turn came, and the fault is there now.
    """
    if not situation.ticketed and situation.maybe_created and (situation.over or situation.muted):
        return Decision(Action.FIND)
    if situation.kind in WITHHELD:
        held = situation.kind is Kind.HOLD
        return Decision(Action.RECORD, Outcome.HELD if held else Outcome.SUPPRESSED)
    if situation.kind is Kind.RESOLVE:
        if situation.ticketed:
            return Decision(Action.RESOLVE)
        return Decision(Action.RECORD, Outcome.MUTED if situation.muted else Outcome.OVER)
    if situation.muted:
        return Decision(Action.RECORD, Outcome.MUTED)
    if situation.over:
        return Decision(Action.RECORD, Outcome.OVER)
    if not situation.ticketed:
        return Decision(Action.OPEN)
    if situation.kind is Kind.OPEN:
        return Decision(Action.RECORD, Outcome.ADOPTED)
    return Decision(Action.REOPEN if situation.kind is Kind.REOPEN else Action.NOTE)
