"""What the schedule promises, for every seed, start and size. The plan alone: nothing is played."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.fleet import MIN_DEVICES, MIN_HISTORY, Faults, FleetConfig, Plan, make_plan
from sandbox.fleet.instants import SECOND

RULES = {"error_burst", "heartbeat_missing", "cabinet_over_temperature"}


def plans_of(faults: Faults, most_devices: int) -> st.SearchStrategy[Plan]:
    return st.builds(
        lambda devices, seed, start, history: make_plan(
            FleetConfig(devices, seed, start, history, timedelta(seconds=90), faults)
        ),
        devices=st.integers(MIN_DEVICES[faults], most_devices),
        seed=st.integers(0, 2**32),
        start=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001
            lambda start: start.replace(tzinfo=UTC)
        ),
        history=st.timedeltas(MIN_HISTORY[faults], timedelta(hours=6)),
    )


given_plan = given(plan=plans_of(Faults.FEW, 300))
given_plan_of_all = given(plan=plans_of(Faults.ALL, 600))
examples = settings(max_examples=60, deadline=None)


@examples
@given_plan
def test_each_rule_has_five_faults_and_three_lookalikes(plan: Plan) -> None:
    counts = Counter((truth.rule_id, truth.lookalike) for truth in plan.truth)
    for rule in RULES:
        assert counts[rule, False] >= 5
        assert counts[rule, True] >= 3


@examples
@given_plan
def test_a_fault_of_each_rule_is_open_when_live_time_begins(plan: Plan) -> None:
    assert {
        truth.rule_id
        for truth in plan.truth
        if truth.phase == "open_at_live" and not truth.lookalike
    } == RULES


@examples
@given_plan
def test_five_faults_are_decided_live_and_due_within_90_s(plan: Plan) -> None:
    by = plan.config.start_ms + 90 * SECOND
    due = [
        truth
        for truth in plan.truth
        if truth.phase == "live" and truth.due_by is not None and truth.due_by <= by
    ]
    assert len(due) >= 5
    assert len({truth.rule_id for truth in due}) >= 2


@examples
@given_plan
def test_a_machine_plays_one_part_at_most(plan: Plan) -> None:
    assert max(Counter(truth.subject for truth in plan.truth).values()) == 1
    assert {truth.subject for truth in plan.truth} == {
        device.device_id for device in plan.devices if device.script is not None
    }


@examples
@example(
    plan=make_plan(
        FleetConfig(
            devices=217,
            seed=8361717,
            start=datetime(2020, 1, 1, 0, 23, tzinfo=UTC),
            history=timedelta(seconds=6184),
            live=timedelta(seconds=90),
        )
    )
)
@given_plan
def test_everything_that_history_holds_begins_in_history(plan: Plan) -> None:
    assert min(truth.start for truth in plan.truth) >= plan.config.begin_ms
    assert all(device.commissioned >= plan.config.begin_ms for device in plan.devices)


@examples
@given_plan
def test_sites_have_eight_to_twelve_machines(plan: Plan) -> None:
    sizes: dict[str, int] = defaultdict(int)
    for device in plan.devices:
        sizes[device.site.site_id] += 1
    assert len(sizes) == len(plan.sites)
    assert all(8 <= size <= 12 for size in sizes.values())


@examples
@given_plan_of_all
def test_a_machine_plays_one_part_at_most_alone_or_with_its_site(plan: Plan) -> None:
    subjects = Counter(truth.subject for truth in plan.truth)
    assert max(subjects.values()) == 1
    sites = {truth.subject for truth in plan.truth if truth.rule_id == "site_outage"}
    assert len(sites) >= 15
    assert all(truth.site_id not in sites or truth.subject in sites for truth in plan.truth)


@examples
@example(
    plan=make_plan(
        FleetConfig(
            devices=544,
            seed=273,
            start=datetime(2020, 1, 1, tzinfo=UTC),
            history=timedelta(hours=4),
            faults=Faults.ALL,
        )
    )
)
@given_plan_of_all
def test_all_rules_are_played_within_history_and_after(plan: Plan) -> None:
    assert min(truth.start for truth in plan.truth) >= plan.config.begin_ms
    assert all(device.commissioned >= plan.config.begin_ms for device in plan.devices)
    decided = Counter(
        truth.rule_id for truth in plan.truth if not truth.lookalike and truth.phase != "live"
    )
    assert len(decided) == 12
    assert min(decided.values()) >= 5


@examples
@given_plan_of_all
def test_what_rules_see_together_is_on_the_machines_of_the_fault(plan: Plan) -> None:
    sites = {device.device_id: device.site.site_id for device in plan.devices}
    for truth in plan.truth:
        assert {sites.get(also.subject, also.subject) for also in truth.also} <= {truth.site_id}
        assert all(also.rule_id != truth.rule_id for also in truth.also)
