"""Which fault each episode and incident is of, and what is missing or too much. Pure."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from statistics import quantiles

from fleetpulse.score.found import Episode, Incident
from sandbox.fleet import Truth
from sandbox.fleet.instants import MINUTE, WINDOW, to_datetime
from sandbox.fleet.truth import ALLOWANCE, LATE_TOLERANCE

CLOCK_SKEW = timedelta(seconds=2)
"""Devices' clocks are off by up to 1.5 s; the truth is told in true time."""
LONGEST_WINDOW = timedelta(milliseconds=WINDOW)
"""An episode opens at its first window's end, which may lie behind the fault's."""
ALSO_WITHIN = timedelta(milliseconds=15 * MINUTE)
"""How long after a fault's end another rule may still find what it has left behind."""
_GRACE = timedelta(milliseconds=LATE_TOLERANCE + ALLOWANCE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fault or look-alike.

    Attributes:
        truth: The fault or look-alike.
        due: Whether what is expected of it was due before the end; never of a look-alike.
        episode: Its own episode.
        incident: That episode's incident.
        found: Whether all that is expected is there.
    """

    truth: Truth
    due: bool
    episode: Episode | None
    incident: Incident | None

    @property
    def found(self) -> bool:
        if self.truth.expected == "incident":
            return self.incident is not None
        return self.episode is not None

    @property
    def delay_s(self) -> float | None:
        """Seconds of event time from the fault's beginning to the opening of its episode."""
        if self.episode is None:
            return None
        return _seconds(self.episode.opened_at - to_datetime(self.truth.start))

    @property
    def latency_s(self) -> float | None:
        """Seconds from the deciding instant to the incident.

        From the beginning of live time, where that is later: nothing is ticketed before. None
        where the incident was there by then, or where none is expected.
        """
        if self.incident is None or self.truth.expected != "incident":
            return None
        latency = self.incident.created_at - (_due_by(self.truth) - _GRACE)
        return None if latency < timedelta(seconds=-1) else _seconds(latency)

    @property
    def late(self) -> bool:
        """Whether its incident was created after it was due."""
        if self.incident is None or self.truth.expected != "incident":
            return False
        return self.incident.created_at > _due_by(self.truth)

    @property
    def lead_s(self) -> float | None:
        """Seconds from the finding to the damage, if nobody comes; None where there is none.

        The finding is the incident of what was decided live, else the episode's opening.
        """
        if self.truth.harm is None or not self.found:
            return None
        found_at = None if self.episode is None else self.episode.opened_at
        if self.truth.phase == "live" and self.incident is not None:
            found_at = self.incident.created_at
        return None if found_at is None else _seconds(to_datetime(self.truth.harm) - found_at)


@dataclass(frozen=True, slots=True)
class Unexplained:
    """An episode that no fault explains, with its incident if it has one."""

    episode: Episode
    incident: Incident | None


@dataclass(frozen=True)
class Share:
    """How well some of the faults were found: of a rule, of a kind, of all.

    Attributes:
        outcomes: Of these faults and look-alikes.
        episodes: All that were found there.
        explained: Which episodes are a fault's.
    """

    outcomes: tuple[Outcome, ...]
    episodes: tuple[Episode, ...]
    explained: Set[str]

    @property
    def faults(self) -> int:
        """Faults in the schedule."""
        return sum(not each.truth.lookalike for each in self.outcomes)

    @property
    def lookalikes(self) -> int:
        """What the rule must not see."""
        return len(self.outcomes) - self.faults

    @cached_property
    def due(self) -> int:
        """Faults that were due before the end."""
        return sum(each.due for each in self.outcomes)

    @cached_property
    def found(self) -> int:
        """Those of them that were found."""
        return sum(each.due and each.found for each in self.outcomes)

    @cached_property
    def false(self) -> int:
        """Episodes that no fault explains."""
        return sum(each.episode_id not in self.explained for each in self.episodes)

    @property
    def recall(self) -> float | None:
        """Found among the faults that were due; None where none was."""
        return self.found / self.due if self.due else None

    @property
    def precision(self) -> float | None:
        """Episodes that a fault explains among all; None where there is none."""
        if not self.episodes:
            return None
        return (len(self.episodes) - self.false) / len(self.episodes)

    def spread(self, name: str) -> dict[str, float] | None:
        """Returns median and 95th percentile of `delay_s`, `latency_s` or `lead_s`."""
        values = [getattr(each, name) for each in self.outcomes]
        return spread([each for each in values if each is not None])


@dataclass(frozen=True)
class Score:
    """How well the faults were found.

    Attributes:
        outcomes: Of every fault and look-alike.
        rules: By rule.
        kinds: By rule and kind; episodes that no fault explains are of no kind.
        total: Of all.
        false: The episodes that no fault explains.
        unwanted: Episodes that are not to have an incident (muted, over or suppressed), with it.
        strangers: Incidents of no episode: nothing was to be told of the platform either.
        early: Numbers of incidents that were resolved before their fault was over, or cut off.
        late: Numbers of incidents that were created after they were due.
        resolved: Incidents resolved after their fault was over by itself.
    """

    outcomes: tuple[Outcome, ...]
    rules: Mapping[str, Share]
    kinds: Mapping[tuple[str, str], Share]
    total: Share
    false: tuple[Unexplained, ...]
    unwanted: tuple[tuple[Episode, Incident], ...]
    strangers: tuple[Incident, ...]
    early: tuple[str, ...]
    late: tuple[str, ...]
    resolved: int

    @property
    def missed(self) -> list[Outcome]:
        """The faults that were due and not found."""
        return [each for each in self.outcomes if each.due and not each.found]

    @property
    def false_incidents(self) -> list[str]:
        """Numbers of the incidents that nobody should have been sent."""
        of_false = [each.incident.number for each in self.false if each.incident is not None]
        unwanted = [incident.number for _, incident in self.unwanted]
        return of_false + unwanted + [each.number for each in self.strangers]


def compare(
    truth: Sequence[Truth],
    episodes: Sequence[Episode],
    incidents: Sequence[Incident],
    ended: datetime,
    until: datetime,
) -> Score:
    """Compares episodes and incidents with the truth.

    An episode is a fault's own if it is of its rule and subject and opened while the fault lasted,
    or at the end of a window that it reached into. A fault has at most one: another is false,
    unless the truth says that its rule may see that too.

    Args:
        truth: Faults and look-alikes.
        episodes: All that were found.
        incidents: All that ServiceNow has.
        ended: When the machines stopped, which also cuts off the faults. What opens later is not
            judged: all are silent then.
        until: What is due later is not asked for.
    """
    later = {each.episode_id for each in episodes if each.opened_at > ended}
    episodes = [each for each in episodes if each.episode_id not in later]
    by_episode = {each.episode_id: each for each in incidents if each.episode_id not in later}
    outcomes = _outcomes(truth, episodes, by_episode, until)
    own = {each.episode.episode_id: each.truth for each in outcomes if each.episode is not None}
    also = {
        each.episode_id: seen
        for each in episodes
        if each.episode_id not in own and (seen := _also_seen(truth, each))
    }
    wanted = {name for name, fault in own.items() if fault.expected == "incident"}
    wanted |= {name for name, seen in also.items() if any(seen)}
    explained = own.keys() | also.keys()
    ticketed = [each for each in episodes if each.episode_id in by_episode]
    rule_ids = {*(each.rule_id for each in truth), *(each.rule_id for each in episodes)}
    return Score(
        outcomes=outcomes,
        rules={
            rule_id: Share(
                outcomes=tuple(each for each in outcomes if each.truth.rule_id == rule_id),
                episodes=tuple(each for each in episodes if each.rule_id == rule_id),
                explained=explained,
            )
            for rule_id in sorted(rule_ids)
        },
        kinds={key: _of_kind(outcomes, *key) for key in _kinds(truth)},
        total=Share(outcomes, tuple(episodes), explained),
        false=tuple(
            Unexplained(each, by_episode.get(each.episode_id))
            for each in episodes
            if each.episode_id not in explained
        ),
        unwanted=tuple(
            (each, by_episode[each.episode_id])
            for each in ticketed
            if each.episode_id in explained - wanted
        ),
        strangers=tuple(
            each
            for each in by_episode.values()
            if each.created_at <= ended and each.episode_id not in {e.episode_id for e in ticketed}
        ),
        early=tuple(each.number for each in _resolved(outcomes, ended, "early")),
        late=tuple(each.incident.number for each in outcomes if each.late and each.incident),
        resolved=len(_resolved(outcomes, ended, "in order")),
    )


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Returns the median and the 95th percentile; None without a value."""
    if not values:
        return None
    # Of a single value, which `quantiles` refuses, twice the same.
    cuts = quantiles([*values, values[-1]][: max(len(values), 2)], n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1)}


def _outcomes(
    truth: Sequence[Truth],
    episodes: Sequence[Episode],
    by_episode: Mapping[str, Incident],
    until: datetime,
) -> tuple[Outcome, ...]:
    owners = _owners(truth, episodes)
    return tuple(
        Outcome(
            truth=each,
            due=each.due_by is not None and to_datetime(each.due_by) <= until,
            episode=owners.get(number),
            incident=by_episode.get(owners[number].episode_id) if number in owners else None,
        )
        for number, each in enumerate(truth)
    )


def _kinds(truth: Sequence[Truth]) -> list[tuple[str, str]]:
    return sorted({(each.rule_id, each.kind) for each in truth})


def _of_kind(outcomes: Sequence[Outcome], rule_id: str, kind: str) -> Share:
    its = tuple(
        each for each in outcomes if (each.truth.rule_id, each.truth.kind) == (rule_id, kind)
    )
    own = tuple(each.episode for each in its if each.episode is not None)
    return Share(its, own, {each.episode_id for each in own})


def _owners(truth: Sequence[Truth], episodes: Sequence[Episode]) -> dict[int, Episode]:
    """Returns each fault's own episode, by the fault's number."""
    owners: dict[int, Episode] = {}
    for episode in sorted(episodes, key=lambda each: each.opened_at):
        for number, fault in enumerate(truth):
            if number not in owners and not fault.lookalike and _is_own(fault, episode):
                owners[number] = episode
                break
    return owners


def _is_own(fault: Truth, episode: Episode) -> bool:
    if (fault.rule_id, fault.subject) != (episode.rule_id, episode.subject):
        return False
    if fault.end is None:
        return _begins(fault) <= episode.opened_at
    last = to_datetime(max(fault.end, fault.decided)) + LONGEST_WINDOW
    return _begins(fault) <= episode.opened_at <= last


def _also_seen(truth: Sequence[Truth], episode: Episode) -> list[bool]:
    """Returns, for each fault that its rule may see too, whether with an incident of its own."""
    return [
        also.ticketed
        for each in truth
        for also in each.also
        if (also.rule_id, also.subject) == (episode.rule_id, episode.subject)
        and _begins(each) <= episode.opened_at
        and (each.end is None or episode.opened_at <= to_datetime(each.end) + ALSO_WITHIN)
    ]


def _resolved(outcomes: Sequence[Outcome], ended: datetime, how: str) -> list[Incident]:
    """Returns the incidents that were resolved too early, or in order."""
    chosen = []
    for each in outcomes:
        if each.incident is None or each.incident.resolved_at is None:
            continue
        if each.truth.expected != "incident":
            continue
        end = None if each.truth.end is None else to_datetime(each.truth.end)
        # ServiceNow has no fractions of a second.
        over = min(end or ended, ended).replace(microsecond=0)
        if each.incident.resolved_at < over:
            resolved = "early"
        else:
            resolved = "cut off" if end is None or end >= ended else "in order"
        if resolved == how:
            chosen.append(each.incident)
    return chosen


def _begins(fault: Truth) -> datetime:
    return to_datetime(fault.start) - CLOCK_SKEW


def _due_by(fault: Truth) -> datetime:
    if fault.due_by is None:
        raise ValueError(f"{fault.kind} on {fault.subject} is a look-alike: it is never due")
    return to_datetime(fault.due_by)


def _seconds(time: timedelta) -> float:
    return round(time.total_seconds(), 1)
