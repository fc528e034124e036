"""What the worker asks of a ticket system; each target is one file behind this interface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

Fields = Mapping[str, str]


class State(IntEnum):
    """ServiceNow's incident states."""

    NEW = 1
    IN_PROGRESS = 2
    ON_HOLD = 3
    RESOLVED = 6
    CLOSED = 7
    CANCELED = 8


FINAL = frozenset({State.CLOSED, State.CANCELED})
FINISHED = FINAL | {State.RESOLVED}


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as the target told it.

    Attributes:
        state: One of `State`, or a state that the instance has added.
        correlation_id: The episode that it was opened for.
        correlation_display: The dedupe key.
        opened_at: When it was created there.
    """

    sys_id: str
    number: str
    state: int
    correlation_id: str
    correlation_display: str
    opened_at: datetime
    resolved_at: datetime | None
    close_code: str | None


class Target(Protocol):
    """A ticket system. All methods raise the errors of `ticketing.errors`."""

    def find(self, correlation_id: str, correlation_display: str) -> Sequence[Incident]:
        """Incidents of that id, and unfinished ones of that key, oldest first.

        Each has been verified to carry what was asked for.
        """
        ...

    def get(self, sys_id: str) -> Incident | None:
        """One incident; None if it is no longer there."""
        ...

    def has_note(self, sys_id: str, marker: str) -> bool:
        """Whether one of an incident's work notes contains a text."""
        ...

    def create(self, fields: Fields) -> Incident:
        """Creates an incident: never repeats the request by itself."""
        ...

    def change(self, sys_id: str, fields: Fields) -> Incident:
        """Changes fields of an incident."""
        ...
