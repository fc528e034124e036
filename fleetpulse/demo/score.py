"""What was found, compared with what is true. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import quantiles

from sandbox.fleet import Truth
from sandbox.fleet.instants import WINDOW, to_datetime

CLOCK_SKEW = timedelta(seconds=2)
"""Devices' clocks are off by up to 1.5 s; the truth is told in true time."""
LONGEST_WINDOW = timedelta(milliseconds=WINDOW)
"""An episode opens at its first window's end, which may lie behind the fault's."""


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode, as the insights tell it."""

    episode_id: str
    rule_id: str
    subject: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident, as ServiceNow tells it."""

    number: str
    episode_id: str
    created_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class RuleScore:
    """One rule's faults.

    Attributes:
        injected: Faults in the schedule.
        lookalikes: What the rule must not see.
        due: Faults that were due before the end.
        found: Those of them with an episode and, where one is due, an incident.
    """

    injected: int
    lookalikes: int
    due: int
    found: int


@dataclass(frozen=True, slots=True)
class Score:
    """How well the faults were found.

    Attributes:
        faults: By rule.
        recall: Found among the faults that were due before the end; None where none was.
        precision: Episodes that a fault explains among all; None where there is none.
        missed: The faults that were due and not found, in words.
        false_episodes: The episodes that no fault explains, in words.
        false_incidents: Numbers of incidents without a fault in live time.
        early: Numbers of incidents that were resolved before their fault was over, or cut off.
        resolved: Incidents resolved after their fault was over by itself.
        late: Numbers of incidents that were created after they were due.
        latencies_s: Seconds from the deciding instant (or live time's beginning) to the creation.
    """

    faults: dict[str, RuleScore]
    recall: float | None
    precision: float | None
    missed: list[str]
    false_episodes: list[str]
    false_incidents: list[str]
    early: list[str]
    resolved: int
    late: list[str]
    latencies_s: list[float]

    def latency_s(self) -> dict[str, float] | None:
        """Returns the median and the 95th percentile; None below two incidents."""
        if len(self.latencies_s) < 2:
            return None
        cuts = quantiles(self.latencies_s, n=100, method="inclusive")
        return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1)}


def score(
    truth: Sequence[Truth],
    episodes: Sequence[Episode],
    incidents: Sequence[Incident],
    live: datetime,
    ended: datetime,
    until: datetime,
) -> Score:
    """Compares episodes and incidents with the truth.

    An episode is a fault's own if it is of its rule and device and opened while the fault lasted,
    or at the end of a window that it reached into. A fault has at most one: another is false.
    What opens after the fleet has stopped is not judged: all are silent then.

    Args:
        truth: Faults and look-alikes.
        episodes: All that were found.
        incidents: All that ServiceNow has.
        live: When live time began: what was over by then is never ticketed.
        ended: When the fleet stopped, which also cuts off the faults.
        until: Until when was waited: what is due later is not asked for.
    """
    faults = [each for each in truth if not each.lookalike]
    unjudged = {each.episode_id for each in episodes if each.opened_at > ended}
    episodes = [each for each in episodes if each.episode_id not in unjudged]
    incidents = [each for each in incidents if each.episode_id not in unjudged]
    owners = _owners(faults, episodes)
    by_episode = {each.episode_id: each for each in incidents}
    tickets = {
        index: by_episode[episode.episode_id]
        for index, episode in owners.items()
        if episode.episode_id in by_episode and faults[index].phase != "history"
    }
    due = [index for index, fault in enumerate(faults) if _due(fault) <= until]
    found = [
        index
        for index in due
        if index in owners and (faults[index].phase == "history" or index in tickets)
    ]
    owned = {episode.episode_id for episode in owners.values()}
    expected = {incident.number for incident in tickets.values()}
    resolved = {
        index: incident for index, incident in tickets.items() if incident.resolved_at is not None
    }
    early = {
        index
        for index, incident in resolved.items()
        if _before(incident.resolved_at, min(_end(faults[index]) or ended, ended))
    }
    cut_off = {index for index in resolved if (_end(faults[index]) or until) >= ended}
    return Score(
        faults={
            rule_id: _rule_score(rule_id, truth, faults, due, found)
            for rule_id in sorted({each.rule_id for each in truth})
        },
        recall=len(found) / len(due) if due else None,
        precision=len(owned) / len(episodes) if episodes else None,
        missed=[_words(faults[index], index in owners) for index in due if index not in found],
        false_episodes=[
            f"{each.rule_id} on {each.subject} at {each.opened_at:%H:%M:%S}"
            for each in episodes
            if each.episode_id not in owned
        ],
        false_incidents=[each.number for each in incidents if each.number not in expected],
        early=[tickets[index].number for index in sorted(early)],
        resolved=len(resolved.keys() - early - cut_off),
        late=[
            incident.number
            for index, incident in tickets.items()
            if incident.created_at > _due(faults[index])
        ],
        latencies_s=[
            (incident.created_at - max(to_datetime(faults[index].decided), live)).total_seconds()
            for index, incident in tickets.items()
        ],
    )


def _owners(faults: Sequence[Truth], episodes: Sequence[Episode]) -> dict[int, Episode]:
    """Returns each fault's own episode, by the fault's index."""
    owners: dict[int, Episode] = {}
    for episode in sorted(episodes, key=lambda each: each.opened_at):
        for index, fault in enumerate(faults):
            if index not in owners and _explains(fault, episode):
                owners[index] = episode
                break
    return owners


def _explains(fault: Truth, episode: Episode) -> bool:
    if (fault.rule_id, fault.device_id) != (episode.rule_id, episode.subject):
        return False
    begins = to_datetime(fault.start) - CLOCK_SKEW
    ends = None if fault.end is None else to_datetime(fault.end) + LONGEST_WINDOW
    return begins <= episode.opened_at and (ends is None or episode.opened_at <= ends)


def _due(fault: Truth) -> datetime:
    if fault.due_by is None:
        raise ValueError(f"{fault.kind} on {fault.device_id} is a look-alike: it is never due")
    return to_datetime(fault.due_by)


def _end(fault: Truth) -> datetime | None:
    return None if fault.end is None else to_datetime(fault.end)


def _before(resolved_at: datetime | None, end: datetime) -> bool:
    """Returns whether an incident was resolved before an instant; ServiceNow has no fractions."""
    return resolved_at is not None and resolved_at < end.replace(microsecond=0)


def _rule_score(
    rule_id: str,
    truth: Sequence[Truth],
    faults: Sequence[Truth],
    due: Sequence[int],
    found: Sequence[int],
) -> RuleScore:
    return RuleScore(
        injected=sum(each.rule_id == rule_id for each in faults),
        lookalikes=sum(each.rule_id == rule_id and each.lookalike for each in truth),
        due=sum(faults[index].rule_id == rule_id for index in due),
        found=sum(faults[index].rule_id == rule_id for index in found),
    )


def _words(fault: Truth, has_episode: bool) -> str:
    lacks = "no incident" if has_episode else "no episode"
    return (
        f"{fault.rule_id} on {fault.device_id} ({fault.kind}, {fault.phase}), due by "
        f"{_due(fault):%H:%M:%S}: {lacks}"
    )
