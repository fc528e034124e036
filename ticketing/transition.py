"""A transition of an episode, as dbt appends it to `insights.transitions`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """What happened to the episode."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    HOLD = "hold"
    """No ticket yet: it is open whether the device's whole site is silent."""
    SUPPRESS = "suppress"
    """No ticket: that of the site's outage stands in for it."""


WITHHELD = frozenset({Kind.HOLD, Kind.SUPPRESS})

RELEASED = "released"
"""The cause of a transition that tells what was held or suppressed before."""


@dataclass(frozen=True, slots=True)
class RecordId:
    """A Kafka record's identity."""

    topic: str
    epoch: int
    partition: int
    offset: int

    def __str__(self) -> str:
        """`topic/epoch/partition/offset`."""
        return f"{self.topic}/{self.epoch}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of `insights.transitions`, or of `control.alarm_transitions`.

    Attributes:
        severity: 1 (critical) to 5.
        subject: The device or site that the episode is about.
        at: Event time of the transition.
        observed: What was measured, in the rule's unit; none for rules of absence.
        threshold: What it was compared with, in the same unit.
        evidence: The records behind the finding.
        decided_at: When the batch decided it.
        children: Dedupe keys of the tickets that this one stands in for.
        because: What is wrong with the platform; none where it is about a device or a site.
    """

    episode_id: UUID
    transition_no: int
    kind: Kind
    cause: str
    dedupe_key: str
    rule_id: str
    rule_version: str
    severity: int
    subject: str
    component: str
    site_id: str | None
    device_id: str | None
    assignment_group: str | None
    cmdb_ci: str | None
    runbook: str | None
    muted: bool
    at: datetime
    window_start: datetime
    window_end: datetime
    observed: float | None
    threshold: float | None
    evidence: tuple[RecordId, ...]
    batch_id: int | None
    decided_at: datetime
    children: tuple[str, ...] = ()
    because: str | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether it is about the platform itself."""
        return self.because is not None
