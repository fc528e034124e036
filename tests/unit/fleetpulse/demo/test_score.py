"""What the demo's score says of faults, episodes and incidents."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from fleetpulse.demo.score import Episode, Incident, Score, score
from sandbox.fleet import Truth
from sandbox.fleet.instants import to_ms

LIVE = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDED = LIVE + timedelta(seconds=120)
RULE = "error_burst"


def at(seconds: float) -> datetime:
    return LIVE + timedelta(seconds=seconds)


def fault(
    device: str = "VM-000001",
    *,
    decided: float = 20,
    end: float | None = 80,
    phase: Literal["history", "open_at_live", "live"] = "live",
    lookalike: bool = False,
) -> Truth:
    due = None if lookalike else to_ms(at(max(decided, 0) + 65))
    return Truth(
        device_id=device,
        site_id="SITE-0001",
        kind="alert_burst",
        rule_id=RULE,
        lookalike=lookalike,
        start=to_ms(at(decided - 10)),
        end=None if end is None else to_ms(at(end)),
        decided=to_ms(at(decided)),
        due_by=due,
        phase=phase,
    )


def episode(device: str = "VM-000001", opened: float = 20, name: str = "one") -> Episode:
    return Episode(name, RULE, device, at(opened))


def incident(
    created: float = 32, resolved: float | None = None, name: str = "one", number: str = "INC1"
) -> Incident:
    return Incident(number, name, at(created), None if resolved is None else at(resolved))


def judge(truth: list[Truth], episodes: list[Episode], incidents: list[Incident]) -> Score:
    return score(truth, episodes, incidents, LIVE, ENDED, until=at(185))


def test_a_fault_with_its_episode_and_its_incident_is_found() -> None:
    found = judge([fault(), fault("VM-000002", lookalike=True)], [episode()], [incident()])

    assert (found.recall, found.precision) == (1, 1)
    assert found.faults[RULE].injected == 1
    assert found.faults[RULE].lookalikes == 1
    assert found.faults[RULE].found == found.faults[RULE].due == 1
    assert found.false_incidents == found.missed == found.late == []
    assert found.latencies_s == [12]


@pytest.mark.parametrize(("episodes", "lacks"), [([], "no episode"), ([episode()], "no incident")])
def test_a_fault_without_its_episode_or_its_incident_is_missed(
    episodes: list[Episode], lacks: str
) -> None:
    found = judge([fault()], episodes, [])

    assert found.recall == 0
    [words] = found.missed
    assert "VM-000001" in words
    assert lacks in words


def test_what_is_due_after_the_end_is_not_asked_for() -> None:
    truth = [fault(decided=119, end=None)]

    assert score(truth, [], [], LIVE, ENDED, until=at(184)).recall == 0
    before = score(truth, [], [], LIVE, ENDED, until=at(183))
    assert (before.recall, before.missed) == (None, [])


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(episode("VM-000009", name="two"), id="another device"),
        pytest.param(episode(opened=-3, name="two"), id="before the fault"),
        pytest.param(episode(opened=25, name="two"), id="a second one of the same fault"),
    ],
)
def test_an_episode_that_no_fault_explains_is_false_and_so_is_its_incident(
    stranger: Episode,
) -> None:
    found = judge(
        [fault(), fault("VM-000009", lookalike=True)],
        [episode(), stranger],
        [incident(), incident(name="two", number="INC2")],
    )

    assert (found.recall, found.precision) == (1, 0.5)
    assert len(found.false_episodes) == 1
    assert found.false_incidents == ["INC2"]


def test_a_fault_that_was_over_before_live_time_needs_an_episode_and_must_have_no_incident() -> (
    None
):
    past = fault(decided=-600, end=-500, phase="history")

    assert judge([past], [episode(opened=-600)], []).recall == 1
    assert judge([past], [episode(opened=-600)], [incident(5)]).false_incidents == ["INC1"]


def test_what_opens_after_the_fleet_has_stopped_is_not_judged() -> None:
    found = judge(
        [fault()],
        [episode(), episode("VM-000009", opened=121, name="two")],
        [incident(), incident(name="two", number="INC2")],
    )
    assert (found.precision, found.false_incidents) == (1, [])


def test_latency_of_a_fault_that_was_open_counts_from_live_times_beginning() -> None:
    open_fault = fault(decided=-600, end=None, phase="open_at_live")
    found = judge([open_fault], [episode(opened=-600)], [incident(created=9)])
    assert found.latencies_s == [9]


def test_an_incident_created_after_it_was_due_is_found_and_late() -> None:
    found = judge([fault()], [episode()], [incident(created=86)])
    assert (found.recall, found.late) == (1, ["INC1"])


@pytest.mark.parametrize(
    ("end", "resolved", "counts", "early"),
    [
        (80, 95, 1, []),
        (80, 79, 0, ["INC1"]),
        (600, 119, 0, ["INC1"]),
        pytest.param(600, 140, 0, [], id="the fleet's stop cut the fault off"),
        pytest.param(None, 140, 0, [], id="the fault would never have ended"),
        (80, None, 0, []),
    ],
)
def test_a_resolution_counts_after_the_fault_and_is_early_before_its_end(
    end: float | None, resolved: float | None, counts: int, early: list[str]
) -> None:
    found = judge([fault(end=end)], [episode()], [incident(resolved=resolved)])
    assert (found.resolved, found.early) == (counts, early)
