"""Episodes: a small machine that reads verdicts one by one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.oracle.log import MINUTE, Device, World
from tests.oracle.rules import RULES, Verdict

QUIET = 15 * MINUTE
UPDATE = 15 * MINUTE

Event = tuple[int, str]
"""What a ticket is told: its time, and its kind."""
Gate = Callable[[int], tuple[list[Event], int]]
"""For an opening: what is told instead, and from when on the fault itself is told."""


@dataclass
class Stretch:
    """From an opening to its resolution."""

    opened_us: int
    resolved_us: int | None = None
    further: list[int] = field(default_factory=list)


@dataclass
class Episode:
    """Stretches that follow each other within the quiet interval."""

    stretches: list[Stretch]

    @property
    def opened_us(self) -> int:
        return self.stretches[0].opened_us

    @property
    def resolved_us(self) -> int | None:
        return self.stretches[-1].resolved_us

    def events(self, watermark_us: int, gate: Gate = lambda us: ([], us)) -> list[Event]:
        """What a ticket is told."""
        events = []
        for number, stretch in enumerate(self.stretches):
            withheld, told_us = gate(stretch.opened_us)
            steps = [*withheld, (told_us, "reopen" if number else "open")]
            steps += [
                (us, "update")
                for us in {
                    self.opened_us + -(-(us - self.opened_us) // UPDATE) * UPDATE
                    for us in stretch.further
                }
                if us > told_us
            ]
            over_us = stretch.resolved_us
            events += [step for step in steps if over_us is None or step[0] < over_us]
            if over_us is not None:
                events.append((over_us, "resolve"))
        return sorted(event for event in events if event[0] <= watermark_us)


def fold(verdicts: Iterable[Verdict], clear_windows: int) -> list[Episode]:
    """Folds the verdicts of one key, in event time."""
    episodes: list[Episode] = []
    current: Stretch | None = None
    clears = 0
    for verdict in sorted(verdicts):
        us = verdict.window_end_us
        clears = clears + 1 if verdict.verdict == "clear" else 0
        if current is not None and verdict.verdict == "breach":
            current.further.append(us)
        elif current is not None and clears == clear_windows:
            current.resolved_us = us
            current = None
        elif current is None and verdict.verdict == "breach":
            current = Stretch(us)
            last = episodes[-1].resolved_us if episodes else None
            if last is not None and us - last <= QUIET:
                episodes[-1].stretches.append(current)
            else:
                episodes.append(Episode([current]))
    return episodes


def episodes_of(world: World) -> dict[tuple[str, str], list[Episode]]:
    """All episodes, by (rule, subject)."""
    found = {}
    for rule_id, rule in RULES.items():
        for name, subject in rule.subjects(world).items():
            verdicts = rule.judge(world, subject)
            if episodes := fold(managed(world, subject, verdicts), rule.clear_windows):
                found[rule_id, name] = episodes
    return found


def managed(world: World, subject: Device | str, verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Returns the verdicts without breaches in work during which nobody looks."""
    return [
        each
        for each in verdicts
        if each.verdict != "breach" or not world.planned("unmanage", subject, each.window_end_us)
    ]
