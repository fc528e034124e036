"""What the score says of faults, episodes and incidents."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from fleetpulse.score.compare import Score, compare
from fleetpulse.score.found import Episode, Incident
from fleetpulse.score.show import as_json, problems
from sandbox.fleet import Truth
from sandbox.fleet.instants import to_ms
from sandbox.fleet.scenarios import Also

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
    muted: bool = False,
    harm: float | None = None,
    also: tuple[Also, ...] = (),
) -> Truth:
    due = None if lookalike else to_ms(at(max(decided, 0) + 65))
    expected: Literal["incident", "episode", "nothing"] = "incident"
    if lookalike:
        expected = "nothing"
    elif muted or phase == "history":
        expected = "episode"
    return Truth(
        subject=device,
        component="",
        site_id="SITE-0001",
        kind="alert_burst",
        rule_id=RULE,
        lookalike=lookalike,
        expected=expected,
        harm=None if harm is None else to_ms(at(harm)),
        start=to_ms(at(decided - 10)),
        end=None if end is None else to_ms(at(end)),
        decided=to_ms(at(decided)),
        due_by=due,
        phase=phase,
        also=also,
    )


def episode(device: str = "VM-000001", opened: float = 20, name: str = "one") -> Episode:
    return Episode(name, RULE, device, at(opened))


def incident(
    created: float = 32, resolved: float | None = None, name: str = "one", number: str = "INC1"
) -> Incident:
    return Incident(number, name, at(created), None if resolved is None else at(resolved))


def judge(truth: list[Truth], episodes: list[Episode], incidents: list[Incident]) -> Score:
    return compare(truth, episodes, incidents, ENDED, until=at(185))


def test_a_fault_with_its_episode_and_its_incident_is_found() -> None:
    found = judge([fault(), fault("VM-000002", lookalike=True)], [episode()], [incident()])

    assert (found.total.recall, found.total.precision) == (1, 1)
    assert (found.rules[RULE].faults, found.rules[RULE].lookalikes) == (1, 1)
    assert found.rules[RULE].found == found.rules[RULE].due == 1
    assert found.false_incidents == found.missed == []
    assert (found.false, found.late) == ((), ())
    assert found.outcomes[0].latency_s == 12
    assert found.outcomes[0].delay_s == 10


@pytest.mark.parametrize(("episodes", "lacks"), [([], "no episode"), ([episode()], "no incident")])
def test_a_fault_without_its_episode_or_its_incident_is_missed(
    episodes: list[Episode], lacks: str
) -> None:
    found = judge([fault()], episodes, [])

    assert found.total.recall == 0
    assert [each.truth.subject for each in found.missed] == ["VM-000001"]
    assert lacks in problems(found)[0]


def test_what_is_due_after_the_end_is_not_asked_for() -> None:
    truth = [fault(decided=119, end=None)]

    assert compare(truth, [], [], ENDED, until=at(184)).total.recall == 0
    before = compare(truth, [], [], ENDED, until=at(183))
    assert (before.total.recall, before.missed) == (None, [])


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

    assert (found.total.recall, found.total.precision) == (1, 0.5)
    assert [each.episode for each in found.false] == [stranger]
    assert found.false_incidents == ["INC2"]


def test_a_fault_that_was_over_before_live_time_needs_an_episode_and_must_have_no_incident() -> (
    None
):
    past = fault(decided=-600, end=-500, phase="history")

    assert judge([past], [episode(opened=-600)], []).total.recall == 1
    assert judge([past], [episode(opened=-600)], [incident(5)]).false_incidents == ["INC1"]


def test_what_opens_after_the_fleet_has_stopped_is_not_judged() -> None:
    found = judge(
        [fault()],
        [episode(), episode("VM-000009", opened=121, name="two")],
        [incident(), incident(name="two", number="INC2")],
    )
    assert (found.total.precision, found.false_incidents) == (1, [])


def test_latency_of_a_fault_that_was_open_counts_from_live_times_beginning() -> None:
    open_fault = fault(decided=-600, end=None, phase="open_at_live")
    found = judge([open_fault], [episode(opened=-600)], [incident(created=9)])
    assert found.outcomes[0].latency_s == 9


def test_an_incident_created_after_it_was_due_is_found_and_late() -> None:
    found = judge([fault()], [episode()], [incident(created=86)])
    assert (found.total.recall, found.late) == (1, ("INC1",))


@pytest.mark.parametrize(
    ("end", "resolved", "counts", "early"),
    [
        (80, 95, 1, ()),
        (80, 79, 0, ("INC1",)),
        (600, 119, 0, ("INC1",)),
        pytest.param(600, 140, 0, (), id="the fleet's stop cut the fault off"),
        pytest.param(None, 140, 0, (), id="the fault would never have ended"),
        (80, None, 0, ()),
    ],
)
def test_a_resolution_counts_after_the_fault_and_is_early_before_its_end(
    end: float | None, resolved: float | None, counts: int, early: tuple[str, ...]
) -> None:
    found = judge([fault(end=end)], [episode()], [incident(resolved=resolved)])
    assert (found.resolved, found.early) == (counts, early)


def test_an_incident_before_live_time_has_no_latency() -> None:
    open_fault = fault(decided=-60, end=None, phase="open_at_live")
    found = judge([open_fault], [episode(opened=-60)], [incident(created=-40)])
    assert (found.total.recall, found.outcomes[0].latency_s) == (1, None)


def test_what_is_muted_needs_an_episode_and_must_have_no_incident() -> None:
    muted = fault(muted=True)

    assert judge([muted], [episode()], []).total.recall == 1
    assert judge([muted], [episode()], [incident()]).false_incidents == ["INC1"]


@pytest.mark.parametrize(("ticketed", "false"), [(True, []), (False, ["INC1"])])
@pytest.mark.parametrize("lookalike", [False, True])
def test_what_another_rule_may_see_too_is_explained_and_ticketed_where_that_is_right(
    ticketed: bool, false: list[str], lookalike: bool
) -> None:
    other = Also(RULE, "VM-000007", ticketed=ticketed)
    of_site = fault("SITE-0001", lookalike=lookalike, also=(other,))

    found = judge([of_site], [episode("VM-000007")], [incident()])

    assert found.total.precision == 1
    assert found.false_incidents == false


def test_what_another_rule_sees_long_after_the_fault_is_false() -> None:
    of_site = fault(end=-1000, decided=-1010, phase="history", also=(Also(RULE, "VM-000007"),))
    found = judge([of_site], [episode("VM-000007", opened=-50)], [])
    assert found.total.precision == 0


def test_the_lead_counts_from_the_finding_to_the_damage() -> None:
    found = judge([fault(harm=1820)], [episode()], [incident(created=32)])
    assert found.outcomes[0].lead_s == 1788


def test_a_false_incident_is_told_with_its_evidence() -> None:
    record = {"topic": "alerts.raw", "epoch": 0, "partition": 3, "offset": 17}
    stranger = Episode("two", RULE, "VM-000009", at(20), (record,))

    found = judge([fault("VM-000009", lookalike=True)], [stranger], [incident(name="two")])

    assert as_json(found)["false"] == [
        {
            "rule_id": RULE,
            "subject": "VM-000009",
            "opened_at": at(20).isoformat(),
            "incident": "INC1",
            "evidence": [record],
        }
    ]
    assert "alerts.raw/0/3/17" in problems(found)[0]


def test_shares_are_of_rules_and_of_kinds_of_fault() -> None:
    found = judge([fault(), fault("VM-000002")], [episode()], [incident()])

    told = as_json(found)["rules"][RULE]
    assert (told["due"], told["found"], told["recall"], told["precision"]) == (2, 1, 0.5, 1)
    assert told["kinds"]["alert_burst"]["recall"] == 0.5


def test_an_incident_of_no_episode_is_false_unless_the_machines_had_stopped() -> None:
    assert judge([], [], [incident(created=60)]).false_incidents == ["INC1"]
    assert judge([], [], [incident(created=121)]).false_incidents == []
