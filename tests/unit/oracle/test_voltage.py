"""Rule 11 finds what is wrong with a supply better than simpler rules, on labelled series."""

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from sandbox.fleet.instants import HOUR, MINUTE, Span
from sandbox.fleet.voltage import (
    DAY,
    FAULTS,
    NOMINAL_V,
    WEEK,
    Disturbance,
    Kind,
    Supply,
    supply,
    voltage,
)
from tests.oracle.voltage import QUARTER, History, Sample, is_anomalous, valid_from_us

MONDAY = 2930 * WEEK + 4 * DAY
BEGIN = MONDAY + DAY
END = BEGIN + 36 * HOUR
DEVICES = 20
OFF = 4 * MINUTE
"""How long a machine is off while its supply is replaced."""


@dataclass(frozen=True)
class Case:
    """A machine with one fault and its look-alikes, and three weeks of history."""

    machine: Supply
    fault: Disturbance
    lookalikes: tuple[Disturbance, ...]
    history: History

    @property
    def judged(self) -> Iterator[Sample]:
        return (sample for sample in self.history.samples if sample.us >= BEGIN * 1000)


@dataclass(frozen=True)
class Score:
    """Counts of episodes and of faults."""

    true: int
    false: int
    missed: int

    @property
    def f1(self) -> float:
        return 2 * self.true / (2 * self.true + self.false + self.missed)


Detector = Callable[[Case], Iterator[tuple[int, bool | None]]]


def random_case(number: int) -> Case:
    dice = random.Random(f"voltage/{number}")
    device_id = f"VM-{number:03}"
    machine = supply(1, device_id, f"SITE-{number // 4}", dice.choice((-6, 0, 1, 9)) * HOUR)
    hours = iter(dice.sample(range(1, 27, 8), 4))
    fault = random_fault(dice, FAULTS[number % len(FAULTS)], BEGIN + next(hours) * HOUR)
    lookalikes = [
        happening("load", BEGIN + next(hours) * HOUR, dice.randrange(10, 40) * MINUTE, volts)
        for volts in (-dice.uniform(2, 4.5), -dice.uniform(2, 4.5))
    ]
    if number % 3 == 0:
        volts = dice.choice((-1, 1)) * dice.uniform(2, 6)
        lookalikes.append(happening("replaced", BEGIN + next(hours) * HOUR, DAY, volts))
    samples = list(play(machine, (fault, *lookalikes), dice.randrange(MINUTE)))
    return Case(machine, fault, tuple(lookalikes), History(device_id, samples))


def happening(kind: Kind, start: int, length: int, volts: float) -> Disturbance:
    return Disturbance(kind, Span(start, start + length), volts)


def random_fault(dice: random.Random, kind: Kind, start: int) -> Disturbance:
    sign = dice.choice((-1, 1))
    if kind == "drift":
        return happening(kind, start, dice.randrange(4, 9) * HOUR, sign * dice.uniform(12, 22))
    if kind == "stuck":
        return happening(kind, start, dice.randrange(4, 9) * HOUR, 0)
    length = dice.randrange(15, 90) * MINUTE
    if kind == "flicker":
        return happening(kind, start, length, dice.uniform(6, 12))
    volts = dice.uniform(7, 40)
    return happening(kind, start, length, volts if kind == "surge" else -volts)


def play(machine: Supply, happenings: Sequence[Disturbance], offset: int) -> Iterator[Sample]:
    """Yields a sample a minute, of the weeks before only the hours that are asked for."""
    replaced = next((each.span.start for each in happenings if each.kind == "replaced"), None)
    for week in (3, 2, 1, 0):
        since = BEGIN - (4 * HOUR if week == 0 else 2 * HOUR)
        until = END if week == 0 else END + 2 * HOUR
        for at in range(since + offset - week * WEEK, until - week * WEEK, MINUTE):
            if replaced is None or not replaced - OFF <= at < replaced:
                boot = "b" if replaced is not None and at >= replaced else "a"
                yield Sample(at * 1000, voltage(machine, at, happenings), boot)


