"""The mains of a machine follow from its name and the instant; faults are what they are called."""

from statistics import median

import pytest

from sandbox.fleet.instants import HOUR, MINUTE, Span
from sandbox.fleet.voltage import DAY, NOMINAL_V, WEEK, Disturbance, Kind, supply, voltage

MACHINE = supply(1, "VM-000001", "SITE-0001", utc_offset=0)
MONDAY = 2930 * WEEK + 4 * DAY
NOON = MONDAY + DAY + 12 * HOUR


def test_any_instant_may_be_asked_for_in_any_order() -> None:
    instants = range(NOON, NOON + 20 * MINUTE, MINUTE)
    volts = {at: voltage(MACHINE, at) for at in instants}
    again = supply(1, "VM-000001", "SITE-0001", utc_offset=0)
    assert {at: voltage(again, at) for at in reversed(instants)} == volts
    assert all(abs(each - NOMINAL_V) < 25 for each in volts.values())


def test_another_seed_is_another_fleet() -> None:
    assert supply(2, "VM-000001", "SITE-0001", utc_offset=0) != MACHINE


def test_evenings_are_low_where_the_site_is() -> None:
    def at_hour(hour: int, utc_offset: int) -> float:
        machine = supply(1, "VM-000001", "SITE-0001", utc_offset)
        begin = MONDAY + hour * HOUR
        return median(voltage(machine, begin + each * MINUTE) for each in range(60))

    assert at_hour(19, 0) < at_hour(3, 0) - 1
    assert at_hour(10, 9 * HOUR) < at_hour(18, 9 * HOUR) - 1


@pytest.mark.parametrize(
    ("kind", "early", "late", "after"),
    [
        ("sag", -20, -20, 0),
        ("surge", -20, -20, 0),
        ("load", -20, -20, 0),
        ("drift", 0, -20, 0),
        ("replaced", -20, -20, -20),
    ],
)
def test_a_disturbance_moves_the_voltage(kind: Kind, early: int, late: int, after: int) -> None:
    happening = [Disturbance(kind, Span(NOON, NOON + HOUR), -20)]

    def moved(at: int) -> float:
        return voltage(MACHINE, at, happening) - voltage(MACHINE, at)

    assert moved(NOON - 1) == 0
    assert [moved(NOON), moved(NOON + HOUR - 1), moved(NOON + HOUR)] == pytest.approx(
        [early, late, after], abs=0.11
    )


def test_flicker_goes_to_either_side_and_a_stuck_value_does_not_move() -> None:
    span = Span(NOON, NOON + HOUR)
    instants = range(NOON, NOON + HOUR, MINUTE)
    flicker = [
        voltage(MACHINE, at, [Disturbance("flicker", span, 8)]) - voltage(MACHINE, at)
        for at in instants
    ]
    assert {round(each) for each in flicker} == {-8, 8}
    assert len({voltage(MACHINE, at, [Disturbance("stuck", span)]) for at in instants}) == 1