def rule_11(case: Case) -> Iterator[tuple[int, bool | None]]:
    return ((sample.us, is_anomalous(case.history, sample)) for sample in case.judged)


def fixed_band(case: Case) -> Iterator[tuple[int, bool | None]]:
    """Ten per cent above or below the nominal voltage."""
    return ((sample.us, abs(sample.volts - NOMINAL_V) > 0.1 * NOMINAL_V) for sample in case.judged)


def rolling_3_sigma(case: Case) -> Iterator[tuple[int, bool | None]]:
    """Three standard deviations off the mean of the 120 samples before."""
    last: deque[float] = deque(maxlen=120)
    for sample in case.history.samples:
        if sample.us >= BEGIN * 1000:
            mean = sum(last) / len(last)
            variance = sum(volts * volts for volts in last) / len(last) - mean * mean
            yield sample.us, abs(sample.volts - mean) > 3 * max(variance, 0) ** 0.5
        last.append(sample.volts)


def episodes(
    device_id: str, judged: Iterable[tuple[int, bool | None]], needed: int, among: int
) -> list[tuple[int, int]]:
    """Opens with so many anomalies among so many samples; closes as rule 11 does."""
    found: list[tuple[int, int]] = []
    opened = None
    last: deque[bool | None] = deque(maxlen=10)
    quarter = 0
    us = 0
    for us, anomalous in judged:
        begin = valid_from_us(device_id, us, QUARTER)
        if opened is not None and begin != quarter and list(last) == [False] * 10:
            found.append((opened, begin))
            opened = None
        quarter = begin
        last.append(anomalous)
        if opened is None and anomalous and sum(x is True for x in list(last)[-among:]) >= needed:
            opened = us
    if opened is not None:
        found.append((opened, us))
    return found


def score(cases: Sequence[Case], judge: Detector, needed: int, among: int) -> Score:
    """Counts the faults during which an episode was open, and the episodes without a fault."""
    true = false = missed = 0
    for case in cases:
        start, end = case.fault.span.start * 1000, case.fault.span.end * 1000
        found = episodes(case.history.device_id, judge(case), needed, among)
        hits = [opened < end and closed > start for opened, closed in found]
        true += any(hits)
        missed += not any(hits)
        false += hits.count(False)
    return Score(true, false, missed)


def best(cases: Sequence[Case], judge: Detector) -> Score:
    """The better of opening at once and of opening as rule 11 does: limits are compared."""
    return max((score(cases, judge, *how) for how in ((1, 1), (3, 5))), key=lambda each: each.f1)


def test_rule_11_has_a_higher_f1_than_a_fixed_band_and_a_rolling_3_sigma(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = [random_case(number) for number in range(DEVICES)]
    scores = {
        "rule 11": score(cases, rule_11, 3, 5),
        "fixed band of 10 %": best(cases, fixed_band),
        "rolling 3 sigma": best(cases, rolling_3_sigma),
    }
    with capsys.disabled():
        for name, each in scores.items():
            print(f"{name}: F1 {each.f1:.2f}, {each}")  # noqa: T201
    ours, *others = (each.f1 for each in scores.values())
    assert ours > max(others) + 0.2
    assert ours > 0.9


@pytest.mark.parametrize("kind", ["load", "replaced"])
def test_a_look_alike_alone_is_no_anomaly(kind: Kind) -> None:
    for number in range(3):
        device_id = f"VM-{kind}-{number}"
        machine = supply(2, device_id, "SITE-1", 0)
        lookalike = happening(kind, BEGIN + 17 * HOUR, HOUR, -3.5)
        history = History(device_id, list(play(machine, (lookalike,), 0)))
        case = Case(machine, lookalike, (), history)
        assert episodes(device_id, rule_11(case), 3, 5) == []
